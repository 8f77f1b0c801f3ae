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

  logic        sign0_q;
  logic [31:0] mag0_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      sign0_q <= x_i[31];
      mag0_q  <= x_i[31] ? -x_i : x_i;
    end
  end

  logic        sign1_q;
  logic [4:0]  lz1_q;
  logic [31:0] norm1_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : normalise
      logic [4:0]  lz;
      logic [31:0] v;
      lz[4] = mag0_q[31:16] == 16'd0;
      v     = lz[4] ? mag0_q << 16 : mag0_q;
      lz[3] = v[31:24] == 8'd0;
      v     = lz[3] ? v << 8 : v;
      lz[2] = v[31:28] == 4'd0;
      v     = lz[2] ? v << 4 : v;
      lz[1] = v[31:30] == 2'd0;
      v     = lz[1] ? v << 2 : v;
      lz[0] = !v[31];
      sign1_q <= sign0_q;
      lz1_q   <= lz;
      norm1_q <= mag0_q << lz;
    end
  end

  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : round
      logic [24:0] mant;
      mant = {1'b0, norm1_q[31:8]} + {24'd0, norm1_q[7] & (norm1_q[6:0] != 7'd0 || norm1_q[8])};
      y_o <= !norm1_q[31] ? 32'd0
           : {sign1_q, 8'd158 - {3'd0, lz1_q} + {7'd0, mant[24]},
              mant[24] ? mant[23:1] : mant[22:0]};
    end
  end
endmodule

`default_nettype wire
