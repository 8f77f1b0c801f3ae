// Values of weight units in the weight FIFO's blocks of 4 outputs x 4 inputs, registered. The formats
// (spec section 3.1) place each block's values in the same 16 bytes of a unit whatever the width and
// layout, or in one other place, so that little is left to choose here: a chunk's bytes, nibbles of it
// or of its neighbour, or its crumbs; and the sign bits above.
// Whole words of four values: they simulate fast.
`default_nettype none

module expand_values (
    input  logic          clk_i,
    input  logic          value_i,     // unit_i is a value unit
    input  logic          above_i,     // the bits above those of value units change:
    input  logic          extra_i,     // ... unit_i has them, else those of a second word are next
    input  logic          eight_i,     // 8 bits; else
    input  logic          crumb_i,     // 2 or 3; else 4, 5, 6
    input  logic          extended_i,  // 3, 5, 6
    input  logic          six_i,
    input  logic          layout_n_i,
    input  logic [1:0]    part_i,      // which unit of the word
    input  logic [511:0]  unit_i,
    output logic [15:0]   we_o,        // block 4 * (output / 4) + input / 4
    output logic [2047:0] value_o
);
  localparam logic [31:0] Ones = 32'h0101_0101;

  logic [511:0] extra_q;
  always_ff @(posedge clk_i) begin
    if (above_i) begin
      extra_q <= extra_i ? unit_i : (extra_q & {256{2'b10}}) | ((extra_q >> 1) & {256{2'b01}});
    end
  end

  // Signs in bit 0 of each byte to bits 5, 6, 7.
  function automatic logic [31:0] high(input logic [31:0] s);
    high = (s << 5) | (s << 6) | (s << 7);
  endfunction

  // Word i: output i % 4 of the four of block i / 4. Its bit in the chunk of its own block, and in the one
  // that also has nibbles of it.
  function automatic int unsigned own_at(input int unsigned i);
    int unsigned r = i / 16, c = i / 4 % 4;
    own_at = 128 * (r ^ c) + 32 * (i % 4);
  endfunction
  function automatic int unsigned other_at(input int unsigned i);
    int unsigned r = i / 16, c = i / 4 % 4;
    other_at = 128 * (((r ^ c) & 2) | (r & c & 1)) + 32 * (i % 4);
  endfunction

  // Four inputs of an output in block (r, c).
  function automatic logic [31:0] word(input int unsigned r, c, input logic [31:0] own, other, extra,
                                       input logic eight, crumb, extended, six, layout_n);
    logic [31:0] nibble, two, above, sign;
    above  = (extra >> (2 * r)) & (Ones * 3);
    two    = (own >> (2 * r)) & (Ones * 3);
    nibble = own;
    if (r % 2 == 1 && c % 2 == 1) nibble = other >> 4;
    else if (c % 2 == 1 && !layout_n) nibble = other >> 4;
    else if (r % 2 == 1 && layout_n) nibble = other >> 4;
    nibble = nibble & (Ones * 15);
    sign   = (extended ? above : crumb ? two >> 1 : nibble >> 3) & Ones;
    if (eight) word = own;
    else if (crumb) word = high(sign) | (sign << 4) | (sign << 3) | (two << 1) | Ones;  // mid-rise
    else word = high(sign) | ((six ? (above >> 1) & Ones : sign) << 4) | nibble;
  endfunction

  always_ff @(posedge clk_i) begin
    if (value_i) begin
      for (int unsigned i = 0; i < 64; i++) begin
        value_o[32*i+:32] <= word(i / 16, i / 4 % 4, unit_i[own_at(i)+:32], unit_i[other_at(i)+:32],
                                  extra_q[own_at(i)+:32], eight_i, crumb_i, extended_i, six_i, layout_n_i);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int r = 0; r < 4; r++) begin
      for (int c = 0; c < 4; c++) begin
        we_o[4*r+c] <= value_i && (crumb_i || (eight_i ? part_i == 2'(layout_n_i ? c : r)
                                                       : part_i[0] == 1'((layout_n_i ? c : r) / 2)));
      end
    end
  end
endmodule

`default_nettype wire
