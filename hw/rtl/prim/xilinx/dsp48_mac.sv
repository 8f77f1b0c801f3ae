// One DSP slice as a packed double MAC: p = pcin + ((a << 19) + d) * b, plus p itself in cycles with
// acc, on a DSP48E2. A carries the high lane, D the low lane, B the weight; pre-adder, multiplier and
// the four-input adder (W: P or 0, X and Y: product, Z: PCIN or 0) are all registered. Behavioural
// twin: prim/model/dsp48_mac.sv.
`default_nettype none

module dsp48_mac #(
  parameter bit First = 1'b0,
  parameter bit Last  = 1'b0
) (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire         acc_i,
  input  wire  [7:0]  a_i,
  input  wire  [7:0]  d_i,
  input  wire  [7:0]  b_i,
  input  wire  [47:0] pcin_i,
  output logic [47:0] p_o,
  output logic [47:0] pcout_o   // to pcin_i of the next slice: the dedicated cascade wire
);
  wire [8:0] opmode;
  assign opmode = {1'b0, Last && acc_i, First ? 3'b000 : 3'b001, 4'b0101};

  DSP48E2 #(
    .AMULTSEL("AD"), .BMULTSEL("B"), .PREADDINSEL("A"),
    .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(1), .BREG(2), .BCASCREG(2), .MREG(1), .PREG(1),
    .CREG(0), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(1)
  ) u_dsp (
    .CLK(clk_i),
    .A({{3{a_i[7]}}, a_i, 19'd0}),
    .B({{10{b_i[7]}}, b_i}),
    .C(48'd0),
    .D({{19{d_i[7]}}, d_i}),
    .PCIN(pcin_i),
    .P(p_o),
    .PCOUT(pcout_o),
    .INMODE(5'b00100),
    .OPMODE(opmode),
    .ALUMODE(4'b0000),
    .CARRYIN(1'b0), .CARRYINSEL(3'b000),
    .CEA1(1'b0), .CEA2(ce_i), .CEAD(ce_i), .CEALUMODE(1'b0), .CEB1(ce_i), .CEB2(ce_i),
    .CEC(1'b0), .CECARRYIN(1'b0), .CECTRL(ce_i), .CED(ce_i), .CEINMODE(1'b0), .CEM(ce_i), .CEP(ce_i),
    .RSTA(1'b0), .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0),
    .RSTD(1'b0), .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0),
    .ACIN(30'd0), .BCIN(18'd0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .MULTSIGNOUT(), .CARRYOUT(), .OVERFLOW(), .UNDERFLOW(),
    .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT()
  );
endmodule

`default_nettype wire
