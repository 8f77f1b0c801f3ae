// First half of decoding 16-bit masks: which ranks lie behind the first one, two and three nibbles, and how
// many set bits these have (their lower two bits: what is needed beside the former).
`default_nettype none

module rank_count #(
    parameter int unsigned Masks = 16
) (
    input  logic                en_i,  // simulation only: the outputs matter
    input  logic [16*Masks-1:0] mask_i,
    output logic [24*Masks-1:0] behind_o,  // a mask: bit 8 j + r: rank r lies behind nibble j
    output logic [6*Masks-1:0]  count_o    // a mask: bits 2 j + 1, 2 j: after nibble j
);
  // Gates, not adders: for sums of this size carry chains cost more.
  function automatic logic [2:0] ones(input logic [3:0] x);
    logic low, high, carry;
    low   = x[0] ^ x[1];
    high  = x[2] ^ x[3];
    carry = low & high;
    ones  = {&x, (x[0] & x[1]) ^ (x[2] & x[3]) ^ carry, low ^ high};
  endfunction
  function automatic logic [3:0] sum(input logic [3:0] a, input logic [2:0] b);  // at most 12
    logic one, two, four;
    one  = a[0] & b[0];
    two  = (a[1] & b[1]) | (one & (a[1] | b[1]));
    four = (a[2] & b[2]) | (two & (a[2] | b[2]));
    sum  = {a[3] | four, a[2] ^ b[2] ^ two, a[1] ^ b[1] ^ one, a[0] ^ b[0]};
  endfunction
  // Ranks from a count on.
  function automatic logic [7:0] from(input logic [3:0] x);
    case (x)
      4'd0: from = 8'hff;
      4'd1: from = 8'hfe;
      4'd2: from = 8'hfc;
      4'd3: from = 8'hf8;
      4'd4: from = 8'hf0;
      4'd5: from = 8'he0;
      4'd6: from = 8'hc0;
      4'd7: from = 8'h80;
      default: from = 8'h00;
    endcase
  endfunction

  always_comb begin : count
    logic [11:0] mask;
    logic [3:0]  one, two, three;
    behind_o = 'x;
    count_o  = 'x;
    mask     = '0;
    one      = '0;
    two      = '0;
    three    = '0;
    if (en_i) begin
      for (int m = 0; m < Masks; m++) begin
        mask  = mask_i[16*m+:12];
        one   = {1'b0, ones(mask[3:0])};
        two   = sum(one, ones(mask[7:4]));
        three = sum(two, ones(mask[11:8]));
        behind_o[24*m+:24] = {from(three), from(two), from(one)};
        count_o[6*m+:6]    = {three[1:0], two[1:0], one[1:0]};
      end
    end
  end
endmodule

`default_nettype wire
