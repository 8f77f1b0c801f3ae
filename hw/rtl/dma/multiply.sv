// Pipelined 32 x 32 bit multiplier: the product follows its operands by three cycles, through
// registers for the operands, for the four partial products (each a multiplier cell) and for their sum.
`default_nettype none

module multiply (
    input  logic        clk_i,
    input  logic        en_i,
    input  logic [31:0] a_i,
    input  logic [31:0] b_i,
    output logic [63:0] product_o
);
  logic        en_q, en2_q;
  logic [31:0] a_q, b_q;
  logic [31:0] low_q, high_q;
  logic [33:0] middle_q;

  always_ff @(posedge clk_i) begin
    en_q  <= en_i;
    en2_q <= en_q;
    if (en_i) begin
      a_q <= a_i;
      b_q <= b_i;
    end
    if (en_q) begin
      low_q    <= 32'(a_q[15:0]) * 32'(b_q[15:0]);
      middle_q <= 34'(a_q[15:0]) * 34'(b_q[31:16]) + 34'(a_q[31:16]) * 34'(b_q[15:0]);
      high_q   <= 32'(a_q[31:16]) * 32'(b_q[31:16]);
    end
    if (en2_q) product_o <= {high_q, low_q} + {14'd0, middle_q, 16'd0};
  end
endmodule

`default_nettype wire
