// One of the 16 lanes of a vector word: operand select and canonical form, op1, op2, table function,
// mask, int8. What a command does not use takes no cycle, so stages are counted from each part's
// own start (vx_plan): the parts get their enables, and c its own, when data are there.
`default_nettype none

module vx_lane (
  input  wire         clk_i,
  input  wire         ce_ab_i,    // a and b are at the inputs
  input  wire         ce_c_i,     // c is
  input  wire  [3:0]  ce_op1_i,
  input  wire  [3:0]  ce_op2_i,
  input  wire  [11:0] ce_func_i,  // the last four where the function adds
  input  wire         ce_y_i,
  input  wire  [1:0]  ce_int8_i,
  input  wire         a_is_s_i,
  input  wire  [1:0]  b_kind_i,
  input  wire  [1:0]  c_kind_i,
  input  wire  [1:0]  kind1_i,    // see vx_op
  input  wire  [1:0]  kind2_i,
  input  wire         sub1_i,
  input  wire         sub2_i,
  input  wire  [3:0]  func_i,
  input  wire  [31:0] a_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] a_s_i,
  input  wire  [31:0] b_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_s_i,
  input  wire  [31:0] b_imm_i,
  input  wire  [31:0] c_spad_i /*verilator public_flat_rd*/,
  input  wire  [31:0] c_s_i,
  input  wire  [31:0] c_imm_i,
  input  wire         active_i /*verilator public_flat_rd*/,    // the element, with ce_y_i
  output logic        rom_re_o,
  output logic [11:0] rom_addr_o,
  input  wire  [45:0] rom_rdata_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o,        // loaded by ce_y_i
  output logic [7:0]  q_o         // two stages behind
);
  /*verilator no_inline_module*/

  logic [31:0] a_q, b_q, c_q;
  always_ff @(posedge clk_i) begin
    if (ce_ab_i) begin : select_ab
      logic [31:0] a, b;
      a = a_is_s_i ? a_s_i : a_spad_i;
      b = (b_kind_i == fvlm_isa_pkg::VX_B_KIND_SPAD) ? b_spad_i
        : (b_kind_i == fvlm_isa_pkg::VX_B_KIND_S) ? b_s_i : b_imm_i;
      a_q <= (a[30:24] == 7'd0) ? 32'd0 : (a[30:23] == 8'hff) ? {a[31], fp_pkg::MaxMag} : a;
      b_q <= (b[30:24] == 7'd0) ? 32'd0 : (b[30:23] == 8'hff) ? {b[31], fp_pkg::MaxMag} : b;
    end
    if (ce_c_i) begin : select_c
      logic [31:0] c;
      c = (c_kind_i == fvlm_isa_pkg::VX_C_KIND_SPAD) ? c_spad_i
        : (c_kind_i == fvlm_isa_pkg::VX_C_KIND_S) ? c_s_i : c_imm_i;
      c_q <= (c[30:24] == 7'd0) ? 32'd0 : (c[30:23] == 8'hff) ? {c[31], fp_pkg::MaxMag} : c;
    end
  end

  logic [31:0] x1, x2, x3, relu, minus_g, sum, unused_sum;
  vx_op u_op1 (
    .clk_i, .ce_i(ce_op1_i), .kind_i(kind1_i), .sub_i(sub1_i), .x_i(a_q), .b_i(b_q), .y_o(x1),
    .other_ce_i(4'd0), .other_a_i(32'd0), .other_b_i(32'd0), .sum_o(unused_sum)
  );
  vx_op u_op2 (
    .clk_i, .ce_i(ce_op2_i), .kind_i(kind2_i), .sub_i(sub2_i), .x_i(x1), .b_i(c_q), .y_o(x2),
    .other_ce_i(ce_func_i[11:8]), .other_a_i(relu), .other_b_i(minus_g), .sum_o(sum)
  );
  sfu_lane u_func (
    .clk_i, .ce_i(ce_func_i[7:0]), .func_i, .x_i(x2), .rom_re_o, .rom_addr_o, .rom_rdata_i,
    .relu_o(relu), .minus_g_o(minus_g), .sum_i(sum), .y_o(x3)
  );
  logic unused;
  assign unused = &{1'b0, unused_sum};
  always_ff @(posedge clk_i) begin
    if (ce_y_i) y_o <= active_i ? x3 : 32'd0;
  end
  fp_to_int8 u_int8 (.clk_i, .ce_i(ce_int8_i), .x_i(y_o), .y_o(q_o));
endmodule

`default_nettype wire
