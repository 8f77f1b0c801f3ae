// Unsigned 16-bit quotient, two bits a cycle: 8 cycles. Used once per command, for address checks.
// start_i takes the operands; quotient_o is right from the 8th cycle after it. Divisor 0 gives
// rubbish, which the caller ignores.
`default_nettype none

module vx_divide (
  input  wire         clk_i,
  input  wire         start_i,
  input  wire         step_i,
  input  wire  [15:0] dividend_i,
  input  wire  [15:0] divisor_i,
  output logic [15:0] quotient_o
);
  // {remainder, dividend bits to come, quotient bits so far}
  function automatic logic [31:0] step(input logic [31:0] x, input logic [15:0] divisor);
    logic [16:0] rest, diff;
    rest = x[31:15];
    diff = rest - {1'b0, divisor};
    step = diff[16] ? {rest[15:0], x[14:0], 1'b0} : {diff[15:0], x[14:0], 1'b1};
  endfunction

  logic [31:0] state_q;
  assign quotient_o = state_q[15:0];
  always_ff @(posedge clk_i) begin
    if (start_i) state_q <= {16'd0, dividend_i};
    else if (step_i) state_q <= step(step(state_q, divisor_i), divisor_i);
  end
endmodule

`default_nettype wire
