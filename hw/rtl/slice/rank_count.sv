// First half of decoding a 16-bit mask: how many of the positions 0..p are set, for each p. Counts
// from 8 on read 8 or more (bit 3 set).
`default_nettype none

module rank_count (
    input  logic        en_i,  // simulation only: the outputs matter
    input  logic [15:0] mask_i,
    output logic [63:0] count_o  // 4 bits each
);
  // Within a nibble, then the nibbles before it.
  always_comb begin : count
    logic [15:0] base;
    logic [2:0]  own;
    logic [4:0]  sum;
    count_o = 'x;
    base    = '0;
    own     = '0;
    sum     = '0;
    if (en_i) begin
      base[7:4]   = 4'(mask_i[0]) + 4'(mask_i[1]) + 4'(mask_i[2]) + 4'(mask_i[3]);
      base[11:8]  = base[7:4] + 4'(mask_i[4]) + 4'(mask_i[5]) + 4'(mask_i[6]) + 4'(mask_i[7]);
      base[15:12] = base[11:8] + 4'(mask_i[8]) + 4'(mask_i[9]) + 4'(mask_i[10]) + 4'(mask_i[11]);
      for (int q = 0; q < 4; q++) begin
        own = '0;
        for (int i = 0; i < 4; i++) begin
          own = own + 3'(mask_i[4*q+i]);
          sum = 5'(base[4*q+:4]) + 5'(own);
          count_o[4*(4*q+i)+:4] = {sum[4] || sum[3], sum[2:0]};
        end
      end
    end
  end
endmodule

`default_nettype wire
