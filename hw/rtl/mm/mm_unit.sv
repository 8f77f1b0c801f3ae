// MM: int8 activations (ABUF) times streamed int8 weight tiles in all slices, dequantised to SPAD;
// semantics in hw/doc/microarchitecture.md, section 5, cycles in hw/doc/timing.md, section MM.
// Commands mm_front and mm_retire, walk mm_issue, array mpe_array, back half mm_dequant. Commands follow
// each other through these without waiting for the drain of the one before.
`default_nettype none

module mm_unit #(
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned W      = fvlm_isa_pkg::VxWords,
  localparam int unsigned MacW   = $clog2(2 * NS + 1),
  localparam int unsigned SpadAw = $clog2(fvlm_isa_pkg::SpadWords),
  localparam int unsigned AbufAw = $clog2(fvlm_isa_pkg::AbufWords),
  localparam int unsigned SAw    = $clog2(fvlm_isa_pkg::SWords),
  localparam int unsigned WfAw   = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire                    clk_i,
  input  wire                    clk2x_i,   // for the array
  input  wire                    rst_ni,    // synchronous; also abandons all commands
  input  wire                    start_i,
  input  fvlm_isa_pkg::mm_cmd_t  cmd_i,     // taken with start_i
  output logic                   ready_o,   // takes a command: one is checked while others are at work
  output logic                   done_o,    // commands end in the order of their starts
  output logic                   fault_o,   // of the oldest one
  output logic [3:0]             fault_code_o,

  output logic                   abuf0_re_o,    // windows: 8 words from the (aligned) address, of
  output logic [AbufAw-1:0]      abuf0_addr_o,  // which those of `nm` are looked at
  input  wire  [1023:0]          abuf0_rdata_i,
  output logic                   abuf1_re_o,
  output logic [AbufAw-1:0]      abuf1_addr_o,
  input  wire  [1023:0]          abuf1_rdata_i,

  input  wire  [NS*(WfAw+1)-1:0] wf_avail_i,
  output logic                   wf_re_o,
  output logic [WfAw-1:0]        wf_rd_off_o,
  input  wire  [NS*3072-1:0]     wf_rdata_i,    // a slice: {selectors, values}
  output logic [NS-1:0]          wf_pop_o,
  input  wire  [NS*(SfAw+1)-1:0] sf_avail_i,
  output logic                   sf_re_o,
  output logic [SfAw-1:0]        sf_rd_off_o,
  input  wire  [NS*512-1:0]      sf_rdata_i,
  output logic [NS-1:0]          sf_pop_o,
  output logic [SfAw:0]          sf_pop_num_o,

  output logic                   s_re_o,
  output logic [SAw-1:0]         s_addr_o,
  input  wire  [31:0]            s_rdata_i,
  output logic                   spad_we_o,     // some word of the mask
  output logic [SpadAw-1:0]      spad_waddr_o,  // of word 0, which may be masked off and out of range
  output logic [W-1:0]           spad_wmask_o,
  output logic [W*512-1:0]       spad_wdata_o,

  output logic [MacW-1:0]        mac_beats_o,   // active slices x rows
  output logic                   starved_o
);
  localparam int unsigned ChainDepth = 16;
  localparam int unsigned NumChains  = 16;
  localparam int unsigned MpeLatency = ChainDepth + 5;
  // Last issue cycle to done: operands, array, capture, row steps, 17 stages, the writes of a pair.
  localparam int unsigned PairCycles = fvlm_isa_pkg::PairWriteCycles;
  localparam int unsigned RowSteps   = ((PairCycles < 8) ? PairCycles : 8) / 2;
  localparam int unsigned Late       = (2 * RowSteps > 7) ? 1 : 0;  // see mm_lane
  localparam int unsigned Drain      = 1 + MpeLatency + 1 + RowSteps + 17 + Late + PairCycles;
  localparam int unsigned CountW     = $clog2(NS + 1);

  // ---- Commands ----------------------------------------------------------------------------------
  fvlm_isa_pkg::mm_cmd_t cmd;
  logic              free, quiet, load, cancel, accept, empty, issue_end, odd, single_pair;
  logic [WfAw:0]     group, behind;
  logic [4:0]        group_cycles, pads;
  logic [CountW-1:0] lowest, stop;
  logic [15:0]       left;
  mm_front u_front (
    .clk_i,
    .rst_ni,
    .start_i,
    .cmd_i,
    .ready_o,
    .free_i        (free),
    .quiet_i       (quiet),
    .load_o        (load),
    .cancel_o      (cancel),
    .accept_o      (accept),
    .empty_o       (empty),
    .fault_o,
    .fault_code_o,
    .cmd_o         (cmd),
    .group_o       (group),
    .behind_o      (behind),
    .group_cycles_o(group_cycles),
    .pads_o        (pads),
    .odd_o         (odd),
    .single_pair_o (single_pair),
    .lowest_o      (lowest),
    .stop_o        (stop),
    .left_o        (left)
  );
  mm_retire #(.Drain(Drain)) u_retire (
    .clk_i, .rst_ni, .empty_i(empty), .accept_i(accept), .last_i(issue_end), .done_o, .quiet_o(quiet)
  );

  // ---- Issue -------------------------------------------------------------------------------------
  logic              beat, first, last;
  logic [2:0]        nm;
  logic [NS-1:0]     active;
  logic [CountW-1:0] active_count;
  logic tag_wscale, tag_bias, tag_first_group, tag_last_group, tag_odd, tag_tile_end, tag_command_end;
  mm_issue #(.AbufAw(AbufAw)) u_issue (
    .clk_i,
    .rst_ni,
    .free_o           (free),
    .load_i           (load),
    .cancel_i         (cancel),
    .cmd_i            (cmd),
    .group_i          (group),
    .behind_i         (behind),
    .group_cycles_i   (group_cycles),
    .pads_i           (pads),
    .odd_i            (odd),
    .single_pair_i    (single_pair),
    .lowest_i         (lowest),
    .stop_i           (stop),
    .left_i           (left),
    .abuf0_re_o,
    .abuf0_addr_o,
    .abuf1_re_o,
    .abuf1_addr_o,
    .wf_avail_i,
    .wf_re_o,
    .wf_rd_off_o,
    .wf_pop_o,
    .sf_avail_i,
    .sf_pop_i         (sf_pop_o),
    .sf_pop_num_i     (sf_pop_num_o),
    .end_o            (issue_end),
    .beat_o           (beat),
    .nm_o             (nm),
    .active_o         (active),
    .count_o          (active_count),
    .first_o          (first),
    .last_o           (last),
    .tag_wscale_o     (tag_wscale),
    .tag_bias_o       (tag_bias),
    .tag_first_group_o(tag_first_group),
    .tag_last_group_o (tag_last_group),
    .tag_odd_o        (tag_odd),
    .tag_tile_end_o   (tag_tile_end),
    .tag_command_end_o(tag_command_end),
    .starved_o
  );
  assign mac_beats_o = !beat ? '0 : tag_odd ? MacW'({active_count, 1'b0}) : MacW'(active_count);

  // ---- Array: operands one cycle after the issue ---------------------------------------------------
  logic          beat_q, first_q, last_q;
  logic [2:0]    nm_q;
  logic [NS-1:0] active_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= 1'b0;
    else beat_q <= beat;
    first_q  <= first;
    last_q   <= last;
    nm_q     <= nm;
    active_q <= active;
  end

  logic [NS*2048-1:0] weights;
  logic [NS*1024-1:0] selectors;
  for (genvar s = 0; s < NS; s++) begin : g_slice
    assign weights[2048*s +: 2048]   = wf_rdata_i[3072*s +: 2048];
    assign selectors[1024*s +: 1024] = wf_rdata_i[3072*s + 2048 +: 1024];
  end

  logic              sums_valid;
  logic [NS*512-1:0] sums0, sums1;
  mpe_array #(.Slices(NS), .NumChains(NumChains), .ChainDepth(ChainDepth)) u_mpe (
    .clk_i,
    .clk2x_i,
    .rst_ni,
    .valid_i (beat_q),
    .first_i (first_q),
    .last_i  (last_q),
    .nm_i    (nm_q),
    .act0_i  (abuf0_rdata_i),
    .act1_i  (abuf1_rdata_i),
    .w_i     (weights),
    .sel_i   (selectors),
    .active_i(active_q),
    .valid_o (sums_valid),
    .acc0_o  (sums0),
    .acc1_o  (sums1)
  );

  // A group's tags meet its sums.
  localparam int unsigned Tags = 7;
  logic [MpeLatency:0] tag_valid_q;
  logic [Tags-1:0]     tags_q [0:MpeLatency];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) tag_valid_q <= '0;
    else tag_valid_q <= {tag_valid_q[MpeLatency-1:0], beat && last};
    tags_q[0] <= {tag_wscale, tag_bias, tag_first_group, tag_last_group, tag_odd, tag_tile_end, tag_command_end};
    for (int i = 1; i <= MpeLatency; i++) tags_q[i] <= tags_q[i-1];
  end
  logic at_wscale, at_bias, at_first_group, at_last_group, at_odd, at_tile_end, at_command_end;
  assign {at_wscale, at_bias, at_first_group, at_last_group, at_odd, at_tile_end, at_command_end} =
         tags_q[MpeLatency];

  mm_dequant #(.SpadAw(SpadAw), .SAw(SAw)) u_dequant (
    .clk_i,
    .rst_ni,
    .load_i       (load),
    .lowest_i     (lowest),
    .stop_i       (stop),
    .left_i       (left),
    .out_addr_i   (cmd.out_addr[SpadAw-1:0]),
    .out_stride_i (cmd.out_stride[SpadAw-1:0]),
    .sa_addr_i    (cmd.sa_addr[SAw-1:0]),
    .sa_stride_i  (cmd.sa_stride[SAw-1:0]),
    .sums_valid_i (sums_valid),
    .sums0_i      (sums0),
    .sums1_i      (sums1),
    .wscale_i     (at_wscale),
    .bias_i       (at_bias),
    .first_group_i(at_first_group),
    .last_group_i (at_last_group),
    .odd_i        (at_odd),
    .tile_end_i   (at_tile_end),
    .command_end_i(at_command_end),
    .sf_re_o,
    .sf_rd_off_o,
    .sf_rdata_i,
    .sf_pop_o,
    .sf_pop_num_o,
    .s_re_o,
    .s_addr_o,
    .s_rdata_i,
    .spad_we_o,
    .spad_waddr_o,
    .spad_wmask_o,
    .spad_wdata_o
  );

  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (sums_valid == tag_valid_q[MpeLatency]);
  end
endmodule

`default_nettype wire
