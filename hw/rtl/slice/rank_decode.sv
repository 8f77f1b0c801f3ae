// Positions of the set bits of a 16-bit mask: the first eight in rising order, 0 where there are
// fewer.
`default_nettype none

module rank_decode (
    input  logic        en_i,  // simulation only: the outputs matter
    input  logic [15:0] mask_i,
    output logic [31:0] position_o  // 4 bits each
);
  always_comb begin : decode
    logic [3:0] rank;
    position_o = '0;
    rank       = '0;
    if (en_i) begin
      for (int p = 0; p < 16; p++) begin
        for (int r = 0; r < 8; r++) begin
          if (mask_i[p] && rank == 4'(r)) position_o[4*r+:4] = position_o[4*r+:4] | 4'(p);
        end
        if (mask_i[p] && !rank[3]) rank = rank + 4'd1;
      end
    end
  end
endmodule

`default_nettype wire
