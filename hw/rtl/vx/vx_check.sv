// Address checks of a VX command, before it may have an effect. The first operand that does not fit
// names the fault, in the order a, b, c, destination, reduction. The verdict is there after three
// stages; ce_i[i] loads stage i: rows and words of each operand, then cmd_range.
`default_nettype none

module vx_check (
  input  wire                    clk_i,
  input  wire  [2:0]             ce_i,
  input  fvlm_isa_pkg::vx_cmd_t  cmd_i,
  input  wire  [15:0]            words_i,
  input  wire  [15:0]            quotient_i,  // (rows - 1) div rmod
  output logic                   bad_o,
  output logic [3:0]             code_o
);
  // Rows of an operand: one more than the largest row index.
  function automatic logic [15:0] span(input logic [1:0] row, input logic [15:0] rows,
                                       input logic [15:0] rmod, input logic [15:0] quotient);
    span = rows;
    if (row == fvlm_isa_pkg::VX_B_ROW_MOD && rmod != 16'd0 && rmod < rows) span = rmod;
    if (row == fvlm_isa_pkg::VX_B_ROW_DIV) span = (rmod == 16'd0) ? 16'd1 : quotient + 16'd1;
  endfunction

  logic [15:0] rows_q, rows_b_q, rows_c_q, words_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      rows_q   <= cmd_i.rows;
      rows_b_q <= span(cmd_i.b_row, cmd_i.rows, cmd_i.rmod, quotient_i);
      rows_c_q <= span(cmd_i.c_row, cmd_i.rows, cmd_i.rmod, quotient_i);
      words_q  <= words_i;
    end
  end

  logic a_spad, a_s, b_spad, b_s, c_spad, c_s, d_spad, d_abuf, d_s, red;
  logic bad_a_spad, bad_a_s, bad_b_spad, bad_b_s, bad_c_spad, bad_c_s;
  logic bad_d_spad, bad_d_abuf, bad_d_s, bad_red;
  assign a_spad = cmd_i.a_kind == fvlm_isa_pkg::VX_A_KIND_SPAD;
  assign a_s    = cmd_i.a_kind == fvlm_isa_pkg::VX_A_KIND_S;
  assign b_spad = cmd_i.b_kind == fvlm_isa_pkg::VX_B_KIND_SPAD;
  assign b_s    = cmd_i.b_kind == fvlm_isa_pkg::VX_B_KIND_S;
  assign c_spad = cmd_i.c_kind == fvlm_isa_pkg::VX_C_KIND_SPAD;
  assign c_s    = cmd_i.c_kind == fvlm_isa_pkg::VX_C_KIND_S;
  assign d_spad = cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_SPAD;
  assign d_abuf = cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF;
  assign d_s    = cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_S;
  assign red    = cmd_i.red != fvlm_isa_pkg::VX_RED_NONE;

  cmd_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_a_spad (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.a_addr), .rows_i(rows_q), .stride_i(cmd_i.a_stride), .words_i(words_q),
    .bad_o(bad_a_spad)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_a_s (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.a_addr), .rows_i(rows_q), .stride_i(cmd_i.a_stride),
    .words_i(16'd1), .bad_o(bad_a_s)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_b_spad (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.b_val), .rows_i(rows_b_q), .stride_i(cmd_i.b_stride), .words_i(words_q),
    .bad_o(bad_b_spad)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_b_s (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.b_val), .rows_i(rows_b_q), .stride_i(cmd_i.b_stride),
    .words_i(16'd1), .bad_o(bad_b_s)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_c_spad (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.c_val), .rows_i(rows_c_q), .stride_i(cmd_i.c_stride), .words_i(words_q),
    .bad_o(bad_c_spad)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_c_s (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.c_val), .rows_i(rows_c_q), .stride_i(cmd_i.c_stride),
    .words_i(16'd1), .bad_o(bad_c_s)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_d_spad (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.d_addr), .rows_i(rows_q), .stride_i(cmd_i.d_stride), .words_i(words_q),
    .bad_o(bad_d_spad)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::AbufWords)) u_d_abuf (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.d_addr), .rows_i(rows_q), .stride_i(cmd_i.d_stride), .words_i(words_q),
    .bad_o(bad_d_abuf)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_d_s (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.d_addr), .rows_i(rows_q), .stride_i(cmd_i.d_stride),
    .words_i(16'd1), .bad_o(bad_d_s)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_red (
    .clk_i, .ce_i(ce_i[2:1]), .base_i(cmd_i.sred_addr), .rows_i(rows_q), .stride_i(12'd1),
    .words_i(16'd1), .bad_o(bad_red)
  );

  always_comb begin
    bad_o  = 1'b1;
    code_o = fvlm_isa_pkg::FAULT_SMEM;
    if (a_spad && bad_a_spad) code_o = fvlm_isa_pkg::FAULT_SPAD;
    else if (a_s && bad_a_s) code_o = fvlm_isa_pkg::FAULT_SMEM;
    else if (b_spad && bad_b_spad) code_o = fvlm_isa_pkg::FAULT_SPAD;
    else if (b_s && bad_b_s) code_o = fvlm_isa_pkg::FAULT_SMEM;
    else if (c_spad && bad_c_spad) code_o = fvlm_isa_pkg::FAULT_SPAD;
    else if (c_s && bad_c_s) code_o = fvlm_isa_pkg::FAULT_SMEM;
    else if (d_spad && bad_d_spad) code_o = fvlm_isa_pkg::FAULT_SPAD;
    else if (d_abuf && bad_d_abuf) code_o = fvlm_isa_pkg::FAULT_ABUF;
    else if (d_s && cmd_i.len > 16'd16) code_o = fvlm_isa_pkg::FAULT_OPERAND;
    else if (d_s && bad_d_s) code_o = fvlm_isa_pkg::FAULT_SMEM;
    else if (red && bad_red) code_o = fvlm_isa_pkg::FAULT_SMEM;
    else bad_o = 1'b0;
  end
endmodule

`default_nettype wire
