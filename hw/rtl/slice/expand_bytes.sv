// A unit of 8- or 4-bit weights as values in the weight FIFO's blocks of 4 outputs x 4 inputs.
// Unit u of a word fills the blocks of its outputs (layout k) or of its inputs (layout n).
`default_nettype none

module expand_bytes (
    input  logic          en_i,  // simulation only: the outputs matter
    input  logic          four_i,
    input  logic          layout_n_i,
    input  logic [1:0]    part_i,  // u
    input  logic [511:0]  unit_i,
    output logic [15:0]   blocks_o,
    output logic [2047:0] value_o
);
  always_comb begin : blocks
    logic [3:0] line;
    line = four_i ? (part_i[0] ? 4'b1100 : 4'b0011) : 4'd1 << part_i;
    for (int r = 0; r < 4; r++) begin
      for (int c = 0; c < 4; c++) blocks_o[4*r+c] = layout_n_i ? line[c] : line[r];
    end
  end

  // Four nibbles, the low or the high ones of four bytes, as bytes.
  function automatic logic [31:0] low(input logic [31:0] x);
    low = {{4{x[27]}}, x[27:24], {4{x[19]}}, x[19:16], {4{x[11]}}, x[11:8], {4{x[3]}}, x[3:0]};
  endfunction
  function automatic logic [31:0] high(input logic [31:0] x);
    high = low({4'd0, x[31:4]});
  endfunction
  // Byte `at` of four words: a column of four inputs.
  function automatic logic [31:0] column(input logic [31:0] w0, w1, w2, w3, input logic [1:0] at);
    case (at)
      2'd0: column = {w3[7:0], w2[7:0], w1[7:0], w0[7:0]};
      2'd1: column = {w3[15:8], w2[15:8], w1[15:8], w0[15:8]};
      2'd2: column = {w3[23:16], w2[23:16], w1[23:16], w0[23:16]};
      default: column = {w3[31:24], w2[31:24], w1[31:24], w0[31:24]};
    endcase
  endfunction

  // Output n, inputs 4c..4c+3. Nibbles: elements 0..7 of the 16 are the low ones.
  always_comb begin : values
    logic [511:0] lows, highs;
    value_o = 'x;
    lows    = 'x;
    highs   = 'x;
    if (en_i && four_i) begin
      for (int i = 0; i < 16; i++) begin
        lows[32*i+:32]  = low(unit_i[32*i+:32]);
        highs[32*i+:32] = high(unit_i[32*i+:32]);
      end
      if (layout_n_i) begin
        // Row k of the unit: 8 bytes, 2 words. Outputs of blocks 0, 1 are in the low nibbles.
        for (int n = 0; n < 16; n++) begin
          for (int c = 0; c < 4; c++) begin
            value_o[128*(4*(n/4)+c)+32*(n%4)+:32] = (n < 8) ?
                column(lows[32*(8*(c%2)+n/4)+:32], lows[32*(8*(c%2)+2+n/4)+:32],
                       lows[32*(8*(c%2)+4+n/4)+:32], lows[32*(8*(c%2)+6+n/4)+:32], 2'(n)) :
                column(highs[32*(8*(c%2)+n/4-2)+:32], highs[32*(8*(c%2)+n/4)+:32],
                       highs[32*(8*(c%2)+n/4+2)+:32], highs[32*(8*(c%2)+n/4+4)+:32], 2'(n));
          end
        end
      end else begin
        for (int n = 0; n < 16; n++) begin
          for (int c = 0; c < 2; c++) begin
            value_o[128*(4*(n/4)+c)+32*(n%4)+:32]   = lows[32*(2*(n%8)+c)+:32];
            value_o[128*(4*(n/4)+2+c)+32*(n%4)+:32] = highs[32*(2*(n%8)+c)+:32];
          end
        end
      end
    end else if (en_i) begin
      for (int n = 0; n < 16; n++) begin
        for (int c = 0; c < 4; c++) begin
          value_o[128*(4*(n/4)+c)+32*(n%4)+:32] = layout_n_i ?
              column(unit_i[32*(n/4)+:32], unit_i[32*(4+n/4)+:32], unit_i[32*(8+n/4)+:32],
                     unit_i[32*(12+n/4)+:32], 2'(n)) :
              unit_i[32*(4*(n%4)+c)+:32];
        end
      end
    end
  end
endmodule

`default_nettype wire
