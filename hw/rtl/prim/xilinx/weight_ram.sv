// Storage of a weight FIFO in the device's block RAM and UltraRAM. The blocks that are written apart share
// RAMs by their byte enables (9 bits a lane), and a part of the selectors is in UltraRAM, of which there is
// more than the FIFO's depth needs; so a word takes 42.5 block RAMs and 2 UltraRAMs. Behavioural twin:
// prim/model/weight_ram.sv.
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
  localparam int unsigned Ultra = 72;  // bits of half the selectors in UltraRAM
  localparam int unsigned Block = 512 - Ultra;

  (* ram_style = "block" *) logic [2047:0]    values[0:Depth-1];
  (* ram_style = "block" *) logic [2*Block-1:0] selectors[0:Depth-1];
  (* ram_style = "ultra" *) logic [2*Ultra-1:0] others[0:Depth-1];

  for (genvar b = 0; b < 16; b++) begin : gen_block
    always_ff @(posedge clk_i) begin
      if (value_we_i[b]) values[value_addr_i][128*b+:128] <= value_i[128*b+:128];
    end
  end
  for (genvar h = 0; h < 2; h++) begin : gen_half
    always_ff @(posedge clk_i) begin
      if (sel_we_i[h]) selectors[sel_addr_i][Block*h+:Block] <= sel_i[512*h+:Block];
      if (sel_we_i[h]) others[sel_addr_i][Ultra*h+:Ultra] <= sel_i[512*h+Block+:Ultra];
    end
  end

  logic [2*Block-1:0] sel_q;
  logic [2*Ultra-1:0] other_q;
  always_ff @(posedge clk_i) begin
    if (rd_en_i) begin
      value_o <= values[rd_addr_i];
      sel_q   <= selectors[rd_addr_i];
      other_q <= others[rd_addr_i];
    end
  end
  for (genvar h = 0; h < 2; h++) begin : gen_sel
    assign sel_o[512*h+:512] = {other_q[Ultra*h+:Ultra], sel_q[Block*h+:Block]};
  end
endmodule

`default_nettype wire
