// Does a command's region fit its memory? Rows `base + r * stride + w`, r < rows, w < words.
// The last address is computed without wrapping, as base + rows * stride + (words - 1 - stride):
// nothing stands in front of the multiplier. Product in stage 0, sum and compare in stage 1.
// ce_i[i] loads stage i; rows and words are at least 1 when the answer is looked at.
`default_nettype none

module cmd_range #(
  parameter int unsigned Limit   = 1,
  parameter int unsigned StrideW = 12
) (
  input  wire         clk_i,
  input  wire  [1:0]  ce_i,
  input  wire  [31:0] base_i,
  input  wire  [15:0] rows_i,
  input  wire  [StrideW-1:0] stride_i,
  input  wire  [15:0] words_i,
  output logic        bad_o
);
  logic [31:0] span_q;
  logic [17:0] rest_q;  // signed
  logic [33:0] last;
  assign last = {2'b00, base_i} + {2'b00, span_q} + {{16{rest_q[17]}}, rest_q};

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      span_q <= {16'd0, rows_i} * 32'(stride_i);
      rest_q <= {2'b00, words_i} + {2'b11, ~16'(stride_i)};
    end
    if (ce_i[1]) bad_o <= last >= 34'(Limit);
  end
endmodule

`default_nettype wire
