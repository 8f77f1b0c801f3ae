// f32 multiplier on canonical operands, nearest even, three register stages, one result a cycle.
// ce_i[i] loads stage i (see fp_add).
`default_nettype none

module fp_mul (
  input  wire         clk_i,
  input  wire  [2:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [31:0] a_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  // Stage 0: 24 x 24 product. A zero operand is a zero significand.
  logic        sign0_q, zero0_q;
  logic [9:0]  exp0_q;
  logic [47:0] prod0_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      sign0_q <= a_i[31] ^ b_i[31];
      zero0_q <= a_i[30:23] == 8'd0 || b_i[30:23] == 8'd0;
      exp0_q  <= {2'b00, a_i[30:23]} + {2'b00, b_i[30:23]} - 10'd127;
      prod0_q <= {24'd0, 1'b1, a_i[22:0]} * {24'd0, 1'b1, b_i[22:0]};
    end
  end

  // Stage 1: normalise (the product of two significands in [1,2) is in [1,4)).
  logic        sign1_q, zero1_q, guard1_q, sticky1_q;
  logic [9:0]  exp1_q;
  logic [23:0] mant1_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin
      sign1_q   <= sign0_q;
      zero1_q   <= zero0_q;
      exp1_q    <= exp0_q + {9'd0, prod0_q[47]};
      mant1_q   <= prod0_q[47] ? prod0_q[47:24] : prod0_q[46:23];
      guard1_q  <= prod0_q[47] ? prod0_q[23] : prod0_q[22];
      sticky1_q <= prod0_q[21:0] != 22'd0 || (prod0_q[47] && prod0_q[22]);
    end
  end

  // Stage 2: round.
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : round
      logic [24:0] mant;
      logic [9:0]  expo;
      mant = {1'b0, mant1_q} + {24'd0, guard1_q & (sticky1_q | mant1_q[0])};
      expo = exp1_q + {9'd0, mant[24]};
      y_o <= (zero1_q || expo[9] || expo[8:0] <= 9'd1) ? 32'd0
           : (expo[8:0] >= 9'd255) ? {sign1_q, fp_pkg::MaxMag}
           : {sign1_q, expo[7:0], mant[24] ? mant[23:1] : mant[22:0]};
    end
  end
endmodule

`default_nettype wire
