// The three kinds of dsp48_mac on common inputs: first, middle and last of a chain.
`default_nettype none

module leaf (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire         acc_i,
  input  wire  [7:0]  a_i,
  input  wire  [7:0]  d_i,
  input  wire  [7:0]  b_i,
  input  wire  [47:0] pcin_i,
  output logic [47:0] first_o,
  output logic [47:0] middle_o,
  output logic [47:0] last_o
);
  wire [47:0] pcout [0:2];
  dsp48_mac #(.First(1'b1)) u_first (
    .clk_i, .ce_i, .acc_i, .a_i, .d_i, .b_i, .pcin_i, .p_o(first_o), .pcout_o(pcout[0])
  );
  dsp48_mac u_middle (
    .clk_i, .ce_i, .acc_i, .a_i, .d_i, .b_i, .pcin_i, .p_o(middle_o), .pcout_o(pcout[1])
  );
  dsp48_mac #(.Last(1'b1)) u_last (
    .clk_i, .ce_i, .acc_i, .a_i, .d_i, .b_i, .pcin_i, .p_o(last_o), .pcout_o(pcout[2])
  );
  always_ff @(posedge clk_i) begin
    assert (pcout[0] == first_o && pcout[1] == middle_o && pcout[2] == last_o);
  end
endmodule

`default_nettype wire
