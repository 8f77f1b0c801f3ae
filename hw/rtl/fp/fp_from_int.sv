// int32 to canonical f32, nearest even, three register stages.
// ce_i[i] loads stage i (see fp_add). The exponent is 127..158, so canonical form is automatic.
`default_nettype none

module fp_from_int (
  input  wire         clk_i,
  input  wire  [2:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  // Stage 0: magnitude, and beside it the leading zeros of the one's complement, which are one too
  // many for the negative powers of two.
  logic        sign0_q;
  logic [31:0] mag0_q;
  logic        upper0_q;   // the leading one is in the upper half
  logic [7:0]  zeros0_q;   // of each half
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin : magnitude
      logic [31:0] v;
      logic [7:0]  any4;       // by four bits, eight; zeros also by sixteen
      logic [3:0]  any8;
      logic [15:0] in4;
      logic [11:0] in8;
      logic [7:0]  in16;
      v = x_i ^ {32{x_i[31]}};
      for (int i = 0; i < 8; i++) begin
        any4[i]       = v[4*i +: 4] != 4'd0;
        in4[2*i +: 2] = v[3+4*i] ? 2'd0 : v[2+4*i] ? 2'd1 : v[1+4*i] ? 2'd2 : 2'd3;
      end
      for (int i = 0; i < 4; i++) begin
        any8[i]       = any4[2*i+1] || any4[2*i];
        in8[3*i +: 3] = any4[2*i+1] ? {1'b0, in4[4*i+2 +: 2]} : {1'b1, in4[4*i +: 2]};
      end
      for (int i = 0; i < 2; i++) begin
        in16[4*i +: 4] = any8[2*i+1] ? {1'b0, in8[6*i+3 +: 3]} : {1'b1, in8[6*i +: 3]};
      end
      sign0_q  <= x_i[31];
      mag0_q   <= v + {31'd0, x_i[31]};
      upper0_q <= any8[3] || any8[2];
      zeros0_q <= in16;
    end
  end

  // Stage 1: normalise, the leading one to bit 31, or to bit 32 for those powers of two.
  logic        sign1_q;
  logic [4:0]  zeros1_q;
  logic [32:0] norm1_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : normalise
      logic [4:0] zeros;
      zeros = upper0_q ? {1'b0, zeros0_q[7:4]} : {1'b1, zeros0_q[3:0]};
      sign1_q  <= sign0_q;
      zeros1_q <= zeros;
      norm1_q  <= {1'b0, mag0_q} << zeros;
    end
  end

  // Stage 2: round. A significand that rounds up to 2^24 has zeros below anyway.
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : round
      /* verilator lint_off UNUSEDSIGNAL */  // bit 23, the leading one
      logic [24:0] mant;
      /* verilator lint_on UNUSEDSIGNAL */
      mant = {1'b0, norm1_q[31:8]} + {24'd0, norm1_q[7] & (norm1_q[6:0] != 7'd0 || norm1_q[8])};
      y_o[31]    <= sign1_q;
      y_o[30:23] <= 8'd158 - {3'd0, zeros1_q} + {7'd0, mant[24] | norm1_q[32]};
      y_o[22:0]  <= mant[22:0];
      if (norm1_q[32:31] == 2'd0) y_o <= 32'd0;
    end
  end
endmodule

`default_nettype wire
