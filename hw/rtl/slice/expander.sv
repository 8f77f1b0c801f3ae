// Expander of a slice: turns the units of weight tiles (spec section 3.1) into WFIFO and SFIFO
// words, one unit a cycle while the FIFOs have room. The state says what the next unit is: bias,
// scales, extra bits, index unit, value unit or surplus. The unit register is zero while empty, which is
// what tiles that end early read.
// Theory of operation and cycle counts: hw/doc/timing.md.
`default_nettype none

module expander
  import slice_pkg::*;
#(
    parameter int unsigned WfAw = 9
) (
    input  logic            clk_i,
    input  logic            rst_ni,

    input  logic            cmd_valid_i,
    input  tiles_t          cmd_i,
    output logic            cmd_take_o,
    output logic            cmd_done_o,
    output logic            idle_o,
    output logic            fault_o,     // a unit came with an AXI error
    output logic [15:0]     fault_pc_o,

    input  logic            beat_valid_i,
    output logic            beat_ready_o,
    input  logic [511:0]    beat_data_i,
    input  logic            beat_error_i,

    // Weight FIFO: a push counts at once, its values are written a cycle later, its selectors two.
    input  logic [WfAw-1:0] wf_tail_i,
    input  logic            wf_room_i,
    output logic            wf_push_o,
    output logic [15:0]     wf_value_we_o,
    output logic [WfAw-1:0] wf_value_addr_o,
    output logic [2047:0]   wf_value_o,
    output logic [1:0]      wf_sel_we_o,
    output logic [WfAw-1:0] wf_sel_addr_o,
    output logic [1023:0]   wf_sel_o,

    // Scale FIFO: the data of a push follow in the next cycle.
    input  logic            sf_room_one_i,
    input  logic            sf_room_two_i,
    output logic            sf_push_o,
    output logic [511:0]    sf_data_o
);
  // What the next unit is: one bit a kind.
  typedef enum logic [5:0] {
    UnitBias = 6'd1, UnitScale = 6'd2, UnitExtra = 6'd4, UnitIndex = 6'd8, UnitValue = 6'd16, UnitSurplus = 6'd32
  } unit_e;

  // How the values of a group are stored.
  typedef struct packed {
    logic eight;     // 8 bits
    logic crumb;     // 2 bits a value in the value units, else (4, 5, 6) 4
    logic extended;  // 3, 5, 6: more in an extra unit
    logic six;       // ... of a word, not of two
  } width_t;
  function automatic width_t width(input logic [3:0] bits);
    width = '{eight: bits[3], crumb: bits[3:2] == 2'b00, extended: bits[0] || bits[2:1] == 2'b11,
              six: bits[2:1] == 2'b11};
  endfunction

  // ---- The command, and where in it the next unit lies.
  logic        active_q, dry_q, last_unit_q, odd_group_q, last_tile_q;
  tiles_t      cmd_q;
  logic [15:0] tiles_left_q;
  logic [31:0] units_left_q;
  unit_e       kind_q;
  logic [1:0]  step_q;
  logic        odd_word_q;                 // of the group
  logic [9:0]  group_left_q, behind_q;     // words left of the group; words of the tile behind it
  logic        group_one_q, behind_none_q;
  width_t      width_q, odd_width_q;       // of this group, of the odd one behind it

  logic         unit_valid_q, unit_error_q;
  logic [511:0] unit_q;

  // Of the command.
  logic mixed_q, dense_q, layout_n_q, index_two_q;
  always_ff @(posedge clk_i) begin
    if (cmd_take_o) begin
      mixed_q     <= cmd_i.format.fmt == fvlm_isa_pkg::LD_FMT_MIXED;
      dense_q     <= cmd_i.format.nm == fvlm_isa_pkg::LD_NM_DENSE;
      layout_n_q  <= cmd_i.format.fmt == fvlm_isa_pkg::LD_FMT_W8N || cmd_i.format.fmt == fvlm_isa_pkg::LD_FMT_W4N;
      index_two_q <= fvlm_isa_pkg::nm_index_units(cmd_i.format.nm) == 2;
    end
  end

  logic is_bias, is_scale, is_extra, is_index, is_value, is_surplus;
  assign {is_surplus, is_value, is_index, is_extra, is_scale, is_bias} = kind_q;

  logic fire, last_index, last_value, word_end, tile_last, tile_end, cmd_end;
  assign last_index = step_q[0] || !index_two_q;
  assign last_value = step_q == {width_q.eight, !width_q.crumb};
  assign word_end   = fire && is_value && last_value;
  assign tile_last  = (is_value && last_value && group_one_q && behind_none_q && (dry_q || last_unit_q)) ||
                      (is_surplus && last_unit_q);
  assign tile_end   = fire && tile_last;
  assign cmd_end    = tile_end && last_tile_q;

  // ---- May the unit be used now?
  logic more_groups, ready;
  assign more_groups = mixed_q && !behind_none_q;
  assign ready = is_surplus || ((is_bias || is_scale) ? sf_room_one_i && (sf_room_two_i || is_bias || !more_groups)
                                                      : wf_room_i);
  assign fire       = active_q && ready && ((unit_valid_q && !unit_error_q) || dry_q);
  assign fault_o    = active_q && unit_valid_q && unit_error_q;
  assign fault_pc_o = cmd_q.format.pc;

  // ---- Unit register. The unit behind a tile's last one must not come in while the tile still
  // reads zeros.
  logic use_unit, load;
  assign use_unit     = fire && !dry_q;
  assign beat_ready_o = !dry_q && (!unit_valid_q || (fire && (tile_last || !last_unit_q)));
  assign load         = beat_valid_i && beat_ready_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || (use_unit && !load)) begin
      unit_valid_q <= 1'b0;
      unit_q       <= '0;
    end else if (load) begin
      unit_valid_q <= 1'b1;
      unit_q       <= beat_data_i;
    end
    if (load) unit_error_q <= beat_error_i;
  end

  // ---- Commands. While no command runs, the state follows the one that waits.
  tiles_t next_cmd;
  unit_e  kind_first;
  logic   at_begin;
  assign idle_o     = !active_q;
  assign cmd_done_o = cmd_end;
  assign cmd_take_o = cmd_valid_i && (!active_q || cmd_end);
  assign at_begin   = !active_q || tile_last;
  assign next_cmd   = (!active_q || last_tile_q) ? cmd_i : cmd_q;
  always_comb begin
    kind_first = (next_cmd.format.nm == fvlm_isa_pkg::LD_NM_DENSE) ? UnitValue : UnitIndex;
    if (next_cmd.format.wscale) kind_first = UnitScale;
    if (next_cmd.format.bias) kind_first = UnitBias;
  end

  // What follows a group.
  unit_e      kind_words;
  width_t     width_even;
  logic       more_than_group;
  logic [9:0] next_group, next_behind;
  assign kind_words      = dense_q ? UnitValue : UnitIndex;
  assign width_even      = width(fvlm_isa_pkg::mixed_bits({unit_q[95], unit_q[63], unit_q[31]}));
  assign more_than_group = cmd_q.format.group < behind_q;
  assign next_group      = more_than_group ? cmd_q.format.group : behind_q;
  assign next_behind     = more_than_group ? behind_q - cmd_q.format.group : '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      dry_q    <= 1'b0;
    end else begin
      if (cmd_take_o) active_q <= 1'b1;
      else if (cmd_end) active_q <= 1'b0;
      if (!active_q || tile_end) begin
        dry_q <= next_cmd.none && (cmd_valid_i || (active_q && !last_tile_q));
      end else if (use_unit && last_unit_q) dry_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (cmd_take_o) cmd_q <= cmd_i;
    if (!active_q || cmd_end) begin
      tiles_left_q <= cmd_i.tiles;
      last_tile_q  <= cmd_i.tiles == 16'd1;
    end else if (tile_end) begin
      tiles_left_q <= tiles_left_q - 16'd1;
      last_tile_q  <= tiles_left_q == 16'd2;
    end
    if (!active_q || fire) begin
      if (at_begin) begin
        units_left_q  <= next_cmd.units;
        last_unit_q   <= next_cmd.single;
        group_left_q  <= next_cmd.format.group;
        group_one_q   <= next_cmd.format.group == 10'd1;
        behind_q      <= next_cmd.behind;
        behind_none_q <= next_cmd.behind == '0;
        kind_q        <= kind_first;
        step_q        <= '0;
        odd_group_q   <= 1'b0;
        odd_word_q    <= 1'b0;
        width_q       <= width((next_cmd.format.fmt == fvlm_isa_pkg::LD_FMT_W4K ||
                                next_cmd.format.fmt == fvlm_isa_pkg::LD_FMT_W4N) ? 4'd4 : 4'd8);
      end else begin
        if (!dry_q) begin
          units_left_q <= units_left_q - 32'd1;
          last_unit_q  <= units_left_q == 32'd2;
        end
        case (kind_q)
          UnitBias: kind_q <= cmd_q.format.wscale ? UnitScale : kind_words;
          UnitScale: begin
            kind_q <= kind_words;
            if (mixed_q) begin
              width_q     <= width_even;
              odd_width_q <= width(fvlm_isa_pkg::mixed_bits({unit_q[79], unit_q[47], unit_q[15]}));
              if (width_even.extended) kind_q <= UnitExtra;
            end
          end
          UnitExtra: kind_q <= kind_words;
          UnitIndex: begin
            step_q <= last_index ? '0 : step_q + 2'd1;
            if (last_index) kind_q <= UnitValue;
          end
          UnitValue: begin
            step_q <= last_value ? '0 : step_q + 2'd1;
            if (last_value) begin
              odd_word_q   <= !odd_word_q;
              group_left_q <= group_left_q - 10'd1;
              group_one_q  <= group_left_q == 10'd2;
              kind_q       <= kind_words;
              if (width_q.extended && (width_q.six || odd_word_q)) kind_q <= UnitExtra;
              if (group_one_q) begin
                odd_word_q    <= 1'b0;
                group_left_q  <= next_group;
                group_one_q   <= behind_q == 10'd1 || cmd_q.format.group == 10'd1;
                behind_q      <= next_behind;
                behind_none_q <= !more_than_group;
                odd_group_q   <= !odd_group_q;
                kind_q        <= kind_words;
                if (mixed_q) begin
                  width_q <= odd_width_q;
                  if (odd_width_q.extended) kind_q <= UnitExtra;
                end
                if (cmd_q.format.wscale && !(mixed_q && !odd_group_q)) kind_q <= UnitScale;
                if (behind_none_q) kind_q <= UnitSurplus;
              end
            end
          end
          default: ;
        endcase
      end
    end
  end

  // ---- Bias and scales. bfloat16 are the upper halves of f32: those of the even group lie where they
  // belong, those of the odd one in the lower halves, and follow in the next cycle.
  logic         odd_scale_q, scale_push;
  logic [511:0] sf_q;
  logic [255:0] odd_q;
  assign scale_push = fire && (is_bias || is_scale);
  assign sf_push_o  = scale_push || odd_scale_q;
  assign sf_data_o  = sf_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) odd_scale_q <= 1'b0;
    else odd_scale_q <= fire && is_scale && more_groups;
  end
  always_ff @(posedge clk_i) begin
    if (scale_push) begin
      for (int n = 0; n < 16; n++) odd_q[16*n+:16] <= unit_q[32*n+:16];
    end
    if (scale_push || odd_scale_q) begin
      for (int n = 0; n < 16; n++) begin
        sf_q[32*n+16+:15] <= odd_scale_q ? odd_q[16*n+:15] : unit_q[32*n+16+:15];
        {sf_q[32*n+31], sf_q[32*n+:16]} <= {unit_q[32*n+31], unit_q[32*n+:16]};
        if (odd_scale_q || (is_scale && mixed_q)) {sf_q[32*n+31], sf_q[32*n+:16]} <= '0;
      end
    end
  end

  // ---- Values.
  logic value;
  assign value     = fire && is_value;
  assign wf_push_o = word_end;
  expand_values u_values (
      .clk_i,
      .value_i   (value),
      .above_i   (fire && (is_extra || (is_value && last_value))),
      .extra_i   (is_extra),
      .eight_i   (width_q.eight),
      .crumb_i   (width_q.crumb),
      .extended_i(width_q.extended),
      .six_i     (width_q.six),
      .layout_n_i(layout_n_q),
      .part_i    (step_q),
      .unit_i    (unit_q),
      .we_o      (wf_value_we_o),
      .value_o   (wf_value_o)
  );
  always_ff @(posedge clk_i) begin
    if (value) wf_value_addr_o <= wf_tail_i;
  end

  // ---- Selectors.
  expand_selectors #(
      .AddrW(WfAw)
  ) u_selectors (
      .clk_i,
      .rst_ni,
      .write_i(fire && (is_index || (dense_q && is_value && step_q == '0))),
      .nm_i   (cmd_q.format.nm),
      .part_i (step_q[0]),
      .addr_i (wf_tail_i),
      .unit_i (unit_q),
      .we_o   (wf_sel_we_o),
      .addr_o (wf_sel_addr_o),
      .sel_o  (wf_sel_o)
  );
endmodule

`default_nettype wire
