// One byte of 16: four LUT6 a bit and the wide multiplexers beside them (half a logic block), where a
// mapper left alone takes a fifth LUT. Behavioural twin: prim/model/mux16.sv.
`default_nettype none

module mux16 (
  input  wire [127:0] block_i,
  input  wire   [3:0] sel_i,
  output wire   [7:0] x_o
);
  for (genvar b = 0; b < 8; b++) begin : g_bit
    wire [3:0] quarter;
    for (genvar q = 0; q < 4; q++) begin : g_quarter
      assign quarter[q] = sel_i[1] ? (sel_i[0] ? block_i[32*q+24+b] : block_i[32*q+16+b])
                                   : (sel_i[0] ? block_i[32*q+8+b] : block_i[32*q+b]);
    end
    wire low, high;
    MUXF7 u_low (.O(low), .I0(quarter[0]), .I1(quarter[1]), .S(sel_i[2]));
    MUXF7 u_high (.O(high), .I0(quarter[2]), .I1(quarter[3]), .S(sel_i[2]));
    MUXF8 u_x (.O(x_o[b]), .I0(low), .I1(high), .S(sel_i[3]));
  end
endmodule

`default_nettype wire
