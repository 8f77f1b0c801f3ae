// Activations for a few slices: picks, by N:M mode, the block of 16 window bytes that each pair of
// stored inputs selects from, and brings the blocks to the fast clock, skewed for the cascade.
//
// Stored inputs 2p and 2p + 1 use the same block: 0 (dense), p/4 (2:4, 8:16), p/2 (4:16), p (2:16).
// A beat of kernel cycle t is in the registers of t + 1, so in the fast cycles 2t + 2 and 2t + 3; DSP
// pair i (stored inputs 2i, 2i + 1, then 2i + 8, 2i + 9) gets its blocks in 2t + 3 + 2i and the next.
`default_nettype none

module mpe_feed (
  input  wire          clk_i,
  input  wire          clk2x_i,
  input  wire          valid_i,
  input  wire          ce2x_i,
  input  wire          second_i,  // fast: second half of the kernel cycle
  input  wire    [2:0] nm_i,
  input  wire [1023:0] act0_i,
  input  wire [1023:0] act1_i,
  output wire [1023:0] pair_o     // fast: DSP pair i: row 0, row 1 blocks at 256 i
);
  logic [255:0] block_q [0:7];
  for (genvar p = 0; p < 8; p++) begin : g_block
    always_ff @(posedge clk_i) begin
      if (valid_i) begin
        case (nm_i)
          fvlm_isa_pkg::MM_NM_DENSE:
            block_q[p] <= {act1_i[127:0], act0_i[127:0]};
          fvlm_isa_pkg::MM_NM_S2OF4, fvlm_isa_pkg::MM_NM_S8OF16:
            block_q[p] <= {act1_i[128*(p/4) +: 128], act0_i[128*(p/4) +: 128]};
          fvlm_isa_pkg::MM_NM_S4OF16:
            block_q[p] <= {act1_i[128*(p/2) +: 128], act0_i[128*(p/2) +: 128]};
          default:
            block_q[p] <= {act1_i[128*p +: 128], act0_i[128*p +: 128]};
        endcase
      end
    end
  end

  for (genvar i = 0; i < 4; i++) begin : g_pair
    logic [255:0] skew_q [0:2*i];
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
