// Write side of a banked memory: up to Words consecutive masked words from any address, word
// addr + i for bit i of the mask. Word a lives in bank a mod Banks, at row a div Banks.
// While init_i, every bank writes zero at row init_row_i instead.
`default_nettype none

module bank_write #(
    parameter int unsigned Words = 1,  // divides Banks
    parameter int unsigned Banks = 1,  // a power of two
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 4096,  // words of all banks together
    localparam int unsigned AddrW = $clog2(Depth),
    localparam int unsigned RowW = $clog2(Depth / Banks)
) (
    input  logic                   init_i,
    input  logic [RowW-1:0]        init_row_i,
    input  logic                   we_i,
    input  logic [AddrW-1:0]       addr_i,
    input  logic [Words-1:0]       mask_i,
    input  logic [Words*Width-1:0] data_i,
    output logic [Banks-1:0]       bank_we_o,
    output logic [Banks*RowW-1:0]  bank_row_o,
    output logic [Banks*Width-1:0] bank_data_o
);
  // Bits 0 .. of the address choose the bank; with one bank or word there are none.
  localparam int unsigned BankW = (Banks > 1) ? $clog2(Banks) : 1;
  localparam int unsigned WordW = (Words > 1) ? $clog2(Words) : 1;

  logic [BankW-1:0]       start, back;
  logic [RowW-1:0]        row;
  logic [Banks-1:0]       mask;
  logic [Words*Width-1:0] data;
  assign start = (Banks > 1) ? addr_i[BankW-1:0] : '0;
  assign back  = -start;  // rotation by -start: word i goes to bank (start + i) mod Banks
  assign row   = addr_i[AddrW-1-:RowW];

  word_rotate #(.Words(Banks), .Width(1)) u_mask (
      .amount_i(back), .data_i(Banks'(mask_i)), .data_o(mask)
  );
  // Words divides Banks, so the banks see the words rotated by start mod Words, repeated.
  word_rotate #(.Words(Words), .Width(Width)) u_data (
      .amount_i((Words > 1) ? back[WordW-1:0] : '0), .data_i, .data_o(data)
  );

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    assign bank_we_o[b] = init_i || (we_i && mask[b]);
    assign bank_row_o[b*RowW+:RowW] = init_i ? init_row_i : row + RowW'(b < int'(start));
    assign bank_data_o[b*Width+:Width] = init_i ? '0 : data[(b%Words)*Width+:Width];
  end
endmodule

`default_nettype wire
