// Weights and selectors of one chain: brings them to the fast clock and skews them for the cascade. DSP
// j sees stored input j, then j + 8, in the fast cycles (of a beat of kernel cycle t)
// 2t + 4 + j and the next (selector), 2t + 5 + j and the next (value).
`default_nettype none

module mpe_weights (
  input  wire         clk_i,
  input  wire         clk2x_i,
  input  wire         valid_i,
  input  wire         ce2x_i,
  input  wire         second_i,  // fast: second half of the kernel cycle
  input  wire [127:0] w_i,
  input  wire  [63:0] sel_i,
  output wire  [63:0] w_o,
  output wire  [31:0] sel_o
);
  /*verilator no_inline_module*/

  logic [127:0] w_q;
  logic  [63:0] sel_q;
  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      w_q   <= w_i;
      sel_q <= sel_i;
    end
  end

  for (genvar j = 0; j < 8; j++) begin : g_dsp
    // Selector in the low bits, as long as both are needed. Flip-flops, as in mpe_feed.
    (* shreg_extract = "no" *) logic [11:0] skew_q [0:j+1];
    logic  [7:0] value_q;
    always_ff @(posedge clk2x_i) begin
      if (ce2x_i) begin
        skew_q[0] <= second_i ? {w_q[8*(j+8) +: 8], sel_q[4*(j+8) +: 4]}
                              : {w_q[8*j +: 8], sel_q[4*j +: 4]};
        for (int d = 1; d <= j + 1; d++) skew_q[d] <= skew_q[d-1];
        value_q <= skew_q[j+1][11:4];
      end
    end
    assign sel_o[4*j +: 4] = skew_q[j+1][3:0];
    assign w_o[8*j +: 8]   = value_q;
  end
endmodule

`default_nettype wire
