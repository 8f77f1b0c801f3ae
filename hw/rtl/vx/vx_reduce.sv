// Row reductions of the vector unit: a vx_red_lane per lane of the W words, then a tree over words
// and lanes, L = log2(16 W) levels.
//
// Stage numbers are those of vx_unit; y_i, mask_i and step_i belong to stage 20. Results:
//   SUM, SUMSQ: stage 35 + 4 L (each level of the adder tree is four stages)
//   MAX, ABSMAX, ARGMAX: stage 21 + L (a stage a level)
// valid_o marks the cycle of the result for the command's kind.
`default_nettype none

module vx_reduce #(
  parameter int unsigned Words = 1,
  localparam int unsigned Levels  = $clog2(16 * Words),
  localparam int unsigned BestEnd = 21 + Levels,
  localparam int unsigned SumEnd  = 35 + 4 * Levels
) (
  input  wire                  clk_i,
  input  wire                  en_i,
  input  wire  [2:0]           red_i,
  input  wire                  short_i,   // rows have fewer than 3 steps
  input  wire  [27:20]         valid_i,   // [k]: a step is at stage k
  input  wire  [SumEnd:21]     last_i,    // [k]: the last step of a row is at stage k
  input  wire  [31:27]         third_i,   // [k]: step n-3 of a row is at stage k
  input  wire                  first20_i,
  input  wire                  fresh23_i,
  input  wire                  first27_i,
  input  wire  [11:0]          step_i,
  input  wire  [16*Words-1:0]  mask_i,
  input  wire  [512*Words-1:0] y_i,
  output logic                 valid_o,
  output logic [31:0]          result_o
);
  logic is_sum, is_square, is_abs, is_arg, is_best;
  assign is_square = red_i == fvlm_isa_pkg::VX_RED_SUMSQ;
  assign is_sum    = red_i == fvlm_isa_pkg::VX_RED_SUM || is_square;
  assign is_abs    = red_i == fvlm_isa_pkg::VX_RED_ABSMAX;
  assign is_arg    = red_i == fvlm_isa_pkg::VX_RED_ARGMAX;
  assign is_best   = red_i == fvlm_isa_pkg::VX_RED_MAX || is_abs || is_arg;

  logic [27:20] ce;
  logic [3:0]   ce_pair, ce_quad;
  assign ce      = {8{en_i}} & valid_i;
  assign ce_pair = (is_sum && en_i) ? last_i[30:27] | third_i[30:27] : 4'd0;
  assign ce_quad = (is_sum && en_i) ? last_i[34:31] : 4'd0;

  logic [512*Words-1:0] sum;
  logic [768*Words-1:0] best;  // {value, element index}
  for (genvar l = 0; l < 16 * Words; l++) begin : g_lane
    logic [11:0] step;
    vx_red_lane u_lane (
      .clk_i,
      .ce_i       (ce),
      .is_sum_i   (is_sum),
      .is_square_i(is_square),
      .is_abs_i   (is_abs),
      .is_best_i  (is_best),
      .active20_i (mask_i[l]),
      .first20_i,
      .step20_i   (step_i),
      .fresh23_i,
      .first27_i,
      .ce_pair_i  (ce_pair),
      .keep31_i   (is_sum && en_i && third_i[31]),
      .short_i,
      .ce_quad_i  (ce_quad),
      .y_i        (y_i[32*l +: 32]),
      .sum_o      (sum[32*l +: 32]),
      .best_o     (best[48*l+16 +: 32]),
      .step_o     (step)
    );
    assign best[48*l +: 16] = ({4'd0, step} << Levels) + 16'(l);
  end

  logic [31:0] total;
  logic [47:0] winner;
  vx_tree_add #(.Words(Words)) u_add (
    .clk_i,
    .ce_i({4*Levels{is_sum && en_i}} & last_i[SumEnd-1:35]),
    .x_i (sum),
    .y_o (total)
  );
  vx_tree_best #(.Words(Words)) u_best (
    .clk_i,
    .ce_i({Levels{is_best && en_i}} & last_i[BestEnd-1:21]),
    .x_i (best),
    .y_o (winner)
  );

  assign valid_o  = is_sum ? last_i[SumEnd] : is_best && last_i[BestEnd];
  assign result_o = is_sum ? total : is_arg ? {16'd0, winner[15:0]} : winner[47:16];
endmodule

`default_nettype wire
