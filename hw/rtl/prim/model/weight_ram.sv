// Storage of a weight FIFO: values in 16 blocks and selectors in two halves that are written apart,
// registered reads of whole words. Behavioural twin of prim/xilinx/weight_ram.sv, in whole words for speed;
// same name and ports.
`default_nettype none

module weight_ram #(
    parameter int unsigned Depth = 512,
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic [15:0]      value_we_i,
    input  logic [AddrW-1:0] value_addr_i,
    input  logic [2047:0]    value_i,
    input  logic [1:0]       sel_we_i,
    input  logic [AddrW-1:0] sel_addr_i,
    input  logic [1023:0]    sel_i,
    input  logic             rd_en_i,
    input  logic [AddrW-1:0] rd_addr_i,
    output logic [2047:0]    value_o,
    output logic [1023:0]    sel_o
);
  for (genvar b = 0; b < 16; b++) begin : gen_block
    prim_ram_1r1w #(
        .Width(128),
        .Depth(Depth)
    ) u_ram (
        .clk_i,
        .wr_en_i  (value_we_i[b]),
        .wr_addr_i(value_addr_i),
        .wr_data_i(value_i[128*b+:128]),
        .rd_en_i,
        .rd_addr_i,
        .rd_data_o(value_o[128*b+:128])
    );
  end
  for (genvar h = 0; h < 2; h++) begin : gen_half
    prim_ram_1r1w #(
        .Width(512),
        .Depth(Depth)
    ) u_ram (
        .clk_i,
        .wr_en_i  (sel_we_i[h]),
        .wr_addr_i(sel_addr_i),
        .wr_data_i(sel_i[512*h+:512]),
        .rd_en_i,
        .rd_addr_i,
        .rd_data_o(sel_o[512*h+:512])
    );
  end
endmodule

`default_nettype wire
