// Second half of decoding masks: position of the set bits of rank 0..7, 0 where there are fewer. The
// position is the number of p with at most `rank` set bits up to p; they are a prefix, so a binary
// search with four comparisons finds its end.
`default_nettype none

module rank_find #(
    parameter int unsigned Masks = 16
) (
    input  logic                en_i,  // simulation only: the outputs matter
    input  logic [64*Masks-1:0] count_i,
    output logic [32*Masks-1:0] position_o  // 8 positions of 4 bits a mask
);
  always_comb begin : find
    logic [63:0] count;
    logic [15:0] low;  // at most rank set bits up to p
    logic [3:0]  p;
    position_o = 'x;
    count      = '0;
    low        = '0;
    p          = '0;
    if (en_i) begin
      // One loop over masks and ranks: long enough for the simulator to keep it a loop.
      for (int i = 0; i < 8 * Masks; i++) begin
        count = count_i[64*(i/8)+:64];
        for (int j = 0; j < 16; j++) low[j] = !count[4*j+3] && count[4*j+:3] <= 3'(i % 8);
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
        position_o[4*i+:4] = p & {4{!low[15]}};
      end
    end
  end
endmodule

`default_nettype wire
