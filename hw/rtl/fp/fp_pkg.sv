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
endpackage

`default_nettype wire
