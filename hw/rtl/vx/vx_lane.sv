// One of the 16 lanes of a vector word: operand select and canonical form, op1, op2, table function, int8.
//
// Stage numbers are those of vx_unit (0 = issue, 1 = memory data): ce_i[k] moves stage k to k+1.
//   1 select a, b   2..5 op1   5 select c   6..9 op2   10..19 function   20 mask, 20..21 int8
// y_o belongs to stage 20, yd_o and q_o (the same values, delayed and as int8) to stage 22.
`default_nettype none

module vx_lane (
  input  wire         clk_i,
  input  wire  [21:1] ce_i,
  input  wire         a_is_s_i,
  input  wire  [1:0]  b_kind_i,
  input  wire  [1:0]  c_kind_i,
  input  wire  [2:0]  op1_i,
  input  wire  [2:0]  op2_i,
  input  wire  [3:0]  func_i,
  input  wire         to_int8_i,   // the destination is ABUF
  input  wire  [31:0] a_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] a_s_i,
  input  wire  [31:0] b_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_s_i,
  input  wire  [31:0] b_imm_i,
  input  wire  [31:0] c_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] c_s_i,
  input  wire  [31:0] c_imm_i,
  input  wire         active_i /*verilator public_flat_rd*/,    // element is active, at stage 20
  output logic        rom_re_o,
  output logic [11:0] rom_addr_o,
  input  wire  [45:0] rom_rdata_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o,
  output logic [31:0] yd_o,
  output logic [7:0]  q_o
);
  /*verilator no_inline_module*/

  logic [31:0] a_q, b_q, c_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : select_ab
      logic [31:0] a, b;
      a = a_is_s_i ? a_s_i : a_spad_i;
      b = (b_kind_i == fvlm_isa_pkg::VX_B_KIND_SPAD) ? b_spad_i
        : (b_kind_i == fvlm_isa_pkg::VX_B_KIND_S) ? b_s_i : b_imm_i;
      a_q <= (a[30:24] == 7'd0) ? 32'd0 : (a[30:23] == 8'hff) ? {a[31], fp_pkg::MaxMag} : a;
      b_q <= (b[30:24] == 7'd0) ? 32'd0 : (b[30:23] == 8'hff) ? {b[31], fp_pkg::MaxMag} : b;
    end
    if (ce_i[5]) begin : select_c
      logic [31:0] c;
      c = (c_kind_i == fvlm_isa_pkg::VX_C_KIND_SPAD) ? c_spad_i
        : (c_kind_i == fvlm_isa_pkg::VX_C_KIND_S) ? c_s_i : c_imm_i;
      c_q <= (c[30:24] == 7'd0) ? 32'd0 : (c[30:23] == 8'hff) ? {c[31], fp_pkg::MaxMag} : c;
    end
  end

  logic [31:0] x1, x2, x3;
  vx_op u_op1 (.clk_i, .ce_i(ce_i[5:2]), .op_i(op1_i), .x_i(a_q), .b_i(b_q), .y_o(x1));
  vx_op u_op2 (.clk_i, .ce_i(ce_i[9:6]), .op_i(op2_i), .x_i(x1), .b_i(c_q), .y_o(x2));
  sfu_lane u_func (
    .clk_i,
    .ce_i   (ce_i[19:10]),
    .func_i,
    .x_i    (x2),
    .rom_re_o,
    .rom_addr_o,
    .rom_rdata_i,
    .y_o    (x3)
  );
  assign y_o = active_i ? x3 : 32'd0;

  fp_to_int8 u_int8 (.clk_i, .ce_i(to_int8_i ? ce_i[21:20] : 2'd0), .x_i(y_o), .y_o(q_o));

  logic [31:0] y20_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[20] && !to_int8_i) y20_q <= y_o;
    if (ce_i[21] && !to_int8_i) yd_o <= y20_q;
  end
endmodule

`default_nettype wire
