// LD: copies main-memory rows to SPAD or S, gathers rows by indices in S, and hands weight loads to
// the slices' streams. A command first spends fixed cycles on its address checks (nothing is
// touched if one fails), then a request side walks the rows (one request a cycle; six cycles a row
// when gathering) while a sink side places the beats in the order they arrive. A weight load is
// done when every slice has queued its share.
// Theory of operation and cycle counts: hw/doc/timing.md.
`default_nettype none

module ld_unit
(
    input  logic                   clk_i,
    input  logic                   rst_ni,

    input  logic                   start_i,
    input  fvlm_isa_pkg::ld_cmd_t  cmd_i,  // stable from start_i to done_o or fault_o
    output logic                   busy_o,
    output logic                   done_o,
    output logic                   fault_o,
    output logic [3:0]             fault_code_o,
    input  logic                   stop_i,
    input  logic [31:0]            mem_units_i,
    input  logic [31:0]            channel_units_i,

    // Read engine.
    output logic                   req_valid_o,
    input  logic                   req_ready_i,
    output logic [31:0]            req_unit_o,
    output logic [31:0]            req_beats_o,
    input  logic                   beat_valid_i,
    output logic                   beat_ready_o,
    input  logic [511:0]           beat_data_i,
    input  logic                   beat_error_i,

    // SPAD write, S write (granted by priority), S read (indices).
    output logic                   spad_we_o,
    output logic [31:0]            spad_addr_o,
    output logic [511:0]           spad_data_o,
    input  logic                   spad_gnt_i,
    output logic                   s_we_o,
    output logic [31:0]            s_addr_o,
    output logic [31:0]            s_data_o,
    input  logic                   s_gnt_i,
    output logic                   s_re_o,
    output logic [31:0]            s_raddr_o,
    input  logic [31:0]            s_rdata_i,

    // Weight streams of all slices.
    output slice_pkg::stream_cmd_t stream_cmd_o,
    output logic                   stream_push_o,
    input  logic                   stream_ready_i
);
  typedef enum logic [4:0] {
    StIdle, StDivide, StMultiply, StMultiplyNext, StAdd, StCheck, StTotal, StPush, StFault,
    StRun = 5'd16
  } state_e;
  typedef enum logic [2:0] {
    GatherRead, GatherMultiply, GatherPartial, GatherSum, GatherAdd, GatherRequest
  } gather_e;

  state_e  state_q;
  gather_e gather_q;
  logic    running;
  assign running = state_q[4];  // StRun, as one bit

  // In registers: true from the cycle behind the start, before anything but the start depends on them.
  logic        is_spad, is_gather, is_scalars, is_weight, empty_q;
  logic [31:0] space_units_q;  // of the memory that is read
  logic        weight_start;
  assign weight_start = cmd_i.mode == fvlm_isa_pkg::LD_MODE_WEIGHT;
  always_ff @(posedge clk_i) begin
    is_gather     <= cmd_i.mode == fvlm_isa_pkg::LD_MODE_GATHER;
    is_scalars    <= cmd_i.mode == fvlm_isa_pkg::LD_MODE_SCALARS;
    is_weight     <= weight_start;
    is_spad       <= cmd_i.mode != fvlm_isa_pkg::LD_MODE_SCALARS && !weight_start;
    empty_q       <= cmd_i.rows == '0 || (!weight_start && cmd_i.len == '0);
    space_units_q <= is_weight ? channel_units_i : mem_units_i;
  end

  // ---- Setup: groups = ceil(kb / kbg) by restoring division, then the address checks.
  logic [9:0]  num_q;
  logic [8:0]  rem_q;
  logic [9:0]  groups_q;
  logic [3:0]  div_q;
  logic [9:0]  rem_shift;
  logic        div_bit;
  assign rem_shift = {rem_q, num_q[9]};
  assign div_bit   = rem_shift >= {2'd0, cmd_i.kbg};

  // A weight load: rounds of slices, units a tile.
  logic        is_mixed;
  logic [15:0] rows_less;
  logic [16:0] slot_last, most_wide;
  logic [10:0] scales;
  logic        is_wide;
  logic [12:0] word_units_q;  // of all words: 4 or 2 units of values, 0 to 2 of indices each
  logic [1:0]  index_units;
  logic [31:0] units_q;
  logic [9:0]  group_q;
  assign is_mixed  = cmd_i.fmt == fvlm_isa_pkg::LD_FMT_MIXED;
  assign rows_less = cmd_i.rows - 16'd1;
  assign slot_last = 17'(cmd_i.first) + 17'(rows_less);
  assign most_wide = 17'(cmd_i.rows) + 17'(slice_pkg::Slices - 1);
  assign scales    = cmd_i.wscale[0] ? {1'b0, groups_q} : '0;
  assign is_wide     = cmd_i.fmt == fvlm_isa_pkg::LD_FMT_W8K || cmd_i.fmt == fvlm_isa_pkg::LD_FMT_W8N;
  assign index_units = 2'(fvlm_isa_pkg::nm_index_units(cmd_i.nm));

  // The products, three cycles behind their operands: last row (or round), first round, all tiles of a
  // slice; rows of a gather.
  logic        mul_en;
  logic [31:0] mul_a, mul_b;
  logic [63:0] product;
  always_comb begin
    mul_en = 1'b1;
    mul_a  = s_rdata_i;
    mul_b  = cmd_i.src_stride;
    case (state_q)
      StIdle: begin
        mul_en = start_i;
        mul_a  = weight_start ? 32'(slot_last) >> slice_pkg::SliceShift : 32'(rows_less);
      end
      StMultiply: mul_a = 32'(cmd_i.first) >> slice_pkg::SliceShift;
      StMultiplyNext: begin
        mul_a = 32'(most_wide) >> slice_pkg::SliceShift;
        mul_b = units_q;
      end
      default: mul_en = is_gather && running && gather_q == GatherMultiply;
    endcase
  end
  multiply u_multiply (
      .clk_i,
      .en_i     (mul_en),
      .a_i      (mul_a),
      .b_i      (mul_b),
      .product_o(product)
  );

  logic [27:0] dst_prod_q;
  logic [33:0] dst_end_q;
  logic [49:0] src_end_q;
  logic [32:0] sidx_end_q;
  logic [31:0] first_unit_q, all_units_q;
  logic [19:0] dst_last;
  assign dst_last = is_scalars ? {cmd_i.len, 4'd0} : {4'd0, cmd_i.len};

  // What does not depend on src_end is in registers when it comes to the verdict (StCheck).
  logic       tile_bad_q, inside_bad_q, check_bad;
  logic [3:0] check_code_q;
  always_ff @(posedge clk_i) begin
    tile_bad_q <= is_weight && (cmd_i.len == '0 || cmd_i.len > 16'(fvlm_isa_pkg::WfifoWords) ||
                                scales + 11'(cmd_i.bias) > 11'(fvlm_isa_pkg::SfifoWords));
    inside_bad_q <= 1'b1;
    check_code_q <= fvlm_isa_pkg::FAULT_DRAM;
    if (tile_bad_q) begin
      check_code_q <= fvlm_isa_pkg::FAULT_WFIFO;
    end else if (is_spad && dst_end_q > 34'(fvlm_isa_pkg::SpadWords)) begin
      check_code_q <= fvlm_isa_pkg::FAULT_SPAD;
    end else if ((is_scalars && dst_end_q > 34'(fvlm_isa_pkg::SWords)) ||
                 (is_gather && sidx_end_q > 33'(fvlm_isa_pkg::SWords))) begin
      check_code_q <= fvlm_isa_pkg::FAULT_SMEM;
    end else inside_bad_q <= 1'b0;
  end
  assign check_bad = inside_bad_q || (!is_gather && src_end_q > {18'd0, space_units_q});

  always_comb begin
    stream_cmd_o.first     = cmd_i.first;
    stream_cmd_o.rows      = cmd_i.rows;
    stream_cmd_o.unit      = first_unit_q;
    stream_cmd_o.stride    = cmd_i.src_stride;
    stream_cmd_o.units     = units_q;
    stream_cmd_o.packed_   = units_q == cmd_i.src_stride;
    stream_cmd_o.all_units = all_units_q;
    stream_cmd_o.format    = '{
        kb: cmd_i.len[9:0], group: group_q, wscale: cmd_i.wscale[0], bias: cmd_i.bias[0],
        fmt: cmd_i.fmt, nm: cmd_i.nm, pc: cmd_i.pc
    };
  end
  assign stream_push_o = state_q == StPush && stream_ready_i && !stop_i;

  // ---- Request side.
  logic [15:0] req_row_q;
  logic [31:0] req_unit_q;
  logic [31:0] sidx_q;
  logic [64:0] gather_unit_q;
  logic        rows_left_q, gather_bad, req_fire;

  assign gather_bad  = gather_unit_q + 65'(cmd_i.len) > {33'd0, mem_units_i};
  assign req_valid_o = running && rows_left_q && !stop_i &&
                       (!is_gather || (gather_q == GatherRequest && !gather_bad));
  assign req_unit_o  = is_gather ? gather_unit_q[31:0] : req_unit_q;
  assign req_beats_o = 32'(cmd_i.len);
  assign req_fire    = req_valid_o && req_ready_i;
  assign s_re_o      = running && is_gather && rows_left_q && gather_q == GatherRead;
  assign s_raddr_o   = sidx_q;

  // ---- Sink side.
  logic [15:0] row_q, w_q, rows_less_q, len_less_q;
  logic [31:0] row_addr_q, addr_q;
  logic [3:0]  lane_q;       // scalar within the beat
  logic        last_lane_q;  // the beat's last one
  logic        write_ok, last_of_row, last_of_beat, beat_fire, finish;

  logic [31:0] lane_word;
  always_comb begin
    lane_word = beat_data_i[31:0];
    case (lane_q)
      4'd1: lane_word = beat_data_i[63:32];
      4'd2: lane_word = beat_data_i[95:64];
      4'd3: lane_word = beat_data_i[127:96];
      4'd4: lane_word = beat_data_i[159:128];
      4'd5: lane_word = beat_data_i[191:160];
      4'd6: lane_word = beat_data_i[223:192];
      4'd7: lane_word = beat_data_i[255:224];
      4'd8: lane_word = beat_data_i[287:256];
      4'd9: lane_word = beat_data_i[319:288];
      4'd10: lane_word = beat_data_i[351:320];
      4'd11: lane_word = beat_data_i[383:352];
      4'd12: lane_word = beat_data_i[415:384];
      4'd13: lane_word = beat_data_i[447:416];
      4'd14: lane_word = beat_data_i[479:448];
      4'd15: lane_word = beat_data_i[511:480];
      default: lane_word = beat_data_i[31:0];
    endcase
  end

  logic beat_good;
  assign beat_good    = beat_valid_i && !beat_error_i && running;
  assign spad_we_o    = beat_good && is_spad;
  assign spad_addr_o  = addr_q;
  assign spad_data_o  = beat_data_i;
  assign s_we_o       = beat_good && is_scalars;
  assign s_addr_o     = addr_q;
  assign s_data_o     = lane_word;
  assign write_ok     = is_scalars ? s_gnt_i : spad_gnt_i;
  assign last_of_beat = !is_scalars || last_lane_q;
  assign beat_ready_o = running && (beat_error_i || (write_ok && last_of_beat));
  assign beat_fire    = beat_good && beat_ready_o;
  always_ff @(posedge clk_i) begin
    rows_less_q <= rows_less;
    len_less_q  <= cmd_i.len - 16'd1;
  end
  assign last_of_row  = w_q == len_less_q;
  assign finish       = beat_fire && last_of_row && row_q == rows_less_q;

  logic axi_bad, row_bad;
  assign axi_bad = running && beat_valid_i && beat_error_i;
  assign row_bad = running && is_gather && rows_left_q && gather_q == GatherRequest &&
                   gather_bad;

  assign busy_o  = state_q != StIdle;
  assign fault_o = (state_q == StCheck && !empty_q && check_bad) || axi_bad || row_bad;
  always_comb begin
    fault_code_o = check_code_q;
    if (axi_bad) fault_code_o = fvlm_isa_pkg::FAULT_AXI;
    else if (row_bad) fault_code_o = fvlm_isa_pkg::FAULT_DRAM;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      done_o  <= 1'b0;
    end else begin
      done_o <= 1'b0;
      case (state_q)
        StIdle: if (start_i) begin
          state_q <= (weight_start && cmd_i.wscale[0] && cmd_i.kbg != '0) ? StDivide : StMultiply;
        end
        StDivide: if (div_q == 4'd9) state_q <= StMultiply;
        StMultiply: state_q <= StMultiplyNext;
        StMultiplyNext: state_q <= StAdd;
        StAdd: state_q <= StCheck;
        StCheck: begin
          if (empty_q) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end else if (check_bad) state_q <= StFault;
          else state_q <= is_weight ? StTotal : StRun;
        end
        StTotal: state_q <= StPush;
        StPush: if (stream_push_o) begin
          state_q <= StIdle;
          done_o  <= 1'b1;
        end
        StRun: begin
          if (axi_bad || row_bad) state_q <= StFault;
          else if (finish) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end
        end
        default: ;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle && start_i) begin
      num_q    <= cmd_i.len[9:0] + {2'd0, cmd_i.kbg} - 10'd1;
      rem_q    <= '0;
      groups_q <= {9'd0, cmd_i.kbg == '0};
      div_q    <= '0;
      word_units_q <= (is_wide ? {1'b0, cmd_i.len[9:0], 2'd0} : {2'd0, cmd_i.len[9:0], 1'b0}) +
                      (index_units[1] ? {2'd0, cmd_i.len[9:0], 1'b0} :
                       index_units[0] ? {3'd0, cmd_i.len[9:0]} : 13'd0);
    end
    if (state_q == StDivide) begin
      div_q    <= div_q + 4'd1;
      num_q    <= {num_q[8:0], 1'b0};
      groups_q <= {groups_q[8:0], div_bit};
      rem_q    <= div_bit ? 9'(rem_shift - {2'd0, cmd_i.kbg}) : rem_shift[8:0];
    end
    if (state_q == StMultiply) begin
      group_q    <= (cmd_i.kbg == '0 || 16'(cmd_i.kbg) > cmd_i.len) ? cmd_i.len[9:0] : 10'(cmd_i.kbg);
      dst_prod_q <= 28'(rows_less) * 28'(cmd_i.dst_stride);
      units_q    <= is_mixed ? cmd_i.src_stride : 32'(word_units_q) + 32'(scales) + 32'(cmd_i.bias);
    end
    if (state_q == StMultiplyNext) begin
      dst_end_q  <= 34'(dst_prod_q) + 34'(cmd_i.dst_addr) + 34'(dst_last);
      sidx_end_q <= 33'(cmd_i.sidx_addr) + 33'(cmd_i.rows);
    end
    if (state_q == StAdd) begin
      src_end_q <= 50'(product[48:0]) + 50'(cmd_i.src_addr) +
                   (is_weight ? 50'(units_q) : 50'(cmd_i.len));
    end
    if (state_q == StCheck) first_unit_q <= product[31:0] + cmd_i.src_addr;
    if (state_q == StTotal) all_units_q <= product[31:0];
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) begin
      req_row_q  <= '0;
      rows_left_q <= 1'b1;
      req_unit_q <= cmd_i.src_addr;
      sidx_q     <= cmd_i.sidx_addr;
      gather_q   <= GatherRead;
    end
    if (running) begin
      if (req_fire) begin
        req_row_q  <= req_row_q + 16'd1;
        rows_left_q <= req_row_q != rows_less_q;
        req_unit_q <= req_unit_q + cmd_i.src_stride;
        sidx_q     <= sidx_q + 32'd1;
      end
      if (is_gather && rows_left_q) begin
        case (gather_q)
          GatherRead: gather_q <= GatherMultiply;
          GatherMultiply: gather_q <= GatherPartial;
          GatherPartial: gather_q <= GatherSum;
          GatherSum: gather_q <= GatherAdd;
          GatherAdd: gather_q <= GatherRequest;
          default: if (req_fire) gather_q <= GatherRead;
        endcase
        if (gather_q == GatherAdd) gather_unit_q <= 65'(product) + 65'(cmd_i.src_addr);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) begin
      row_q      <= '0;
      w_q        <= '0;
      lane_q     <= '0;
      last_lane_q <= 1'b0;
      row_addr_q <= cmd_i.dst_addr;
      addr_q     <= cmd_i.dst_addr;
    end
    // Scalars: one lane a granted cycle.
    if (s_we_o && s_gnt_i) begin
      lane_q <= lane_q + 4'd1;
      last_lane_q <= lane_q == 4'd14;
      addr_q <= addr_q + 32'd1;
    end
    if (beat_fire) begin
      if (last_of_row) begin
        row_q      <= row_q + 16'd1;
        w_q        <= '0;
        row_addr_q <= row_addr_q + 32'(cmd_i.dst_stride);
        addr_q     <= row_addr_q + 32'(cmd_i.dst_stride);
      end else begin
        w_q    <= w_q + 16'd1;
        addr_q <= addr_q + 32'd1;
      end
    end
  end
endmodule

`default_nettype wire
