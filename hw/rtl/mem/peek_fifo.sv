// FIFO whose reader may look at any stored word, not only the head: the matrix unit reads a
// weight tile once per pair of rows and pops it when the tile is done. A word arrives in Banks
// beats, bank by bank; it counts as stored after the last one.
`default_nettype none

module peek_fifo #(
    parameter int unsigned BankWidth = 512,
    parameter int unsigned Banks = 4,
    parameter int unsigned Depth = 512,  // a power of two
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic                       clk_i,
    input  logic                       rst_ni,

    input  logic                       push_i,
    input  logic [BankWidth-1:0]       push_data_i,
    output logic                       full_o,

    output logic [AddrW:0]             avail_o,
    input  logic                       rd_en_i,
    input  logic [AddrW-1:0]           rd_off_i,
    output logic [BankWidth*Banks-1:0] rd_data_o,
    input  logic                       pop_i,
    input  logic [AddrW:0]             pop_num_i  // words to drop, at least 1
);
  localparam int unsigned BankW = (Banks > 1) ? $clog2(Banks) : 1;

  logic [AddrW-1:0] head_q, tail_q;
  logic [AddrW:0]   count_q;
  logic [BankW-1:0] bank_q;

  logic word_done;
  assign word_done = push_i && (bank_q == BankW'(Banks - 1));

  // Power-of-two depth: the bits of count_q say full without a comparator.
  assign full_o  = count_q[AddrW];
  assign avail_o = count_q;

  logic [AddrW-1:0] rd_addr;
  assign rd_addr = head_q + rd_off_i;

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    prim_ram_1r1w #(
        .Width(BankWidth),
        .Depth(Depth)
    ) u_ram (
        .clk_i,
        .wr_en_i  (push_i && (bank_q == BankW'(b))),
        .wr_addr_i(tail_q),
        .wr_data_i(push_data_i),
        .rd_en_i,
        .rd_addr_i(rd_addr),
        .rd_data_o(rd_data_o[b*BankWidth+:BankWidth])
    );
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      head_q  <= '0;
      tail_q  <= '0;
      count_q <= '0;
      bank_q  <= '0;
    end else begin
      if (push_i) bank_q <= (bank_q == BankW'(Banks - 1)) ? '0 : bank_q + 1'b1;
      if (word_done) tail_q <= tail_q + 1'b1;
      if (pop_i) head_q <= head_q + pop_num_i[AddrW-1:0];
      if (word_done || pop_i) begin
        count_q <= count_q + (AddrW + 1)'(word_done) - (pop_i ? pop_num_i : '0);
      end
    end
  end
endmodule

`default_nettype wire
