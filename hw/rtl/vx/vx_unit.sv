// VX: W words of 16 f32 lanes over rows of words; semantics in hw/doc/microarchitecture.md,
// section 6, cycles in hw/doc/timing.md, section VX.
//
// One step (W words) a cycle, rows back to back, one command in the unit at a time. Steps are
// issued while the address checks go on: nothing is written before the verdict. What an operation
// does not use takes no cycle (vx_plan), so that stages after 1 (a, b at hand) depend on the
// command: y is computed at stage Y, written to SPAD or S at Y + 1, as int8 to ABUF at Y + 3;
// reductions start at Y + 1. A SPAD write that meets an MM write freezes everything for that cycle
// (en = 0): one en, no skid buffers, and the read RAMs hold their data because re drops too.
`default_nettype none

module vx_unit #(
  parameter RomFile = "sfu.hex",
  localparam int unsigned W      = fvlm_isa_pkg::VxWords,
  localparam int unsigned SpadAw = $clog2(fvlm_isa_pkg::SpadWords),
  localparam int unsigned AbufAw = $clog2(fvlm_isa_pkg::AbufWords),
  localparam int unsigned SAw    = $clog2(fvlm_isa_pkg::SWords)
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,    // synchronous; also abandons a running command
  input  wire                    start_i,
  input  fvlm_isa_pkg::vx_cmd_t  cmd_i,     // taken with start_i
  output logic                   busy_o,
  output logic                   done_o,
  output logic                   fault_o,
  output logic [3:0]             fault_code_o,

  output logic                   spad_a_re_o,
  output logic [SpadAw-1:0]      spad_a_addr_o,
  input  wire  [512*W-1:0]       spad_a_rdata_i,  // W words from the address
  output logic                   spad_b_re_o,
  output logic [SpadAw-1:0]      spad_b_addr_o,
  input  wire  [512*W-1:0]       spad_b_rdata_i,
  output logic                   spad_c_re_o,
  output logic [SpadAw-1:0]      spad_c_addr_o,
  input  wire  [512*W-1:0]       spad_c_rdata_i,
  output logic                   spad_we_o,
  output logic [SpadAw-1:0]      spad_waddr_o,
  output logic [W-1:0]           spad_wmask_o,    // words of the run from spad_waddr_o
  output logic [512*W-1:0]       spad_wdata_o,
  input  wire                    spad_wready_i,

  output logic                   abuf_we_o,
  output logic [AbufAw-1:0]      abuf_waddr_o,
  output logic [W-1:0]           abuf_wmask_o,
  output logic [128*W-1:0]       abuf_wdata_o,

  output logic                   s_a_re_o,
  output logic [SAw-1:0]         s_a_addr_o,
  input  wire  [31:0]            s_a_rdata_i,
  output logic                   s_b_re_o,
  output logic [SAw-1:0]         s_b_addr_o,
  input  wire  [31:0]            s_b_rdata_i,
  output logic                   s_c_re_o,
  output logic [SAw-1:0]         s_c_addr_o,
  input  wire  [31:0]            s_c_rdata_i,
  output logic                   s_we_o,
  output logic [SAw-1:0]         s_waddr_o,
  output logic [31:0]            s_wdata_o
);
  // Addresses are walked in the width of the largest memory; they were checked before.
  localparam int unsigned ReadAw  = (SpadAw > SAw) ? SpadAw : SAw;
  localparam int unsigned WriteAw = (ReadAw > AbufAw) ? ReadAw : AbufAw;
  localparam int unsigned LogW    = $clog2(W);
  localparam int unsigned CountW  = LogW + 5;      // active elements of a step
  // Cycles of vx_reduce, of vx_gather_sum: from a row's last step at the accumulators to its sum.
  localparam int unsigned BestCycles = 4 + LogW;
  localparam int unsigned SumCycles  = (W == 4) ? 43 : (W == 2) ? 35 : 30;
  // Sums of rows leave at least this far apart.
  localparam int unsigned SumPeriod  = (W == 4) ? 8 : 4;
  localparam int unsigned YStages    = 22;         // latest stage Y

  typedef enum logic [2:0] {StIdle, StDivide, StSetup, StIssue, StDrain} state_e;

  fvlm_isa_pkg::vx_cmd_t cmd_q;
  state_e      state_q;
  logic        en, ready, issue, row_end, cmd_end, empty, bad, verdict, clear_n;
  logic [3:0]  bad_code;
  logic [9:0]  drain_q;
  logic        divides;
  logic [2:0]  divide_q;
  logic [3:1]  check_q;
  logic [15:0] quotient;
  logic [11:0] words, steps, steps_q;    // of a row - 1
  logic [11:0] step_q, left_q;
  logic [W-1:0] tail_q;         // words of a row's last step
  logic [15:0] rows_q;
  logic        to_spad, to_abuf, to_s;

  assign words   = 12'((cmd_q.len - 16'd1) >> 4);
  assign steps   = words >> LogW;
  assign empty   = cmd_q.rows == 16'd0 || cmd_q.len == 16'd0;

  // Row index modes of b and c share one encoding.
  assign divides = cmd_i.b_row == fvlm_isa_pkg::VX_B_ROW_DIV
                || cmd_i.c_row == fvlm_isa_pkg::VX_C_ROW_DIV;

  // ---- Plan ----------------------------------------------------------------------------------
  logic       load;
  logic [1:0] kind1, kind2;
  logic       sub1, sub2, is_sum, is_square, slow;
  logic [2:0] op1, op2;
  logic [3:0] func, sum_slot;
  logic [4:0] y_stage, y_tap;    // stage Y, and as a place behind stage 2: Y - 3
  logic [9:0] end_cycles;
  vx_plan #(.SumCycles(SumCycles), .BestCycles(BestCycles)) u_plan (
    .clk_i,
    .load_i     (load),
    .cmd_i      (cmd_q),
    .kind1_o    (kind1),
    .kind2_o    (kind2),
    .sub1_o     (sub1),
    .sub2_o     (sub2),
    .op1_o      (op1),
    .op2_o      (op2),
    .func_o     (func),
    .y_stage_o  (y_stage),
    .y_tap_o    (y_tap),
    .is_sum_o   (is_sum),
    .is_square_o(is_square),
    .slow_o     (slow),
    .sum_slot_o (sum_slot),
    .end_o      (end_cycles)
  );

  // ---- Control -------------------------------------------------------------------------------
  // Idle cycles: between rows that are too short for the rate of sums, and in slow commands. What the next
  // step hangs on is kept as one bit each, so that issue is one LUT.
  logic [2:0] gap_q, gaps_q;
  logic [3:0] slot_q;
  logic       issue_q, no_gap_q, no_gaps_q, go_q;       // StIssue; gap_q, gaps_q are 0; a step's cycle
  logic       row_end_q, one_step_q, last_row_q;        // left_q, steps_q are 0; rows_q is 1
  logic       sum_en;
  assign ready   = issue_q && no_gap_q && go_q;
  assign issue   = ready && en;
  assign row_end = row_end_q;
  assign cmd_end = row_end_q && last_row_q;
  assign load    = state_q == StSetup;
  assign verdict = check_q[3];
  assign sum_en  = en && (!slow || slot_q == sum_slot);
  assign clear_n = rst_ni && !fault_o;

  always_ff @(posedge clk_i) begin
    if (!clear_n) begin
      state_q <= StIdle;
      issue_q <= 1'b0;
      check_q <= '0;
    end else begin
      check_q <= {check_q[2:1], load && !empty};
      if (load) issue_q <= !empty;
      else if (issue && cmd_end) issue_q <= 1'b0;
      case (state_q)
        StIdle:    if (start_i) state_q <= divides ? StDivide : StSetup;
        StDivide:  if (divide_q == 3'd7) state_q <= StSetup;
        StSetup:   state_q <= empty ? StIdle : StIssue;
        StIssue:   if (issue && cmd_end) state_q <= StDrain;
        StDrain:   if (done_o) state_q <= StIdle;
        default:   state_q <= StIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i && !busy_o) cmd_q <= cmd_i;
    divide_q <= (state_q == StDivide) ? divide_q + 3'd1 : 3'd0;
  end
  vx_divide u_divide (
    .clk_i,
    .start_i   (start_i && !busy_o),
    .step_i    (state_q == StDivide),
    .dividend_i(cmd_i.rows - 16'd1),
    .divisor_i (cmd_q.rmod),
    .quotient_o(quotient)
  );

  always_ff @(posedge clk_i) begin
    if (load) begin
      step_q     <= 12'd0;
      left_q     <= steps;
      steps_q    <= steps;
      tail_q     <= ~({W{1'b1}} << (words & 12'(W - 1)) << 1);
      rows_q     <= cmd_q.rows;
      drain_q    <= 10'd0;
      gap_q      <= 3'd0;
      gaps_q     <= 3'd0;
      slot_q     <= 4'd0;
      no_gap_q   <= 1'b1;
      no_gaps_q  <= 1'b1;
      go_q       <= 1'b1;
      row_end_q  <= steps == 12'd0;
      one_step_q <= steps == 12'd0;
      last_row_q <= cmd_q.rows == 16'd1;
      if (steps < 12'(SumPeriod - 1) && (cmd_q.red == fvlm_isa_pkg::VX_RED_SUM
                                         || cmd_q.red == fvlm_isa_pkg::VX_RED_SUMSQ)) begin
        gaps_q    <= 3'(SumPeriod - 1) - steps[2:0];
        no_gaps_q <= 1'b0;
      end
    end else if (en) begin
      slot_q <= slot_q + 4'd1;
      go_q   <= !slow || slot_q == 4'd15;
      if (issue) begin
        step_q    <= row_end ? 12'd0 : step_q + 12'd1;
        left_q    <= row_end ? steps_q : left_q - 12'd1;
        row_end_q <= row_end ? one_step_q : left_q == 12'd1;
        if (row_end) begin
          rows_q     <= rows_q - 16'd1;
          last_row_q <= rows_q == 16'd2;
          gap_q      <= gaps_q;
          no_gap_q   <= no_gaps_q;
        end
      end else if (!no_gap_q && go_q) begin
        gap_q    <= gap_q - 3'd1;
        no_gap_q <= gap_q == 3'd1;
      end
      if (state_q == StDrain) drain_q <= drain_q + 10'd1;
    end
  end

  assign busy_o  = state_q != StIdle;
  assign fault_o = verdict && bad;
  assign done_o  = (load && empty) || (state_q == StDrain && drain_q == end_cycles);
  assign fault_code_o = bad_code;

  vx_check u_check (
    .clk_i,
    .ce_i   ({check_q[2:1], load}),
    .cmd_i  (cmd_q),
    .words_i({4'd0, words} + 16'd1),
    .quotient_i(quotient),
    .bad_o  (bad),
    .code_o (bad_code)
  );

  // ---- Row index modulo rmod, a row ahead; wrap: rmod rows are over ----------------------------
  logic        wrap_q, single_q;
  logic [15:0] causal_row_q, after_q;  // row, and two more
  always_ff @(posedge clk_i) begin
    if (load) begin
      causal_row_q <= 16'd0;
      after_q      <= 16'd2;
      wrap_q       <= cmd_q.rmod == 16'd1;
      single_q     <= cmd_q.rmod == 16'd1;
    end else if (issue && row_end) begin
      causal_row_q <= wrap_q ? 16'd0 : causal_row_q + 16'd1;
      after_q      <= wrap_q ? 16'd2 : after_q + 16'd1;
      wrap_q       <= wrap_q ? single_q : after_q == cmd_q.rmod;
    end
  end

  // ---- What travels with the steps: flags to stage Y, read of c on the way -----------------------
  // Active elements are those with index below valid(row).
  logic [4:1]        c_valid_q, c_last_q, c_wrap_q;
  logic [16:0]       raw, limit_q, ahead_q, remaining;
  logic [CountW-1:0] count;
  logic [2:0]        flags1_q;   // {first, fresh, last}: one of the first four steps
  localparam int unsigned AtW = CountW + 3;
  logic [AtW-1:0]           at1, at_y_q;
  logic [(YStages-2)*AtW-1:0] at_q;  // stage 2 lowest
  assign raw       = {1'b0, cmd_q.vbase} + {1'b0, causal_row_q};
  assign remaining = limit_q - ahead_q;
  assign count     = remaining[16] ? CountW'(0)
                   : (remaining > 17'(16 * W)) ? CountW'(16 * W) : remaining[CountW-1:0];
  assign at1       = {flags1_q, count};
  always_ff @(posedge clk_i) begin
    if (!clear_n) c_valid_q <= '0;
    else if (en) c_valid_q <= {c_valid_q[3:1], issue};
    if (en) begin
      c_last_q <= {c_last_q[3:1], row_end};
      c_wrap_q <= {c_wrap_q[3:1], wrap_q};
      limit_q  <= (cmd_q.causal && raw < {1'b0, cmd_q.len}) ? raw : {1'b0, cmd_q.len};
      ahead_q  <= {1'b0, step_q, 4'd0} << LogW;
      flags1_q <= {step_q == 12'd0, step_q[11:2] == 10'd0, row_end};
      at_q     <= {at_q[(YStages-3)*AtW-1:0], at1};
      at_y_q   <= (y_stage == 5'd2) ? at1 : at_q[AtW*y_tap +: AtW];
    end
  end

  logic [16*W-1:0] mask, mask_q;
  for (genvar l = 0; l < 16 * W; l++) begin : g_mask
    assign mask[l] = CountW'(l) < at_y_q[CountW-1:0];
  end

  // ---- Operand reads ----------------------------------------------------------------------------
  logic a_is_s, b_is_s, c_is_s, ready_c, issue_c, last_c, wrap_c;
  logic [ReadAw-1:0] addr_a, addr_b, addr_c;
  logic [WriteAw-1:0] addr_d;
  logic [SAw-1:0] addr_red;
  always_ff @(posedge clk_i) begin
    if (load) begin
      a_is_s  <= cmd_q.a_kind == fvlm_isa_pkg::VX_A_KIND_S;
      b_is_s  <= cmd_q.b_kind == fvlm_isa_pkg::VX_B_KIND_S;
      c_is_s  <= cmd_q.c_kind == fvlm_isa_pkg::VX_C_KIND_S;
      to_spad <= cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_SPAD;
      to_abuf <= cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF;
      to_s    <= cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_S;
    end
  end
  // c is read so that it arrives with the result of op1.
  always_comb begin
    case (op1)
      3'd0: {ready_c, last_c, wrap_c} = {ready, row_end, wrap_q};
      3'd1: {ready_c, last_c, wrap_c} = {c_valid_q[1], c_last_q[1], c_wrap_q[1]};
      3'd3: {ready_c, last_c, wrap_c} = {c_valid_q[3], c_last_q[3], c_wrap_q[3]};
      default: {ready_c, last_c, wrap_c} = {c_valid_q[4], c_last_q[4], c_wrap_q[4]};
    endcase
  end
  assign issue_c = ready_c && en;

  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_a (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!a_is_s),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.a_addr[ReadAw-1:0]), .stride_i(cmd_q.a_stride), .addr_o(addr_a)
  );
  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_b (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!b_is_s),
    .row_i(cmd_q.b_row), .wrap_i(wrap_q),
    .base_i(cmd_q.b_val[ReadAw-1:0]), .stride_i(cmd_q.b_stride), .addr_o(addr_b)
  );
  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_c (
    .clk_i, .load_i(load), .step_i(issue_c), .last_i(last_c), .by_word_i(!c_is_s),
    .row_i(cmd_q.c_row), .wrap_i(wrap_c),
    .base_i(cmd_q.c_val[ReadAw-1:0]), .stride_i(cmd_q.c_stride), .addr_o(addr_c)
  );
  assign spad_a_re_o   = issue && !a_is_s;
  assign s_a_re_o      = issue && a_is_s;
  assign spad_b_re_o   = issue && cmd_q.b_kind == fvlm_isa_pkg::VX_B_KIND_SPAD;
  assign s_b_re_o      = issue && b_is_s;
  assign spad_c_re_o   = issue_c && cmd_q.c_kind == fvlm_isa_pkg::VX_C_KIND_SPAD;
  assign s_c_re_o      = issue_c && c_is_s;
  assign spad_a_addr_o = addr_a[SpadAw-1:0];
  assign spad_b_addr_o = addr_b[SpadAw-1:0];
  assign spad_c_addr_o = addr_c[SpadAw-1:0];
  assign s_a_addr_o    = addr_a[SAw-1:0];
  assign s_b_addr_o    = addr_b[SAw-1:0];
  assign s_c_addr_o    = addr_c[SAw-1:0];

  // ---- Words ------------------------------------------------------------------------------------
  // A word past the end of its row does not enter the lanes and is not written.
  logic [512*W-1:0] y;
  logic [128*W-1:0] q;
  logic [W-1:0]     y_now, y_valid, q_valid;
  for (genvar j = 0; j < W; j++) begin : g_word
    vx_word #(.RomFile(RomFile)) u_word (
      .clk_i,
      .rst_ni   (clear_n),
      .en_i     (en),
      .issue_i  (issue && (!row_end || tail_q[j])),
      .y_en_i   (y_now[0]),
      .cmd_i    (cmd_q),
      .kind1_i  (kind1),
      .kind2_i  (kind2),
      .sub1_i   (sub1),
      .sub2_i   (sub2),
      .op1_i    (op1),
      .op2_i    (op2),
      .func_i   (func),
      .a_spad_i (spad_a_rdata_i[512*j +: 512]),
      .b_spad_i (spad_b_rdata_i[512*j +: 512]),
      .c_spad_i (spad_c_rdata_i[512*j +: 512]),
      .a_s_i    (s_a_rdata_i),
      .b_s_i    (s_b_rdata_i),
      .c_s_i    (s_c_rdata_i),
      .active_i (mask[16*j +: 16]),
      .y_now_o  (y_now[j]),
      .y_valid_o(y_valid[j]),
      .q_valid_o(q_valid[j]),
      .y_o      (y[512*j +: 512]),
      .q_o      (q[128*j +: 128])
    );
  end

  // ---- Reduction --------------------------------------------------------------------------------
  logic        red_valid, first1_q, fresh1_q;
  logic [2:0]  last_y_q;    // Y + 1 .. Y + 3
  logic [31:0] red_result;
  logic [11:0] red_step_q;  // step index at Y + 1
  always_ff @(posedge clk_i) begin
    if (!clear_n) last_y_q <= '0;
    else if (en) last_y_q <= {last_y_q[1:0], y_now[0] && at_y_q[CountW]};
    if (en && y_now[0]) begin
      mask_q     <= mask;
      first1_q   <= at_y_q[CountW+2];
      fresh1_q   <= at_y_q[CountW+1];
      red_step_q <= at_y_q[CountW+2] ? 12'd0 : red_step_q + 12'd1;
    end
  end
  vx_reduce #(.Words(W)) u_reduce (
    .clk_i,
    .rst_ni     (clear_n),
    .en_i       (en),
    .sum_en_i   (sum_en),
    .red_i      (cmd_q.red),
    .is_sum_i   (is_sum),
    .is_square_i(is_square),
    .missing_i  ({steps_q < 12'd1, steps_q < 12'd2, steps_q < 12'd3}),
    .valid_i    (y_valid[0]),
    .first_i    (first1_q),
    .fresh_i    (fresh1_q),
    .last_i     (last_y_q[0]),
    .step_i     (red_step_q),
    .active_i   (mask_q),
    .y_i        (y),
    .valid_o    (red_valid),
    .result_o   (red_result)
  );

  // ---- Writes -----------------------------------------------------------------------------------
  logic write_d;
  assign write_d = to_abuf ? q_valid[0] : y_valid[0];
  vx_walk #(.AddrW(WriteAw), .Words(W)) u_walk_d (
    .clk_i, .load_i(load), .step_i(en && write_d), .last_i(to_abuf ? last_y_q[2] : last_y_q[0]),
    .by_word_i(!to_s), .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.d_addr[WriteAw-1:0]), .stride_i(cmd_q.d_stride), .addr_o(addr_d)
  );
  vx_walk #(.AddrW(SAw)) u_walk_red (
    .clk_i, .load_i(load), .step_i(en && red_valid), .last_i(1'b1), .by_word_i(1'b0),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.sred_addr[SAw-1:0]), .stride_i(12'd1), .addr_o(addr_red)
  );
  assign spad_we_o    = y_valid[0] && to_spad;
  assign en           = !spad_we_o || spad_wready_i;
  assign spad_waddr_o = addr_d[SpadAw-1:0];
  assign spad_wmask_o = y_valid;
  assign spad_wdata_o = y;
  assign abuf_we_o    = en && q_valid[0] && to_abuf;
  assign abuf_waddr_o = addr_d[AbufAw-1:0];
  assign abuf_wmask_o = q_valid;
  assign abuf_wdata_o = q;
  assign s_we_o       = en && (red_valid || (y_valid[0] && to_s));
  assign s_waddr_o    = to_s ? addr_d[SAw-1:0] : addr_red;
  assign s_wdata_o    = to_s ? y[31:0] : red_result;

  // ---- Checks -----------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(start_i && busy_o));
      assert (!(done_o && fault_o));
      assert (state_q != StIdle || y_now == '0);
      assert (!(to_s && is_sum && (state_q == StIssue || state_q == StDrain)));
      assert (!(done_o && state_q == StDrain) || (y_now == '0 && y_valid == '0 && !abuf_we_o));
      assert (!y_valid[0] || state_q == StIssue || state_q == StDrain);
      assert (!(check_q != '0 && (spad_we_o || abuf_we_o || s_we_o)));
      if (spad_we_o) begin
        for (int l = 0; l < 16 * W; l++) begin
          assert (!y_valid[l/16] || fp_pkg::canon(y[32*l +: 32]) == y[32*l +: 32]);
        end
      end
      if (abuf_we_o) begin
        for (int l = 0; l < 16 * W; l++) assert (!q_valid[l/16] || q[8*l +: 8] != 8'h80);
      end
    end
  end
endmodule

`default_nettype wire
