// First half of decoding 16-bit masks: how many of the positions 0..p are set, for each p. Counts
// from 8 on read 8 or more (bit 3 set).
`default_nettype none

module rank_count #(
    parameter int unsigned Masks = 16
) (
    input  logic                en_i,  // simulation only: the outputs matter
    input  logic [16*Masks-1:0] mask_i,
    output logic [64*Masks-1:0] count_o  // 16 counts of 4 bits a mask
);
  // Within a nibble, then the nibbles before it.
  always_comb begin : count
    logic [15:0] mask, base;
    logic [2:0]  own;
    logic [4:0]  sum;
    count_o = 'x;
    mask    = '0;
    base    = '0;
    own     = '0;
    sum     = '0;
    if (en_i) begin
      for (int m = 0; m < Masks; m++) begin
        mask        = mask_i[16*m+:16];
        base[7:4]   = 4'(mask[0]) + 4'(mask[1]) + 4'(mask[2]) + 4'(mask[3]);
        base[11:8]  = base[7:4] + 4'(mask[4]) + 4'(mask[5]) + 4'(mask[6]) + 4'(mask[7]);
        base[15:12] = base[11:8] + 4'(mask[8]) + 4'(mask[9]) + 4'(mask[10]) + 4'(mask[11]);
        for (int q = 0; q < 4; q++) begin
          own = '0;
          for (int i = 0; i < 4; i++) begin
            own = own + 3'(mask[4*q+i]);
            sum = 5'(base[4*q+:4]) + 5'(own);
            count_o[64*m+16*q+4*i+:4] = {sum[4] || sum[3], sum[2:0]};
          end
        end
      end
    end
  end
endmodule

`default_nettype wire
