// Second half of decoding a mask: position of the set bits of rank 0..7, 0 where there are fewer. The
// position is the number of p with at most `rank` set bits up to p; they are a prefix, so a binary
// search with four comparisons finds its end.
`default_nettype none

module rank_find (
    input  logic        en_i,  // simulation only: the outputs matter
    input  logic [63:0] count_i,
    output logic [31:0] position_o  // 4 bits each
);
  always_comb begin : find
    logic [15:0] low;  // at most rank set bits up to p
    logic [3:0]  p;
    position_o = 'x;
    low        = '0;
    p          = '0;
    if (en_i) begin
      for (int r = 0; r < 8; r++) begin
        for (int i = 0; i < 16; i++) low[i] = !count_i[4*i+3] && count_i[4*i+:3] <= 3'(r);
        p[3] = low[7];
        p[2] = p[3] ? low[11] : low[3];
        case (p[3:2])
          2'd0: p[1] = low[1];
          2'd1: p[1] = low[5];
          2'd2: p[1] = low[9];
          default: p[1] = low[13];
        endcase
        case (p[3:1])
          3'd0: p[0] = low[0];
          3'd1: p[0] = low[2];
          3'd2: p[0] = low[4];
          3'd3: p[0] = low[6];
          3'd4: p[0] = low[8];
          3'd5: p[0] = low[10];
          3'd6: p[0] = low[12];
          default: p[0] = low[14];
        endcase
        position_o[4*r+:4] = p & {4{!low[15]}};
      end
    end
  end
endmodule

`default_nettype wire
