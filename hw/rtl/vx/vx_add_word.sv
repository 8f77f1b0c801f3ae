// 16 adders, lane by lane.
`default_nettype none

module vx_add_word (
  input  wire          clk_i,
  input  wire  [3:0]   ce_i,
  input  wire  [511:0] a_i,
  input  wire  [511:0] b_i,
  output logic [511:0] y_o
);
  for (genvar l = 0; l < 16; l++) begin : g_lane
    fp_add u_add (.clk_i, .ce_i, .a_i(a_i[32*l +: 32]), .b_i(b_i[32*l +: 32]), .y_o(y_o[32*l +: 32]));
  end
endmodule

`default_nettype wire
