// VX: 16 f32 lanes over rows of words; semantics in hw/doc/microarchitecture.md, section 6.
//
// One word (16 elements) a cycle, rows back to back, one command in the unit at a time. Every
// operation takes its latency whether used or not, so all depths are constant (stage 0 = issue):
//   0 a, b address   1 data   2..5 op1 (c address at 4)   6..9 op2   10..19 function
//   20 mask          22 write to SPAD, ABUF or S          51 sum to S (extrema: 25)
// A SPAD write that meets an MM write freezes everything for that cycle (en = 0): one en, no skid
// buffers, and the read RAMs hold their data because re drops too.
//
// Timing, from the cycle of start_i to the cycle of done_o, with n = ceil(len / 16):
//   rows * n + 26 + frozen cycles;  rows * n + 55 with a reduction;  3 if rows or len is 0.
//   A fault is reported 3 cycles after start_i, before any effect. b_row or c_row = div: 8 more
//   in every case (a division for the address check).
`default_nettype none

module vx_unit #(
  parameter RomFile = "sfu.hex",
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
  input  wire  [511:0]           spad_a_rdata_i,
  output logic                   spad_b_re_o,
  output logic [SpadAw-1:0]      spad_b_addr_o,
  input  wire  [511:0]           spad_b_rdata_i,
  output logic                   spad_c_re_o,
  output logic [SpadAw-1:0]      spad_c_addr_o,
  input  wire  [511:0]           spad_c_rdata_i,
  output logic                   spad_we_o,
  output logic [SpadAw-1:0]      spad_waddr_o,
  output logic [511:0]           spad_wdata_o,
  input  wire                    spad_wready_i,

  output logic                   abuf_we_o,
  output logic [AbufAw-1:0]      abuf_waddr_o,
  output logic [127:0]           abuf_wdata_o,

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
  localparam logic [5:0] DrainWrite  = 6'd23;
  localparam logic [5:0] DrainReduce = 6'd52;

  typedef enum logic [2:0] {StIdle, StDivide, StSpan, StLast, StVerdict, StIssue, StDrain} state_e;

  fvlm_isa_pkg::vx_cmd_t cmd_q;
  state_e      state_q;
  logic        en, issue, row_end, cmd_end, empty, bad;
  logic [3:0]  bad_code;
  logic [5:0]  drain_q;
  logic        divides, wrap;
  logic [2:0]  divide_q;
  logic [15:0] quotient;
  logic [11:0] words;        // words a row - 1
  logic [11:0] word_q, left_q;
  logic [15:0] rows_q, causal_row_q;
  logic        reduces, to_spad, to_abuf, to_s;

  assign words   = 12'((cmd_q.len - 16'd1) >> 4);
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
      word_q       <= 12'd0;
      left_q       <= words;
      rows_q       <= cmd_q.rows;
      causal_row_q <= 16'd0;
      drain_q      <= 6'd1;
    end else if (issue) begin
      word_q <= row_end ? 12'd0 : word_q + 12'd1;
      left_q <= row_end ? words : left_q - 12'd1;
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

  // ---- Flags that travel with the words; bit k = stage k --------------------------------------
  logic [27:1] valid_q;
  logic [51:1] last_q;
  logic [31:1] third_q;   // word n-3 of a row
  logic [27:1] first_q;
  logic [23:1] fresh_q;   // one of the first four words
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
      last_q  <= {last_q[50:23], last_q[22] && reduces, last_q[21:1], issue && row_end};
      third_q <= {third_q[30:23], third_q[22] && reduces, third_q[21:1], issue && left_q == 12'd2};
      first_q <= {first_q[26:1], issue && word_q == 12'd0};
      wrap_q  <= {wrap_q[3:1], issue && wrap};
      fresh_q <= {fresh_q[22:1], issue && word_q[11:2] == 10'd0};
    end
  end

  // Active lanes of the word: element 16 * word + lane < valid(row).
  logic [16:0]  limit, remaining;
  logic [15:0]  mask;
  logic [319:0] mask_q;  // stages 1..20, 16 bits each
  assign limit     = cmd_q.causal ? {1'b0, cmd_q.vbase} + {1'b0, causal_row_q} : {1'b0, cmd_q.len};
  assign remaining = ((limit < {1'b0, cmd_q.len}) ? limit : {1'b0, cmd_q.len}) - {1'b0, word_q, 4'd0};
  assign mask      = remaining[16] ? 16'd0
                   : (remaining[15:4] != 12'd0) ? 16'hffff : ~(16'hffff << remaining[3:0]);
  always_ff @(posedge clk_i) begin
    if (en) mask_q <= {mask_q[303:0], mask};
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

  vx_walk #(.AddrW(ReadAw)) u_walk_a (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!a_is_s),
    .row_i(2'd0), .wrap_i(1'b0),
    .base_i(cmd_q.a_addr[ReadAw-1:0]), .stride_i(cmd_q.a_stride), .addr_o(addr_a)
  );
  vx_walk #(.AddrW(ReadAw)) u_walk_b (
    .clk_i, .load_i(load), .step_i(issue), .last_i(row_end), .by_word_i(!b_is_s),
    .row_i(cmd_q.b_row), .wrap_i(wrap),
    .base_i(cmd_q.b_val[ReadAw-1:0]), .stride_i(cmd_q.b_stride), .addr_o(addr_b)
  );
  vx_walk #(.AddrW(ReadAw)) u_walk_c (
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

  // ---- Lanes ------------------------------------------------------------------------------------
  logic [21:1]  ce;
  logic [511:0] y, yd;
  logic [127:0] q;
  logic [15:0]  rom_re;
  logic [191:0] rom_addr;
  logic [735:0] rom_rdata;
  assign ce = {21{en}} & valid_q[21:1];

  for (genvar l = 0; l < 16; l++) begin : g_lane
    vx_lane u_lane (
      .clk_i,
      .ce_i       (ce),
      .a_is_s_i   (a_is_s),
      .b_kind_i   (cmd_q.b_kind),
      .c_kind_i   (cmd_q.c_kind),
      .op1_i      (cmd_q.op1),
      .op2_i      (cmd_q.op2),
      .func_i     (cmd_q.func),
      .to_int8_i  (to_abuf),
      .a_spad_i   (spad_a_rdata_i[32*l +: 32]),
      .a_s_i      (s_a_rdata_i),
      .b_spad_i   (spad_b_rdata_i[32*l +: 32]),
      .b_s_i      (s_b_rdata_i),
      .b_imm_i    (cmd_q.b_val),
      .c_spad_i   (spad_c_rdata_i[32*l +: 32]),
      .c_s_i      (s_c_rdata_i),
      .c_imm_i    (cmd_q.c_val),
      .active_i   (mask_q[304+l]),
      .rom_re_o   (rom_re[l]),
      .rom_addr_o (rom_addr[12*l +: 12]),
      .rom_rdata_i(rom_rdata[46*l +: 46]),
      .y_o        (y[32*l +: 32]),
      .yd_o       (yd[32*l +: 32]),
      .q_o        (q[8*l +: 8])
    );
  end
  for (genvar p = 0; p < 8; p++) begin : g_rom
    sfu_rom #(.RomFile(RomFile)) u_rom (
      .clk_i,
      .re0_i   (rom_re[2*p]),
      .addr0_i (rom_addr[24*p +: 12]),
      .rdata0_o(rom_rdata[92*p +: 46]),
      .re1_i   (rom_re[2*p+1]),
      .addr1_i (rom_addr[24*p+12 +: 12]),
      .rdata1_o(rom_rdata[92*p+46 +: 46])
    );
  end

  // ---- Reduction --------------------------------------------------------------------------------
  logic        red_valid;
  logic [31:0] red_result;
  logic [11:0] red_word_q;  // word index at stage 20
  always_ff @(posedge clk_i) begin
    if (en && valid_q[19]) red_word_q <= first_q[19] ? 12'd0 : red_word_q + 12'd1;
  end
  vx_reduce u_reduce (
    .clk_i,
    .en_i     (en),
    .red_i    (cmd_q.red),
    .short_i  (words < 12'd2),
    .valid_i  (valid_q[27:20]),
    .end_i    (last_q[25:21]),
    .last_i   (last_q[51:27]),
    .third_i  (third_q[31:27]),
    .first20_i(first_q[20]),
    .fresh23_i(fresh_q[23]),
    .first27_i(first_q[27]),
    .word_i   (red_word_q),
    .mask_i   (mask_q[319:304]),
    .y_i      (y),
    .valid_o  (red_valid),
    .result_o (red_result)
  );

  // ---- Writes -----------------------------------------------------------------------------------
  vx_walk #(.AddrW(WriteAw)) u_walk_d (
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
  assign spad_wdata_o = yd;
  assign abuf_we_o    = valid_q[22] && to_abuf;
  assign abuf_waddr_o = addr_d[AbufAw-1:0];
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
      if (spad_we_o) begin
        for (int l = 0; l < 16; l++) assert (fp_pkg::canon(yd[32*l +: 32]) == yd[32*l +: 32]);
      end
      if (abuf_we_o) begin
        for (int l = 0; l < 16; l++) assert (q[8*l +: 8] != 8'h80);
      end
    end
  end
endmodule

`default_nettype wire
