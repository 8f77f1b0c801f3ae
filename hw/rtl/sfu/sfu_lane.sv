// Special functions of one vector lane: EXP2, RECIP, RSQRT, GELU, GELU_TANH, SILU by piecewise
// linear interpolation in one shared ROM (hw/doc/microarchitecture.md, section 2). NONE passes x.
//
// Latency 7 (EXP2, RECIP, RSQRT), 12 (GELU, SILU) or 0 (NONE). ce_i[i] loads stage i. func_i is
// constant while anything is in the pipe.
//   0 classify   1 align to fixed point   2 ROM index, fraction, result exponent   3 ROM
//   4 slope * fraction   5 add base, clamp   6 pack; GELU, SILU: 6 count zeros, 7 g as a float,
//   8..11 relu(x) - g, in an adder that the owner shares (relu_o, minus_g_o at 8, sum_i at 12)
`default_nettype none

module sfu_lane (
  input  wire         clk_i,
  input  wire  [7:0]  ce_i,
  input  wire  [3:0]  func_i,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  output logic        rom_re_o,
  output logic [11:0] rom_addr_o,
  input  wire  [45:0] rom_rdata_i /*verilator public_flat_rd*/,
  output logic [31:0] relu_o,
  output logic [31:0] minus_g_o,
  input  wire  [31:0] sum_i,
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

  // Stage 0. |x| * 2^16 (EXP2), 2^20 (GELU), 2^19 (SILU) as an integer is the significand shifted
  // right by (134, 130, 131) - exponent, which is at least 1 inside each function's range.
  logic [7:0] pivot;
  assign pivot = is_exp2 ? 8'd134 : is_silu ? 8'd131 : 8'd130;

  logic        zero0_q, max0_q;
  logic [4:0]  shift0_q;
  logic [31:0] x0_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin : classify
      logic [7:0] shift;
      logic       exp_low, exp_high, bump_far, is_zero;
      shift    = pivot - x_i[30:23];
      exp_low  = x_i[31] && x_i[30:0] > 31'h42fa_0000;    // x < -125
      exp_high = !x_i[31] && x_i[30:0] >= 31'h42fe_0000;  // x >= 127
      bump_far = x_i[30:23] >= pivot;
      is_zero  = x_i[30:24] == 7'd0;
      x0_q     <= x_i;
      shift0_q <= shift[4:0] | {5{shift[7:5] != 3'd0}};
      zero0_q  <= (is_exp2 && exp_low) || (is_bump && bump_far);
      max0_q   <= (is_exp2 && exp_high) || (is_recip && is_zero)
                  || (is_rsqrt && (x_i[31] || is_zero));
    end
  end

  // Stage 1. Only EXP2 asks what was lost.
  logic        zero1_q, max1_q, lost1_q;
  logic [22:0] fixed1_q;
  logic [31:0] x1_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : align
      /* verilator lint_off UNUSEDSIGNAL */  // bit 23 is shifted out
      logic [23:0] by8, by2, by1;
      /* verilator lint_on UNUSEDSIGNAL */
      logic        lost8, lost2, lost1;
      case (shift0_q[4:3])
        2'd0: by8 = {x0_q[30:24] != 7'd0, x0_q[22:0]};
        2'd1: by8 = {8'd0, x0_q[30:24] != 7'd0, x0_q[22:8]};
        2'd2: by8 = {16'd0, x0_q[30:24] != 7'd0, x0_q[22:16]};
        default: by8 = 24'd0;
      endcase
      lost8 = (shift0_q[4:3] != 2'd0 && x0_q[7:0] != 8'd0) || (shift0_q[4] && x0_q[15:8] != 8'd0)
              || (shift0_q[4:3] == 2'd3 && x0_q[30:16] != 15'd0);
      case (shift0_q[2:1])
        2'd0: by2 = by8;
        2'd1: by2 = {2'd0, by8[23:2]};
        2'd2: by2 = {4'd0, by8[23:4]};
        default: by2 = {6'd0, by8[23:6]};
      endcase
      lost2 = (shift0_q[2:1] != 2'd0 && by8[1:0] != 2'd0) || (shift0_q[2] && by8[3:2] != 2'd0)
              || (shift0_q[2:1] == 2'd3 && by8[5:4] != 2'd0);
      by1   = shift0_q[0] ? {1'd0, by2[23:1]} : by2;
      lost1 = shift0_q[0] && by2[0];
      x1_q     <= x0_q;
      fixed1_q <= by1[22:0];
      lost1_q  <= lost8 || lost2 || lost1;
      zero1_q  <= zero0_q;
      max1_q   <= max0_q;
    end
  end

  // Stage 2. expo is the result's exponent field for Y < 2^24 (EXP2: always). The parts of the ROM
  // are aligned to their size.
  logic [11:0] index2_q;
  logic [14:0] frac2_q, frac3_q;
  logic [9:0]  expo2_q, expo3_q, expo4_q, expo5_q;
  logic [1:0]  flag2_q, flag3_q, flag4_q, flag5_q;  // {zero, max}
  logic [31:0] x2_q, x3_q, x4_q, x5_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin : locate
      logic [23:0] t;
      t = ({1'b0, fixed1_q} ^ {24{x1_q[31]}}) + {23'd0, x1_q[31] && !lost1_q};
      x2_q    <= x1_q;
      flag2_q <= {zero1_q, max1_q};
      frac2_q <= x1_q[14:0];
      if (is_exp2) begin
        index2_q <= {4'd0, t[15:8]};
        frac2_q  <= {t[7:0], 7'd0};
        expo2_q  <= {{2{t[23]}}, t[23:16]} + 10'd127;
      end else if (is_recip) begin
        index2_q <= 12'(fvlm_isa_pkg::RomRecip) | {4'd0, x1_q[22:15]};
        expo2_q  <= 10'd253 - {2'b00, x1_q[30:23]};
      end else if (is_rsqrt) begin
        index2_q <= 12'(fvlm_isa_pkg::RomRsqrt) | {3'd0, !x1_q[23], x1_q[22:15]};
        expo2_q  <= 10'd190 - (({2'b00, x1_q[30:23]} + 10'd1) >> 1);  // 126 - k
      end else begin
        index2_q <= (is_silu ? 12'(fvlm_isa_pkg::RomSilu)
                     : is_tanh ? 12'(fvlm_isa_pkg::RomGeluTanh) : 12'(fvlm_isa_pkg::RomGelu))
                    | {3'd0, fixed1_q[22:14]};
        frac2_q  <= {fixed1_q[13:0], 1'b0};
        expo2_q  <= 10'd0;
      end
    end
  end

  // Stage 3: ROM.
  assign rom_re_o   = ce_i[3];
  assign rom_addr_o = index2_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[3]) begin
      x3_q    <= x2_q;
      frac3_q <= frac2_q;
      expo3_q <= expo2_q;
      flag3_q <= flag2_q;
    end
  end

  // Stage 4: multiply.
  logic [25:0] base4_q;
  logic [20:0] prod4_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[4]) begin
      x4_q    <= x3_q;
      prod4_q <= 21'(({{16{rom_rdata_i[19]}}, rom_rdata_i[19:0]} * {21'd0, frac3_q}) >> 15);
      base4_q <= rom_rdata_i[45:20];
      expo4_q <= expo3_q;
      flag4_q <= flag3_q;
    end
  end

  // Stage 5: Y = base + (product >> 15), clamped to [2^24, 2^25-1] (EXP2), [2^23, 2^24] (RECIP,
  // RSQRT), [0, 2^24-1] (GELU, SILU).
  logic [24:0] y5_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[5]) begin : interpolate
      logic [27:0] sum;
      logic        under, over;
      sum   = {2'b00, base4_q} + {{7{prod4_q[20]}}, prod4_q};
      under = sum[27] || (is_exp2 ? sum[26:24] == 3'd0 : !is_bump && sum[26:23] == 4'd0);
      over  = sum[26:25] != 2'd0 || (!is_exp2 && sum[24]);
      y5_q <= under ? {is_exp2, !is_exp2 && !is_bump, 23'd0}
            : over ? {!is_bump, {24{is_exp2 || is_bump}}} : sum[24:0];
      x5_q    <= x4_q;
      expo5_q <= expo4_q;
      flag5_q <= flag4_q;
    end
  end

  // Stage 6.
  logic [31:0] packed6_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[6] && !is_bump) begin : pack
      logic [9:0]  expo;
      logic [31:0] recip_like;
      expo       = expo5_q + {9'd0, y5_q[24]};
      recip_like = (expo[9] || expo[8:1] == 8'd0) ? 32'd0
                 : {x5_q[31] & is_recip, expo[7:0], y5_q[24] ? 23'd0 : y5_q[22:0]};
      packed6_q <= flag5_q[0] ? fp_pkg::MaxPos
                 : flag5_q[1] ? 32'd0
                 : is_exp2 ? {1'b0, expo5_q[7:0], y5_q[23:1]} : recip_like;
    end
  end

  // Stages 6, 7 of GELU, SILU: -(Y * 2^-24), exact.
  logic        zero6_q;
  logic [23:0] g6_q;
  logic [4:0]  zeros6_q;
  logic [31:0] x6_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[6] && is_bump) begin : count
      logic [5:0]  any4;       // by four bits
      logic [2:0]  any8;
      logic [11:0] in4;
      logic [8:0]  in8;
      for (int i = 0; i < 6; i++) begin
        any4[i]       = y5_q[4*i +: 4] != 4'd0;
        in4[2*i +: 2] = y5_q[3+4*i] ? 2'd0 : y5_q[2+4*i] ? 2'd1 : y5_q[1+4*i] ? 2'd2 : 2'd3;
      end
      for (int i = 0; i < 3; i++) begin
        any8[i]       = any4[2*i+1] || any4[2*i];
        in8[3*i +: 3] = any4[2*i+1] ? {1'b0, in4[4*i+2 +: 2]} : {1'b1, in4[4*i +: 2]};
      end
      zeros6_q <= any8[2] ? {2'd0, in8[8:6]} : any8[1] ? {2'd1, in8[5:3]} : {2'd2, in8[2:0]};
      zero6_q  <= flag5_q[1] || any8 == 3'd0;
      g6_q     <= y5_q[23:0];
      x6_q     <= x5_q;
    end
    if (ce_i[7] && is_bump) begin : normalise
      /* verilator lint_off UNUSEDSIGNAL */  // the leading one
      logic [23:0] norm;
      /* verilator lint_on UNUSEDSIGNAL */
      norm      = g6_q << zeros6_q;
      minus_g_o <= {1'b1, 8'd126 - {3'd0, zeros6_q}, norm[22:0]};
      relu_o    <= x6_q;
      if (zero6_q) minus_g_o <= 32'd0;
      if (x6_q[31]) relu_o <= 32'd0;
    end
  end

  assign y_o = is_none ? x_i : is_bump ? sum_i : packed6_q;
endmodule

`default_nettype wire
