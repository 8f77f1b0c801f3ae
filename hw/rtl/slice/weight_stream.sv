// Weight stream of a slice: its share of each weight load is queued (four commands besides the one
// that streams), read from its channel, expanded, and kept in the FIFOs that the matrix unit reads.
// Slices run independently of each other.
`default_nettype none

module weight_stream
  import slice_pkg::*;
#(
    localparam int unsigned WfAw = $clog2(fvlm_isa_pkg::WfifoWords),
    localparam int unsigned SfAw = $clog2(fvlm_isa_pkg::SfifoWords)
) (
    input  logic              clk_i,
    input  logic              rst_ni,   // reset and launch
    input  logic              stop_i,
    input  logic [SliceW-1:0] index_i,  // constant

    input  stream_cmd_t       cmd_i,
    output logic              ready_o,  // has room for its share of cmd_i
    input  logic              push_i,
    output logic              idle_o,
    output logic              drained_o,
    output logic              fault_o,
    output logic [15:0]       fault_pc_o,
    output logic              beat_o,

    output logic              m_arvalid_o,
    input  logic              m_arready_i,
    output logic [63:0]       m_araddr_o,
    output logic [7:0]        m_arlen_o,
    input  logic              m_rvalid_i,
    output logic              m_rready_o,
    input  logic [511:0]      m_rdata_i,
    input  logic [1:0]        m_rresp_i,
    input  logic              m_rlast_i,

    output logic [WfAw:0]     wf_avail_o,
    input  logic              wf_re_i,
    input  logic [WfAw-1:0]   wf_rd_off_i,
    output logic [3071:0]     wf_rdata_o,
    input  logic              wf_pop_i,
    output logic [SfAw:0]     sf_avail_o,
    input  logic              sf_re_i,
    input  logic [SfAw-1:0]   sf_rd_off_i,
    output logic [511:0]      sf_rdata_o,
    input  logic              sf_pop_i,
    input  logic [SfAw:0]     sf_pop_num_i
);
  /*verilator no_inline_module*/
  localparam int unsigned QueueDepth = 4;

  // ---- This slice's share: tiles index - first (mod slices) and every Slices-th behind it. Those
  // before the first tile's slice begin a round later.
  logic [SliceW-1:0] first_slice, distance;
  logic [16:0]       tiles_wide, most_wide;
  logic [15:0]       tiles, most_tiles;
  logic [31:0]       later, all_units;
  logic              some;
  run_t              run, run_head;
  tiles_t            share, share_head;
  assign distance = index_i - first_slice;
  if (Slices == 1) begin : gen_one
    assign first_slice = '0;
    assign later       = '0;
  end else begin : gen_many
    assign first_slice = cmd_i.first[SliceW-1:0];
    assign later       = (index_i < first_slice) ? cmd_i.stride : '0;
  end
  assign tiles_wide = 17'(cmd_i.rows) + 17'(Slices - 1) - 17'(distance);
  assign tiles      = 16'(tiles_wide >> SliceShift);
  // tiles > 0, without the sum.
  assign some       = cmd_i.rows > 16'(distance);
  // The slice of the first tile has the most tiles; another one has as many or one less.
  assign most_wide  = 17'(cmd_i.rows) + 17'(Slices - 1);
  assign most_tiles = 16'(most_wide >> SliceShift);
  assign all_units  = cmd_i.all_units - ((tiles != most_tiles) ? cmd_i.units : '0);

  always_comb begin
    run.unit     = cmd_i.unit + later;
    run.stride   = cmd_i.stride;
    run.units    = cmd_i.packed_ ? all_units : cmd_i.units;
    run.runs     = cmd_i.packed_ ? 16'd1 : tiles;
    share.tiles  = tiles;
    share.units  = cmd_i.units;
    share.none   = cmd_i.units == '0;
    share.single = cmd_i.units == 32'd1;
    share.behind = cmd_i.format.kb - cmd_i.format.group;
    share.format = cmd_i.format;
  end

  logic run_full, run_valid, run_take, share_full, share_valid, share_take, enqueue;
  assign ready_o = (!run_full && !share_full) || !some;
  assign enqueue = push_i && some;
  prim_fifo #(
      .Width($bits(run_t)),
      .Depth(QueueDepth)
  ) u_runs (
      .clk_i,
      .rst_ni,
      .push_i (enqueue),
      .data_i (run),
      .full_o (run_full),
      .pop_i  (run_take),
      .data_o (run_head),
      .valid_o(run_valid),
      .count_o()
  );
  prim_fifo #(
      .Width($bits(tiles_t)),
      .Depth(QueueDepth)
  ) u_shares (
      .clk_i,
      .rst_ni,
      .push_i (enqueue),
      .data_i (share),
      .full_o (share_full),
      .pop_i  (share_take),
      .data_o (share_head),
      .valid_o(share_valid),
      .count_o()
  );

  // ---- Requests.
  logic        req_valid, req_ready, walker_idle, expanded;
  logic [31:0] req_unit, req_beats;
  run_walker u_walker (
      .clk_i,
      .rst_ni,
      .stop_i,
      .cmd_valid_i(run_valid),
      .cmd_i      (run_head),
      .cmd_take_o (run_take),
      .expanded_i (expanded),
      .req_valid_o(req_valid),
      .req_ready_i(req_ready),
      .req_unit_o (req_unit),
      .req_beats_o(req_beats),
      .idle_o     (walker_idle)
  );

  logic         beat_valid, beat_ready, beat_error;
  logic [511:0] beat_data;
  axi_read_engine #(
      .MaxOutstanding(8),
      .BeatsW(32)
  ) u_read (
      .clk_i,
      .rst_ni,
      .stop_i,
      .drained_o,
      .req_valid_i (req_valid),
      .req_ready_o (req_ready),
      .req_unit_i  (req_unit),
      .req_beats_i (req_beats),
      .beat_valid_o(beat_valid),
      .beat_ready_i(beat_ready),
      .beat_data_o (beat_data),
      .beat_error_o(beat_error),
      .m_arvalid_o,
      .m_arready_i,
      .m_araddr_o,
      .m_arlen_o,
      .m_rvalid_i,
      .m_rready_o,
      .m_rdata_i,
      .m_rresp_i,
      .m_rlast_i
  );
  assign beat_o = m_rvalid_i && m_rready_o;

  // ---- Expansion and FIFOs.
  logic            expander_idle, wf_room, wf_push, sf_push, sf_full;
  logic [WfAw-1:0] wf_tail, wf_value_addr, wf_sel_addr;
  logic [15:0]     wf_value_we;
  logic [1:0]      wf_sel_we;
  logic [2047:0]   wf_value;
  logic [1023:0]   wf_sel;
  logic [511:0]    sf_data;
  assign idle_o = expander_idle && walker_idle && !run_valid && !share_valid;

  expander #(
      .WfAw(WfAw)
  ) u_expander (
      .clk_i,
      .rst_ni,
      .cmd_valid_i    (share_valid),
      .cmd_i          (share_head),
      .cmd_take_o     (share_take),
      .cmd_done_o     (expanded),
      .idle_o         (expander_idle),
      .fault_o,
      .fault_pc_o,
      .beat_valid_i   (beat_valid),
      .beat_ready_o   (beat_ready),
      .beat_data_i    (beat_data),
      .beat_error_i   (beat_error),
      .wf_tail_i      (wf_tail),
      .wf_room_i      (wf_room),
      .wf_push_o      (wf_push),
      .wf_value_we_o  (wf_value_we),
      .wf_value_addr_o(wf_value_addr),
      .wf_value_o     (wf_value),
      .wf_sel_we_o    (wf_sel_we),
      .wf_sel_addr_o  (wf_sel_addr),
      .wf_sel_o       (wf_sel),
      .sf_room_one_i  (!sf_full),
      .sf_room_two_i  (!sf_full && sf_avail_o != (SfAw + 1)'(fvlm_isa_pkg::SfifoWords - 1)),
      .sf_push_o      (sf_push),
      .sf_data_o      (sf_data)
  );

  weight_fifo #(
      .Depth(fvlm_isa_pkg::WfifoWords)
  ) u_wfifo (
      .clk_i,
      .rst_ni,
      .tail_o      (wf_tail),
      .room_o      (wf_room),
      .push_i      (wf_push),
      .value_we_i  (wf_value_we),
      .value_addr_i(wf_value_addr),
      .value_i     (wf_value),
      .sel_we_i    (wf_sel_we),
      .sel_addr_i  (wf_sel_addr),
      .sel_i       (wf_sel),
      .avail_o     (wf_avail_o),
      .rd_en_i     (wf_re_i),
      .rd_off_i    (wf_rd_off_i),
      .rd_data_o   (wf_rdata_o),
      .pop_i       (wf_pop_i)
  );

  scale_fifo #(
      .Depth(fvlm_isa_pkg::SfifoWords)
  ) u_sfifo (
      .clk_i,
      .rst_ni,
      .push_i   (sf_push),
      .data_i   (sf_data),
      .full_o   (sf_full),
      .avail_o  (sf_avail_o),
      .rd_en_i  (sf_re_i),
      .rd_off_i (sf_rd_off_i),
      .rd_data_o(sf_rdata_o),
      .pop_i    (sf_pop_i),
      .pop_num_i(sf_pop_num_i)
  );
endmodule

`default_nettype wire
