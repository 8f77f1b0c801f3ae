// One two-operand operation of a vector lane: add (or subtract), multiply, maximum, or nothing, each
// with its own latency (vx_plan): 4, 3, 1, 0. ce_i[i] loads stage i; kind_i and sub_i are constant
// while anything is in the pipe. The adder also serves another user (other_*) in other cycles.
`default_nettype none

module vx_op (
  input  wire         clk_i,
  input  wire  [3:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [1:0]  kind_i,  // 0 pass, 1 maximum, 2 multiply, 3 add
  input  wire         sub_i,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o,
  input  wire  [3:0]  other_ce_i /*verilator public_flat_rd*/,
  input  wire  [31:0] other_a_i /*verilator public_flat_rd*/,
  input  wire  [31:0] other_b_i /*verilator public_flat_rd*/,
  output logic [31:0] sum_o
);
  /*verilator no_inline_module*/

  logic is_max, is_mul, is_add;
  assign is_max = kind_i == 2'd1;
  assign is_mul = kind_i == 2'd2;
  assign is_add = kind_i == 2'd3;

  logic [31:0] product, larger_q;
  fp_add u_add (
    .clk_i,
    .ce_i (other_ce_i | (is_add ? ce_i : 4'd0)),
    .a_i  (other_ce_i[0] ? other_a_i : x_i),
    // A -0 here has a zero significand: harmless.
    .b_i  (other_ce_i[0] ? other_b_i : {b_i[31] ^ sub_i, b_i[30:0]}),
    .y_o  (sum_o)
  );
  fp_mul u_mul (
    .clk_i,
    .ce_i (is_mul ? ce_i[2:0] : 3'd0),
    .a_i  (x_i),
    .b_i,
    .y_o  (product)
  );
  always_ff @(posedge clk_i) begin
    if (ce_i[0] && is_max) begin : compare
      logic b_above;
      b_above = (x_i[31] != b_i[31]) ? x_i[31]
              : x_i[31] ? b_i[30:0] < x_i[30:0] : b_i[30:0] > x_i[30:0];
      larger_q <= b_above ? b_i : x_i;
    end
  end
  always_comb begin
    case (kind_i)
      2'd0: y_o = x_i;
      2'd1: y_o = larger_q;
      2'd2: y_o = product;
      default: y_o = sum_o;
    endcase
  end

  always_ff @(posedge clk_i) assert (!is_add || (other_ce_i & ce_i) == 4'd0);
endmodule

`default_nettype wire
