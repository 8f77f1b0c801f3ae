// Activation blocks for a few slices (mpe_blocks has picked them): a copy near the slices, brought to the
// fast clock and skewed for the cascade.
//
// A beat of kernel cycle t is in the registers of t + 1, so in the fast cycles 2t + 2 and 2t + 3; DSP
// pair i (stored inputs 2i, 2i + 1, then 2i + 8, 2i + 9) gets its blocks in 2t + 3 + 2i and the next.
// Skews are flip-flops: the array has plenty of them and no LUT to spare for shift registers.
`default_nettype none

module mpe_feed (
  input  wire          clk_i,
  input  wire          clk2x_i,
  input  wire          valid_i,
  input  wire          ce2x_i,
  input  wire          second_i,  // fast: second half of the kernel cycle
  input  wire [2047:0] blocks_i,
  output wire [1023:0] pair_o     // fast: DSP pair i: row 0, row 1 blocks at 256 i
);
  logic [255:0] block_q [0:7];
  for (genvar p = 0; p < 8; p++) begin : g_block
    always_ff @(posedge clk_i) begin
      if (valid_i) block_q[p] <= blocks_i[256*p +: 256];
    end
  end

  for (genvar i = 0; i < 4; i++) begin : g_pair
    (* shreg_extract = "no" *) logic [255:0] skew_q [0:2*i];
    always_ff @(posedge clk2x_i) begin
      if (ce2x_i) begin
        skew_q[0] <= second_i ? block_q[i+4] : block_q[i];
        for (int d = 1; d <= 2 * i; d++) skew_q[d] <= skew_q[d-1];
      end
    end
    assign pair_o[256*i +: 256] = skew_q[2*i];
  end
endmodule

`default_nettype wire
