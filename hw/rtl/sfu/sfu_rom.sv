// Segment table of all special functions, two read ports (one true dual-port RAM serves two lanes).
// Word: {base[25:0], slope[19:0]}; contents hw/tables/sfu.hex, made by flightvlm-codegen.
`default_nettype none

module sfu_rom #(
  parameter RomFile = "sfu.hex"
) (
  input  wire         clk_i,
  input  wire         re0_i,
  input  wire  [11:0] addr0_i,
  output logic [45:0] rdata0_o,
  input  wire         re1_i,
  input  wire  [11:0] addr1_i,
  output logic [45:0] rdata1_o
);
  localparam int unsigned Words = 2560;

  (* rom_style = "block" *) logic [45:0] mem [0:Words-1];
  initial $readmemh(RomFile, mem);

  always_ff @(posedge clk_i) begin
    if (re0_i) rdata0_o <= mem[addr0_i];
    if (re1_i) rdata1_o <= mem[addr1_i];
  end
endmodule

`default_nettype wire
