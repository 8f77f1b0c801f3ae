// MM: int8 activations (ABUF) times streamed int8 weight tiles, dequantised to SPAD; semantics in
// hw/doc/microarchitecture.md, section 5. Front half mm_issue, array mpe_core, back half mm_dequant.
//
// Timing, from the cycle of start_i to the cycle of done_o: issue cycles + 44 + starved cycles,
// issue = tiles * pairs * sum over groups of max(words, one group ? 2 : 8); 3 if rows or tiles is
// 0. A beat issued in cycle t is written in t + 39 (row 0) and t + 40 (row 1).
// A fault is reported 3 cycles after start_i, before any effect.
`default_nettype none

module mm_unit #(
  localparam int unsigned SpadAw = $clog2(fvlm_isa_pkg::SpadWords),
  localparam int unsigned AbufAw = $clog2(fvlm_isa_pkg::AbufWords),
  localparam int unsigned SAw    = $clog2(fvlm_isa_pkg::SWords),
  localparam int unsigned WfAw   = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,    // synchronous; also abandons a running command
  input  wire                    start_i,
  input  fvlm_isa_pkg::mm_cmd_t  cmd_i,     // taken with start_i
  output logic                   busy_o,
  output logic                   done_o,
  output logic                   fault_o,
  output logic [3:0]             fault_code_o,

  output logic                   abuf0_re_o,
  output logic [AbufAw-1:0]      abuf0_addr_o,
  input  wire  [127:0]           abuf0_rdata_i,
  output logic                   abuf1_re_o,
  output logic [AbufAw-1:0]      abuf1_addr_o,
  input  wire  [127:0]           abuf1_rdata_i,

  input  wire  [WfAw:0]          wf_avail_i,
  output logic                   wf_re_o,
  output logic [WfAw-1:0]        wf_rd_off_o,
  input  wire  [2047:0]          wf_rdata_i,
  output logic                   wf_pop_o,
  input  wire  [SfAw:0]          sf_avail_i,
  output logic                   sf_re_o,
  output logic [SfAw-1:0]        sf_rd_off_o,
  input  wire  [511:0]           sf_rdata_i,
  output logic                   sf_pop_o,
  output logic [SfAw:0]          sf_pop_num_o,

  output logic                   s_re_o,
  output logic [SAw-1:0]         s_addr_o,
  input  wire  [31:0]            s_rdata_i,
  output logic                   spad_we_o,
  output logic [SpadAw-1:0]      spad_waddr_o,
  output logic [511:0]           spad_wdata_o,

  output logic [1:0]             mac_beats_o,
  output logic                   starved_o
);
  localparam int unsigned ChainDepth = 16;
  localparam int unsigned NumChains  = 16;
  localparam int unsigned MpeLatency = ChainDepth + 5;
  localparam int unsigned Drain      = 1 + MpeLatency + 19;  // last issue cycle to done

  typedef enum logic [2:0] {StIdle, StSpan, StLast, StVerdict, StRun, StDrain} state_e;

  fvlm_isa_pkg::mm_cmd_t cmd_q;
  state_e     state_q;
  logic       empty, bad, load, run, issue_end;
  logic [5:0] drain_q;

  assign empty = cmd_q.rows == 16'd0 || cmd_q.tiles == 16'd0;
  assign load  = state_q == StVerdict;
  assign run   = state_q == StRun;

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
  assign fault_o = load && !empty && bad;
  assign done_o  = (load && empty) || (state_q == StDrain && drain_q == 6'(Drain));

  // ---- Checks: weights, activations, output, row scales ------------------------------------------
  logic bad_fifo_q, bad_act, bad_out, bad_sa;
  logic [1:0]  ce_check;
  logic [15:0] max_groups_kb_q;
  logic [8:0]  max_groups;
  assign ce_check   = {state_q == StLast, state_q == StSpan};
  assign max_groups = 9'(fvlm_isa_pkg::SfifoWords) - {8'd0, cmd_q.bias};
  always_ff @(posedge clk_i) begin
    // groups > max_groups is kb > max_groups * kbg: no division. Without kbg there is one group.
    if (ce_check[0]) max_groups_kb_q <= {7'd0, max_groups} * {8'd0, cmd_q.kbg};
    if (ce_check[1]) begin
      bad_fifo_q <= cmd_q.kb == 16'd0 || cmd_q.kb > 16'(fvlm_isa_pkg::WfifoWords)
                    || (cmd_q.wscale && cmd_q.kbg != 8'd0 && cmd_q.kb > max_groups_kb_q);
    end
  end
  cmd_range #(.Limit(fvlm_isa_pkg::AbufWords)) u_act (
    .clk_i, .ce_i(ce_check), .base_i(cmd_q.act_addr), .rows_i(cmd_q.rows),
    .stride_i(cmd_q.act_stride), .words_i(cmd_q.kb), .bad_o(bad_act)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_out (
    .clk_i, .ce_i(ce_check), .base_i(cmd_q.out_addr), .rows_i(cmd_q.rows),
    .stride_i(cmd_q.out_stride), .words_i(cmd_q.tiles), .bad_o(bad_out)
  );
  cmd_range #(.Limit(fvlm_isa_pkg::SWords)) u_sa (
    .clk_i, .ce_i(ce_check), .base_i(cmd_q.sa_addr), .rows_i(cmd_q.rows), .stride_i(12'd1),
    .words_i(16'd1), .bad_o(bad_sa)
  );
  assign bad = bad_fifo_q || bad_act || bad_out || bad_sa;
  assign fault_code_o = bad_fifo_q ? fvlm_isa_pkg::FAULT_WFIFO
                      : bad_act ? fvlm_isa_pkg::FAULT_ABUF
                      : bad_out ? fvlm_isa_pkg::FAULT_SPAD : fvlm_isa_pkg::FAULT_SMEM;

  // ---- Issue -------------------------------------------------------------------------------------
  logic beat, first, last, tag_first_group, tag_last_group, tag_odd, tag_tile_end;
  mm_issue #(.AbufAw(AbufAw)) u_issue (
    .clk_i,
    .rst_ni,
    .load_i           (load),
    .run_i            (run),
    .rows_i           (cmd_q.rows),
    .tiles_i          (cmd_q.tiles),
    .kb_i             (cmd_q.kb),
    .kbg_i            (cmd_q.kbg),
    .act_addr_i       (cmd_q.act_addr[AbufAw-1:0]),
    .act_stride_i     (cmd_q.act_stride),
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
    .first_o          (first),
    .last_o           (last),
    .tag_first_group_o(tag_first_group),
    .tag_last_group_o (tag_last_group),
    .tag_odd_o        (tag_odd),
    .tag_tile_end_o   (tag_tile_end),
    .starved_o
  );
  assign mac_beats_o = beat ? {tag_odd, !tag_odd} : 2'd0;

  // ---- Array: operands one cycle after the issue ---------------------------------------------------
  logic beat_q, first_q, last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= 1'b0;
    else beat_q <= beat;
    first_q <= first;
    last_q  <= last;
  end

  // Dense: slice k takes window byte k.
  localparam logic [31:0] DenseIdx = {8{4'b01_00}};
  logic         sums_valid;
  logic [511:0] sums0, sums1;
  mpe_core #(.NumChains(NumChains), .ChainDepth(ChainDepth)) u_mpe (
    .clk_i,
    .rst_ni,
    .valid_i(beat_q),
    .first_i(first_q),
    .last_i (last_q),
    .act0_i ({abuf0_rdata_i, abuf0_rdata_i}),
    .act1_i ({abuf1_rdata_i, abuf1_rdata_i}),
    .w_i    (wf_rdata_i),
    .idx_i  ({16{DenseIdx}}),
    .valid_o(sums_valid),
    .acc0_o (sums0),
    .acc1_o (sums1)
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
    .out_addr_i   (cmd_q.out_addr[SpadAw-1:0]),
    .out_stride_i (cmd_q.out_stride),
    .sa_addr_i    (cmd_q.sa_addr[SAw-1:0]),
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
    .spad_wdata_o
  );

  // ---- Checks --------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(start_i && busy_o));
      assert (sums_valid == tag_valid_q[MpeLatency]);
      assert (!beat || state_q == StRun);
      assert (!sf_pop_o || sf_avail_i >= sf_pop_num_o);
      assert (!sf_re_o || sf_avail_i > {1'b0, sf_rd_off_o});
      assert (!(done_o && state_q == StDrain) || tag_valid_q == '0);
      if (beat_q) begin
        for (int k = 0; k < 16; k++) assert (abuf0_rdata_i[8*k +: 8] != 8'h80);
      end
    end
  end
endmodule

`default_nettype wire
