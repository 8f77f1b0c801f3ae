// Reduction of one lane over the steps of a row: a sum of squares or values, or an extremum.
//
// Sums keep four interleaved partials by feeding the adder's result straight back: step c meets
// step c-4 because the adder takes four stages and rows have no bubbles. The four partials
// q0..q3 that end a row are added as (q0+q1)+(q2+q3); both inner sums come from one adder
// ("pair"), two steps apart. Stage numbers as in vx_unit; ce_i[k] moves stage k to k+1.
//   20..22 square   23..26 accumulate   27..30 pair   31..34 quad -> sum_o at stage 35
//   20 compare -> best_o, step_o (of the extremum) at stage 21
`default_nettype none

module vx_red_lane (
  input  wire         clk_i,
  input  wire  [27:20] ce_i,
  input  wire         is_sum_i,
  input  wire         is_square_i,
  input  wire         is_abs_i,
  input  wire         is_best_i,   // MAX, ABSMAX, ARGMAX
  input  wire         active20_i /*verilator public_flat_rd*/,
  input  wire         first20_i,   // first step of the row, at stage 20
  input  wire  [11:0] step20_i,
  input  wire         fresh23_i,   // c < 4, at stage 23
  input  wire         first27_i,
  input  wire  [3:0]  ce_pair_i,   // steps n-3 and n-1 only
  input  wire         keep31_i,    // step n-3 of a row leaves the pair adder
  input  wire         short_i,     // n < 3: q0 and q1 are zero
  input  wire  [3:0]  ce_quad_i,   // last step only
  input  wire  [31:0] y_i /*verilator public_flat_rd*/,         // stage 20, zero if inactive
  output logic [31:0] sum_o,
  output logic [31:0] best_o,
  output logic [11:0] step_o
);
  /*verilator no_inline_module*/

  // z at stage 23.
  logic [31:0] square, z0_q, z1_q, z2_q, z;
  fp_mul u_square (
    .clk_i, .ce_i(is_square_i ? ce_i[22:20] : 3'd0), .a_i(y_i), .b_i(y_i), .y_o(square)
  );
  logic delay;
  assign delay = is_sum_i && !is_square_i;
  always_ff @(posedge clk_i) begin
    if (ce_i[20] && delay) z0_q <= y_i;
    if (ce_i[21] && delay) z1_q <= z0_q;
    if (ce_i[22] && delay) z2_q <= z1_q;
  end
  assign z = is_square_i ? square : z2_q;

  logic [31:0] acc, acc_prev_q, pair, pair_prev_q;
  fp_add u_acc (
    .clk_i, .ce_i(is_sum_i ? ce_i[26:23] : 4'd0), .a_i(z), .b_i(fresh23_i ? 32'd0 : acc), .y_o(acc)
  );
  fp_add u_pair (
    .clk_i, .ce_i(ce_pair_i), .a_i(first27_i ? 32'd0 : acc_prev_q), .b_i(acc), .y_o(pair)
  );
  fp_add u_quad (
    .clk_i, .ce_i(ce_quad_i), .a_i(short_i ? 32'd0 : pair_prev_q), .b_i(pair), .y_o(sum_o)
  );
  always_ff @(posedge clk_i) begin
    if (ce_i[27] && is_sum_i) acc_prev_q <= acc;
    if (keep31_i) pair_prev_q <= pair;
  end

  // Extremum. Ties keep the older element; inactive elements never win.
  always_ff @(posedge clk_i) begin
    if (ce_i[20] && is_best_i) begin : compare
      logic [31:0] candidate, best;
      logic        better;
      candidate = {y_i[31] & ~is_abs_i, y_i[30:0]};
      best      = !first20_i ? best_o : is_abs_i ? 32'd0 : fp_pkg::MaxNeg;
      better    = active20_i
                  && ((candidate[31] != best[31]) ? best[31]
                      : best[31] ? candidate[30:0] < best[30:0] : candidate[30:0] > best[30:0]);
      best_o  <= better ? candidate : best;
      step_o <= better ? step20_i : first20_i ? 12'd0 : step_o;
    end
  end
endmodule

`default_nettype wire
