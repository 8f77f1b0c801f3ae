// Selectors of stored words: constants for dense words, else from index units, written two cycles after
// the unit (of dense words: the first value unit). The masks of s8of16 are decoded half a unit (8
// outputs) a cycle, the second half is written a cycle after the first; a unit of another kind comes
// between any two of masks. So no write ever meets another.
`default_nettype none

module expand_selectors #(
    parameter int unsigned AddrW = 9
) (
    input  logic             clk_i,
    input  logic             rst_ni,

    input  logic             write_i,  // selectors of the word at addr_i
    input  logic [2:0]       nm_i,
    input  logic             part_i,   // s4of16, s2of16: which of the two units
    input  logic [AddrW-1:0] addr_i,
    input  logic [511:0]     unit_i,

    output logic [1:0]       we_o,     // halves of the outputs
    output logic [AddrW-1:0] addr_o,
    output logic [1023:0]    sel_o     // selector of (n, k) in bits 4(16n+k)+3:..
);
  logic is_mask, is_dense, is_2of4;
  assign is_mask  = nm_i == fvlm_isa_pkg::LD_NM_S8OF16;
  assign is_dense = nm_i == fvlm_isa_pkg::LD_NM_DENSE;
  assign is_2of4  = nm_i == fvlm_isa_pkg::LD_NM_S2OF4;

  // A cycle later: the unit, and the first half's counts; then the second half's.
  logic             write_q, mask_q, dense_q, s2of4_q, second_q;
  logic [1:0]       halves_q;
  logic [AddrW-1:0] addr_q;
  logic [511:0]     unit_q, position;
  logic [255:0]     mask;
  logic [191:0]     half_q;
  logic [383:0]     behind, behind_q;
  logic [95:0]      count, count_q;
  logic             take, first_q;  // first_q: the first half is in the registers, the second goes next
  assign take = write_i && is_mask;
  assign mask = first_q ? unit_q[511:256] : unit_i[255:0];
  rank_count #(
      .Masks(16)
  ) u_count (
      .en_i    (take || first_q),
      .mask_i  (mask),
      .behind_o(behind),
      .count_o (count)
  );
  rank_find #(
      .Masks(16)
  ) u_find (
      .en_i      (first_q || second_q),
      .mask_i    (half_q),
      .behind_i  (behind_q),
      .count_i   (count_q),
      .position_o(position)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q  <= 1'b0;
      first_q  <= 1'b0;
      second_q <= 1'b0;
    end else begin
      write_q  <= write_i;
      first_q  <= take;
      second_q <= first_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (write_i) begin
      mask_q   <= is_mask;
      dense_q  <= is_dense;
      s2of4_q  <= is_2of4;
      halves_q <= (is_dense || is_2of4) ? 2'b11 : (is_mask || !part_i) ? 2'b01 : 2'b10;
      addr_q   <= addr_i;
      unit_q   <= unit_i;
    end
    if (take || first_q) begin
      for (int i = 0; i < 64; i++) half_q[3*i+:3] <= mask[4*i+:3];
      behind_q <= behind;
      count_q  <= count;
    end
  end

  // Two cycles later. Both halves differ only in how they take 2:4's positions.
  logic [1:0]       we_q;
  logic [AddrW-1:0] sel_addr_q;
  logic [511:0]     low_q, source;
  logic [255:0]     high_q;  // bits 1:0 of each selector of the upper half
  assign source = (mask_q || second_q) ? position : unit_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) we_q <= 2'b00;
    else we_q <= second_q ? 2'b10 : (halves_q & {2{write_q}});
  end
  always_ff @(posedge clk_i) begin
    if (write_q || second_q) sel_addr_q <= addr_q;
  end
  always_ff @(posedge clk_i) begin
    if (write_q || second_q) begin
      for (int i = 0; i < 16; i++) begin
        // Eight selectors: stored inputs 0..7 or 8..15 of an output.
        if (dense_q) begin
          low_q[32*i+:32]  <= (i % 2 == 1) ? 32'hfedc_ba98 : 32'h7654_3210;
          high_q[16*i+:16] <= {2{8'b11_10_01_00}};
        end else if (s2of4_q) begin
          // Blocks of four positions, a pair of stored inputs each.
          low_q[32*i+:32] <= (source[32*i+:32] & 32'h3333_3333) | 32'hcc88_4400;
          for (int k = 0; k < 8; k++) high_q[16*i+2*k+:2] <= source[32*i+4*k+2+:2];
        end else begin
          low_q[32*i+:32] <= source[32*i+:32];
          for (int k = 0; k < 8; k++) high_q[16*i+2*k+:2] <= source[32*i+4*k+:2];
        end
      end
    end
  end

  assign we_o   = we_q;
  assign addr_o = sel_addr_q;
  always_comb begin
    sel_o[511:0] = low_q;
    for (int i = 0; i < 128; i++) sel_o[512+4*i+:4] = {low_q[4*i+2+:2], high_q[2*i+:2]};
  end
endmodule

`default_nettype wire
