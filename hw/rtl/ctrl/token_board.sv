// Token counters between the four units: count[p][c] tokens from producer p wait for consumer c.
// Index p*4+c; on the diagonal nothing is counted and nothing waited for: own-unit bits are illegal in both
// masks. Whether a counter is empty or full is kept beside it.
`default_nettype none

module token_board (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic [15:0] produce_i,   // bit p*4+c: p gives one token to c
    input  logic [15:0] consume_i,   // bit c*4+p: c takes one token of p
    output logic [15:0] available_o, // bit c*4+p: c may take a token of p
    output logic [3:0]  overflow_o   // bit p: a counter of p would pass 63
);
  logic [15:0] overflow;

  for (genvar p = 0; p < 4; p++) begin : gen_producer
    for (genvar c = 0; c < 4; c++) begin : gen_consumer
      if (p == c) begin : gen_none
        assign available_o[c*4+p] = 1'b1;
        assign overflow[p*4+c]    = 1'b0;
        logic unused;
        assign unused = ^{produce_i[p*4+c], consume_i[c*4+p]};
      end else begin : gen_counter
        logic [5:0] count_q;
        logic       some_q, full_q, up, down;
        assign up                 = produce_i[p*4+c];
        assign down               = consume_i[c*4+p];
        assign available_o[c*4+p] = some_q;
        assign overflow[p*4+c]    = up && !down && full_q;
        always_ff @(posedge clk_i) begin
          if (!rst_ni) begin
            count_q <= '0;
            some_q  <= 1'b0;
            full_q  <= 1'b0;
          end else if (up && !down && !full_q) begin
            count_q <= count_q + 6'd1;
            some_q  <= 1'b1;
            full_q  <= count_q == 6'd62;
          end else if (!up && down) begin
            count_q <= count_q - 6'd1;
            some_q  <= count_q != 6'd1;
            full_q  <= 1'b0;
          end
        end
      end
    end
    assign overflow_o[p] = |overflow[p*4+:4];
  end
endmodule

`default_nettype wire
