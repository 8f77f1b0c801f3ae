// SPAD: words of 16 f32 in W banks (word a in bank a mod W), so that the vector unit reads and
// writes W consecutive words a cycle from any address. One write port of up to W masked words;
// readers VX a, b, c (runs of W words) and ST (one word), a replica each. Registered reads.
`default_nettype none

module spad #(
    localparam int unsigned Words = fvlm_isa_pkg::VxWords,
    localparam int unsigned Depth = fvlm_isa_pkg::SpadWords,
    localparam int unsigned AddrW = $clog2(Depth),
    localparam int unsigned RowW = $clog2(Depth / Words)
) (
    input  logic                 clk_i,
    input  logic                 init_i,  // clearing sweep after reset
    input  logic [RowW-1:0]      init_row_i,
    input  logic                 we_i,
    input  logic [AddrW-1:0]     waddr_i,
    input  logic [Words-1:0]     wmask_i,
    input  logic [Words*512-1:0] wdata_i,
    input  logic [2:0]           vx_re_i,  // operand a in the low bits, then b, c
    input  logic [3*AddrW-1:0]   vx_addr_i,
    output logic [3*Words*512-1:0] vx_rdata_o,
    input  logic                 st_re_i,
    input  logic [AddrW-1:0]     st_addr_i,
    output logic [511:0]         st_rdata_o
);
  localparam int unsigned Readers = 4;

  logic [Words-1:0]      bank_we;
  logic [Words*RowW-1:0] bank_wrow;
  logic [Words*512-1:0]  bank_wdata;
  bank_write #(.Words(Words), .Banks(Words), .Width(512), .Depth(Depth)) u_write (
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
  logic [Readers*Words-1:0]      bank_re;
  logic [Readers*Words*RowW-1:0] bank_row;
  logic [Readers*Words*512-1:0]  bank_rdata;
  for (genvar r = 0; r < 3; r++) begin : gen_vx
    bank_read_run #(.Banks(Words), .Width(512), .Depth(Depth)) u_read (
        .clk_i,
        .re_i       (vx_re_i[r]),
        .addr_i     (vx_addr_i[r*AddrW+:AddrW]),
        .data_o     (vx_rdata_o[r*Words*512+:Words*512]),
        .bank_re_o  (bank_re[r*Words+:Words]),
        .bank_row_o (bank_row[r*Words*RowW+:Words*RowW]),
        .bank_data_i(bank_rdata[r*Words*512+:Words*512])
    );
  end
  bank_read_window #(.Words(1), .Banks(Words), .Width(512), .Depth(Depth)) u_read_st (
      .clk_i,
      .re_i       (st_re_i),
      .addr_i     (st_addr_i),
      .data_o     (st_rdata_o),
      .bank_re_o  (bank_re[3*Words+:Words]),
      .bank_row_o (bank_row[3*Words*RowW+:Words*RowW]),
      .bank_data_i(bank_rdata[3*Words*512+:Words*512])
  );

  for (genvar b = 0; b < Words; b++) begin : gen_bank
    logic [Readers-1:0]      re;
    logic [Readers*RowW-1:0] row;
    logic [Readers*512-1:0]  rdata;
    for (genvar r = 0; r < Readers; r++) begin : gen_port
      assign re[r] = bank_re[r*Words+b];
      assign row[r*RowW+:RowW] = bank_row[(r*Words+b)*RowW+:RowW];
      assign bank_rdata[(r*Words+b)*512+:512] = rdata[r*512+:512];
    end
    shared_ram #(
        .Width(512), .Depth(Depth / Words), .Readers(Readers), .Style("ultra")
    ) u_bank (
        .clk_i,
        .wr_en_i  (bank_we[b]),
        .wr_addr_i(bank_wrow[b*RowW+:RowW]),
        .wr_data_i(bank_wdata[b*512+:512]),
        .rd_en_i  (re),
        .rd_addr_i(row),
        .rd_data_o(rdata)
    );
  end
endmodule

`default_nettype wire
