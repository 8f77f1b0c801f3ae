// Sum of a row from its lanes' four partial sums: (q0 + q1) + (q2 + q3) in each lane, then over the
// words, adjacent pairs, then over the lanes (l with l + 8, + 4, + 2, + 1).
//
// Rows are at least Period cycles apart, so 16 adders do a word at a time what all lanes need once
// a row. tick[k]: k cycles (of en_i) behind the row's last step at the accumulator, whose partial
// sums q0..q3 are on acc_i at ticks 1..4.
//   words in turn from tick Pick: pairs 01 of all, pairs 23 of all; the sum of both; over words
`default_nettype none

module vx_gather_sum #(
  parameter  int unsigned Words  = 1,
  localparam int unsigned LogW   = $clog2(Words),
  localparam int unsigned Pick   = (Words == 1) ? 4 : 3,
  localparam int unsigned Pair   = Pick + 5,           // pair 01 of word 0 is there
  localparam int unsigned Quad   = Pair + Words + 4,   // sum of word 0
  localparam int unsigned Tree   = (Words == 4) ? Quad + 11 : (Words == 2) ? Quad + 5 : Quad,
  localparam int unsigned Cycles = Tree + 16
) (
  input  wire                  clk_i,
  input  wire                  rst_ni,
  input  wire                  en_i,
  input  wire                  last_i,    // tick 0
  input  wire  [2:0]           missing_i, // [i]: rows have too few steps for q_i, which counts as 0
  input  wire  [512*Words-1:0] acc_i,
  output logic                 valid_o,   // tick Cycles
  output logic [31:0]          sum_o
);
  logic [Cycles:1] tick_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) tick_q <= '0;
    else if (en_i) tick_q <= {tick_q[Cycles-1:1], last_i};
  end
  assign valid_o = tick_q[Cycles];

  // ---- Partial sums of a row, all lanes.
  logic [512*Words-1:0] q0_q, q1_q, q2_q, q3_q;
  always_ff @(posedge clk_i) begin
    if (en_i && tick_q[1]) q0_q <= missing_i[0] ? '0 : acc_i;
    if (en_i && tick_q[2]) q1_q <= missing_i[1] ? '0 : acc_i;
    if (en_i && tick_q[3]) q2_q <= missing_i[2] ? '0 : acc_i;
    if (en_i && tick_q[4]) q3_q <= acc_i;
  end

  // ---- A word at a time; stage numbers of an adder: bit i of its enables.
  logic [LogW:0]         slot_q;
  logic [1024*Words-1:0] lefts, rights;
  assign lefts  = {q2_q, q0_q};
  assign rights = {q3_q, q1_q};
  logic [511:0]          left_q, right_q, pair, quad;
  always_ff @(posedge clk_i) begin
    if (en_i) begin
      for (int j = 0; j < 2 * Words; j++) if (tick_q[Pick-1+j]) slot_q <= (LogW + 1)'(j);
      if (tick_q[Pick +: 2*Words] != '0) begin
        left_q  <= lefts[512*slot_q +: 512];
        right_q <= rights[512*slot_q +: 512];
      end
    end
  end
  logic [3:0] ce_pair, ce_quad;
  for (genvar i = 0; i < 4; i++) begin : g_enable
    assign ce_pair[i] = en_i && tick_q[Pick+1+i +: 2*Words] != '0;
    assign ce_quad[i] = en_i && tick_q[Pair+Words+i +: Words] != '0;
  end
  // Pairs 01 wait for pairs 23 of their word.
  logic [512*Words-1:0] waiting_q;
  always_ff @(posedge clk_i) begin
    if (en_i && tick_q[Pair +: 2*Words] != '0) waiting_q <= (512*Words)'({waiting_q, pair});
  end
  vx_add_word u_pair (.clk_i, .ce_i(ce_pair), .a_i(left_q), .b_i(right_q), .y_o(pair));
  vx_add_word u_quad (
    .clk_i, .ce_i(ce_quad), .a_i(waiting_q[512*(Words-1) +: 512]), .b_i(pair), .y_o(quad)
  );

  // ---- Over the words, one adder: words 0 and 1, 2 and 3, both sums.
  logic [511:0] total;
  if (Words == 1) begin : g_one
    assign total = quad;
  end else begin : g_words
    logic [511:0] before_q, both, both_q;
    logic [3:0]   ce_level1, ce_level2;
    for (genvar i = 0; i < 4; i++) begin : g_enable
      assign ce_level1[i] = tick_q[Quad+1+i] || (Words == 4 && tick_q[Quad+3+i]);
      assign ce_level2[i] = Words == 4 && tick_q[Quad+7+i];
    end
    always_ff @(posedge clk_i) begin
      if (en_i && tick_q[Quad +: Words] != '0) before_q <= quad;
      if (en_i && Words == 4 && tick_q[Quad+5]) both_q <= both;
    end
    vx_add_word u_both (
      .clk_i,
      .ce_i((ce_level1 | ce_level2) & {4{en_i}}),
      .a_i (ce_level2[0] ? both_q : before_q),
      .b_i (ce_level2[0] ? both : quad),
      .y_o (both)
    );
    assign total = both;
  end

  // ---- Over the lanes.
  for (genvar k = 0; k < 4; k++) begin : g_level
    localparam int unsigned N = 8 >> k;
    logic [64*N-1:0] x;
    logic [32*N-1:0] y;
    if (k == 0) assign x = total;
    else assign x = g_level[k-1].y;
    for (genvar l = 0; l < N; l++) begin : g_add
      fp_add u_add (
        .clk_i, .ce_i({4{en_i}} & tick_q[Tree+4*k +: 4]), .a_i(x[32*l +: 32]), .b_i(x[32*(l+N) +: 32]),
        .y_o(y[32*l +: 32])
      );
    end
  end
  assign sum_o = g_level[3].y;
endmodule

`default_nettype wire
