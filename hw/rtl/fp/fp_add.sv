// f32 adder on canonical operands, nearest even, four register stages, one result a cycle.
// ce_i[i] loads stage i, so the owner shares one valid pipeline between many adders and idle
// stages cost nothing (also in simulation: the logic of a stage sits behind its enable).
// Only 3 bits below the aligned significand are kept: guard, round, sticky.
//
// A sum that loses more than one leading bit is exact (its operands are less than two binary places
// apart), so the long shift and the rounding are never in series: stage 2 selects among the three
// places that need rounding and counts the zeros for the other case, stage 3 rounds the one and
// shifts the other.
//
// In fp_* and the lanes, public input ports and block-local variables in place of functions keep
// all instances alike, so that Verilator makes one C++ function of them instead of one each.
`default_nettype none

module fp_add (
  input  wire         clk_i,
  input  wire  [3:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [31:0] a_i /*verilator public_flat_rd*/,
  input  wire  [31:0] b_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  logic        sign0_q, sub0_q, sign1_q, sub1_q, sign2_q;
  logic [7:0]  exp0_q, exp1_q, exp2_q;
  logic [23:0] larger0_q, lesser0_q, larger1_q;
  logic [7:0]  gap0_q;
  logic [4:0]  zeros2_q;
  logic [26:0] lesser1_q;
  logic [23:0] far2_q, near2_q;
  logic        round2_q, is_near2_q, up2_q, down2_q, zero2_q;

  // Stage 0: order by magnitude.
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin : order
      logic        swap, a_there, b_there;
      logic [31:0] larger;
      logic [22:0] lesser;
      logic [7:0]  lesser_exp;
      swap    = b_i[30:0] > a_i[30:0];
      a_there = a_i[30:24] != 7'd0;
      b_there = b_i[30:24] != 7'd0;
      larger  = swap ? b_i : a_i;
      lesser  = swap ? a_i[22:0] : b_i[22:0];
      lesser_exp = a_i[30:23] ^ b_i[30:23] ^ larger[30:23];  // needs no swap, which has many readers
      sign0_q   <= larger[31];
      sub0_q    <= a_i[31] ^ b_i[31];
      exp0_q    <= larger[30:23];
      larger0_q <= {a_there || b_there, larger[22:0]};
      lesser0_q <= {a_there && b_there, lesser};
      gap0_q    <= larger[30:23] - lesser_exp;
    end
  end

  // Stage 1: align the lesser one, keep a sticky bit; its complement to subtract. Of gaps of 27 and
  // more nothing but the sticky bit is left.
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : align
      logic [26:0] by8, by2, by1;
      logic        lost8, lost2, lost1, below;
      case (gap0_q[4:3])
        2'd0: by8 = {lesser0_q, 3'd0};
        2'd1: by8 = {8'd0, lesser0_q[23:5]};
        2'd2: by8 = {16'd0, lesser0_q[23:13]};
        default: by8 = {24'd0, lesser0_q[23:21]};
      endcase
      lost8 = (gap0_q[4:3] != 2'd0 && lesser0_q[4:0] != 5'd0) || (gap0_q[4] && lesser0_q[12:5] != 8'd0)
              || (gap0_q[4:3] == 2'd3 && lesser0_q[20:13] != 8'd0);
      case (gap0_q[2:1])
        2'd0: by2 = by8;
        2'd1: by2 = {2'd0, by8[26:2]};
        2'd2: by2 = {4'd0, by8[26:4]};
        default: by2 = {6'd0, by8[26:6]};
      endcase
      lost2 = (gap0_q[2:1] != 2'd0 && by8[1:0] != 2'd0) || (gap0_q[2] && by8[3:2] != 2'd0)
              || (gap0_q[2:1] == 2'd3 && by8[5:4] != 2'd0);
      by1   = gap0_q[0] ? {1'd0, by2[26:1]} : by2;
      lost1 = gap0_q[0] && by2[0];
      below = gap0_q[7:5] != 3'd0;
      sign1_q   <= sign0_q;
      sub1_q    <= sub0_q;
      exp1_q    <= exp0_q;
      larger1_q <= larger0_q;
      lesser1_q <= (below ? {26'd0, lesser0_q[23]} : {by1[26:1], by1[0] | lost8 | lost2 | lost1})
                   ^ {27{sub0_q}};
    end
  end

  // Stage 2: add or subtract. Far: leading one in bit 27, 26 or 25. Near: below, count the zeros.
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : combine
      /* verilator lint_off UNUSEDSIGNAL */  // bit 0 makes the carry in
      logic [28:0] total;
      /* verilator lint_on UNUSEDSIGNAL */
      logic [27:0] sum;
      logic        is_near, guard, sticky;
      logic [23:0] far;
      logic [5:0]  any4;       // of sum[25:2], by four bits
      logic [2:0]  any8;
      logic [11:0] in4;
      logic [8:0]  in8;
      total   = {1'b0, larger1_q, 3'b000, 1'b1} + {1'b0, lesser1_q, sub1_q};
      sum     = {total[28] & ~sub1_q, total[27:1]};
      is_near = sum[27:25] == 3'd0;
      far     = sum[27] ? sum[27:4] : sum[26] ? sum[26:3] : sum[25:2];
      guard   = sum[27] ? sum[3] : sum[26] ? sum[2] : sum[1];
      sticky  = sum[0] || (sum[1] && (sum[27] || sum[26])) || (sum[2] && sum[27]);
      for (int i = 0; i < 6; i++) begin
        any4[i]       = sum[2+4*i +: 4] != 4'd0;
        in4[2*i +: 2] = sum[5+4*i] ? 2'd0 : sum[4+4*i] ? 2'd1 : sum[3+4*i] ? 2'd2 : 2'd3;
      end
      for (int i = 0; i < 3; i++) begin
        any8[i]       = any4[2*i+1] || any4[2*i];
        in8[3*i +: 3] = any4[2*i+1] ? {1'b0, in4[4*i+2 +: 2]} : {1'b1, in4[4*i +: 2]};
      end
      sign2_q    <= sign1_q;
      exp2_q     <= exp1_q;
      far2_q     <= far;
      round2_q   <= guard && (sticky || far[0]);
      is_near2_q <= is_near;
      near2_q    <= sum[25:2];
      zeros2_q   <= any8[2] ? {2'd0, in8[8:6]} : any8[1] ? {2'd1, in8[5:3]} : {2'd2, in8[2:0]};
      zero2_q    <= is_near && any8 == 3'd0;
      up2_q      <= sum[27];
      down2_q    <= !sum[27] && !sum[26];
    end
  end

  // Stage 3: round or normalise. A significand that rounds up to 2^24 has zeros below anyway.
  always_ff @(posedge clk_i) begin
    if (ce_i[3]) begin : round
      /* verilator lint_off UNUSEDSIGNAL */  // leading ones; bit 0 of expo takes a carry in
      logic [24:0] rounded;
      logic [23:0] by8, by2;
      logic [22:0] near;
      logic [10:0] expo;
      /* verilator lint_on UNUSEDSIGNAL */
      logic [5:0]  step;
      logic        none, over;
      rounded = {1'b0, far2_q} + {24'd0, round2_q};
      case (zeros2_q[4:3])
        2'd0: by8 = near2_q;
        2'd1: by8 = {near2_q[15:0], 8'd0};
        default: by8 = {near2_q[7:0], 16'd0};
      endcase
      case (zeros2_q[2:1])
        2'd0: by2 = by8;
        2'd1: by2 = {by8[21:0], 2'd0};
        2'd2: by2 = {by8[19:0], 4'd0};
        default: by2 = {by8[17:0], 6'd0};
      endcase
      near = zeros2_q[0] ? {by2[21:0], 1'd0} : by2[22:0];
      // The exponent goes up by 1, 0, -1; near: by -1 - zeros.
      step = is_near2_q ? {1'b1, ~zeros2_q} : {{5{down2_q}}, up2_q || down2_q};
      expo = {2'b00, exp2_q, 1'b1} + {{4{step[5]}}, step, rounded[24] & ~is_near2_q};
      none = zero2_q || expo[10] || expo[9:2] == 8'd0;
      over = !expo[10] && (expo[9] || expo[8:1] == 8'hff);
      y_o[31]    <= sign2_q;
      y_o[30:23] <= over ? 8'hfe : expo[8:1];
      y_o[22:0]  <= {23{over}} | (is_near2_q ? near : rounded[22:0]);
      if (none) y_o <= 32'd0;
    end
  end
endmodule

`default_nettype wire
