// Rotates a row of words: word i of the output is word (i + amount) mod Words of the input.
// One stage of two-way multiplexers per bit of the amount.
`default_nettype none

module word_rotate #(
    parameter int unsigned Words = 4,  // a power of two
    parameter int unsigned Width = 32,
    localparam int unsigned AmountW = (Words > 1) ? $clog2(Words) : 1
) (
    input  logic [AmountW-1:0]     amount_i,  // 0 if Words is 1
    input  logic [Words*Width-1:0] data_i,
    output logic [Words*Width-1:0] data_o
);
  if (Words == 1) begin : gen_one
    logic unused;
    assign unused = amount_i[0];
    assign data_o = data_i;
  end else begin : gen_stages
    for (genvar s = 0; s < AmountW; s++) begin : gen_stage
      logic [Words*Width-1:0] x, y;
      if (s == 0) assign x = data_i;
      else assign x = gen_stage[s-1].y;
      assign y = amount_i[s] ? {x[0+:(Width<<s)], x[Words*Width-1:(Width<<s)]} : x;
    end
    assign data_o = gen_stage[AmountW-1].y;
  end
endmodule

`default_nettype wire
