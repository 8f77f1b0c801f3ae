// Selectors of stored words: constants for dense words, else from index units. All forms are plain
// wiring written in the cycle of their unit, but the masks of s8of16: 16 rank decoders take one
// half of a unit (8 outputs) a cycle and write one cycle later; units wait their turn in up to two
// halves of storage. A word has at least as many units as halves, so they are ready with the word.
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

  // ---- Masks: halves that wait (oldest in 0), decoders, register.
  logic [255:0]     wait0_q, wait1_q, mask;
  logic [AddrW-1:0] addr0_q, addr1_q, decode_addr, done_addr_q;
  logic             half0_q, half1_q, decode_half, done_half_q, done_q;
  logic [1:0]       count_q;
  logic             take, decode;
  logic [511:0]     position, done_sel_q;

  assign take        = write_i && is_mask;
  assign decode      = take || count_q != '0;
  assign mask        = (count_q != '0) ? wait0_q : unit_i[255:0];
  assign decode_addr = (count_q != '0) ? addr0_q : addr_i;
  assign decode_half = (count_q != '0) && half0_q;
  assign busy_o      = count_q != '0 || done_q;

  for (genvar i = 0; i < 16; i++) begin : gen_decode
    rank_decode u_rank (
        .en_i      (decode),
        .mask_i    (mask[16*i+:16]),
        .position_o(position[32*i+:32])
    );
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= '0;
      done_q  <= 1'b0;
    end else begin
      done_q <= decode;
      if (take) count_q <= count_q + 2'd1;
      else if (count_q != '0) count_q <= count_q - 2'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (decode) begin
      done_sel_q  <= position;
      done_addr_q <= decode_addr;
      done_half_q <= decode_half;
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
          for (int n = 0; n < 16; n++) begin
            for (int k = 0; k < 16; k++) begin
              sel_o[4*(16*n+k)+:4] = {2'(k / 2), unit_i[2*(16*n+k)+:2]};
            end
          end
        end
        default: sel_o = {2{unit_i}};
      endcase
    end
  end
endmodule

`default_nettype wire
