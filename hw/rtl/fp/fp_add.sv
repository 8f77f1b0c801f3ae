// f32 adder on canonical operands, nearest even, four register stages, one result a cycle.
// ce_i[i] loads stage i, so the owner shares one valid pipeline between many adders and idle
// stages cost nothing (also in simulation: the logic of a stage sits behind its enable).
// Only 3 bits below the aligned significand are kept: guard, round, sticky.
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
  logic [4:0]  gap0_q, lz2_q;
  logic [26:0] lesser1_q;
  logic [27:0] sum2_q;

  // Stage 0: order by magnitude.
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin : order
      logic        swap;
      logic [31:0] larger, lesser;
      logic [7:0]  gap;
      swap   = b_i[30:0] > a_i[30:0];
      larger = swap ? b_i : a_i;
      lesser = swap ? a_i : b_i;
      gap    = larger[30:23] - lesser[30:23];
      sign0_q   <= larger[31];
      sub0_q    <= larger[31] ^ lesser[31];
      exp0_q    <= larger[30:23];
      larger0_q <= {larger[30:23] != 8'd0, larger[22:0]};
      lesser0_q <= {lesser[30:23] != 8'd0, lesser[22:0]};
      gap0_q    <= (gap > 8'd27) ? 5'd27 : gap[4:0];
    end
  end

  // Stage 1: align the lesser one, keep a sticky bit.
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : align
      logic [26:0] extended, aligned, lost;
      extended = {lesser0_q, 3'b000};
      aligned  = extended >> gap0_q;
      lost     = extended & ~(27'h7ff_ffff << gap0_q);
      sign1_q   <= sign0_q;
      sub1_q    <= sub0_q;
      exp1_q    <= exp0_q;
      larger1_q <= larger0_q;
      lesser1_q <= {aligned[26:1], aligned[0] | (lost != 27'd0)};
    end
  end

  // Stage 2: add or subtract, find the leading one.
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : combine
      logic [27:0] sum;
      logic [4:0]  lz;
      logic [31:0] v;
      sum = sub1_q ? {1'b0, larger1_q, 3'b000} - {1'b0, lesser1_q}
                   : {1'b0, larger1_q, 3'b000} + {1'b0, lesser1_q};
      lz[4] = sum[27:12] == 16'd0;
      v     = lz[4] ? {sum, 4'd0} << 16 : {sum, 4'd0};
      lz[3] = v[31:24] == 8'd0;
      v     = lz[3] ? v << 8 : v;
      lz[2] = v[31:28] == 4'd0;
      v     = lz[2] ? v << 4 : v;
      lz[1] = v[31:30] == 2'd0;
      v     = lz[1] ? v << 2 : v;
      lz[0] = !v[31];
      sign2_q <= sign1_q;
      exp2_q  <= exp1_q;
      sum2_q  <= sum;
      lz2_q   <= lz;
    end
  end

  // Stage 3: normalise, round.
  always_ff @(posedge clk_i) begin
    if (ce_i[3]) begin : round
      logic [27:0] norm;
      logic [9:0]  expo, fixd;
      logic [24:0] mant;
      norm = sum2_q << lz2_q;
      expo = {2'b00, exp2_q} + 10'd1 - {5'd0, lz2_q};
      mant = {1'b0, norm[27:4]} + {24'd0, norm[3] & (norm[2:0] != 3'd0 | norm[4])};
      fixd = expo + {9'd0, mant[24]};
      y_o <= (sum2_q == 28'd0 || fixd[9] || fixd[8:0] <= 9'd1) ? 32'd0
           : (fixd[8:0] >= 9'd255) ? {sign2_q, fp_pkg::MaxMag}
           : {sign2_q, fixd[7:0], mant[24] ? mant[23:1] : mant[22:0]};
    end
  end
endmodule

`default_nettype wire
