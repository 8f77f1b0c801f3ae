// Dequantiser lane: int32 sums of the groups of a row to f32, in the order of
// hw/doc/microarchitecture.md, section 5. A lane serves 2 * RowSteps outputs in turn, numbered by
// step: those of the pair's even row, then of the odd one.
//
// Stage numbers as in mm_dequant; ce_i[k] moves a value from stage k to k+1:
//   0..2 int to float   3..5 * weight scale   6..9 + sum of the groups before
//   10..12 * row scale  13 wait, if Late      13..16 + bias   17 result, one later if Late
// One adder serves both sums. A group's own steps are apart: 2 * RowSteps of them fit between its sum's stages and
// the bias', for which 8 need the stage of waiting. A first group does not add to anything, and what comes behind a
// last group is one; the group after that comes 16 cycles later, past all steps.
// Groups of a pair are at least 8 cycles apart: the sum that stage 10 stores is there (stage 11)
// when the next group's stage 5 reads it, 13 cycles after stage 0 of the group before.
`default_nettype none

module mm_lane #(
  parameter  int unsigned RowSteps = 1,
  localparam int unsigned StepW    = $clog2(2 * RowSteps),
  localparam int unsigned Late     = (2 * RowSteps > 7) ? 1 : 0
) (
  input  wire         clk_i,
  input  wire  [9:0]  ce_i,        // every group
  input  wire  [16+Late:10] ce_last_i,  // last groups only
  input  wire  [9:5]  first_i,     // first group of its row, at the stage
  input  wire         first10_i,
  input  wire  [StepW-1:0] step5_i,
  input  wire  [StepW-1:0] step10_i,
  input  wire         keep10_i,    // more groups follow
  input  wire  [31:0] acc_i /*verilator public_flat_rd*/,       // stage 0
  input  wire  [31:0] scale_i /*verilator public_flat_rd*/,     // stage 3
  input  wire  [31:0] row_scale_i, // stage 10
  input  wire  [31:0] bias_i /*verilator public_flat_rd*/,      // stage 13 + Late
  output logic [31:0] y_o          // stage 17 + Late
);
  /*verilator no_inline_module*/

  logic [31:0] x3, p6;
  fp_from_int u_int (.clk_i, .ce_i(ce_i[2:0]), .x_i(acc_i), .y_o(x3));
  fp_mul u_scale (.clk_i, .ce_i(ce_i[5:3]), .a_i(x3), .b_i(scale_i), .y_o(p6));

  // Sum over groups.
  (* ram_style = "distributed" *) logic [31:0] part_sums [0:2*RowSteps-1];
  logic [31:0] before_q, sum, p10;
  logic [31:0] d6_q, d7_q, d8_q, d9_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[5] && !first_i[5]) before_q <= part_sums[step5_i];
    if (keep10_i) part_sums[step10_i] <= p10;
  end
  logic [3:0]  ce_group, ce_bias;
  logic [31:0] y13, y_bias;
  assign ce_group = ce_i[9:6] & ~first_i[9:6];
  assign ce_bias  = ce_last_i[16+Late:13+Late];
  fp_add u_add (
    .clk_i,
    .ce_i (ce_group | ce_bias),
    .a_i  (ce_bias[0] ? y_bias : before_q),
    .b_i  (ce_bias[0] ? bias_i : p6),
    .y_o  (sum)
  );
  always_ff @(posedge clk_i) begin
    if (ce_i[6] && first_i[6]) d6_q <= p6;
    if (ce_i[7] && first_i[7]) d7_q <= d6_q;
    if (ce_i[8] && first_i[8]) d8_q <= d7_q;
    if (ce_i[9] && first_i[9]) d9_q <= d8_q;
  end
  assign p10 = first10_i ? d9_q : sum;

  // Row scale.
  fp_mul u_row (.clk_i, .ce_i(ce_last_i[12:10]), .a_i(p10), .b_i(row_scale_i), .y_o(y13));
  if (Late == 1) begin : g_late
    logic [31:0] y14;
    always_ff @(posedge clk_i) if (ce_last_i[13]) y14 <= y13;
    assign y_bias = y14;
  end else begin : g_prompt
    assign y_bias = y13;
  end
  assign y_o = sum;

  always_ff @(posedge clk_i) assert ((ce_group & ce_bias) == 4'd0);
endmodule

`default_nettype wire
