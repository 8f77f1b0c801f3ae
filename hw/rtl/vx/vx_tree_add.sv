// Sum of a row's 16 * Words partial sums: first over the words, adjacent pairs, then over the
// lanes (l with l + 8, + 4, + 2, + 1). One fp_add level of four stages each; ce_i[i] loads stage i.
`default_nettype none

module vx_tree_add #(
  parameter int unsigned Words = 1,
  localparam int unsigned Levels = $clog2(16 * Words)
) (
  input  wire                   clk_i,
  input  wire  [4*Levels-1:0]   ce_i,
  input  wire  [512*Words-1:0]  x_i,
  output logic [31:0]           y_o
);
  for (genvar k = 0; k < Levels; k++) begin : g_level
    // A level adds element i of the left operand to element i of the right one, n sums.
    localparam int unsigned N         = (16 * Words) >> (k + 1);
    localparam bit          OverWords = N >= 16;
    logic [64*N-1:0] x;
    logic [32*N-1:0] y;
    if (k == 0) assign x = x_i;
    else assign x = g_level[k-1].y;
    for (genvar i = 0; i < N; i++) begin : g_add
      localparam int unsigned Left  = OverWords ? 2 * i - i % 16 : i;
      localparam int unsigned Right = OverWords ? Left + 16 : i + N;
      fp_add u_add (
        .clk_i, .ce_i(ce_i[4*k +: 4]), .a_i(x[32*Left +: 32]), .b_i(x[32*Right +: 32]),
        .y_o(y[32*i +: 32])
      );
    end
  end
  assign y_o = g_level[Levels-1].y;
endmodule

`default_nettype wire
