// Canonical f32: the number format inside the accelerator (hw/doc/microarchitecture.md, section 2).
// Exponent field 2..254 or all bits zero; no -0, subnormal, Inf or NaN. These functions are the
// combinational parts the pipelined units share.
`default_nettype none

package fp_pkg;
  localparam logic [30:0] MaxMag = 31'h7f7f_ffff;
  /* verilator lint_off UNUSEDPARAM */  // not every user of the package needs all constants
  localparam logic [31:0] MaxPos = 32'h7f7f_ffff;
  localparam logic [31:0] MaxNeg = 32'hff7f_ffff;
  /* verilator lint_on UNUSEDPARAM */

  // Canonical form of any 32 bits.
  function automatic logic [31:0] canon(input logic [31:0] x);
    canon = x;
    if (x[30:24] == 7'd0) canon = 32'd0;
    else if (x[30:23] == 8'hff) canon = {x[31], MaxMag};
  endfunction

  // a > b as real numbers, both canonical.
  function automatic logic gt(input logic [31:0] a, input logic [31:0] b);
    if (a[31] != b[31]) gt = b[31];
    else if (a[31]) gt = a[30:0] < b[30:0];
    else gt = a[30:0] > b[30:0];
  endfunction

  // fmax(a, b): b > a ? b : a.
  function automatic logic [31:0] fmax(input logic [31:0] a, input logic [31:0] b);
    fmax = gt(b, a) ? b : a;
  endfunction

  // Leading zeros of 32 bits; 31 for zero (the caller knows zero by itself).
  function automatic logic [4:0] lzc32(input logic [31:0] x);
    logic [31:0] v;
    v = x;
    lzc32[4] = v[31:16] == 16'd0;
    if (lzc32[4]) v = v << 16;
    lzc32[3] = v[31:24] == 8'd0;
    if (lzc32[3]) v = v << 8;
    lzc32[2] = v[31:28] == 4'd0;
    if (lzc32[2]) v = v << 4;
    lzc32[1] = v[31:30] == 2'd0;
    if (lzc32[1]) v = v << 2;
    lzc32[0] = ~v[31];
  endfunction

  // Rounds a normalised significand {1.m, guard, sticky} to nearest even and packs it.
  // `e` is the biased exponent before rounding, unbounded (signed 10 bits).
  function automatic logic [31:0] round_pack(input logic sign, input logic [9:0] e,
                                             input logic [23:0] m, input logic guard,
                                             input logic sticky);
    logic [24:0] r;
    logic [9:0] er;
    r  = {1'b0, m} + {24'd0, guard & (sticky | m[0])};
    er = e + {9'd0, r[24]};
    if (er[9] || er[8:0] <= 9'd1) round_pack = 32'd0;
    else if (er[8:0] >= 9'd255) round_pack = {sign, MaxMag};
    else round_pack = {sign, er[7:0], r[24] ? r[23:1] : r[22:0]};
  endfunction
endpackage

`default_nettype wire
