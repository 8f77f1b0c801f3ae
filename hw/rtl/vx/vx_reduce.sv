// Row reductions of the vector unit: 16 vx_red_lane, then a tree over the lanes.
//
// Stage numbers are those of vx_unit; y_i, mask_i and word_i belong to stage 20. Results:
//   SUM, SUMSQ: stage 51 (adder tree 35 -> 39 -> 43 -> 47 -> 51)
//   MAX, ABSMAX, ARGMAX: stage 25 (comparator tree 21 -> 22 -> 23 -> 24 -> 25)
// valid_o marks the cycle of the result for the command's kind.
`default_nettype none

module vx_reduce (
  input  wire          clk_i,
  input  wire          en_i,
  input  wire  [2:0]   red_i,
  input  wire          short_i,   // rows have fewer than 3 words
  input  wire  [27:20] valid_i,   // [k]: a word is at stage k
  input  wire  [25:21] end_i,     // [k]: the last word of a row is at stage k
  input  wire  [51:27] last_i,    // [k]: the same, further down
  input  wire  [31:27] third_i,   // [k]: word n-3 of a row is at stage k
  input  wire          first20_i,
  input  wire          fresh23_i,
  input  wire          first27_i,
  input  wire  [11:0]  word_i,
  input  wire  [15:0]  mask_i,
  input  wire  [511:0] y_i,
  output logic         valid_o,
  output logic [31:0]  result_o
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

  logic [511:0] sum, best;
  logic [191:0] index;
  for (genvar l = 0; l < 16; l++) begin : g_lane
    vx_red_lane u_lane (
      .clk_i,
      .ce_i       (ce),
      .is_sum_i   (is_sum),
      .is_square_i(is_square),
      .is_abs_i   (is_abs),
      .is_best_i  (is_best),
      .active20_i (mask_i[l]),
      .first20_i,
      .word20_i   (word_i),
      .fresh23_i,
      .first27_i,
      .ce_pair_i  (ce_pair),
      .keep31_i   (is_sum && en_i && third_i[31]),
      .short_i,
      .ce_quad_i  (ce_quad),
      .y_i        (y_i[32*l +: 32]),
      .sum_o      (sum[32*l +: 32]),
      .best_o     (best[32*l +: 32]),
      .index_o    (index[12*l +: 12])
    );
  end

  // Adder tree: t[l] = t[l] + t[l + half].
  logic [255:0] sum8;
  logic [127:0] sum4;
  logic [63:0]  sum2;
  logic [31:0]  sum1;
  logic [15:0]  ce_tree;
  assign ce_tree = (is_sum && en_i) ? last_i[50:35] : 16'd0;
  for (genvar l = 0; l < 8; l++) begin : g_sum8
    fp_add u_add (
      .clk_i, .ce_i(ce_tree[3:0]), .a_i(sum[32*l +: 32]), .b_i(sum[32*l+256 +: 32]),
      .y_o(sum8[32*l +: 32])
    );
  end
  for (genvar l = 0; l < 4; l++) begin : g_sum4
    fp_add u_add (
      .clk_i, .ce_i(ce_tree[7:4]), .a_i(sum8[32*l +: 32]), .b_i(sum8[32*l+128 +: 32]),
      .y_o(sum4[32*l +: 32])
    );
  end
  for (genvar l = 0; l < 2; l++) begin : g_sum2
    fp_add u_add (
      .clk_i, .ce_i(ce_tree[11:8]), .a_i(sum4[32*l +: 32]), .b_i(sum4[32*l+64 +: 32]),
      .y_o(sum2[32*l +: 32])
    );
  end
  fp_add u_sum1 (
    .clk_i, .ce_i(ce_tree[15:12]), .a_i(sum2[31:0]), .b_i(sum2[63:32]), .y_o(sum1)
  );

  // Comparator tree on {value, element index}: larger value, then smaller index.
  function automatic logic [47:0] better(input logic [47:0] a, input logic [47:0] b);
    better = (fp_pkg::gt(b[47:16], a[47:16]) || (b[47:16] == a[47:16] && b[15:0] < a[15:0])) ? b : a;
  endfunction
  function automatic logic [47:0] leaf(input logic [31:0] v, input logic [11:0] w,
                                       input logic [3:0] l);
    leaf = {v, w, l};
  endfunction

  logic [383:0] best8_q;
  logic [191:0] best4_q;
  logic [95:0]  best2_q;
  logic [47:0]  best1_q;
  always_ff @(posedge clk_i) begin
    if (is_best && en_i && end_i[21]) begin
      for (int l = 0; l < 8; l++) begin
        best8_q[48*l +: 48] <= better(leaf(best[32*l +: 32], index[12*l +: 12], 4'(l)),
                                      leaf(best[32*l+256 +: 32], index[12*l+96 +: 12], 4'(l + 8)));
      end
    end
    if (is_best && en_i && end_i[22]) begin
      for (int l = 0; l < 4; l++) begin
        best4_q[48*l +: 48] <= better(best8_q[48*l +: 48], best8_q[48*l+192 +: 48]);
      end
    end
    if (is_best && en_i && end_i[23]) begin
      for (int l = 0; l < 2; l++) begin
        best2_q[48*l +: 48] <= better(best4_q[48*l +: 48], best4_q[48*l+96 +: 48]);
      end
    end
    if (is_best && en_i && end_i[24]) best1_q <= better(best2_q[47:0], best2_q[95:48]);
  end

  assign valid_o  = is_sum ? last_i[51] : is_best && end_i[25];
  assign result_o = is_sum ? sum1 : is_arg ? {16'd0, best1_q[15:0]} : best1_q[47:16];
endmodule

`default_nettype wire
