// One DSP slice as a packed double MAC: p = pcin + ((a << 19) + d) * b, plus p itself in cycles with
// acc. Behavioural model with the registers of the DSP48E2 settings in prim/xilinx/dsp48_mac.sv; same
// name and ports.
// Latency: a, d, b -> p 4 cycles; pcin -> p 1 cycle; acc -> p 2 cycles. Public ports keep instances
// alike: see fp_add.
`default_nettype none

module dsp48_mac #(
  parameter bit First = 1'b0,  // first slice of a chain: pcin is ignored
  parameter bit Last  = 1'b0   // last slice of a chain: acc_i counts
) (
  input  wire         clk_i,
  input  wire         ce_i /*verilator public_flat_rd*/,
  input  wire         acc_i /*verilator public_flat_rd*/,
  input  wire  [7:0]  a_i /*verilator public_flat_rd*/,      // high lane, not -128
  input  wire  [7:0]  d_i /*verilator public_flat_rd*/,      // low lane
  input  wire  [7:0]  b_i /*verilator public_flat_rd*/,      // weight
  input  wire  [47:0] pcin_i /*verilator public_flat_rd*/,
  output logic [47:0] p_o,
  output logic [47:0] pcout_o   // to pcin_i of the next slice: the dedicated cascade wire
);
  /*verilator no_inline_module*/

  logic        acc_q;
  logic [7:0]  a_q, d_q, b1_q, b2_q;
  logic [26:0] ad_q;
  logic [44:0] m_q;
  always_ff @(posedge clk_i) begin
    if (ce_i) begin
      acc_q <= Last && acc_i;
      a_q   <= a_i;
      d_q   <= d_i;
      b1_q  <= b_i;
      ad_q  <= {a_q, 19'd0} + {{19{d_q[7]}}, d_q};
      b2_q  <= b1_q;
      m_q   <= {{18{ad_q[26]}}, ad_q} * {{37{b2_q[7]}}, b2_q};
      p_o   <= (First ? 48'd0 : pcin_i) + {{3{m_q[44]}}, m_q} + (acc_q ? p_o : 48'd0);
    end
  end
  assign pcout_o = p_o;
endmodule

`default_nettype wire
