// Two interleaved accumulators in one DSP48E2: p = p of two cycles ago + x + carry, or x + carry in cycles
// with first. The loop goes through the C register, so each of the two takes every other cycle. X: A:B, Z: C
// or 0. Behavioural twin: prim/model/dsp48_acc.sv.
`default_nettype none

module dsp48_acc (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire         none_i,   // x and carry count as 0
  input  wire         first_i,
  input  wire  [28:0] x_i,      // signed
  input  wire         carry_i,
  output wire  [31:0] p_o
);
  wire [47:0] p;
  wire [47:0] x;
  assign x   = {{19{x_i[28]}}, x_i};
  assign p_o = p[31:0];

  DSP48E2 #(
    .AMULTSEL("A"), .BMULTSEL("B"), .PREADDINSEL("A"), .USE_MULT("NONE"),
    .AREG(1), .ACASCREG(1), .DREG(0), .ADREG(0), .BREG(1), .BCASCREG(1), .MREG(0), .PREG(1),
    .CREG(1), .ALUMODEREG(0), .CARRYINREG(1), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(1)
  ) u_dsp (
    .CLK(clk_i),
    .A(x[47:18]),
    .B(x[17:0]),
    .C(p),
    .D(27'd0),
    .PCIN(48'd0),
    .P(p),
    .PCOUT(),
    .INMODE(5'd0),
    .OPMODE({2'b00, 1'b0, {2{!first_i}}, 4'b0011}),
    .ALUMODE(4'b0000),
    .CARRYIN(carry_i), .CARRYINSEL(3'b000),
    .CEA1(1'b0), .CEA2(ce_i), .CEAD(1'b0), .CEALUMODE(1'b0), .CEB1(1'b0), .CEB2(ce_i),
    .CEC(ce_i), .CECARRYIN(ce_i), .CECTRL(ce_i), .CED(1'b0), .CEINMODE(1'b0), .CEM(1'b0), .CEP(ce_i),
    .RSTA(none_i && ce_i), .RSTALLCARRYIN(none_i && ce_i), .RSTALUMODE(1'b0), .RSTB(none_i && ce_i), .RSTC(1'b0),
    .RSTCTRL(1'b0), .RSTD(1'b0), .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0),
    .ACIN(30'd0), .BCIN(18'd0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .MULTSIGNOUT(), .CARRYOUT(), .OVERFLOW(), .UNDERFLOW(),
    .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT()
  );
endmodule

`default_nettype wire
