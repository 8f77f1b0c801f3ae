// f32 adder on canonical operands, nearest even, four register stages, one result a cycle.
// ce_i[i] loads stage i, so the owner shares one valid pipeline between many adders and idle
// stages cost nothing. Only 3 bits below the aligned significand are kept: guard, round, sticky.
`default_nettype none

module fp_add (
  input  wire         clk_i,
  input  wire  [3:0]  ce_i,
  input  wire  [31:0] a_i,
  input  wire  [31:0] b_i,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  // Stage 0: order by magnitude.
  logic        swap;
  logic [31:0] big, small;
  logic [7:0]  dist;
  logic        sign0_q, sub0_q;
  logic [7:0]  exp0_q;
  logic [23:0] big0_q, small0_q;
  logic [4:0]  dist0_q;
  assign swap  = b_i[30:0] > a_i[30:0];
  assign big   = swap ? b_i : a_i;
  assign small = swap ? a_i : b_i;
  assign dist  = big[30:23] - small[30:23];

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      sign0_q  <= big[31];
      sub0_q   <= big[31] ^ small[31];
      exp0_q   <= big[30:23];
      big0_q   <= {big[30:23] != 8'd0, big[22:0]};
      small0_q <= {small[30:23] != 8'd0, small[22:0]};
      dist0_q  <= (dist > 8'd27) ? 5'd27 : dist[4:0];
    end
  end

  // Stage 1: align the smaller one, keep a sticky bit.
  logic [26:0] small_ext, aligned, lost_mask;
  logic        sign1_q, sub1_q;
  logic [7:0]  exp1_q;
  logic [23:0] big1_q;
  logic [26:0] small1_q;
  assign small_ext = {small0_q, 3'b000};
  assign lost_mask = ~(27'h7ff_ffff << dist0_q);
  assign aligned   = small_ext >> dist0_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin
      sign1_q  <= sign0_q;
      sub1_q   <= sub0_q;
      exp1_q   <= exp0_q;
      big1_q   <= big0_q;
      small1_q <= {aligned[26:1], aligned[0] | ((small_ext & lost_mask) != 27'd0)};
    end
  end

  // Stage 2: add or subtract, find the leading one.
  logic [27:0] sum;
  logic        sign2_q;
  logic [7:0]  exp2_q;
  logic [27:0] sum2_q;
  logic [4:0]  lz2_q;
  assign sum = sub1_q ? {1'b0, big1_q, 3'b000} - {1'b0, small1_q}
                      : {1'b0, big1_q, 3'b000} + {1'b0, small1_q};

  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin
      sign2_q <= sign1_q;
      exp2_q  <= exp1_q;
      sum2_q  <= sum;
      lz2_q   <= fp_pkg::lzc32({sum, 4'b0000});
    end
  end

  // Stage 3: normalise, round.
  logic [27:0] norm;
  logic [9:0]  exp_norm;
  assign norm     = sum2_q << lz2_q;
  assign exp_norm = {2'b00, exp2_q} + 10'd1 - {5'd0, lz2_q};

  always_ff @(posedge clk_i) begin
    if (ce_i[3]) begin
      y_o <= (sum2_q == 28'd0) ? 32'd0
           : fp_pkg::round_pack(sign2_q, exp_norm, norm[27:4], norm[3], norm[2:0] != 3'd0);
    end
  end
endmodule

`default_nettype wire
