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
  logic        active_q, dry_q, last_unit_q, odd_q;
  tiles_t      cmd_q;
  logic [15:0] tiles_left_q;
  logic [31:0] units_left_q;
  unit_e       kind_q;
  logic [2:0]  step_q;
  logic [9:0]  words_left_q, group_left_q;
  logic [2:0]  code_q, next_code_q;

  logic         unit_valid_q, unit_error_q;
  logic [511:0] unit_q;

  // The second word of a pair leaves a cycle after the first.
  logic       second_q;
  logic [2:0] second_bits_q;

  // ---- Item: one word, or two in planes.
  logic       is_mixed, planar, two, fire;
  logic [3:0] bits;
  logic [2:0] index_units, value_units;
  logic [9:0] item_words, words_after, group_after;
  assign is_mixed = cmd_q.format.fmt == fvlm_isa_pkg::LD_FMT_MIXED;
  always_comb begin
    bits = 4'd8;
    case (cmd_q.format.fmt)
      fvlm_isa_pkg::LD_FMT_W4K, fvlm_isa_pkg::LD_FMT_W4N: bits = 4'd4;
      fvlm_isa_pkg::LD_FMT_MIXED: bits = fvlm_isa_pkg::mixed_bits(code_q);
      default: bits = 4'd8;
    endcase
  end
  assign planar      = bits != 4'd8 && bits != 4'd4;
  assign two         = planar && group_left_q != 10'd1;
  assign value_units = planar ? bits[2:0] : (bits[3] ? 3'd4 : 3'd2);
  assign item_words  = two ? 10'd2 : 10'd1;
  assign words_after = words_left_q - item_words;
  assign group_after = group_left_q - item_words;

  logic [2:0] index_each;
  assign index_each  = 3'(fvlm_isa_pkg::nm_index_units(cmd_q.format.nm));
  assign index_units = two ? {index_each[1:0], 1'b0} : index_each;

  logic last_index, last_value, item_end, tile_end, cmd_end;
  assign last_index = step_q + 3'd1 == index_units;
  assign last_value = step_q + 3'd1 == value_units;
  assign item_end   = fire && kind_q == UnitValue && last_value;
  assign tile_end   = (item_end && words_after == '0 && (dry_q || last_unit_q)) ||
                      (fire && kind_q == UnitSurplus && last_unit_q);
  assign cmd_end    = tile_end && tiles_left_q == 16'd1;

  // ---- May the unit be used now?
  logic dense, more_groups, sel_write, sel_busy, ready;
  assign dense       = cmd_q.format.nm == fvlm_isa_pkg::LD_NM_DENSE;
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
  logic use_unit, goes_dry, load;
  assign use_unit     = fire && !dry_q;
  assign goes_dry     = last_unit_q && !tile_end;
  assign beat_ready_o = !dry_q && (!unit_valid_q || (fire && !goes_dry));
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

  // ---- Commands.
  tiles_t      next_cmd;
  logic        tile_begin;
  logic [9:0]  group_first, group_next;
  unit_e       kind_words, kind_first;
  assign idle_o     = !active_q;
  assign cmd_done_o = cmd_end;
  assign cmd_take_o = cmd_valid_i && (!active_q || cmd_end);
  assign tile_begin = cmd_take_o || tile_end;
  assign next_cmd   = cmd_take_o ? cmd_i : cmd_q;

  // First group and first unit of a tile of next_cmd; units before words of the running command.
  always_comb begin
    group_first = next_cmd.format.kb;
    if (next_cmd.format.kbg != '0 && 10'(next_cmd.format.kbg) < next_cmd.format.kb)
      group_first = 10'(next_cmd.format.kbg);
    kind_first = (next_cmd.format.nm == fvlm_isa_pkg::LD_NM_DENSE) ? UnitValue : UnitIndex;
    if (next_cmd.format.wscale) kind_first = UnitScale;
    if (next_cmd.format.bias) kind_first = UnitBias;
    kind_words = dense ? UnitValue : UnitIndex;
    group_next = (10'(cmd_q.format.kbg) < words_after) ? 10'(cmd_q.format.kbg) : words_after;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) active_q <= 1'b0;
    else if (cmd_take_o) active_q <= 1'b1;
    else if (cmd_end) active_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) dry_q <= 1'b0;
    else if (tile_begin) dry_q <= next_cmd.units == '0 && (cmd_take_o || !cmd_end);
    else if (use_unit && last_unit_q) dry_q <= 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (cmd_take_o) begin
      cmd_q        <= cmd_i;
      tiles_left_q <= cmd_i.tiles;
    end else if (tile_end) tiles_left_q <= tiles_left_q - 16'd1;
    if (tile_begin) begin
      units_left_q <= next_cmd.units;
      last_unit_q  <= next_cmd.units == 32'd1;
      words_left_q <= next_cmd.format.kb;
      group_left_q <= group_first;
      kind_q       <= kind_first;
      step_q       <= '0;
      odd_q        <= 1'b0;
      code_q       <= '0;
    end else if (fire) begin
      if (!dry_q) begin
        units_left_q <= units_left_q - 32'd1;
        last_unit_q  <= units_left_q == 32'd2;
      end
      case (kind_q)
        UnitBias: kind_q <= cmd_q.format.wscale ? UnitScale : kind_words;
        UnitScale: begin
          kind_q      <= kind_words;
          code_q      <= {unit_q[47], unit_q[31], unit_q[15]};
          next_code_q <= {unit_q[256+47], unit_q[256+31], unit_q[256+15]};
        end
        UnitIndex: begin
          step_q <= last_index ? '0 : step_q + 3'd1;
          if (last_index) kind_q <= UnitValue;
        end
        UnitValue: begin
          step_q <= last_value ? '0 : step_q + 3'd1;
          if (last_value) begin
            words_left_q <= words_after;
            group_left_q <= group_after;
            kind_q       <= kind_words;
            if (words_after == '0) kind_q <= UnitSurplus;
            else if (group_after == '0) begin
              group_left_q <= group_next;
              odd_q        <= !odd_q;
              code_q       <= next_code_q;
              if (cmd_q.format.wscale && !(is_mixed && !odd_q)) kind_q <= UnitScale;
            end
          end
        end
        default: ;
      endcase
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
      .four_i    (!bits[3]),
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
      .bits_i  (second_q ? second_bits_q : bits[2:0]),
      .value_o (plane_value)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) second_q <= 1'b0;
    else second_q <= item_end && two;
  end
  always_ff @(posedge clk_i) begin
    if (item_end) second_bits_q <= bits[2:0];
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
