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

  // Stage 0: 24 x 24 product in two parts, each a multiplier cell. A zero operand is a zero significand.
  logic        sign0_q, zero0_q;
  logic [9:0]  exp0_q;
  logic [40:0] low0_q;
  logic [30:0] high0_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      sign0_q <= a_i[31] ^ b_i[31];
      zero0_q <= a_i[30:23] == 8'd0 || b_i[30:23] == 8'd0;
      exp0_q  <= {2'b00, a_i[30:23]} + {2'b00, b_i[30:23]} - 10'd127;
      low0_q  <= {17'd0, 1'b1, a_i[22:0]} * {24'd0, b_i[16:0]};
      high0_q <= {7'd0, 1'b1, a_i[22:0]} * {24'd0, 1'b1, b_i[22:17]};
    end
  end

  // Stage 1: add, normalise (the product of two significands in [1,2) is in [1,4)).
  logic        sign1_q, zero1_q, guard1_q, sticky1_q;
  logic [9:0]  exp1_q;
  logic [23:0] mant1_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : normalise
      logic [47:0] prod;
      prod = {high0_q + {7'd0, low0_q[40:17]}, low0_q[16:0]};
      sign1_q   <= sign0_q;
      zero1_q   <= zero0_q;
      exp1_q    <= exp0_q + {9'd0, prod[47]};
      mant1_q   <= prod[47] ? prod[47:24] : prod[46:23];
      guard1_q  <= prod[47] ? prod[23] : prod[22];
      sticky1_q <= prod[21:0] != 22'd0 || (prod[47] && prod[22]);
    end
  end

  // Stage 2: round. A significand that rounds up to 2^24 has zeros below anyway.
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : round
      /* verilator lint_off UNUSEDSIGNAL */  // bit 23, the leading one
      logic [24:0] mant;
      /* verilator lint_on UNUSEDSIGNAL */
      logic [9:0]  expo;
      logic        none, over;
      mant = {1'b0, mant1_q} + {24'd0, guard1_q & (sticky1_q | mant1_q[0])};
      expo = exp1_q + {9'd0, mant[24]};
      none = zero1_q || expo[9] || expo[8:1] == 8'd0;
      over = !expo[9] && (expo[8] || expo[7:0] == 8'hff);
      y_o[31]    <= sign1_q;
      y_o[30:23] <= over ? 8'hfe : expo[7:0];
      y_o[22:0]  <= {23{over}} | mant[22:0];
      if (none) y_o <= 32'd0;
    end
  end
endmodule

`default_nettype wire
