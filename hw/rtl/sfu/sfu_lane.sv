// Special functions of one vector lane: EXP2, RECIP, RSQRT, GELU, GELU_TANH, SILU by piecewise
// linear interpolation in one shared ROM (hw/doc/microarchitecture.md, section 2). NONE passes x.
//
// Latency 10. ce_i[i] loads stage i. func_i is constant while anything is in the pipe.
//   0 classify, align to fixed point   1 ROM index, fraction, result exponent   2 ROM
//   3 slope * fraction                 4 add base, clamp      5 pack (GELU, SILU: g as a float)
//   6..9 relu(x) - g, or a delay for the others
`default_nettype none

module sfu_lane (
  input  wire         clk_i,
  input  wire  [9:0]  ce_i,
  input  wire  [3:0]  func_i,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  output logic        rom_re_o,
  output logic [11:0] rom_addr_o,
  input  wire  [45:0] rom_rdata_i /*verilator public_flat_rd*/,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  // Which function. is_bump: relu(x) - g(|x|).
  logic is_exp2, is_recip, is_rsqrt, is_tanh, is_silu, is_bump, is_none;
  assign is_none  = func_i == fvlm_isa_pkg::VX_FUNC_NONE;
  assign is_exp2  = func_i == fvlm_isa_pkg::VX_FUNC_EXP2;
  assign is_recip = func_i == fvlm_isa_pkg::VX_FUNC_RECIP;
  assign is_rsqrt = func_i == fvlm_isa_pkg::VX_FUNC_RSQRT;
  assign is_tanh  = func_i == fvlm_isa_pkg::VX_FUNC_GELU_TANH;
  assign is_silu  = func_i == fvlm_isa_pkg::VX_FUNC_SILU;
  assign is_bump  = is_tanh || is_silu || func_i == fvlm_isa_pkg::VX_FUNC_GELU;

  logic [5:0] ce;
  assign ce = is_none ? 6'd0 : ce_i[5:0];

  // Stage 0. |x| * 2^16 (EXP2), 2^20 (GELU), 2^19 (SILU) as an integer: the significand shifted
  // right by (134, 130, 131) - exponent, which is at least 1 inside each function's range.
  logic [7:0] pivot;
  assign pivot = is_exp2 ? 8'd134 : is_silu ? 8'd131 : 8'd130;

  logic        sign0_q, lost0_q, zero0_q, max0_q;
  logic [7:0]  exp0_q;
  logic [22:0] mant0_q, fixed0_q;
  always_ff @(posedge clk_i) begin
    if (ce[0]) begin : align
      logic [7:0]  shift;
      logic [4:0]  shift_sat;
      logic [23:0] sig;
      logic        exp_low, exp_high, bump_far, is_zero;
      shift     = pivot - x_i[30:23];
      shift_sat = (shift > 8'd24) ? 5'd24 : shift[4:0];
      sig       = {x_i[30:23] != 8'd0, x_i[22:0]};
      exp_low   = x_i[31] && x_i[30:0] > 31'h42fa_0000;   // x < -125
      exp_high  = !x_i[31] && x_i[30:0] >= 31'h42fe_0000;  // x >= 127
      bump_far  = x_i[30:23] >= pivot;
      is_zero   = x_i[30:23] == 8'd0;
      sign0_q  <= x_i[31];
      exp0_q   <= x_i[30:23];
      mant0_q  <= x_i[22:0];
      fixed0_q <= 23'(sig >> shift_sat);
      lost0_q  <= (sig & ~(24'hff_ffff << shift_sat)) != 24'd0;
      zero0_q  <= (is_exp2 && exp_low) || (is_bump && bump_far);
      max0_q   <= (is_exp2 && exp_high) || (is_recip && is_zero)
                  || (is_rsqrt && (x_i[31] || is_zero));
    end
  end

  // Stage 1. expo is the result's exponent field for Y < 2^24 (EXP2: always).
  logic [11:0] index1_q;
  logic [14:0] frac1_q, frac2_q;
  logic [9:0]  expo1_q, expo2_q, expo3_q, expo4_q;
  logic [2:0]  flag1_q, flag2_q, flag3_q, flag4_q;  // {sign, zero, max}
  always_ff @(posedge clk_i) begin
    if (ce[1]) begin : locate
      logic [23:0] t;
      t = sign0_q ? -{1'b0, fixed0_q} - {23'd0, lost0_q} : {1'b0, fixed0_q};
      flag1_q <= {sign0_q, zero0_q, max0_q};
      frac1_q <= mant0_q[14:0];
      if (is_exp2) begin
        index1_q <= {4'd0, t[15:8]};
        frac1_q  <= {t[7:0], 7'd0};
        expo1_q  <= {{2{t[23]}}, t[23:16]} + 10'd127;
      end else if (is_recip) begin
        index1_q <= 12'(fvlm_isa_pkg::RomRecip) + {4'd0, mant0_q[22:15]};
        expo1_q  <= 10'd253 - {2'b00, exp0_q};
      end else if (is_rsqrt) begin
        index1_q <= 12'(fvlm_isa_pkg::RomRsqrt) + {3'd0, !exp0_q[0], mant0_q[22:15]};
        expo1_q  <= 10'd190 - (({2'b00, exp0_q} + 10'd1) >> 1);  // 126 - k
      end else begin
        index1_q <= (is_silu ? 12'(fvlm_isa_pkg::RomSilu)
                     : is_tanh ? 12'(fvlm_isa_pkg::RomGeluTanh) : 12'(fvlm_isa_pkg::RomGelu))
                    + {3'd0, fixed0_q[22:14]};
        frac1_q  <= {fixed0_q[13:0], 1'b0};
        expo1_q  <= 10'd0;
      end
    end
  end

  // Stage 2: ROM.
  assign rom_re_o   = ce[2];
  assign rom_addr_o = index1_q;
  always_ff @(posedge clk_i) begin
    if (ce[2]) begin
      frac2_q <= frac1_q;
      expo2_q <= expo1_q;
      flag2_q <= flag1_q;
    end
  end

  // Stage 3: multiply.
  logic [25:0] base3_q;
  logic [20:0] prod3_q;
  always_ff @(posedge clk_i) begin
    if (ce[3]) begin
      prod3_q <= 21'(({{16{rom_rdata_i[19]}}, rom_rdata_i[19:0]} * {21'd0, frac2_q}) >> 15);
      base3_q <= rom_rdata_i[45:20];
      expo3_q <= expo2_q;
      flag3_q <= flag2_q;
    end
  end

  // Stage 4: Y = base + (product >> 15), clamped.
  logic [27:0] lo, hi;
  logic [24:0] y4_q;
  assign lo = is_exp2 ? 28'h100_0000 : is_bump ? 28'd0 : 28'h080_0000;
  assign hi = is_exp2 ? 28'h1ff_ffff : is_bump ? 28'h0ff_ffff : 28'h100_0000;
  always_ff @(posedge clk_i) begin
    if (ce[4]) begin : interpolate
      logic [27:0] sum;
      sum = {2'b00, base3_q} + {{7{prod3_q[20]}}, prod3_q};
      y4_q    <= (sum[27] || sum < lo) ? lo[24:0] : (sum > hi) ? hi[24:0] : sum[24:0];
      expo4_q <= expo3_q;
      flag4_q <= flag3_q;
    end
  end

  // Stage 5: pack. minus_g is -(Y * 2^-24), exact.
  logic [31:0] packed5_q;
  always_ff @(posedge clk_i) begin
    if (ce[5]) begin : pack
      logic [9:0]  expo;
      logic [31:0] recip_like, minus_g;
      logic [4:0]  lz;
      logic [31:0] v;
      logic [23:0] norm;
      expo       = expo4_q + {9'd0, y4_q[24]};
      recip_like = (expo[9] || expo[8:0] <= 9'd1) ? 32'd0
                 : {flag4_q[2] & is_recip, expo[7:0], y4_q[24] ? 23'd0 : y4_q[22:0]};
      lz[4] = y4_q[23:8] == 16'd0;
      v     = lz[4] ? {y4_q[23:0], 8'd0} << 16 : {y4_q[23:0], 8'd0};
      lz[3] = v[31:24] == 8'd0;
      v     = lz[3] ? v << 8 : v;
      lz[2] = v[31:28] == 4'd0;
      v     = lz[2] ? v << 4 : v;
      lz[1] = v[31:30] == 2'd0;
      v     = lz[1] ? v << 2 : v;
      lz[0] = !v[31];
      norm       = y4_q[23:0] << lz;
      minus_g    = (flag4_q[1] || !norm[23]) ? 32'd0 : {1'b1, 8'd126 - {3'd0, lz}, norm[22:0]};
      packed5_q <= flag4_q[0] ? fp_pkg::MaxPos
                 : is_bump ? minus_g
                 : flag4_q[1] ? 32'd0
                 : is_exp2 ? {1'b0, expo4_q[7:0], y4_q[23:1]} : recip_like;
    end
  end

  // x travels beside; it is the result for NONE and relu(x) is the other addend for GELU, SILU.
  logic [31:0] x0_q, x1_q, x2_q, x3_q, x4_q, x5_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) x0_q <= x_i;
    if (ce_i[1]) x1_q <= x0_q;
    if (ce_i[2]) x2_q <= x1_q;
    if (ce_i[3]) x3_q <= x2_q;
    if (ce_i[4]) x4_q <= x3_q;
    if (ce_i[5]) x5_q <= x4_q;
  end

  // Stages 6..9.
  logic [31:0] bump_y, d6_q, d7_q, d8_q, d9_q;
  fp_add u_add (
    .clk_i,
    .ce_i (is_bump ? ce_i[9:6] : 4'd0),
    .a_i  (x5_q[31] ? 32'd0 : x5_q),
    .b_i  (packed5_q),
    .y_o  (bump_y)
  );
  always_ff @(posedge clk_i) begin
    if (ce_i[6] && !is_bump) d6_q <= is_none ? x5_q : packed5_q;
    if (ce_i[7] && !is_bump) d7_q <= d6_q;
    if (ce_i[8] && !is_bump) d8_q <= d7_q;
    if (ce_i[9] && !is_bump) d9_q <= d8_q;
  end
  assign y_o = is_bump ? bump_y : d9_q;
endmodule

`default_nettype wire
