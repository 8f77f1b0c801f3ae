// Picks, by N:M mode, the block of 16 window bytes that each pair of stored inputs selects from: stored
// inputs 2p and 2p + 1 use the same block, 0 (dense), p/4 (2:4, 8:16), p/2 (4:16), p (2:16).
`default_nettype none

module mpe_blocks (
  input  wire     [2:0] nm_i,
  input  wire  [1023:0] act0_i,
  input  wire  [1023:0] act1_i,
  output logic [2047:0] blocks_o   // pair p: row 0, row 1 at 256 p
);
  for (genvar p = 0; p < 8; p++) begin : g_block
    always_comb begin
      case (nm_i)
        fvlm_isa_pkg::MM_NM_DENSE:
          blocks_o[256*p +: 256] = {act1_i[127:0], act0_i[127:0]};
        fvlm_isa_pkg::MM_NM_S2OF4, fvlm_isa_pkg::MM_NM_S8OF16:
          blocks_o[256*p +: 256] = {act1_i[128*(p/4) +: 128], act0_i[128*(p/4) +: 128]};
        fvlm_isa_pkg::MM_NM_S4OF16:
          blocks_o[256*p +: 256] = {act1_i[128*(p/2) +: 128], act0_i[128*(p/2) +: 128]};
        default:
          blocks_o[256*p +: 256] = {act1_i[128*p +: 128], act0_i[128*p +: 128]};
      endcase
    end
  end
endmodule

`default_nettype wire
