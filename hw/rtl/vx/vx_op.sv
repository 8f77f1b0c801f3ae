// One two-operand operation of a vector lane: PASS, ADD, SUB, MUL, MAX; latency 4 for all.
// ce_i[i] loads stage i. op_i is constant while anything is in the pipe.
`default_nettype none

module vx_op (
  input  wire         clk_i,
  input  wire  [3:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [2:0]  op_i,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  // op1 and op2 share one encoding; the package has it per field.
  logic is_sub, is_add, is_mul, is_max;
  assign is_sub = op_i == fvlm_isa_pkg::VX_OP1_SUB;
  assign is_add = op_i == fvlm_isa_pkg::VX_OP1_ADD || is_sub;
  assign is_mul = op_i == fvlm_isa_pkg::VX_OP1_MUL;
  assign is_max = op_i == fvlm_isa_pkg::VX_OP1_MAX;

  logic [31:0] sum, product;
  fp_add u_add (
    .clk_i,
    .ce_i (is_add ? ce_i : 4'd0),
    .a_i  (x_i),
    .b_i  ({b_i[31] ^ is_sub, b_i[30:0]}),  // a -0 here has a zero significand: harmless
    .y_o  (sum)
  );
  fp_mul u_mul (
    .clk_i,
    .ce_i (is_mul ? ce_i[2:0] : 3'd0),
    .a_i  (x_i),
    .b_i,
    .y_o  (product)
  );

  logic [31:0] d0_q, d1_q, d2_q, d3_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0] && !is_add) begin : compare
      logic b_above;
      b_above = (x_i[31] != b_i[31]) ? x_i[31]
              : x_i[31] ? b_i[30:0] < x_i[30:0] : b_i[30:0] > x_i[30:0];
      d0_q <= (is_max && b_above) ? b_i : x_i;
    end
    if (ce_i[1] && !is_add) d1_q <= d0_q;
    if (ce_i[2] && !is_add) d2_q <= d1_q;
    if (ce_i[3] && !is_add) d3_q <= is_mul ? product : d2_q;
  end
  assign y_o = is_add ? sum : d3_q;
endmodule

`default_nettype wire
