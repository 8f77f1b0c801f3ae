// One of the W words of a step: 16 vx_lane and their function tables.
// Stage numbers are those of vx_unit; S operands and immediates are broadcast to all lanes.
`default_nettype none

module vx_word #(
  parameter RomFile = "sfu.hex"
) (
  input  wire                    clk_i,
  input  wire  [21:1]            ce_i,
  /* verilator lint_off UNUSEDSIGNAL */  // lanes look at the kinds, operations and immediates only
  input  fvlm_isa_pkg::vx_cmd_t  cmd_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  wire  [511:0]           a_spad_i,
  input  wire  [511:0]           b_spad_i,
  input  wire  [511:0]           c_spad_i,
  input  wire  [31:0]            a_s_i,
  input  wire  [31:0]            b_s_i,
  input  wire  [31:0]            c_s_i,
  input  wire  [15:0]            active_i,  // elements, at stage 20
  output logic [511:0]           y_o,       // stage 20
  output logic [511:0]           yd_o,      // stage 22
  output logic [127:0]           q_o        // stage 22
);
  logic [15:0]  rom_re;
  logic [191:0] rom_addr;
  logic [735:0] rom_rdata;

  for (genvar l = 0; l < 16; l++) begin : g_lane
    vx_lane u_lane (
      .clk_i,
      .ce_i,
      .a_is_s_i   (cmd_i.a_kind == fvlm_isa_pkg::VX_A_KIND_S),
      .b_kind_i   (cmd_i.b_kind),
      .c_kind_i   (cmd_i.c_kind),
      .op1_i      (cmd_i.op1),
      .op2_i      (cmd_i.op2),
      .func_i     (cmd_i.func),
      .to_int8_i  (cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF),
      .a_spad_i   (a_spad_i[32*l +: 32]),
      .a_s_i,
      .b_spad_i   (b_spad_i[32*l +: 32]),
      .b_s_i,
      .b_imm_i    (cmd_i.b_val),
      .c_spad_i   (c_spad_i[32*l +: 32]),
      .c_s_i,
      .c_imm_i    (cmd_i.c_val),
      .active_i   (active_i[l]),
      .rom_re_o   (rom_re[l]),
      .rom_addr_o (rom_addr[12*l +: 12]),
      .rom_rdata_i(rom_rdata[46*l +: 46]),
      .y_o        (y_o[32*l +: 32]),
      .yd_o       (yd_o[32*l +: 32]),
      .q_o        (q_o[8*l +: 8])
    );
  end
  for (genvar p = 0; p < 8; p++) begin : g_rom
    sfu_rom #(.RomFile(RomFile)) u_rom (
      .clk_i,
      .re0_i   (rom_re[2*p]),
      .addr0_i (rom_addr[24*p +: 12]),
      .rdata0_o(rom_rdata[92*p +: 46]),
      .re1_i   (rom_re[2*p+1]),
      .addr1_i (rom_addr[24*p+12 +: 12]),
      .rdata1_o(rom_rdata[92*p+46 +: 46])
    );
  end
endmodule

`default_nettype wire
