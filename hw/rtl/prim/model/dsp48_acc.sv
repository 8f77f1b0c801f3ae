// Two interleaved accumulators in one DSP slice: p = p of two cycles ago + x + carry, or x + carry in cycles
// with first. Behavioural model with the registers of the DSP48E2 settings in prim/xilinx/dsp48_acc.sv; same
// name and ports. Latency: x, carry, first -> p 2 cycles.
`default_nettype none

module dsp48_acc (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire         none_i,   // x and carry count as 0
  input  wire         first_i,
  input  wire  [28:0] x_i,      // signed
  input  wire         carry_i,
  output logic [31:0] p_o
);
  logic        carry_q, first_q;
  logic [28:0] x_q;
  logic [31:0] c_q;
  always_ff @(posedge clk_i) begin
    if (ce_i) begin
      x_q     <= none_i ? 29'd0 : x_i;
      carry_q <= !none_i && carry_i;
      first_q <= first_i;
      c_q     <= p_o;
      p_o     <= (first_q ? 32'd0 : c_q) + {{3{x_q[28]}}, x_q} + {31'd0, carry_q};
    end
  end
endmodule

`default_nettype wire
