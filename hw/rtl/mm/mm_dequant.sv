// MM back half: the slices' pair-groups of 2 x 16 int32 sums become f32 rows and go to SPAD.
//
// The sums arrive together in all slices (sums_valid_i, cycle T) and go through the lanes of each
// slice (mm_dequant_slice) in 2 * RowSteps steps, even row first: step e is at stage k in cycle
// T + 1 + e + k. Arrivals are at least 2 * RowSteps cycles apart, those of last groups
// PairWriteCycles, groups of one pair 8. Side reads, shared by the slices:
//   scale FIFO: the group's scales at T + 1; the bias one cycle later, on last groups; the words of
//               a tile are dropped at T + 2 of its last group
//   S:          the row scale when the row's first step is at stage 8
// Commands follow each other without a gap: what a group needs of its command comes with its sums, the
// rest waits in three FIFOs (mm_context) for the stages that look at it.
// A row is written to SPAD in WriteCycles cycles after its last step reached stage 17, or 18 where steps are so many
// that sums of groups and biases would meet in a lane's adder (Late, see mm_lane): NS words
// shift down a chain of slices, VxWords of them a cycle.
`default_nettype none

module mm_dequant #(
  parameter  int unsigned SpadAw = 13,
  parameter  int unsigned SAw    = 12,
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned W      = fvlm_isa_pkg::VxWords,
  localparam int unsigned PairCycles = fvlm_isa_pkg::PairWriteCycles,
  localparam int unsigned CountW = $clog2(NS + 1),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              load_i,       // a command begins
  input  wire  [CountW-1:0] lowest_i,    // its rounds: see mm_round
  input  wire  [CountW-1:0] stop_i,
  input  wire  [15:0]      left_i,
  input  wire  [SpadAw-1:0] out_addr_i,
  input  wire  [SpadAw-1:0] out_stride_i,
  input  wire  [SAw-1:0]   sa_addr_i,
  input  wire  [SAw-1:0]   sa_stride_i,

  input  wire              sums_valid_i,
  input  wire  [NS*512-1:0] sums0_i,
  input  wire  [NS*512-1:0] sums1_i,
  input  wire              wscale_i,     // with the sums, of their command
  input  wire              bias_i,
  input  wire              first_group_i,
  input  wire              last_group_i,
  input  wire              odd_i,        // the pair has a second row
  input  wire              tile_end_i,   // last pair of the round
  input  wire              command_end_i, // ... and of the last one

  output logic             sf_re_o,
  output logic [SfAw-1:0]  sf_rd_off_o,
  input  wire  [NS*512-1:0] sf_rdata_i,
  output logic [NS-1:0]    sf_pop_o,
  output logic [SfAw:0]    sf_pop_num_o,
  output logic             s_re_o,
  output logic [SAw-1:0]   s_addr_o,
  input  wire  [31:0]      s_rdata_i,
  output logic             spad_we_o,
  output logic [SpadAw-1:0] spad_waddr_o,
  output logic [W-1:0]     spad_wmask_o,
  output logic [W*512-1:0] spad_wdata_o
);
  localparam int unsigned RowSteps    = ((PairCycles < 8) ? PairCycles : 8) / 2;
  localparam int unsigned Late        = (2 * RowSteps > 7) ? 1 : 0;
  localparam int unsigned BiasStage   = 12 + Late;
  localparam int unsigned EndStage    = 17 + Late;
  localparam int unsigned WriteCycles = (NS > W) ? NS / W : 1;
  localparam int unsigned WriteWords  = (NS > W) ? W : NS;
  localparam int unsigned StepW       = $clog2(2 * RowSteps);
  localparam int unsigned PartW       = (RowSteps > 1) ? $clog2(RowSteps) : 1;
  localparam int unsigned BiasW       = $clog2(16 / PairCycles * RowSteps);  // as in mm_dequant_slice
  localparam logic [StepW-1:0] PartMask = StepW'(RowSteps - 1);

  // ---- Steps; bit or field k = stage k -----------------------------------------------------------
  logic             run0_q, wscale0_q, bias0_q, first0_q, last0_q, odd0_q, end0_q, command_end0_q, final0;
  logic [StepW-1:0] step0_q;
  assign final0 = step0_q == (odd0_q ? StepW'(2 * RowSteps - 1) : StepW'(RowSteps - 1));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) run0_q <= 1'b0;
    else if (sums_valid_i) run0_q <= 1'b1;
    else if (final0) run0_q <= 1'b0;
    step0_q <= sums_valid_i ? '0 : step0_q + 1'b1;
    if (sums_valid_i) begin
      wscale0_q <= wscale_i;
      bias0_q   <= bias_i;
      first0_q <= first_group_i;
      last0_q  <= last_group_i;
      odd0_q   <= odd_i;
      end0_q   <= tile_end_i;
      command_end0_q <= command_end_i;
    end
  end

  logic [10:1]         valid_q, firsts_q;
  logic [EndStage:1]   lasts_q;  // steps of last groups
  logic [EndStage:1]   odd_q, end_q;
  logic [BiasStage:1]  bias_q;
  logic [8:1]          command_end_q;
  logic [2:1]          wscale_q;
  logic [EndStage*StepW-1:0] steps_q;
  logic [(EndStage+1)*StepW-1:0] steps;
  assign steps = {steps_q, step0_q};
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      lasts_q <= '0;
    end else begin
      valid_q <= {valid_q[9:1], run0_q};
      lasts_q <= {lasts_q[EndStage-1:1], run0_q && last0_q};
    end
    firsts_q <= {firsts_q[9:1], first0_q};
    odd_q    <= {odd_q[EndStage-1:1], odd0_q};
    end_q    <= {end_q[EndStage-1:1], end0_q};
    bias_q   <= {bias_q[BiasStage-1:1], bias0_q};
    wscale_q <= {wscale_q[1], wscale0_q};
    command_end_q <= {command_end_q[7:1], command_end0_q};
    steps_q  <= steps[EndStage*StepW-1:0];
  end

  // Row of the pair, part of the row.
  logic [StepW-1:0] step2, step3, step8, step_bias, step_end, part8, part_bias, part_end;
  logic             row3, row8, row_bias, row_done;
  assign step2  = steps[2*StepW +: StepW];
  assign step3  = steps[3*StepW +: StepW];
  assign step8  = steps[8*StepW +: StepW];
  assign step_bias = steps[BiasStage*StepW +: StepW];
  assign step_end  = steps[EndStage*StepW +: StepW];
  assign part8  = step8 & PartMask;
  assign part_bias = step_bias & PartMask;
  assign part_end  = step_end & PartMask;
  assign row3   = step3[StepW-1];
  assign row8   = step8[StepW-1];
  assign row_bias = step_bias[StepW-1];
  assign row_done = step_end[StepW-1];

  // ---- Scale FIFO --------------------------------------------------------------------------------
  logic [SfAw-1:0] group_q;         // index of the group at T + 1
  logic            start_q, second_q, bias_here_q, read_scale, read_bias, drop, drop_last;
  logic [NS-1:0]   pop_active;
  assign read_scale   = start_q && wscale0_q;
  assign read_bias    = second_q && last0_q && bias0_q;
  assign drop         = second_q && last0_q && end0_q;
  assign sf_re_o      = read_scale || read_bias;
  assign sf_rd_off_o  = read_scale ? group_q + {{(SfAw-1){1'b0}}, bias0_q} : '0;
  assign sf_pop_num_o = {{SfAw{1'b0}}, bias0_q} + (wscale0_q ? {1'b0, group_q} + 1'b1 : '0);
  assign sf_pop_o     = (drop && sf_pop_num_o != '0) ? pop_active : '0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      start_q     <= 1'b0;
      second_q    <= 1'b0;
      bias_here_q <= 1'b0;
      group_q     <= '0;
    end else begin
      start_q     <= sums_valid_i;
      second_q    <= start_q;
      bias_here_q <= read_bias;
      if (sums_valid_i) group_q <= first_group_i ? '0 : group_q + 1'b1;
    end
  end

  logic              pop_load;
  logic [CountW-1:0] pop_lowest, pop_stop;
  logic [15:0]       pop_left;
  mm_context #(.Width(2 * CountW + 16)) u_pop_context (
    .clk_i, .rst_ni, .push_i(load_i), .data_i({lowest_i, stop_i, left_i}), .end_i(drop && drop_last),
    .load_o(pop_load), .data_o({pop_lowest, pop_stop, pop_left})
  );
  mm_round u_pop_round (
    .clk_i, .load_i(pop_load), .lowest_i(pop_lowest), .stop_i(pop_stop), .left_i(pop_left), .step_i(drop),
    .active_o(pop_active), .next_o(), .count_o(), .last_o(drop_last)
  );

  // ---- Bias buffer: in at stage 3, out at BiasStage -------------------------------------------------
  logic [BiasW-1:0] bias_put_q, bias_base_q;
  logic             bias_put;
  assign bias_put = lasts_q[3] && !row3 && bias_q[3];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      bias_put_q  <= '0;
      bias_base_q <= '0;
    end else begin
      if (bias_put) bias_put_q <= bias_put_q + 1'b1;
      if (lasts_q[BiasStage] && bias_q[BiasStage] && part_bias == PartMask && (row_bias || !odd_q[BiasStage])) begin
        bias_base_q <= bias_base_q + BiasW'(RowSteps);
      end
    end
  end

  // ---- Row scale -----------------------------------------------------------------------------------
  logic           s_here_q, s_load, row_pair_end;
  logic [31:0]    row_scale_q;
  logic [SAw-1:0] sa_addr, sa_stride, sa_base_q, sa_stride_q;
  assign s_re_o       = lasts_q[8] && part8 == '0;
  assign row_pair_end = row8 || !odd_q[8];
  mm_context #(.Width(2 * SAw)) u_s_context (
    .clk_i, .rst_ni, .push_i(load_i), .data_i({sa_addr_i, sa_stride_i}),
    .end_i(s_re_o && row_pair_end && command_end_q[8]), .load_o(s_load), .data_o({sa_addr, sa_stride})
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) s_here_q <= 1'b0;
    else s_here_q <= s_re_o;
    if (s_load) begin
      s_addr_o    <= sa_addr;
      sa_base_q   <= sa_addr;
      sa_stride_q <= sa_stride;
    end else if (s_re_o) begin
      s_addr_o <= (end_q[8] && row_pair_end) ? sa_base_q : s_addr_o + sa_stride_q;
    end
    if (s_here_q) row_scale_q <= fp_pkg::canon(s_rdata_i);
  end

  // ---- Slices ----------------------------------------------------------------------------------------
  logic [NS*512-1:0] rows;
  for (genvar s = 0; s < NS; s++) begin : g_slice
    mm_dequant_slice #(.RowSteps(RowSteps)) u_slice (
      .clk_i,
      .capture_i      (sums_valid_i),
      .sums0_i        (sums0_i[512*s +: 512]),
      .sums1_i        (sums1_i[512*s +: 512]),
      .scale_here_i   (second_q && wscale0_q),
      .bias_here_i    (bias_here_q),
      .sf_rdata_i     (sf_rdata_i[512*s +: 512]),
      .row_scale_i    (row_scale_q),
      .wscale2_i      (wscale_q[2]),
      .bias12_i       (bias_q[BiasStage]),
      .ce_i           ({valid_q[9:1], run0_q}),
      .ce_last_i      (lasts_q[EndStage-1:10]),
      .first_i        (firsts_q[9:5]),
      .first10_i      (firsts_q[10]),
      .keep10_i       (valid_q[10] && !lasts_q[10]),
      .step0_i        (step0_q),
      .part2_i        (PartW'(step2 & PartMask)),
      .bias_put_i     (bias_put),
      .part3_i        (PartW'(step3 & PartMask)),
      .bias_put_addr_i(bias_put_q),
      .step5_i        (steps[5*StepW +: StepW]),
      .step10_i       (steps[10*StepW +: StepW]),
      .bias_get_addr_i(bias_base_q + BiasW'(part_bias)),
      .last17_i       (lasts_q[EndStage]),
      .part17_i       (PartW'(part_end)),
      .row_o          (rows[512*s +: 512])
    );
  end

  // ---- Write: even row when complete, odd row behind it; down the rows, then the next round ---------
  // A slice's odd row is complete when the even one leaves (RowSteps <= WriteCycles), and stays until
  // then.
  logic                   even_done, odd_done, pair_end_q, round_end, write_load, write_last;
  logic [WriteCycles-1:0] odd_wait_q;
  logic [NS-1:0]          write_active, mask_q;
  logic [NS*512-1:0]      chain_q;
  logic [SpadAw-1:0]      round_addr_q, row_addr_q, next_round, out_begin, out_stride, out_stride_q;
  logic [CountW-1:0]      write_lowest, write_stop;
  logic [15:0]            write_left;
  assign even_done  = lasts_q[EndStage] && !row_done && part_end == PartMask;
  assign odd_done   = odd_wait_q[WriteCycles-1];
  assign round_end  = (even_done && end_q[EndStage] && !odd_q[EndStage]) || (odd_done && pair_end_q);
  assign next_round = round_addr_q + SpadAw'(NS);
  // Addresses are those of slice 0, which may lie before the first tile.
  mm_context #(.Width(2 * CountW + 16 + 2 * SpadAw)) u_write_context (
    .clk_i, .rst_ni, .push_i(load_i),
    .data_i({lowest_i, stop_i, left_i, out_addr_i - SpadAw'(lowest_i), out_stride_i}),
    .end_i(round_end && write_last), .load_o(write_load),
    .data_o({write_lowest, write_stop, write_left, out_begin, out_stride})
  );
  mm_round u_write_round (
    .clk_i, .load_i(write_load), .lowest_i(write_lowest), .stop_i(write_stop), .left_i(write_left),
    .step_i(round_end), .active_o(write_active), .next_o(), .count_o(), .last_o(write_last)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      odd_wait_q <= '0;
      mask_q     <= '0;
    end else begin
      odd_wait_q <= WriteCycles'({odd_wait_q, even_done && odd_q[EndStage]});
      mask_q     <= (even_done || odd_done) ? write_active : mask_q >> W;
    end
    if (even_done) pair_end_q <= end_q[EndStage];
    if (even_done || odd_done) chain_q <= rows;
    else if (mask_q != '0) chain_q <= chain_q >> (512 * W);
    if (write_load) begin
      round_addr_q <= out_begin;
      row_addr_q   <= out_begin;
      out_stride_q <= out_stride;
    end else if (even_done || odd_done) begin
      round_addr_q <= round_end ? next_round : round_addr_q;
      row_addr_q   <= round_end ? next_round : row_addr_q + out_stride_q;
    end
    spad_waddr_o <= (even_done || odd_done) ? row_addr_q : spad_waddr_o + SpadAw'(W);
  end
  assign spad_we_o    = mask_q[WriteWords-1:0] != '0;
  assign spad_wmask_o = W'(mask_q[WriteWords-1:0]);
  assign spad_wdata_o = (W*512)'(chain_q[512*WriteWords-1:0]);

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(sums_valid_i && run0_q && !final0));
      assert (!(read_scale && read_bias));
      assert (!(even_done && odd_done));
      assert (!(even_done || odd_done) || WriteCycles == 1 || (mask_q >> W) == '0);
      for (int i = 0; i < W; i++) begin
        if (spad_wmask_o[i]) begin
          for (int l = 0; l < 16; l++) begin
            assert (fp_pkg::canon(spad_wdata_o[32*(16*i+l) +: 32]) == spad_wdata_o[32*(16*i+l) +: 32]);
          end
        end
      end
    end
  end
endmodule

`default_nettype wire
