// Dequantiser of one slice: 16 / RowSteps lanes through which a pair's 2 x 16 sums go in
// 2 * RowSteps steps, and the rows put together again. Control comes from mm_dequant; numbers in
// names are its stages.
`default_nettype none

module mm_dequant_slice #(
  parameter  int unsigned RowSteps = 1,
  localparam int unsigned Lanes    = 16 / RowSteps,
  localparam int unsigned StepW    = $clog2(2 * RowSteps),
  localparam int unsigned PartW    = (RowSteps > 1) ? $clog2(RowSteps) : 1,
  // Bias words between their arrival (stage 3) and their last use (stage 12 + Late of the odd row): those
  // of the pairs of 16 cycles.
  localparam int unsigned BiasParts = 16 / fvlm_isa_pkg::PairWriteCycles * RowSteps,
  localparam int unsigned BiasW     = $clog2(BiasParts),
  localparam int unsigned Late      = (2 * RowSteps > 7) ? 1 : 0  // see mm_lane
) (
  input  wire         clk_i,
  input  wire         capture_i,      // sums of a pair-group
  input  wire  [511:0] sums0_i,
  input  wire  [511:0] sums1_i,
  input  wire         scale_here_i,   // sf_rdata_i is a group's scales, a tile's bias
  input  wire         bias_here_i,
  input  wire  [511:0] sf_rdata_i,
  input  wire  [31:0] row_scale_i,
  input  wire         wscale2_i,      // the step at stage 2 has a scale, that at stage 12 + Late a bias
  input  wire         bias12_i,
  input  wire  [9:0]  ce_i,
  input  wire  [16+Late:10] ce_last_i,
  input  wire  [9:5]  first_i,
  input  wire         first10_i,
  input  wire         keep10_i,
  input  wire  [StepW-1:0] step0_i,
  input  wire  [PartW-1:0] part2_i,
  input  wire         bias_put_i,     // stage 3: a part of the bias word to the buffer ...
  input  wire  [PartW-1:0] part3_i,
  input  wire  [BiasW-1:0] bias_put_addr_i,
  input  wire  [StepW-1:0] step5_i,
  input  wire  [StepW-1:0] step10_i,
  input  wire  [BiasW-1:0] bias_get_addr_i,  // ... and out of it at stage 12 + Late
  input  wire         last17_i,
  input  wire  [PartW-1:0] part17_i,
  output logic [511:0] row_o           // complete with a row's last part at stage 17 + Late
);
  localparam int unsigned PartBits = 32 * Lanes;
  localparam logic [31:0] One      = 32'h3f800000;

  logic [1023:0] sums_q;
  logic [511:0]  scale_word_q, bias_word_q;
  always_ff @(posedge clk_i) begin
    if (capture_i) sums_q <= {sums1_i, sums0_i};
    if (scale_here_i) scale_word_q <= sf_rdata_i;
    if (bias_here_i) bias_word_q <= sf_rdata_i;
  end

  (* ram_style = "distributed" *) logic [PartBits-1:0] bias_parts [0:BiasParts-1];
  logic [PartBits-1:0] bias_out, y;
  assign bias_out = bias_parts[bias_get_addr_i];
  always_ff @(posedge clk_i) begin
    if (bias_put_i) bias_parts[bias_put_addr_i] <= bias_word_q[PartBits*part3_i +: PartBits];
  end

  for (genvar l = 0; l < Lanes; l++) begin : g_lane
    logic [31:0] scale_q, bias_q;
    // Without a scale or bias: the same values as times 1, plus 0.
    always_ff @(posedge clk_i) begin
      if (ce_i[2]) scale_q <= wscale2_i ? fp_pkg::canon(scale_word_q[PartBits*part2_i + 32*l +: 32]) : One;
      if (ce_last_i[12+Late]) bias_q <= bias12_i ? fp_pkg::canon(bias_out[32*l +: 32]) : '0;
    end
    mm_lane #(.RowSteps(RowSteps)) u_lane (
      .clk_i,
      .ce_i,
      .ce_last_i,
      .first_i,
      .first10_i,
      .step5_i,
      .step10_i,
      .keep10_i,
      .acc_i      (sums_q[PartBits*step0_i + 32*l +: 32]),
      .scale_i    (scale_q),
      .row_scale_i,
      .bias_i     (bias_q),
      .y_o        (y[32*l +: 32])
    );
  end

  // Parts of a row wait for its last one. That one goes out as it comes, but where an odd row waits for the even one's
  // words to leave, it waits, too: the adder behind it has other sums meanwhile.
  localparam bit Holds = fvlm_isa_pkg::PairWriteCycles / 2 > RowSteps;
  for (genvar p = 0; p < RowSteps; p++) begin : g_part
    if (p == RowSteps - 1 && !Holds) begin : g_last
      assign row_o[PartBits*p +: PartBits] = y;
    end else begin : g_wait
      logic here;
      logic [PartBits-1:0] part_q;
      assign here = last17_i && part17_i == PartW'(p);
      always_ff @(posedge clk_i) begin
        if (here) part_q <= y;
      end
      assign row_o[PartBits*p +: PartBits] = (p == RowSteps - 1 && here) ? y : part_q;
    end
  end
  if (RowSteps == 1) begin : g_whole
    logic unused;
    assign unused = &{1'b0, last17_i, part17_i};
  end
endmodule

`default_nettype wire
