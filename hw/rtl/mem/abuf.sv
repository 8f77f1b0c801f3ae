// ABUF: words of 16 int8 in 8 banks (word a in bank a mod 8). VX writes up to W consecutive words
// from any address; each row lane of MM reads an aligned window of up to 8 words, ST one word; a
// replica per reader. Registered reads.
`default_nettype none

module abuf #(
    localparam int unsigned Words = fvlm_isa_pkg::VxWords,
    localparam int unsigned Depth = fvlm_isa_pkg::AbufWords,
    localparam int unsigned Banks = 8,
    localparam int unsigned AddrW = $clog2(Depth),
    localparam int unsigned RowW = $clog2(Depth / Banks)
) (
    input  logic                 clk_i,
    input  logic                 init_i,  // clearing sweep after reset
    input  logic [RowW-1:0]      init_row_i,
    input  logic                 we_i,
    input  logic [AddrW-1:0]     waddr_i,
    input  logic [Words-1:0]     wmask_i,
    input  logic [Words*128-1:0] wdata_i,
    input  logic [1:0]           mm_re_i,  // lane 0 in the low bits
    input  logic [2*AddrW-1:0]   mm_addr_i,
    output logic [2047:0]        mm_rdata_o,
    input  logic                 st_re_i,
    input  logic [AddrW-1:0]     st_addr_i,
    output logic [127:0]         st_rdata_o
);
  localparam int unsigned Readers = 3;

  logic [Banks-1:0]      bank_we;
  logic [Banks*RowW-1:0] bank_wrow;
  logic [Banks*128-1:0]  bank_wdata;
  bank_write #(.Words(Words), .Banks(Banks), .Width(128), .Depth(Depth)) u_write (
      .init_i,
      .init_row_i,
      .we_i,
      .addr_i     (waddr_i),
      .mask_i     (wmask_i),
      .data_i     (wdata_i),
      .bank_we_o  (bank_we),
      .bank_row_o (bank_wrow),
      .bank_data_o(bank_wdata)
  );

  // Per reader, then per bank.
  logic [Readers*Banks-1:0]      bank_re;
  logic [Readers*Banks*RowW-1:0] bank_row;
  logic [Readers*Banks*128-1:0]  bank_rdata;
  for (genvar r = 0; r < 2; r++) begin : gen_mm
    bank_read_window #(.Words(8), .Banks(Banks), .Width(128), .Depth(Depth)) u_read (
        .clk_i,
        .re_i       (mm_re_i[r]),
        .addr_i     (mm_addr_i[r*AddrW+:AddrW]),
        .data_o     (mm_rdata_o[r*1024+:1024]),
        .bank_re_o  (bank_re[r*Banks+:Banks]),
        .bank_row_o (bank_row[r*Banks*RowW+:Banks*RowW]),
        .bank_data_i(bank_rdata[r*Banks*128+:Banks*128])
    );
  end
  bank_read_window #(.Words(1), .Banks(Banks), .Width(128), .Depth(Depth)) u_read_st (
      .clk_i,
      .re_i       (st_re_i),
      .addr_i     (st_addr_i),
      .data_o     (st_rdata_o),
      .bank_re_o  (bank_re[2*Banks+:Banks]),
      .bank_row_o (bank_row[2*Banks*RowW+:Banks*RowW]),
      .bank_data_i(bank_rdata[2*Banks*128+:Banks*128])
  );

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic [Readers-1:0]      re;
    logic [Readers*RowW-1:0] row;
    logic [Readers*128-1:0]  rdata;
    for (genvar r = 0; r < Readers; r++) begin : gen_port
      assign re[r] = bank_re[r*Banks+b];
      assign row[r*RowW+:RowW] = bank_row[(r*Banks+b)*RowW+:RowW];
      assign bank_rdata[(r*Banks+b)*128+:128] = rdata[r*128+:128];
    end
    shared_ram #(
        .Width(128), .Depth(Depth / Banks), .Readers(Readers), .Style("ultra")
    ) u_bank (
        .clk_i,
        .wr_en_i  (bank_we[b]),
        .wr_addr_i(bank_wrow[b*RowW+:RowW]),
        .wr_data_i(bank_wdata[b*128+:128]),
        .rd_en_i  (re),
        .rd_addr_i(row),
        .rd_data_o(rdata)
    );
  end
endmodule

`default_nettype wire
