// One output of the array: Depth DSP slices in a P cascade, then the split into two lanes and two
// 32-bit accumulators.
//
// Slice k's operands are delayed k cycles, so a beat's partial sum meets them on its way down.
// Split: the low field is 19 bits and holds 16 products of int8 by [-127, 127]; a negative low sum
// has borrowed 1 from the high field, which p[18] gives back.
// Latency: operands to accumulator Depth + 5.
`default_nettype none

module mpe_chain #(
  parameter int unsigned Depth = 16
) (
  input  wire                clk_i,
  input  wire                ce_i,
  input  wire                first_i,  // at the accumulator: start a new sum
  input  wire                valid_i,  // at the accumulator: the split is a beat
  input  wire  [8*Depth-1:0] x0_i,     // low lane
  input  wire  [8*Depth-1:0] x1_i,     // high lane
  input  wire  [8*Depth-1:0] w_i,
  output logic [31:0]        acc0_o,
  output logic [31:0]        acc1_o
);
  /*verilator no_inline_module*/

  wire [47:0] cascade [0:Depth];
  wire [47:0] p;
  assign cascade[0] = 48'd0;

  for (genvar k = 0; k < Depth; k++) begin : g_slice
    wire [23:0] skewed [0:k];
    assign skewed[0] = {x1_i[8*k +: 8], x0_i[8*k +: 8], w_i[8*k +: 8]};
    for (genvar d = 0; d < k; d++) begin : g_skew
      logic [23:0] skew_q;
      always_ff @(posedge clk_i) begin
        if (ce_i) skew_q <= skewed[d];
      end
      assign skewed[d+1] = skew_q;
    end
    wire [47:0] p_slice;
    if (k == Depth - 1) begin : g_end
      assign p = p_slice;
    end
    dsp48_mac #(.First(k == 0)) u_dsp (
      .clk_i,
      .ce_i,
      .a_i   (skewed[k][23:16]),
      .d_i   (skewed[k][15:8]),
      .b_i   (skewed[k][7:0]),
      .pcin_i(cascade[k]),
      .p_o   (p_slice),
      .pcout_o(cascade[k+1])
    );
  end

  logic [31:0] lo_q, hi_q;
  always_ff @(posedge clk_i) begin
    if (ce_i) begin
      lo_q <= {{13{p[18]}}, p[18:0]};
      hi_q <= {{3{p[47]}}, p[47:19]} + {31'd0, p[18]};
    end
    if (valid_i) begin
      acc0_o <= (first_i ? 32'd0 : acc0_o) + lo_q;
      acc1_o <= (first_i ? 32'd0 : acc1_o) + hi_q;
    end
  end
endmodule

`default_nettype wire
