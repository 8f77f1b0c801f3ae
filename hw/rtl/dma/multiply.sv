// Pipelined 32 x 32 bit multiplier: the product follows its operands by two cycles.
`default_nettype none

module multiply (
    input  logic        clk_i,
    input  logic        en_i,
    input  logic [31:0] a_i,
    input  logic [31:0] b_i,
    output logic [63:0] product_o
);
  logic        en_q;
  logic [63:0] stage_q;

  // Two registers behind the product: synthesis moves them into the multiplier cells.
  always_ff @(posedge clk_i) begin
    en_q <= en_i;
    if (en_i) stage_q <= 64'(a_i) * 64'(b_i);
    if (en_q) product_o <= stage_q;
  end
endmodule

`default_nettype wire
