// Row reductions of the vector unit: a vx_red_lane per lane of the W words; their extrema go through
// a tree over words and lanes, their partial sums through vx_gather_sum.
//
// y_i belongs to valid_i. From a row's last step to its result (result_o, in the cycle of valid_o):
//   MAX, ABSMAX, ARGMAX: 1 + log2(16 W) cycles      SUM: SumCycles      SUMSQ: 3 + SumCycles
`default_nettype none

module vx_reduce #(
  parameter  int unsigned Words  = 1,
  localparam int unsigned Levels = $clog2(16 * Words)
) (
  input  wire                  clk_i,
  input  wire                  rst_ni,
  input  wire                  en_i,
  input  wire                  sum_en_i,   // the accumulators move (en_i, less often in slow commands)
  input  wire  [2:0]           red_i,
  input  wire                  is_sum_i,
  input  wire                  is_square_i,
  input  wire  [2:0]           missing_i,  // see vx_gather_sum
  input  wire                  valid_i,
  input  wire                  first_i,
  input  wire                  fresh_i,    // one of the row's first four steps
  input  wire                  last_i,     // its last one
  input  wire  [11:0]          step_i,
  input  wire  [16*Words-1:0]  active_i,
  input  wire  [512*Words-1:0] y_i,
  output logic                 valid_o,
  output logic [31:0]          result_o
);
  logic is_abs, is_arg, is_best;
  assign is_abs  = red_i == fvlm_isa_pkg::VX_RED_ABSMAX;
  assign is_arg  = red_i == fvlm_isa_pkg::VX_RED_ARGMAX;
  assign is_best = red_i == fvlm_isa_pkg::VX_RED_MAX || is_abs || is_arg;

  // ---- Steps on their way through the squares; at the accumulators; through them.
  logic [3:1] square_q, square_fresh_q, square_last_q, sum_q;
  logic [1+Levels:1] best_last_q;
  logic       sum_valid, sum_fresh, sum_last;
  logic [2:0] ce_square;
  logic [3:0] ce_sum;
  assign sum_valid = is_square_i ? square_q[3] : valid_i && is_sum_i;
  assign sum_fresh = is_square_i ? square_fresh_q[3] : fresh_i;
  assign sum_last  = is_square_i ? square_last_q[3] : last_i && is_sum_i;
  assign ce_square = {3{en_i}} & {square_q[2:1], valid_i && is_square_i};
  assign ce_sum    = {4{sum_en_i}} & {sum_q, sum_valid};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      square_q      <= '0;
      square_last_q <= '0;
      sum_q         <= '0;
      best_last_q   <= '0;
    end else begin
      if (en_i) begin
        square_q      <= {square_q[2:1], valid_i && is_square_i};
        square_last_q <= {square_last_q[2:1], last_i && is_square_i};
        best_last_q   <= {best_last_q[Levels:1], last_i && is_best};
      end
      if (sum_en_i) sum_q <= {sum_q[2:1], sum_valid};
    end
    if (en_i) square_fresh_q <= {square_fresh_q[2:1], fresh_i};
  end

  logic [512*Words-1:0] acc;
  logic [768*Words-1:0] best;  // {value, element index}
  for (genvar l = 0; l < 16 * Words; l++) begin : g_lane
    logic [11:0] step;
    vx_red_lane u_lane (
      .clk_i,
      .ce_best_i  (en_i && valid_i && is_best),
      .ce_square_i(ce_square),
      .ce_sum_i   (ce_sum),
      .is_square_i,
      .is_abs_i   (is_abs),
      .active_i   (active_i[l]),
      .first_i,
      .step_i,
      .fresh_i    (sum_fresh),
      .y_i        (y_i[32*l +: 32]),
      .acc_o      (acc[32*l +: 32]),
      .best_o     (best[48*l+16 +: 32]),
      .step_o     (step)
    );
    assign best[48*l +: 16] = ({4'd0, step} << Levels) + 16'(l);
  end

  logic [31:0] total;
  logic [47:0] winner;
  logic        total_valid;
  vx_gather_sum #(.Words(Words)) u_sum (
    .clk_i,
    .rst_ni,
    .en_i   (sum_en_i),
    .last_i (sum_last),
    .missing_i,
    .acc_i  (acc),
    .valid_o(total_valid),
    .sum_o  (total)
  );
  vx_tree_best #(.Words(Words)) u_best (
    .clk_i,
    .ce_i({Levels{en_i}} & best_last_q[Levels:1]),
    .x_i (best),
    .y_o (winner)
  );

  assign valid_o  = is_sum_i ? total_valid && sum_en_i : best_last_q[1+Levels] && en_i;
  assign result_o = is_sum_i ? total : is_arg ? {16'd0, winner[15:0]} : winner[47:16];
endmodule

`default_nettype wire
