// One of the W words of a step: 16 vx_lane and their function tables, and where its steps are.
// S operands and immediates are broadcast to all lanes.
`default_nettype none

module vx_word #(
  parameter RomFile = "sfu.hex"
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  input  wire                    en_i,
  input  wire                    issue_i,
  input  wire                    y_en_i,    // y is computed in word 0: here too, zeros if no step is there
  /* verilator lint_off UNUSEDSIGNAL */  // lanes look at the kinds, operations and immediates only
  input  fvlm_isa_pkg::vx_cmd_t  cmd_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  wire  [1:0]             kind1_i,   // see vx_plan
  input  wire  [1:0]             kind2_i,
  input  wire                    sub1_i,
  input  wire                    sub2_i,
  input  wire  [2:0]             op1_i,
  input  wire  [2:0]             op2_i,
  input  wire  [3:0]             func_i,
  input  wire  [511:0]           a_spad_i,
  input  wire  [511:0]           b_spad_i,
  input  wire  [511:0]           c_spad_i,
  input  wire  [31:0]            a_s_i,
  input  wire  [31:0]            b_s_i,
  input  wire  [31:0]            c_s_i,
  input  wire  [15:0]            active_i,  // elements of the step at y_now_o
  output logic                   y_now_o,   // y is computed
  output logic                   y_valid_o, // and there
  output logic                   q_valid_o, // q is there, two cycles later
  output logic [511:0]           y_o,
  output logic [127:0]           q_o
);
  logic [15:0]  rom_re;
  logic [191:0] rom_addr;
  logic [735:0] rom_rdata;

  logic        ab, c;
  logic [3:0]  op1, op2, y;
  logic [11:0] func;
  logic        to_int8;
  vx_valid u_valid (
    .clk_i, .rst_ni, .en_i, .issue_i, .op1_i, .op2_i, .func_i,
    .ab_o(ab), .c_o(c), .op1_o(op1), .op2_o(op2), .func_o(func), .y_o(y)
  );
  assign to_int8 = cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF;
  assign {q_valid_o, y_valid_o, y_now_o} = {y[3], y[1:0]};

  for (genvar l = 0; l < 16; l++) begin : g_lane
    vx_lane u_lane (
      .clk_i,
      .ce_ab_i    (en_i && ab),
      .ce_c_i     (en_i && c),
      .ce_op1_i   ({4{en_i}} & op1),
      .ce_op2_i   ({4{en_i}} & op2),
      .ce_func_i  ((func_i == 4'd0) ? 12'd0 : {12{en_i}} & func),
      .ce_y_i     (en_i && y_en_i),
      .ce_int8_i  ({2{en_i && to_int8}} & y[2:1]),
      .a_is_s_i   (cmd_i.a_kind == fvlm_isa_pkg::VX_A_KIND_S),
      .b_kind_i   (cmd_i.b_kind),
      .c_kind_i   (cmd_i.c_kind),
      .kind1_i,
      .kind2_i,
      .sub1_i,
      .sub2_i,
      .func_i     (cmd_i.func),
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
