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

  function automatic logic [7:0] widen(input logic [3:0] x);
    widen = {{4{x[3]}}, x};
  endfunction

  // Block (r, c), output a and input b within. Nibbles: elements 0..7 of the 16 are the low ones.
  always_comb begin : values
    value_o = 'x;
    if (en_i) begin
      for (int r = 0; r < 4; r++) begin
        for (int c = 0; c < 4; c++) begin
          for (int a = 0; a < 4; a++) begin
            for (int b = 0; b < 4; b++) begin
              case ({four_i, layout_n_i})
                2'b00:
                value_o[128*(4*r+c)+32*a+8*b+:8] = unit_i[8*(16*a+4*c+b)+:8];
                2'b01:
                value_o[128*(4*r+c)+32*a+8*b+:8] = unit_i[8*(16*b+4*r+a)+:8];
                2'b10:
                value_o[128*(4*r+c)+32*a+8*b+:8] =
                    widen(unit_i[8*(8*(4*(r%2)+a)+4*(c%2)+b)+4*(c/2)+:4]);
                default:
                value_o[128*(4*r+c)+32*a+8*b+:8] =
                    widen(unit_i[8*(8*(4*(c%2)+b)+4*(r%2)+a)+4*(r/2)+:4]);
              endcase
            end
          end
        end
      end
    end
  end
endmodule

`default_nettype wire
