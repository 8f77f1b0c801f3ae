// Port lists of the clocking cells that card/card_clock.sv uses, for lint.
`default_nettype none

(* blackbox *)
module MMCME4_BASE #(
    parameter real CLKIN1_PERIOD = 0.0,
    parameter real CLKFBOUT_MULT_F = 5.0,
    parameter real CLKOUT0_DIVIDE_F = 1.0
) (
    input  wire  CLKIN1, CLKFBIN, RST, PWRDWN,
    output logic CLKFBOUT, CLKOUT0, LOCKED
);
endmodule

(* blackbox *)
module BUFG (
    input  wire  I,
    output logic O
);
endmodule

`default_nettype wire
