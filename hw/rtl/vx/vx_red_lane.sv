// Reduction of one lane over the steps of a row: partial sums of squares or values, or an extremum.
//
// Sums keep four interleaved partials by feeding the adder's result straight back: step c meets
// step c-4 because the adder takes four stages and rows have no bubbles. They leave on acc_o four
// stages behind their steps; vx_reduce adds them up.
`default_nettype none

module vx_red_lane (
  input  wire         clk_i,
  input  wire         ce_best_i,
  input  wire  [2:0]  ce_square_i,
  input  wire  [3:0]  ce_sum_i,
  input  wire         is_square_i,
  input  wire         is_abs_i,
  input  wire         active_i /*verilator public_flat_rd*/,
  input  wire         first_i,     // first step of the row, with ce_best_i
  input  wire  [11:0] step_i,
  input  wire         fresh_i,     // one of the row's first four steps, with ce_sum_i[0]
  input  wire  [31:0] y_i /*verilator public_flat_rd*/,         // zero if inactive
  output logic [31:0] acc_o,
  output logic [31:0] best_o,
  output logic [11:0] step_o
);
  /*verilator no_inline_module*/

  logic [31:0] square;
  fp_mul u_square (.clk_i, .ce_i(ce_square_i), .a_i(y_i), .b_i(y_i), .y_o(square));
  fp_add u_acc (
    .clk_i, .ce_i(ce_sum_i), .a_i(is_square_i ? square : y_i), .b_i(fresh_i ? 32'd0 : acc_o), .y_o(acc_o)
  );

  // Extremum. Ties keep the older element; inactive elements never win.
  always_ff @(posedge clk_i) begin
    if (ce_best_i) begin : compare
      logic [31:0] candidate, best;
      logic        better;
      candidate = {y_i[31] & ~is_abs_i, y_i[30:0]};
      best      = !first_i ? best_o : is_abs_i ? 32'd0 : fp_pkg::MaxNeg;
      better    = active_i
                  && ((candidate[31] != best[31]) ? best[31]
                      : best[31] ? candidate[30:0] < best[30:0] : candidate[30:0] > best[30:0]);
      best_o <= better ? candidate : best;
      step_o <= better ? step_i : first_i ? 12'd0 : step_o;
    end
  end
endmodule

`default_nettype wire
