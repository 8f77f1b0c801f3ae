// Port lists of the device cells for lint and elaboration of prim/xilinx; synthesis has its own.
`default_nettype none

(* blackbox *)
module DSP48E2 #(
  parameter AMULTSEL = "A", parameter BMULTSEL = "B", parameter PREADDINSEL = "A", parameter USE_MULT = "MULTIPLY",
  parameter int AREG = 1, parameter int ACASCREG = 1, parameter int DREG = 1,
  parameter int ADREG = 1, parameter int BREG = 1, parameter int BCASCREG = 1,
  parameter int MREG = 1, parameter int PREG = 1, parameter int CREG = 1,
  parameter int ALUMODEREG = 1, parameter int CARRYINREG = 1, parameter int CARRYINSELREG = 1,
  parameter int INMODEREG = 1, parameter int OPMODEREG = 1
) (
  input  wire         CLK,
  input  wire  [29:0] A,
  input  wire  [17:0] B,
  input  wire  [47:0] C,
  input  wire  [26:0] D,
  input  wire  [47:0] PCIN,
  output logic [47:0] P,
  output logic [47:0] PCOUT,
  input  wire  [4:0]  INMODE,
  input  wire  [8:0]  OPMODE,
  input  wire  [3:0]  ALUMODE,
  input  wire         CARRYIN,
  input  wire  [2:0]  CARRYINSEL,
  input  wire         CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED,
  input  wire         CEINMODE, CEM, CEP,
  input  wire         RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE,
  input  wire         RSTM, RSTP,
  input  wire  [29:0] ACIN,
  input  wire  [17:0] BCIN,
  input  wire         CARRYCASCIN, MULTSIGNIN,
  output logic [29:0] ACOUT,
  output logic [17:0] BCOUT,
  output logic        CARRYCASCOUT, MULTSIGNOUT,
  output logic [3:0]  CARRYOUT,
  output logic        OVERFLOW, UNDERFLOW, PATTERNDETECT, PATTERNBDETECT,
  output logic [7:0]  XOROUT
);
endmodule

(* blackbox *)
module MUXF7 (
  output wire O,
  input  wire I0,
  input  wire I1,
  input  wire S
);
endmodule

(* blackbox *)
module MUXF8 (
  output wire O,
  input  wire I0,
  input  wire I1,
  input  wire S
);
endmodule

`default_nettype wire
