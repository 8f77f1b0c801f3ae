// All arithmetic pipelines side by side, for tb_fp.cpp.
`default_nettype none

module tb_fp (
  input  wire         clk_i,
  input  wire  [3:0]  func_i,
  input  wire  [31:0] a_i,
  input  wire  [31:0] b_i,
  output logic [31:0] add_o,
  output logic [31:0] mul_o,
  output logic [31:0] int_o,
  output logic [7:0]  q8_o,
  output logic [31:0] canon_o,
  output logic [31:0] func_o
);
  logic        rom_re;
  logic [11:0] rom_addr;
  logic [45:0] rom_data, unused_data;
  fp_add u_add (.clk_i, .ce_i(4'hf), .a_i, .b_i, .y_o(add_o));
  fp_mul u_mul (.clk_i, .ce_i(3'h7), .a_i, .b_i, .y_o(mul_o));
  fp_from_int u_int (.clk_i, .ce_i(3'h7), .x_i(a_i), .y_o(int_o));
  fp_to_int8 u_q8 (.clk_i, .ce_i(2'h3), .x_i(a_i), .y_o(q8_o));
  logic [31:0] relu, minus_g, sum;
  sfu_lane u_func (
    .clk_i, .ce_i(8'hff), .func_i, .x_i(a_i), .rom_re_o(rom_re), .rom_addr_o(rom_addr),
    .rom_rdata_i(rom_data), .relu_o(relu), .minus_g_o(minus_g), .sum_i(sum), .y_o(func_o)
  );
  fp_add u_bump (.clk_i, .ce_i(4'hf), .a_i(relu), .b_i(minus_g), .y_o(sum));
  sfu_rom u_rom (
    .clk_i, .re0_i(rom_re), .addr0_i(rom_addr), .rdata0_o(rom_data),
    .re1_i(1'b0), .addr1_i(12'd0), .rdata1_o(unused_data)
  );
  assign canon_o = fp_pkg::canon(a_i);
endmodule

`default_nettype wire
