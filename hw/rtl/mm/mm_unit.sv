// MM: int8 activations (ABUF) times streamed int8 weight tiles in all slices, dequantised to SPAD;
// semantics in hw/doc/microarchitecture.md, section 5, cycles in hw/doc/timing.md, section MM.
// Front half mm_issue, array mpe_array, back half mm_dequant, operand checks mm_check.
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
  input  wire                    rst_ni,    // synchronous; also abandons a running command
  input  wire                    start_i,
  input  fvlm_isa_pkg::mm_cmd_t  cmd_i,     // taken with start_i
  output logic                   busy_o,
  output logic                   done_o,
  output logic                   fault_o,
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
  localparam int unsigned Drain      = 1 + MpeLatency + 1 + RowSteps + 17 + PairCycles;

  typedef enum logic [2:0] {StIdle, StSpan, StLast, StVerdict, StRun, StDrain} state_e;

  fvlm_isa_pkg::mm_cmd_t cmd_q;
  state_e     state_q;
  logic       empty, bad, verdict, load, run, issue_end;
  logic [5:0] drain_q;

  assign empty   = cmd_q.rows == 16'd0 || cmd_q.tiles == 16'd0;
  assign load    = state_q == StLast;
  assign verdict = state_q == StVerdict;
  assign run     = state_q == StRun;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
    end else begin
      case (state_q)
        StIdle:    if (start_i) state_q <= StSpan;
        StSpan:    state_q <= StLast;
        StLast:    state_q <= StVerdict;
        StVerdict: state_q <= (empty || bad) ? StIdle : StRun;
        StRun:     if (issue_end) state_q <= StDrain;
        StDrain:   if (done_o) state_q <= StIdle;
        default:   state_q <= StIdle;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i && !busy_o) cmd_q <= cmd_i;
    drain_q <= (state_q == StDrain) ? drain_q + 6'd1 : 6'd1;
  end

  assign busy_o  = state_q != StIdle;
  assign fault_o = verdict && !empty && bad;
  assign done_o  = (verdict && empty) || (state_q == StDrain && drain_q == 6'(Drain));

  mm_check u_check (
    .clk_i, .ce_i({state_q == StLast, state_q == StSpan}), .cmd_i(cmd_q), .bad_o(bad), .code_o(fault_code_o)
  );

  // ---- Issue -------------------------------------------------------------------------------------
  logic                    beat, first, last;
  logic [NS-1:0]           active;
  logic [$clog2(NS+1)-1:0] active_count;
  logic                    tag_first_group, tag_last_group, tag_odd, tag_tile_end;
  mm_issue #(.AbufAw(AbufAw)) u_issue (
    .clk_i,
    .rst_ni,
    .load_i           (load),
    .run_i            (run),
    .rows_i           (cmd_q.rows),
    .tiles_i          (cmd_q.tiles),
    .first_i          (cmd_q.first),
    .kb_i             (cmd_q.kb),
    .kbg_i            (cmd_q.kbg),
    .window_words_i   (fvlm_isa_pkg::nm_window_words(cmd_q.nm)),
    .act_addr_i       (cmd_q.act_addr[AbufAw-1:0]),
    .act_stride_i     (cmd_q.act_stride[AbufAw-1:0]),
    .wscale_i         (cmd_q.wscale),
    .bias_i           (cmd_q.bias),
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
    .active_o         (active),
    .count_o          (active_count),
    .first_o          (first),
    .last_o           (last),
    .tag_first_group_o(tag_first_group),
    .tag_last_group_o (tag_last_group),
    .tag_odd_o        (tag_odd),
    .tag_tile_end_o   (tag_tile_end),
    .starved_o
  );
  assign mac_beats_o = !beat ? '0 : tag_odd ? MacW'({active_count, 1'b0}) : MacW'(active_count);

  // ---- Array: operands one cycle after the issue ---------------------------------------------------
  logic          beat_q, first_q, last_q;
  logic [NS-1:0] active_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= 1'b0;
    else beat_q <= beat;
    first_q  <= first;
    last_q   <= last;
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
    .nm_i    (cmd_q.nm),
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
  logic [MpeLatency:0] tag_valid_q, tag_first_q, tag_last_q, tag_odd_q, tag_end_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) tag_valid_q <= '0;
    else tag_valid_q <= {tag_valid_q[MpeLatency-1:0], beat && last};
    tag_first_q <= {tag_first_q[MpeLatency-1:0], tag_first_group};
    tag_last_q  <= {tag_last_q[MpeLatency-1:0], tag_last_group};
    tag_odd_q   <= {tag_odd_q[MpeLatency-1:0], tag_odd};
    tag_end_q   <= {tag_end_q[MpeLatency-1:0], tag_tile_end};
  end

  mm_dequant #(.SpadAw(SpadAw), .SAw(SAw)) u_dequant (
    .clk_i,
    .rst_ni,
    .load_i       (load),
    .wscale_i     (cmd_q.wscale),
    .bias_i       (cmd_q.bias),
    .tiles_i      (cmd_q.tiles),
    .first_i      (cmd_q.first),
    .out_addr_i   (cmd_q.out_addr[SpadAw-1:0]),
    .out_stride_i (cmd_q.out_stride[SpadAw-1:0]),
    .sa_addr_i    (cmd_q.sa_addr[SAw-1:0]),
    .sa_stride_i  (cmd_q.sa_stride[SAw-1:0]),
    .sums_valid_i (sums_valid),
    .sums0_i      (sums0),
    .sums1_i      (sums1),
    .first_group_i(tag_first_q[MpeLatency]),
    .last_group_i (tag_last_q[MpeLatency]),
    .odd_i        (tag_odd_q[MpeLatency]),
    .tile_end_i   (tag_end_q[MpeLatency]),
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

  // ---- Checks --------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(start_i && busy_o));
      assert (sums_valid == tag_valid_q[MpeLatency]);
      assert (!beat || state_q == StRun);
      assert (!(done_o && state_q == StDrain) || tag_valid_q == '0);
    end
  end
endmodule

`default_nettype wire
