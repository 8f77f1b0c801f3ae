// VX: W words of 16 f32 lanes over rows of words; semantics in hw/doc/microarchitecture.md,
// section 6, cycles in hw/doc/timing.md, section VX.
//
// One step (W words) a cycle, rows back to back, one command in the unit at a time. Every
// operation takes its latency whether used or not, so all depths are constant (stage 0 = issue):
//   0 a, b address   1 data   2..5 op1 (c address at 4)   6..9 op2   10..19 function
//   20 mask          22 write to SPAD, ABUF or S          SumEnd sum to S (extrema: 25 + log2 W)
// A SPAD write that meets an MM write freezes everything for that cycle (en = 0): one en, no skid
// buffers, and the read RAMs hold their data because re drops too.
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
  localparam int unsigned SumEnd  = 51 + 4 * LogW;
  localparam int unsigned CountW  = LogW + 5;      // active elements of a step
  localparam logic [5:0] DrainWrite  = 6'd23;
  localparam logic [5:0] DrainReduce = 6'(SumEnd + 1);

  typedef enum logic [2:0] {StIdle, StDivide, StSpan, StLast, StVerdict, StIssue, StDrain} state_e;

  fvlm_isa_pkg::vx_cmd_t cmd_q;
  state_e      state_q;
  logic        en, issue, row_end, cmd_end, empty, bad;
  logic [3:0]  bad_code;
  logic [5:0]  drain_q;
  logic        divides, wrap;
  logic [2:0]  divide_q;
  logic [15:0] quotient;
  logic [11:0] words, steps;    // of a row - 1
  logic [11:0] step_q, left_q;
  logic [W-1:0] tail;           // words of a row's last step
  logic [15:0] rows_q, causal_row_q;
  logic        reduces, to_spad, to_abuf, to_s;

  assign words   = 12'((cmd_q.len - 16'd1) >> 4);
  assign steps   = words >> LogW;
  assign tail    = ~({W{1'b1}} << (words & 12'(W - 1)) << 1);
  assign empty   = cmd_q.rows == 16'd0 || cmd_q.len == 16'd0;
  assign reduces = cmd_q.red != fvlm_isa_pkg::VX_RED_NONE;
  assign to_spad = cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_SPAD;
  assign to_abuf = cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF;
  assign to_s    = cmd_q.d_kind == fvlm_isa_pkg::VX_D_KIND_S;

  // Row index modes of b and c share one encoding.
  assign divides = cmd_i.b_row == fvlm_isa_pkg::VX_B_ROW_DIV
                || cmd_i.c_row == fvlm_isa_pkg::VX_C_ROW_DIV;

  // ---- Control -------------------------------------------------------------------------------
  assign issue   = state_q == StIssue && en;
  assign row_end = left_q == 12'd0;
  assign cmd_end = row_end && rows_q == 16'd1;
  assign wrap    = row_end && causal_row_q + 16'd1 == cmd_q.rmod;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
    end else begin
      case (state_q)
        StIdle:    if (start_i) state_q <= divides ? StDivide : StSpan;
        StDivide:  if (divide_q == 3'd7) state_q <= StSpan;
        StSpan:    state_q <= StLast;
        StLast:    state_q <= StVerdict;
        StVerdict: state_q <= (empty || bad) ? StIdle : StIssue;
        StIssue:   if (en && cmd_end) state_q <= StDrain;
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
    if (state_q == StVerdict) begin
      step_q       <= 12'd0;
      left_q       <= steps;
      rows_q       <= cmd_q.rows;
      causal_row_q <= 16'd0;
      drain_q      <= 6'd1;
    end else if (issue) begin
      step_q <= row_end ? 12'd0 : step_q + 12'd1;
      left_q <= row_end ? steps : left_q - 12'd1;
      if (row_end) begin
        rows_q       <= rows_q - 16'd1;
        causal_row_q <= wrap ? 16'd0 : causal_row_q + 16'd1;
      end
    end else if (state_q == StDrain && en) begin
      drain_q <= drain_q + 6'd1;
    end
  end

  assign busy_o  = state_q != StIdle;
  assign fault_o = state_q == StVerdict && !empty && bad;
  assign done_o  = (state_q == StVerdict && empty)
                || (state_q == StDrain && drain_q == (reduces ? DrainReduce : DrainWrite));
  assign fault_code_o = bad_code;

  vx_check u_check (
    .clk_i,
    .ce_i   ({state_q == StLast, state_q == StSpan}),
    .cmd_i  (cmd_q),
    .words_i({4'd0, words} + 16'd1),
    .quotient_i(quotient),
    .bad_o  (bad),
    .code_o (bad_code)
  );

  // ---- Flags that travel with the steps; bit k = stage k --------------------------------------
  logic [27:1] valid_q;
  logic [SumEnd:1] last_q;
  logic [31:1] third_q;   // step n-3 of a row
  logic [27:1] first_q;
  logic [23:1] fresh_q;   // one of the first four steps
  logic [4:1]  wrap_q;    // rmod rows are over
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      last_q  <= '0;
      third_q <= '0;
      first_q <= '0;
      fresh_q <= '0;
      wrap_q  <= '0;
    end else if (en) begin
      // Without a reduction nothing goes past stage 22: the next command may already be there.
      valid_q <= {valid_q[26:23], valid_q[22] && reduces, valid_q[21:1], issue};
      last_q  <= {last_q[SumEnd-1:23], last_q[22] && reduces, last_q[21:1], issue && row_end};
      third_q <= {third_q[30:23], third_q[22] && reduces, third_q[21:1], issue && left_q == 12'd2};
      first_q <= {first_q[26:1], issue && step_q == 12'd0};
      wrap_q  <= {wrap_q[3:1], issue && wrap};
      fresh_q <= {fresh_q[22:1], issue && step_q[11:2] == 10'd0};
    end
  end

  // Active elements of the step: those with index below valid(row). Counted at issue, spread to
  // a mask for stage 20.
  logic [16:0]          limit, ahead, remaining;
  logic [CountW-1:0]    count;
  logic [19*CountW-1:0] count_q;  // stages 1..19
  logic [16*W-1:0]      mask_q;   // stage 20
  assign limit     = cmd_q.causal ? {1'b0, cmd_q.vbase} + {1'b0, causal_row_q} : {1'b0, cmd_q.len};
  assign ahead     = {1'b0, step_q, 4'd0} << LogW;
  assign remaining = ((limit < {1'b0, cmd_q.len}) ? limit : {1'b0, cmd_q.len}) - ahead;
  assign count     = remaining[16] ? CountW'(0)
                   : (remaining > 17'(16 * W)) ? CountW'(16 * W) : remaining[CountW-1:0];
  always_ff @(posedge clk_i) begin
    if (en) count_q <= {count_q[18*CountW-1:0], count};
    if (en && valid_q[19]) mask_q <= ~({16*W{1'b1}} << count_q[18*CountW +: CountW]);
  end

  // ---- Operand reads ----------------------------------------------------------------------------
  logic a_is_s, b_is_s, c_is_s, load, issue_c;
  logic [ReadAw-1:0] addr_a, addr_b, addr_c;
  logic [WriteAw-1:0] addr_d;
  logic [SAw-1:0] addr_red;
  assign a_is_s  = cmd_q.a_kind == fvlm_isa_pkg::VX_A_KIND_S;
  assign b_is_s  = cmd_q.b_kind == fvlm_isa_pkg::VX_B_KIND_S;
  assign c_is_s  = cmd_q.c_kind == fvlm_isa_pkg::VX_C_KIND_S;
  assign load    = state_q == StVerdict;
  assign issue_c = en && valid_q[4];

  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_a (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!a_is_s),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.a_addr[ReadAw-1:0]), .stride_i(cmd_q.a_stride), .addr_o(addr_a)
  );
  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_b (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!b_is_s),
    .row_i(cmd_q.b_row), .wrap_i(wrap),
    .base_i(cmd_q.b_val[ReadAw-1:0]), .stride_i(cmd_q.b_stride), .addr_o(addr_b)
  );
  vx_walk #(.AddrW(ReadAw), .Words(W)) u_walk_c (
    .clk_i, .load_i(load), .step_i(issue_c), .last_i(last_q[4]), .by_word_i(!c_is_s),
    .row_i(cmd_q.c_row), .wrap_i(wrap_q[4]),
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
  logic [512*W-1:0] y, yd;
  logic [128*W-1:0] q;
  logic [W-1:0]     written;
  for (genvar j = 0; j < W; j++) begin : g_word
    logic [22:1] valid_w_q;  // as valid_q
    always_ff @(posedge clk_i) begin
      if (!rst_ni) valid_w_q <= '0;
      else if (en) valid_w_q <= {valid_w_q[21:1], issue && (!row_end || tail[j])};
    end
    assign written[j] = valid_w_q[22];
    vx_word #(.RomFile(RomFile)) u_word (
      .clk_i,
      .ce_i    ({21{en}} & valid_w_q[21:1]),
      .cmd_i   (cmd_q),
      .a_spad_i(spad_a_rdata_i[512*j +: 512]),
      .b_spad_i(spad_b_rdata_i[512*j +: 512]),
      .c_spad_i(spad_c_rdata_i[512*j +: 512]),
      .a_s_i   (s_a_rdata_i),
      .b_s_i   (s_b_rdata_i),
      .c_s_i   (s_c_rdata_i),
      .active_i(mask_q[16*j +: 16]),
      .y_o     (y[512*j +: 512]),
      .yd_o    (yd[512*j +: 512]),
      .q_o     (q[128*j +: 128])
    );
  end

  // ---- Reduction --------------------------------------------------------------------------------
  logic        red_valid;
  logic [31:0] red_result;
  logic [11:0] red_step_q;  // step index at stage 20
  always_ff @(posedge clk_i) begin
    if (en && valid_q[19]) red_step_q <= first_q[19] ? 12'd0 : red_step_q + 12'd1;
  end
  vx_reduce #(.Words(W)) u_reduce (
    .clk_i,
    .en_i     (en),
    .red_i    (cmd_q.red),
    .short_i  (steps < 12'd2),
    .valid_i  (valid_q[27:20]),
    .last_i   (last_q[SumEnd:21]),
    .third_i  (third_q[31:27]),
    .first20_i(first_q[20]),
    .fresh23_i(fresh_q[23]),
    .first27_i(first_q[27]),
    .step_i   (red_step_q),
    .mask_i   (mask_q),
    .y_i      (y),
    .valid_o  (red_valid),
    .result_o (red_result)
  );

  // ---- Writes -----------------------------------------------------------------------------------
  vx_walk #(.AddrW(WriteAw), .Words(W)) u_walk_d (
    .clk_i, .load_i(load), .step_i(en && valid_q[22]), .last_i(last_q[22]), .by_word_i(!to_s),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.d_addr[WriteAw-1:0]), .stride_i(cmd_q.d_stride), .addr_o(addr_d)
  );
  vx_walk #(.AddrW(SAw)) u_walk_red (
    .clk_i, .load_i(load), .step_i(en && red_valid), .last_i(1'b1), .by_word_i(1'b0),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.sred_addr[SAw-1:0]), .stride_i(12'd1), .addr_o(addr_red)
  );
  assign spad_we_o    = valid_q[22] && to_spad;
  assign en           = !spad_we_o || spad_wready_i;
  assign spad_waddr_o = addr_d[SpadAw-1:0];
  assign spad_wmask_o = written;
  assign spad_wdata_o = yd;
  assign abuf_we_o    = valid_q[22] && to_abuf;
  assign abuf_waddr_o = addr_d[AbufAw-1:0];
  assign abuf_wmask_o = written;
  assign abuf_wdata_o = q;
  assign s_we_o       = en && (red_valid || (valid_q[22] && to_s));
  assign s_waddr_o    = to_s ? addr_d[SAw-1:0] : addr_red;
  assign s_wdata_o    = to_s ? yd[31:0] : red_result;

  // ---- Checks -----------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(start_i && busy_o));
      assert (!(done_o && fault_o));
      assert (state_q != StIdle || last_q == '0);
      assert (!(to_s && reduces && busy_o));
      assert (!(done_o && state_q == StDrain) || valid_q == '0);
      assert (!valid_q[22] || written[0]);
      if (spad_we_o) begin
        for (int l = 0; l < 16 * W; l++) begin
          assert (!written[l/16] || fp_pkg::canon(yd[32*l +: 32]) == yd[32*l +: 32]);
        end
      end
      if (abuf_we_o) begin
        for (int l = 0; l < 16 * W; l++) assert (!written[l/16] || q[8*l +: 8] != 8'h80);
      end
    end
  end
endmodule

`default_nettype wire
