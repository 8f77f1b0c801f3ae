// What every sum in an array chain rests on, besides packing.cpp's exhaustive product check: a value is
// P = H * 2^19 + L with the sums of the high and the low row, H in 29 bits and L in 19.
`default_nettype none

// Adding a product to a packed sum adds in both fields, whatever the carries.
module step_lemma (
  input  wire signed [28:0] high_i, high_add_i,
  input  wire signed [18:0] low_i, low_add_i,
  output wire               holds_o
);
  wire signed [47:0] sum, parts;
  assign sum     = (48'(high_i) <<< 19) + 48'(low_i) + ((48'(high_add_i) <<< 19) + 48'(low_add_i));
  assign parts   = ((48'(high_i) + 48'(high_add_i)) <<< 19) + (48'(low_i) + 48'(low_add_i));
  assign holds_o = sum == parts;
endmodule

// mpe_chain's split gives the fields back (but for the one H whose P can leave 48 bits; sums stay below
// 2^18). With LowW = 20, a sum past the 19-bit field, it must not.
module split_lemma #(
  parameter int unsigned LowW = 19
) (
  input  wire signed     [28:0] high_i,
  input  wire signed [LowW-1:0] low_i,
  output wire                   holds_o
);
  wire signed [47:0] p;
  wire        [31:0] low, high;
  assign p       = (48'(high_i) <<< 19) + 48'(low_i);
  assign low     = {{13{p[18]}}, p[18:0]};
  assign high    = {{3{p[47]}}, p[47:19]} + {31'd0, p[18]};
  assign holds_o = (low == 32'(low_i) && high == 32'(high_i)) || high_i == 29'sh10000000;
endmodule

`default_nettype wire
