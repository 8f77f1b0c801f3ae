// Expander of a slice: turns the units of weight tiles (spec section 3.1) into WFIFO and SFIFO
// words, one unit a cycle while the FIFOs have room. The state says what the next unit is: bias,
// scales, index unit, value unit or surplus. The unit register is zero while empty, which is what
// tiles that end early read.
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

    // Weight FIFO.
    input  logic [WfAw-1:0] wf_tail_i,
    input  logic            wf_room_one_i,
    input  logic            wf_room_two_i,
    output logic [15:0]     wf_value_we_o,
    output logic [2047:0]   wf_value_o,
    output logic [1:0]      wf_sel_we_o,
    output logic [WfAw-1:0] wf_sel_addr_o,
    output logic [1023:0]   wf_sel_o,
    output logic            wf_commit_o,
    output logic            wf_commit_two_o,
    output logic            wf_push_o,

    // Scale FIFO.
    input  logic            sf_room_one_i,
    input  logic            sf_room_two_i,
    output logic            sf_push_o,
    output logic [511:0]    sf_data_o
);
  typedef enum logic [2:0] {UnitBias, UnitScale, UnitIndex, UnitValue, UnitSurplus} unit_e;

  // ---- The command, and where in it the next unit lies.
  logic        active_q, dry_q, last_unit_q, odd_q, last_tile_q;
  tiles_t      cmd_q;
  logic [15:0] tiles_left_q;
  logic [31:0] units_left_q;
  unit_e       kind_q;
  logic [2:0]  step_q;
  logic [9:0]  words_left_q, group_left_q;
  logic        group_one_q;  // one word is left of the group
  logic [3:0]  bits_q, next_bits_q;

  logic         unit_valid_q, unit_error_q;
  logic [511:0] unit_q;

  // The second word of a pair leaves a cycle after the first.
  logic       second_q;
  logic [2:0] second_bits_q;

  // ---- Item: one word, or two in planes.
  logic       is_mixed, dense, planar, two, fire;
  logic [2:0] index_each, index_units, value_units;
  assign is_mixed    = cmd_q.format.fmt == fvlm_isa_pkg::LD_FMT_MIXED;
  assign dense       = cmd_q.format.nm == fvlm_isa_pkg::LD_NM_DENSE;
  assign planar      = bits_q[1] || bits_q[0];  // not 8 or 4
  assign two         = planar && !group_one_q;
  assign value_units = planar ? bits_q[2:0] : (bits_q[3] ? 3'd4 : 3'd2);
  assign index_each  = 3'(fvlm_isa_pkg::nm_index_units(cmd_q.format.nm));
  assign index_units = two ? {index_each[1:0], 1'b0} : index_each;

  // What follows the item is computed during its first cycles: it has two units at least.
  logic       last_item_q, group_end_q, after_one_q, next_one_q;
  logic [9:0] words_after, group_after, words_after_q, group_after_q, group_next_q;
  assign words_after = words_left_q - (two ? 10'd2 : 10'd1);
  assign group_after = group_left_q - (two ? 10'd2 : 10'd1);
  always_ff @(posedge clk_i) begin
    if (active_q) begin
      last_item_q   <= words_after == '0;
      group_end_q   <= group_after == '0;
      words_after_q <= words_after;
      group_after_q <= group_after;
      group_next_q  <= (cmd_q.format.group < words_after) ? cmd_q.format.group : words_after;
      after_one_q   <= group_after == 10'd1;
      next_one_q    <= words_after == 10'd1 || cmd_q.format.group == 10'd1;
    end
  end

  logic last_index, last_value, item_end, tile_last, tile_end, cmd_end;
  assign last_index = step_q + 3'd1 == index_units;
  assign last_value = step_q + 3'd1 == value_units;
  assign item_end   = fire && kind_q == UnitValue && last_value;
  assign tile_last  = (kind_q == UnitValue && last_value && last_item_q && (dry_q || last_unit_q)) ||
                      (kind_q == UnitSurplus && last_unit_q);
  assign tile_end   = fire && tile_last;
  assign cmd_end    = tile_end && last_tile_q;

  // ---- May the unit be used now?
  logic more_groups, sel_write, sel_busy, ready;
  assign more_groups = is_mixed && words_left_q != group_left_q;
  always_comb begin
    sel_write = 1'b0;
    if (kind_q == UnitIndex) sel_write = 1'b1;
    if (kind_q == UnitValue && dense) sel_write = step_q == '0 || (two && step_q == 3'd1);
  end
  always_comb begin
    ready = 1'b1;
    case (kind_q)
      UnitBias: ready = sf_room_one_i;
      UnitScale: ready = more_groups ? sf_room_two_i : sf_room_one_i;
      UnitIndex, UnitValue: begin
        ready = two ? wf_room_two_i : wf_room_one_i;
        if (kind_q == UnitValue && !planar && second_q) ready = 1'b0;
        if (sel_write && sel_busy && cmd_q.format.nm != fvlm_isa_pkg::LD_NM_S8OF16) ready = 1'b0;
      end
      default: ready = 1'b1;
    endcase
  end
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
    if (!rst_ni) begin
      unit_valid_q <= 1'b0;
      unit_q       <= '0;
    end else if (load) begin
      unit_valid_q <= 1'b1;
      unit_error_q <= beat_error_i;
      unit_q       <= beat_data_i;
    end else if (use_unit) begin
      unit_valid_q <= 1'b0;
      unit_q       <= '0;
    end
  end

  // ---- Commands. While no command runs, the state follows the one that waits.
  tiles_t next_cmd;
  unit_e  kind_words, kind_first;
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
    kind_words = dense ? UnitValue : UnitIndex;
  end

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
        units_left_q <= next_cmd.units;
        last_unit_q  <= next_cmd.single;
        words_left_q <= next_cmd.format.kb;
        group_left_q <= next_cmd.format.group;
        group_one_q  <= next_cmd.format.group == 10'd1;
        kind_q       <= kind_first;
        step_q       <= '0;
        odd_q        <= 1'b0;
        bits_q       <= (next_cmd.format.fmt == fvlm_isa_pkg::LD_FMT_W4K ||
                         next_cmd.format.fmt == fvlm_isa_pkg::LD_FMT_W4N) ? 4'd4 : 4'd8;
      end else begin
        if (!dry_q) begin
          units_left_q <= units_left_q - 32'd1;
          last_unit_q  <= units_left_q == 32'd2;
        end
        case (kind_q)
          UnitBias: kind_q <= cmd_q.format.wscale ? UnitScale : kind_words;
          UnitScale: begin
            kind_q <= kind_words;
            if (is_mixed) begin
              bits_q      <= fvlm_isa_pkg::mixed_bits({unit_q[47], unit_q[31], unit_q[15]});
              next_bits_q <= fvlm_isa_pkg::mixed_bits({unit_q[303], unit_q[287], unit_q[271]});
            end
          end
          UnitIndex: begin
            step_q <= last_index ? '0 : step_q + 3'd1;
            if (last_index) kind_q <= UnitValue;
          end
          UnitValue: begin
            step_q <= last_value ? '0 : step_q + 3'd1;
            if (last_value) begin
              words_left_q <= words_after_q;
              group_left_q <= group_end_q ? group_next_q : group_after_q;
              group_one_q  <= group_end_q ? next_one_q : after_one_q;
              kind_q       <= kind_words;
              if (last_item_q) kind_q <= UnitSurplus;
              else if (group_end_q) begin
                odd_q <= !odd_q;
                if (is_mixed) bits_q <= next_bits_q;
                if (cmd_q.format.wscale && !(is_mixed && !odd_q)) kind_q <= UnitScale;
              end
            end
          end
          default: ;
        endcase
      end
    end
  end

  // ---- Scales: the second half of a unit of bfloat16 pairs follows in the next cycle.
  logic         half_q;
  logic [255:0] half_data_q;
  function automatic logic [511:0] from_bf16(input logic [255:0] x);
    for (int i = 0; i < 16; i++) from_bf16[32*i+:32] = {1'b0, x[16*i+:15], 16'd0};
  endfunction

  assign sf_push_o = half_q || (fire && (kind_q == UnitBias || kind_q == UnitScale));
  always_comb begin
    sf_data_o = 'x;
    if (half_q) sf_data_o = from_bf16(half_data_q);
    else if (sf_push_o) begin
      sf_data_o = (is_mixed && kind_q == UnitScale) ? from_bf16(unit_q[255:0]) : unit_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) half_q <= 1'b0;
    else half_q <= fire && kind_q == UnitScale && more_groups;
  end
  always_ff @(posedge clk_i) begin
    if (fire && kind_q == UnitScale && more_groups) half_data_q <= unit_q[511:256];
  end

  // ---- Values.
  logic          byte_write, plane_shift, plane_write;
  logic [15:0]   byte_blocks;
  logic [2047:0] byte_value, plane_value;
  assign byte_write  = fire && kind_q == UnitValue && !planar;
  assign plane_shift = fire && kind_q == UnitValue && planar;
  assign plane_write = second_q || (plane_shift && last_value);

  expand_bytes u_bytes (
      .en_i      (byte_write),
      .four_i    (!bits_q[3]),
      .layout_n_i(cmd_q.format.fmt == fvlm_isa_pkg::LD_FMT_W8N ||
                  cmd_q.format.fmt == fvlm_isa_pkg::LD_FMT_W4N),
      .part_i    (step_q[1:0]),
      .unit_i    (unit_q),
      .blocks_o  (byte_blocks),
      .value_o   (byte_value)
  );
  expand_planes u_planes (
      .clk_i,
      .shift_i (plane_shift),
      .last_i  (last_value),
      .unit_i  (unit_q),
      .en_i    (plane_write),
      .second_i(second_q),
      .bits_i  (second_q ? second_bits_q : bits_q[2:0]),
      .value_o (plane_value)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) second_q <= 1'b0;
    else second_q <= item_end && two;
  end
  always_ff @(posedge clk_i) begin
    if (item_end) second_bits_q <= bits_q[2:0];
  end

  assign wf_value_we_o   = plane_write ? '1 : (byte_blocks & {16{byte_write}});
  assign wf_value_o      = plane_write ? plane_value : byte_value;
  assign wf_commit_o     = item_end;
  assign wf_commit_two_o = two;
  assign wf_push_o       = item_end || second_q;

  // ---- Selectors. The item's first word goes to the address behind a second word that still
  // leaves.
  logic            sel_second;
  logic [WfAw-1:0] sel_addr;
  assign sel_second = (kind_q == UnitIndex) ? (two && (index_each[1] ? step_q[1] : step_q[0]))
                                            : step_q[0];
  assign sel_addr   = wf_tail_i + WfAw'(second_q) + WfAw'(sel_second);
  expand_selectors #(
      .AddrW(WfAw)
  ) u_selectors (
      .clk_i,
      .rst_ni,
      .write_i(fire && sel_write),
      .nm_i   (cmd_q.format.nm),
      .part_i (step_q[0]),
      .addr_i (sel_addr),
      .unit_i (unit_q),
      .busy_o (sel_busy),
      .we_o   (wf_sel_we_o),
      .addr_o (wf_sel_addr_o),
      .sel_o  (wf_sel_o)
  );
endmodule

`default_nettype wire
