// Read side of a banked memory for runs: Banks consecutive words from any address, one per bank;
// word i of the data is word addr + i (modulo the memory). Data comes one cycle after the address.
`default_nettype none

module bank_read_run #(
    parameter int unsigned Banks = 1,  // a power of two
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 4096,  // words of all banks together
    localparam int unsigned AddrW = $clog2(Depth),
    localparam int unsigned RowW = $clog2(Depth / Banks)
) (
    input  logic                   clk_i,
    input  logic                   re_i,
    input  logic [AddrW-1:0]       addr_i,
    output logic [Banks*Width-1:0] data_o,
    output logic [Banks-1:0]       bank_re_o,
    output logic [Banks*RowW-1:0]  bank_row_o,
    input  logic [Banks*Width-1:0] bank_data_i
);
  localparam int unsigned BankW = (Banks > 1) ? $clog2(Banks) : 1;

  logic [BankW-1:0] start, start_q;
  logic [RowW-1:0]  row;
  assign start = (Banks > 1) ? addr_i[BankW-1:0] : '0;
  assign row   = addr_i[AddrW-1-:RowW];

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    assign bank_re_o[b] = re_i;
    assign bank_row_o[b*RowW+:RowW] = row + RowW'(b < int'(start));
  end
  always_ff @(posedge clk_i) begin
    if (re_i) start_q <= start;
  end
  word_rotate #(.Words(Banks), .Width(Width)) u_rotate (
      .amount_i(start_q), .data_i(bank_data_i), .data_o
  );
endmodule

`default_nettype wire
