// Twice the kernel's clock, edges aligned, for the DSP array. The platform's second kernel clock has no
// fixed phase to the first, so the clock is made here; its BUFG and the feedback's have the same delay.
`default_nettype none

module card_clock #(
    parameter int unsigned ClockMhz = 225
) (
    input  wire  clk_i,
    input  wire  rst_ni,
    output logic clk2x_o,
    output logic locked_o
);
  // The oscillator runs at 800 to 1600 MHz (DS923); an even factor gives twice the clock exactly.
  localparam int unsigned Factor = 2 * ((800 + 2 * ClockMhz - 1) / (2 * ClockMhz));
  localparam real PeriodNs = 1000.0 / ClockMhz;
  localparam real Multiply = 1.0 * Factor;
  localparam real Divide = 0.5 * Factor;

  logic feedback, feedback_bufg, clk2x;

  MMCME4_BASE #(
      .CLKIN1_PERIOD(PeriodNs),
      .CLKFBOUT_MULT_F(Multiply),
      .CLKOUT0_DIVIDE_F(Divide)
  ) u_mmcm (
      .CLKIN1  (clk_i),
      .CLKFBIN (feedback_bufg),
      .RST     (!rst_ni),
      .PWRDWN  (1'b0),
      .CLKFBOUT(feedback),
      .CLKOUT0 (clk2x),
      .LOCKED  (locked_o)
  );
  BUFG u_feedback (.I(feedback), .O(feedback_bufg));
  BUFG u_clk2x (.I(clk2x), .O(clk2x_o));
endmodule

`default_nettype wire
