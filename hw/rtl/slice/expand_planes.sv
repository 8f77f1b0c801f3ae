// Bit planes of a pair of words, most significant first, shifted in one a cycle. With the last
// plane the first word is there; the second word's bits then move over, so that the same formatter
// gives it in the next cycle while the next pair's first plane already comes in.
`default_nettype none

module expand_planes (
    input  logic          clk_i,
    input  logic          shift_i,      // unit_i is a plane
    input  logic          last_i,       // ... and the pair's last
    input  logic [511:0]  unit_i,
    input  logic          en_i,         // simulation only: value_o matters
    input  logic          second_i,     // form the second word
    input  logic [2:0]    bits_i,       // 2, 3, 5, 6: of the word to form
    output logic [2047:0] value_o       // in the weight FIFO's blocks
);
  // Planes before the newest: _0 the youngest. First word, second word.
  logic [255:0] first_0_q, first_1_q, first_2_q, first_3_q, first_4_q;
  logic [255:0] second_0_q, second_1_q, second_2_q, second_3_q, second_4_q, second_last_q;

  always_ff @(posedge clk_i) begin
    if (shift_i) begin
      second_0_q <= unit_i[511:256];
      second_1_q <= second_0_q;
      second_2_q <= second_1_q;
      second_3_q <= second_2_q;
      second_4_q <= second_3_q;
      first_0_q  <= last_i ? second_0_q : unit_i[255:0];
      first_1_q  <= last_i ? second_1_q : first_0_q;
      first_2_q  <= last_i ? second_2_q : first_1_q;
      first_3_q  <= last_i ? second_3_q : first_2_q;
      first_4_q  <= last_i ? second_4_q : first_3_q;
    end
    if (shift_i && last_i) second_last_q <= unit_i[511:256];
  end

  // Bits of the values. 2 and 3 bits are mid-rise: a one below them.
  logic [255:0] v0, o0, o1, o2, o3, o4, o5, sign;
  always_comb begin
    v0   = 'x;
    o0   = 'x;
    o1   = 'x;
    o2   = 'x;
    o3   = 'x;
    o4   = 'x;
    o5   = 'x;
    sign = 'x;
    if (en_i) begin
      v0 = second_i ? second_last_q : unit_i[255:0];
      case (bits_i)
        3'd2: sign = first_0_q;
        3'd3: sign = first_1_q;
        3'd5: sign = first_3_q;
        default: sign = first_4_q;
      endcase
      if (bits_i == 3'd2 || bits_i == 3'd3) begin
        o0 = '1;
        o1 = v0;
        o2 = first_0_q;
        o3 = sign;
        o4 = sign;
      end else begin
        o0 = v0;
        o1 = first_0_q;
        o2 = first_1_q;
        o3 = first_2_q;
        o4 = first_3_q;
      end
      o5 = sign;
    end
  end

  function automatic logic [31:0] spread(input logic [3:0] x);
    spread = {7'd0, x[3], 7'd0, x[2], 7'd0, x[1], 7'd0, x[0]};
  endfunction

  // Four inputs of an output at a time.
  always_comb begin : format
    value_o = 'x;
    if (en_i) begin
      for (int n = 0; n < 16; n++) begin
        for (int c = 0; c < 4; c++) begin
          value_o[128*(4*(n/4)+c)+32*(n%4)+:32] =
              spread(o0[16*n+4*c+:4]) | (spread(o1[16*n+4*c+:4]) << 1) |
              (spread(o2[16*n+4*c+:4]) << 2) | (spread(o3[16*n+4*c+:4]) << 3) |
              (spread(o4[16*n+4*c+:4]) << 4) | (spread(o5[16*n+4*c+:4]) << 5) |
              (spread(sign[16*n+4*c+:4]) << 6) | (spread(sign[16*n+4*c+:4]) << 7);
        end
      end
    end
  end
endmodule

`default_nettype wire
