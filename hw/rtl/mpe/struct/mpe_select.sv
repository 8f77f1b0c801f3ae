// One byte of 16: the input multiplexer of a DSP (both halves of a kernel cycle share it), registered; the
// register behind it is the DSP's own.
`default_nettype none

module mpe_select (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire [127:0] block_i,
  input  wire   [3:0] sel_i,
  output logic  [7:0] x_o
);
  wire [7:0] x;
  mux16 u_mux (.block_i, .sel_i, .x_o(x));
  always_ff @(posedge clk_i) begin
    if (ce_i) x_o <= x;
  end
endmodule

`default_nettype wire
