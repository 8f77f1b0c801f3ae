// Second half of decoding masks: position of the set bits of rank 0..7, 15 where there are fewer. The
// counts say in which nibble a rank lies and how many bits lie below it.
`default_nettype none

module rank_find #(
    parameter int unsigned Masks = 16
) (
    input  logic                en_i,     // simulation only: the outputs matter
    input  logic [12*Masks-1:0] mask_i,   // the first three bits of each nibble
    input  logic [24*Masks-1:0] behind_i,
    input  logic [6*Masks-1:0]  count_i,
    output logic [32*Masks-1:0] position_o  // 8 positions of 4 bits a mask
);
  // Position of the set bit of a rank in a nibble, 3 if the first three have fewer.
  function automatic logic [1:0] find(input logic [2:0] nibble, input logic [1:0] rank);
    logic [1:0] second;  // set bits in the first two
    second = 2'(nibble[0]) + 2'(nibble[1]);
    if (2'(nibble[0]) > rank) find = 2'd0;
    else if (second > rank) find = 2'd1;
    else if (second + 2'(nibble[2]) > rank) find = 2'd2;
    else find = 2'd3;
  endfunction

  always_comb begin : positions
    logic [11:0] mask;
    logic [5:0]  count;
    logic [2:0]  behind, rank, nibble;
    logic [1:0]  q, lower;  // nibble of the rank, set bits below it
    position_o = 'x;
    behind     = '0;
    mask       = '0;
    count      = '0;
    rank       = '0;
    nibble     = '0;
    q          = '0;
    lower      = '0;
    if (en_i) begin
      // One loop over masks and ranks: long enough for the simulator to keep it a loop.
      for (int i = 0; i < 8 * Masks; i++) begin
        for (int j = 0; j < 3; j++) behind[j] = behind_i[24*(i/8)+8*j+i%8];
        mask   = mask_i[12*(i/8)+:12];
        count  = count_i[6*(i/8)+:6];
        rank   = 3'(i % 8);
        q      = {behind[1], behind[1] ? behind[2] : behind[0]};
        case (q)
          2'd0: {lower, nibble} = {2'd0, mask[2:0]};
          2'd1: {lower, nibble} = {count[1:0], mask[5:3]};
          2'd2: {lower, nibble} = {count[3:2], mask[8:6]};
          default: {lower, nibble} = {count[5:4], mask[11:9]};
        endcase
        // Four ranks behind the third nibble there are fewer: as good as the last position.
        if (rank[2] && behind_i[24*(i/8)+16+i%4]) lower = rank[1:0] - 2'd3;
        position_o[4*i+:4] = {q, find(nibble, rank[1:0] - lower)};
      end
    end
  end
endmodule

`default_nettype wire
