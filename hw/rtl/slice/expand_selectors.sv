// Selectors of stored words: constants for dense words, else from index units. All forms are plain
// wiring written in the cycle of their unit, but the masks of s8of16: 16 decoders take one half of a
// unit (8 outputs) a cycle and write two cycles later; units wait their turn in up to two halves of
// storage. A word has at least as many units as halves, and is visible two cycles after its last
// unit, so the selectors are there with the word.
`default_nettype none

module expand_selectors #(
    parameter int unsigned AddrW = 9
) (
    input  logic             clk_i,
    input  logic             rst_ni,

    input  logic             write_i,   // selectors of the word at addr_i; not while busy_o unless s8of16
    input  logic [2:0]       nm_i,
    input  logic             part_i,    // s4of16, s2of16: which of the two units
    input  logic [AddrW-1:0] addr_i,
    input  logic [511:0]     unit_i,
    output logic             busy_o,    // masks wait to be written

    output logic [1:0]       we_o,
    output logic [AddrW-1:0] addr_o,
    output logic [1023:0]    sel_o      // selector of (n, k) in bits 4(16n+k)+3:..
);
  logic is_mask, direct;
  assign is_mask = nm_i == fvlm_isa_pkg::LD_NM_S8OF16;
  assign direct  = write_i && !is_mask;

  // ---- Masks: halves that wait (oldest in 0), counts, positions.
  logic [255:0]     wait0_q, wait1_q, mask;
  logic [AddrW-1:0] addr0_q, addr1_q, decode_addr, done_addr_q;
  logic             half0_q, half1_q, decode_half, done_half_q, done_q;
  logic [AddrW-1:0] counted_addr_q;
  logic             counted_half_q, counted_q;
  logic [1023:0]    counts, counts_q;
  logic [1:0]       count_q;
  logic             take, decode;
  logic [511:0]     position, done_sel_q;

  assign take        = write_i && is_mask;
  assign decode      = take || count_q != '0;
  assign mask        = (count_q != '0) ? wait0_q : unit_i[255:0];
  assign decode_addr = (count_q != '0) ? addr0_q : addr_i;
  assign decode_half = (count_q != '0) && half0_q;
  assign busy_o      = count_q != '0 || counted_q || done_q;

  rank_count #(
      .Masks(16)
  ) u_count (
      .en_i   (decode),
      .mask_i (mask),
      .count_o(counts)
  );
  rank_find #(
      .Masks(16)
  ) u_find (
      .en_i      (counted_q),
      .count_i   (counts_q),
      .position_o(position)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q   <= '0;
      counted_q <= 1'b0;
      done_q    <= 1'b0;
    end else begin
      counted_q <= decode;
      done_q    <= counted_q;
      if (take) count_q <= count_q + 2'd1;
      else if (count_q != '0) count_q <= count_q - 2'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (decode) begin
      counts_q       <= counts;
      counted_addr_q <= decode_addr;
      counted_half_q <= decode_half;
    end
    if (counted_q) begin
      done_sel_q  <= position;
      done_addr_q <= counted_addr_q;
      done_half_q <= counted_half_q;
    end
    if (take && count_q == '0) begin
      wait0_q <= unit_i[511:256];
      addr0_q <= addr_i;
      half0_q <= 1'b1;
    end else if (take) begin
      wait0_q <= unit_i[255:0];
      addr0_q <= addr_i;
      half0_q <= 1'b0;
      wait1_q <= unit_i[511:256];
      addr1_q <= addr_i;
      half1_q <= 1'b1;
    end else if (count_q != '0) begin
      wait0_q <= wait1_q;
      addr0_q <= addr1_q;
      half0_q <= half1_q;
    end
  end

  // ---- Write port.
  assign addr_o = done_q ? done_addr_q : addr_i;
  always_comb begin
    we_o = '0;
    if (done_q) we_o = done_half_q ? 2'b10 : 2'b01;
    else if (direct) begin
      case (nm_i)
        fvlm_isa_pkg::LD_NM_DENSE, fvlm_isa_pkg::LD_NM_S2OF4: we_o = 2'b11;
        default: we_o = part_i ? 2'b10 : 2'b01;
      endcase
    end
  end

  always_comb begin : data
    sel_o = 'x;
    if (done_q) sel_o = {2{done_sel_q}};
    else if (direct) begin
      case (nm_i)
        fvlm_isa_pkg::LD_NM_DENSE: sel_o = {16{64'hfedc_ba98_7654_3210}};
        fvlm_isa_pkg::LD_NM_S2OF4: begin
          // Stored inputs 2j and 2j + 1 come from block j, four blocks a section of the window.
          for (int i = 0; i < 32; i++) begin
            sel_o[32*i+:32] = {2'd3, unit_i[16*i+14+:2], 2'd3, unit_i[16*i+12+:2],
                               2'd2, unit_i[16*i+10+:2], 2'd2, unit_i[16*i+8+:2],
                               2'd1, unit_i[16*i+6+:2], 2'd1, unit_i[16*i+4+:2],
                               2'd0, unit_i[16*i+2+:2], 2'd0, unit_i[16*i+:2]};
          end
        end
        default: sel_o = {2{unit_i}};
      endcase
    end
  end
endmodule

`default_nettype wire
