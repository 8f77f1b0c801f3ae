// The largest of a row's 16 * Words candidates {value, element index}, the smallest index among
// equals; one register stage per level of the tree. ce_i[i] loads stage i.
`default_nettype none

module vx_tree_best #(
  parameter int unsigned Words = 1,
  localparam int unsigned Levels = $clog2(16 * Words)
) (
  input  wire                   clk_i,
  input  wire  [Levels-1:0]     ce_i,
  input  wire  [768*Words-1:0]  x_i,
  output logic [47:0]           y_o
);
  function automatic logic [47:0] better(input logic [47:0] a, input logic [47:0] b);
    better = (fp_pkg::gt(b[47:16], a[47:16]) || (b[47:16] == a[47:16] && b[15:0] < a[15:0])) ? b : a;
  endfunction

  for (genvar k = 0; k < Levels; k++) begin : g_level
    localparam int unsigned N = (16 * Words) >> (k + 1);
    logic [96*N-1:0] x;
    logic [48*N-1:0] y_q;
    if (k == 0) assign x = x_i;
    else assign x = g_level[k-1].y_q;
    always_ff @(posedge clk_i) begin
      if (ce_i[k]) begin
        for (int i = 0; i < N; i++) y_q[48*i +: 48] <= better(x[48*i +: 48], x[48*(i+N) +: 48]);
      end
    end
  end
  assign y_o = g_level[Levels-1].y_q;
endmodule

`default_nettype wire
