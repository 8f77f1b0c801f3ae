// On-chip memory with one write port and several read ports: one replica of prim_ram_1r1w per
// reader, all written alike. Read ports are concatenated, port 0 in the low bits.
`default_nettype none

module shared_ram #(
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 4096,
    parameter int unsigned Readers = 2,
    parameter Style = "block",
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic                     clk_i,
    input  logic                     wr_en_i,
    input  logic [AddrW-1:0]         wr_addr_i,
    input  logic [Width-1:0]         wr_data_i,
    input  logic [Readers-1:0]       rd_en_i,
    input  logic [Readers*AddrW-1:0] rd_addr_i,
    output logic [Readers*Width-1:0] rd_data_o
);
  for (genvar r = 0; r < Readers; r++) begin : gen_replica
    prim_ram_1r1w #(
        .Width(Width),
        .Depth(Depth),
        .Style(Style)
    ) u_ram (
        .clk_i,
        .wr_en_i,
        .wr_addr_i,
        .wr_data_i,
        .rd_en_i  (rd_en_i[r]),
        .rd_addr_i(rd_addr_i[r*AddrW+:AddrW]),
        .rd_data_o(rd_data_o[r*Width+:Width])
    );
  end
endmodule

`default_nettype wire
