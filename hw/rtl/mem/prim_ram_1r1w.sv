// One RAM: one write port, one registered read port (data one cycle after rd_en_i, held while
// rd_en_i is low). A read in the cycle of a write to the same word returns the old word.
// The only storage cell of the design besides flip-flops, small FIFOs, the scalar registers and weight_ram, so
// a technology swap touches few files. Style names the cell for synthesis: "block", "ultra" or "distributed".
`default_nettype none

module prim_ram_1r1w #(
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 512,
    /* verilator lint_off UNUSEDPARAM */  // attributes mean nothing to a simulator
    parameter Style = "block",
    /* verilator lint_on UNUSEDPARAM */
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic             wr_en_i,
    input  logic [AddrW-1:0] wr_addr_i,
    input  logic [Width-1:0] wr_data_i,
    input  logic             rd_en_i,
    input  logic [AddrW-1:0] rd_addr_i,
    output logic [Width-1:0] rd_data_o
);
  (* ram_style = Style *) logic [Width-1:0] mem_q [0:Depth-1];

  always_ff @(posedge clk_i) begin
    if (wr_en_i) mem_q[wr_addr_i] <= wr_data_i;
  end

  always_ff @(posedge clk_i) begin
    if (rd_en_i) rd_data_o <= mem_q[rd_addr_i];
  end
endmodule

`default_nettype wire
