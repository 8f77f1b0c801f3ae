// Does a region of an MM command fit its memory? Rows `base + r * stride + w`, r < rows, w < words,
// addresses without wrapping; Limit is a power of two, at most 2^17. Three stages (ce_i[i] loads stage i):
// the product straight out of the multiplier, two sums, their sum; the answer follows. rows and words
// are at least 1 when it is looked at.
`default_nettype none

module mm_range #(
  parameter int unsigned Limit = 1
) (
  input  wire         clk_i,
  input  wire  [2:0]  ce_i,
  input  wire  [31:0] base_i,
  input  wire  [15:0] rows_i,
  input  wire  [15:0] stride_i,
  input  wire  [15:0] words_i,
  output logic        bad_o
);
  logic        [31:0] product_q;
  logic        [32:0] begin_q;   // of the row behind the last
  logic signed [17:0] back_q;    // from there to the last word of the last row
  // A row that begins at 2^18 or beyond ends at 2^17 or beyond: a sum of few bits is left.
  logic               far_q;
  logic signed [19:0] last_q;

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) product_q <= 32'(rows_i) * 32'(stride_i);
    if (ce_i[1]) begin
      begin_q <= {1'b0, base_i} + {1'b0, product_q};
      back_q  <= $signed({2'b00, words_i}) - $signed({2'b00, stride_i}) - 18'sd1;
    end
    if (ce_i[2]) begin
      far_q  <= begin_q[32:18] != '0;
      last_q <= $signed({2'b00, begin_q[17:0]}) + 20'(back_q);
    end
  end
  assign bad_o = far_q || last_q[19:$clog2(Limit)] != '0;

  logic unused;
  assign unused = ^last_q[$clog2(Limit)-1:0];
endmodule

`default_nettype wire
