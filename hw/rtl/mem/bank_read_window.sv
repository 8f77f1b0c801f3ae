// Read side of a banked memory for aligned windows: word i of the data is word addr + i, as long
// as i is below the alignment of addr (1, 2, 4 .. words); the other words hold anything. So a
// window needs no rotation, only that its half, quarter .. of the row is folded down.
// Data comes one cycle after the address.
`default_nettype none

module bank_read_window #(
    parameter int unsigned Words = 1,  // the largest window; at most Banks
    parameter int unsigned Banks = 8,  // a power of two
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 4096,  // words of all banks together
    localparam int unsigned AddrW = $clog2(Depth),
    localparam int unsigned RowW = $clog2(Depth / Banks)
) (
    input  logic                   clk_i,
    input  logic                   re_i,
    input  logic [AddrW-1:0]       addr_i,
    output logic [Words*Width-1:0] data_o,
    output logic [Banks-1:0]       bank_re_o,
    output logic [Banks*RowW-1:0]  bank_row_o,
    input  logic [Banks*Width-1:0] bank_data_i
);
  localparam int unsigned BankBits = $clog2(Banks);
  localparam int unsigned BankW = (Banks > 1) ? BankBits : 1;

  logic [BankW-1:0] start, start_q;
  assign start = (Banks > 1) ? addr_i[BankW-1:0] : '0;

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    // A reader of single words wakes one bank, one of windows all.
    assign bank_re_o[b] = re_i && (Words > 1 || int'(start) == b);
    assign bank_row_o[b*RowW+:RowW] = addr_i[AddrW-1-:RowW];
  end
  always_ff @(posedge clk_i) begin
    if (re_i) start_q <= start;
  end

  if (Banks == 1) begin : gen_one
    logic unused;
    assign unused = start_q[0];
    assign data_o = bank_data_i;
  end else begin : gen_folds
    // Fold s halves the row: its upper half, if bit s of the address is set, comes down.
    for (genvar s = 0; s < BankBits; s++) begin : gen_fold
      localparam int unsigned Half = Width << s;
      logic [Banks*Width-1:0] x, y;
      if (s == BankBits - 1) assign x = bank_data_i;
      else assign x = gen_fold[s+1].y;
      assign y = {x[Banks*Width-1:Half], start_q[s] ? x[Half+:Half] : x[0+:Half]};
    end
    assign data_o = gen_fold[0].y[0+:Words*Width];
    if (Words < Banks) begin : gen_rest
      logic unused;
      assign unused = ^gen_fold[0].y[Banks*Width-1:Words*Width];
    end
  end
endmodule

`default_nettype wire
