// FlightVLM accelerator: an AXI4 master (512-bit beats) for code and data, one for each slice's weight
// channel, an AXI4-Lite slave for control, and between them the dispatcher, four command queues with
// tokens, the LD, ST, MM and VX units, the slices' weight streams and the on-chip memories. This
// file only wires; every decision is in a named module.
// Ports of the channels are packed vectors, channel 0 in the low bits.
// Spec: hw/doc/microarchitecture.md; cycle counts: hw/doc/timing.md.
`default_nettype none

module fvlm_top #(
    parameter RomFile = "sfu.hex",
    localparam int unsigned Slices = fvlm_isa_pkg::Slices
) (
    input  logic         clk_i,
    input  logic         clk2x_i,  // twice clk_i, rising edges aligned (only the DSP array uses it)
    input  logic         rst_ni,   // synchronous

    input  logic [11:0]  s_axil_awaddr_i,
    input  logic         s_axil_awvalid_i,
    output logic         s_axil_awready_o,
    input  logic [31:0]  s_axil_wdata_i,
    input  logic [3:0]   s_axil_wstrb_i,
    input  logic         s_axil_wvalid_i,
    output logic         s_axil_wready_o,
    output logic [1:0]   s_axil_bresp_o,
    output logic         s_axil_bvalid_o,
    input  logic         s_axil_bready_i,
    input  logic [11:0]  s_axil_araddr_i,
    input  logic         s_axil_arvalid_i,
    output logic         s_axil_arready_o,
    output logic [31:0]  s_axil_rdata_o,
    output logic [1:0]   s_axil_rresp_o,
    output logic         s_axil_rvalid_o,
    input  logic         s_axil_rready_i,

    output logic [3:0]   m_axi_arid_o,
    output logic [63:0]  m_axi_araddr_o,
    output logic [7:0]   m_axi_arlen_o,
    output logic [2:0]   m_axi_arsize_o,
    output logic [1:0]   m_axi_arburst_o,
    output logic         m_axi_arvalid_o,
    input  logic         m_axi_arready_i,
    input  logic [3:0]   m_axi_rid_i,
    input  logic [511:0] m_axi_rdata_i,
    input  logic [1:0]   m_axi_rresp_i,
    input  logic         m_axi_rlast_i,
    input  logic         m_axi_rvalid_i,
    output logic         m_axi_rready_o,
    output logic [3:0]   m_axi_awid_o,
    output logic [63:0]  m_axi_awaddr_o,
    output logic [7:0]   m_axi_awlen_o,
    output logic [2:0]   m_axi_awsize_o,
    output logic [1:0]   m_axi_awburst_o,
    output logic         m_axi_awvalid_o,
    input  logic         m_axi_awready_i,
    output logic [511:0] m_axi_wdata_o,
    output logic [63:0]  m_axi_wstrb_o,
    output logic         m_axi_wlast_o,
    output logic         m_axi_wvalid_o,
    input  logic         m_axi_wready_i,
    input  logic [3:0]   m_axi_bid_i,
    input  logic [1:0]   m_axi_bresp_i,
    input  logic         m_axi_bvalid_i,
    output logic         m_axi_bready_o,

    output logic [Slices*4-1:0]   m_ch_arid_o,
    output logic [Slices*64-1:0]  m_ch_araddr_o,
    output logic [Slices*8-1:0]   m_ch_arlen_o,
    output logic [Slices*3-1:0]   m_ch_arsize_o,
    output logic [Slices*2-1:0]   m_ch_arburst_o,
    output logic [Slices-1:0]     m_ch_arvalid_o,
    input  logic [Slices-1:0]     m_ch_arready_i,
    input  logic [Slices*4-1:0]   m_ch_rid_i,
    input  logic [Slices*512-1:0] m_ch_rdata_i,
    input  logic [Slices*2-1:0]   m_ch_rresp_i,
    input  logic [Slices-1:0]     m_ch_rlast_i,
    input  logic [Slices-1:0]     m_ch_rvalid_i,
    output logic [Slices-1:0]     m_ch_rready_o,
    output logic [Slices*4-1:0]   m_ch_awid_o,
    output logic [Slices*64-1:0]  m_ch_awaddr_o,
    output logic [Slices*8-1:0]   m_ch_awlen_o,
    output logic [Slices*3-1:0]   m_ch_awsize_o,
    output logic [Slices*2-1:0]   m_ch_awburst_o,
    output logic [Slices-1:0]     m_ch_awvalid_o,
    input  logic [Slices-1:0]     m_ch_awready_i,
    output logic [Slices*512-1:0] m_ch_wdata_o,
    output logic [Slices*64-1:0]  m_ch_wstrb_o,
    output logic [Slices-1:0]     m_ch_wlast_o,
    output logic [Slices-1:0]     m_ch_wvalid_o,
    input  logic [Slices-1:0]     m_ch_wready_i,
    input  logic [Slices*4-1:0]   m_ch_bid_i,
    input  logic [Slices*2-1:0]   m_ch_bresp_i,
    input  logic [Slices-1:0]     m_ch_bvalid_i,
    output logic [Slices-1:0]     m_ch_bready_o,

    output logic         active_o,        // a launch is in progress (first cycle: the clear)
    output logic [3:0]   retire_valid_o,  // LD, ST, MM, VX: a command completes
    output logic [63:0]  retire_pc_o      // their pcs, 16 bits each
);
  localparam int unsigned SpadW = $clog2(fvlm_isa_pkg::SpadWords);
  localparam int unsigned AbufW = $clog2(fvlm_isa_pkg::AbufWords);
  localparam int unsigned SW = $clog2(fvlm_isa_pkg::SWords);
  localparam int unsigned WfAw = $clog2(fvlm_isa_pkg::WfifoWords);
  localparam int unsigned SfAw = $clog2(fvlm_isa_pkg::SfifoWords);
  localparam int unsigned MacW = $clog2(2 * Slices + 1);

  // ---- Control.
  logic         start, idle, done, init, clear, fetch_start, run, active;
  logic         fetch_done, fetch_fault, halt, stop, main_read_drained, main_write_drained;
  logic [3:0]   fetch_fault_code, fault_code;
  logic [2:0]   fault_unit;
  logic [31:0]  fault_pc, mem_units, channel_units, code_base, code_len, code_units, entry;
  logic [31:0]  watchdog, count_data;
  logic [479:0] args;
  logic         count_re;
  logic [5:0]   count_word;

  // What a launch resets: everything but the registers, the memories and this sequence.
  logic core_rst_n, abort;
  assign core_rst_n = rst_ni && !clear;
  assign abort      = clear || stop;

  csr u_csr (
      .clk_i,
      .rst_ni,
      .s_awaddr_i  (s_axil_awaddr_i),
      .s_awvalid_i (s_axil_awvalid_i),
      .s_awready_o (s_axil_awready_o),
      .s_wdata_i   (s_axil_wdata_i),
      .s_wstrb_i   (s_axil_wstrb_i),
      .s_wvalid_i  (s_axil_wvalid_i),
      .s_wready_o  (s_axil_wready_o),
      .s_bresp_o   (s_axil_bresp_o),
      .s_bvalid_o  (s_axil_bvalid_o),
      .s_bready_i  (s_axil_bready_i),
      .s_araddr_i  (s_axil_araddr_i),
      .s_arvalid_i (s_axil_arvalid_i),
      .s_arready_o (s_axil_arready_o),
      .s_rdata_o   (s_axil_rdata_o),
      .s_rresp_o   (s_axil_rresp_o),
      .s_rvalid_o  (s_axil_rvalid_o),
      .s_rready_i  (s_axil_rready_i),
      .start_o     (start),
      .idle_i      (idle),
      .done_i      (done),
      .fault_i     (stop),
      .fault_code_i(fault_code),
      .fault_unit_i(fault_unit),
      .fault_pc_i  (fault_pc),
      .mem_units_o (mem_units),
      .channel_units_o(channel_units),
      .code_units_o(code_units),
      .code_base_o (code_base),
      .code_len_o  (code_len),
      .entry_o     (entry),
      .watchdog_o  (watchdog),
      .args_o      (args),
      .count_re_o  (count_re),
      .count_word_o(count_word),
      .count_data_i(count_data)
  );

  // One bit a slice.
  logic [Slices-1:0] stream_ready, stream_idle, stream_drained, stream_fault, channel_read_beat;
  logic [Slices-1:0] kv_drained, kv_error, channel_write_beat;

  launch u_launch (
      .clk_i,
      .rst_ni,
      .start_i     (start),
      .init_i      (init),
      .fetch_done_i(fetch_done),
      .halt_i      (halt),
      .stop_i      (stop),
      .drained_i   (main_read_drained && main_write_drained && (&stream_drained) && (&kv_drained)),
      .clear_o     (clear),
      .fetch_o     (fetch_start),
      .run_o       (run),
      .active_o    (active),
      .idle_o      (idle),
      .done_o      (done)
  );
  assign active_o = !idle;

  // ---- Fetch and dispatch.
  logic         fetch_busy, fetch_req_valid, fetch_beat_valid, fetch_beat_ready;
  logic         req_valid, req_ready, beat_valid, beat_ready, beat_error;
  logic [31:0]  fetch_req_unit, req_unit;
  logic [31:0]  fetch_req_beats, req_beats;
  logic [511:0] beat_data;
  logic         imem_re;
  logic [31:0]  imem_pc;
  logic [255:0] insn;

  fetch u_fetch (
      .clk_i,
      .rst_ni      (core_rst_n),
      .start_i     (fetch_start),
      .stop_i      (stop),
      .code_base_i (code_base),
      .code_len_i  (code_len),
      .code_units_i(code_units),
      .mem_units_i (mem_units),
      .busy_o      (fetch_busy),
      .done_o      (fetch_done),
      .fault_o     (fetch_fault),
      .fault_code_o(fetch_fault_code),
      .req_valid_o (fetch_req_valid),
      .req_ready_i (req_ready),
      .req_unit_o  (fetch_req_unit),
      .req_beats_o (fetch_req_beats),
      .beat_valid_i(fetch_beat_valid),
      .beat_ready_o(fetch_beat_ready),
      .beat_data_i (beat_data),
      .beat_error_i(beat_error),
      .rd_en_i     (imem_re),
      .rd_pc_i     (imem_pc),
      .insn_o      (insn)
  );

  logic [3:0]            queue_full, queue_push, push_wait, push_release;
  logic [3:0]            queue_active, queue_waiting, queue_empty, unit_start, unit_done;
  logic [3:0]            unit_fault, token_overflow;
  logic                  mm_ready;
  logic [15:0]           unit_fault_code;
  logic [63:0]           unit_pc;
  logic                  dispatched, dispatch_fault;
  logic [3:0]            dispatch_fault_code;
  logic [31:0]           dispatch_pc;
  fvlm_isa_pkg::ld_cmd_t ld_push, ld_cmd;
  fvlm_isa_pkg::st_cmd_t st_push, st_cmd;
  fvlm_isa_pkg::mm_cmd_t mm_push, mm_cmd;
  fvlm_isa_pkg::vx_cmd_t vx_push, vx_cmd;

  dispatch u_dispatch (
      .clk_i,
      .rst_ni,
      .launch_i    (clear),
      .run_i       (run),
      .stop_i      (stop),
      .entry_i     (entry),
      .code_len_i  (code_len),
      .args_i      (args),
      .idle_i      ((&queue_empty) && (&stream_idle)),
      .imem_re_o   (imem_re),
      .imem_pc_o   (imem_pc),
      .insn_i      (insn),
      .full_i      (queue_full),
      .push_o      (queue_push),
      .wait_o      (push_wait),
      .release_o   (push_release),
      .ld_cmd_o    (ld_push),
      .st_cmd_o    (st_push),
      .mm_cmd_o    (mm_push),
      .vx_cmd_o    (vx_push),
      .dispatched_o(dispatched),
      .halt_o      (halt),
      .fault_o     (dispatch_fault),
      .fault_code_o(dispatch_fault_code),
      .pc_o        (dispatch_pc)
  );

  // ---- Queues and tokens. Unit u: bits u of the vectors, bits 4u.. or 16u.. of the wide ones.
  queues u_queues (
      .clk_i,
      .rst_ni    (core_rst_n),
      .stop_i    (stop),
      .push_i    (queue_push),
      .wait_i    (push_wait),
      .release_i (push_release),
      .ld_cmd_i  (ld_push),
      .st_cmd_i  (st_push),
      .mm_cmd_i  (mm_push),
      .vx_cmd_i  (vx_push),
      .full_o    (queue_full),
      .start_o   (unit_start),
      .ld_cmd_o  (ld_cmd),
      .st_cmd_o  (st_cmd),
      .mm_cmd_o  (mm_cmd),
      .vx_cmd_o  (vx_cmd),
      .mm_ready_i(mm_ready),
      .done_i    (unit_done),
      .pc_o      (unit_pc),
      .active_o  (queue_active),
      .waiting_o (queue_waiting),
      .empty_o   (queue_empty),
      .overflow_o(token_overflow)
  );
  assign retire_valid_o = unit_done;
  assign retire_pc_o    = unit_pc;

  // ---- Faults, watchdog, counters.
  logic            read_beat, write_beat, mm_starved;
  logic [MacW-1:0] mac_beats;
  logic [15:0]     blame_code;
  for (genvar u = 0; u < 4; u++) begin : gen_blame
    assign blame_code[u*4+:4] = (u == 0 && stream_fault != '0) ? fvlm_isa_pkg::FAULT_AXI :
                                unit_fault[u] ? unit_fault_code[u*4+:4] : fvlm_isa_pkg::FAULT_TOKEN;
  end
  // A weight load has retired when its stream meets an AXI error: its pc comes with the error.
  logic [15:0]          stream_pc;
  logic [Slices*16-1:0] stream_fault_pc;
  always_comb begin
    stream_pc = '0;
    for (int i = Slices - 1; i >= 0; i--) begin
      if (stream_fault[i]) stream_pc = stream_fault_pc[16*i+:16];
    end
  end
  assign read_beat  = m_axi_rvalid_i && m_axi_rready_o;
  assign write_beat = m_axi_wvalid_o && m_axi_wready_i;

  fault u_fault (
      .clk_i,
      .rst_ni,
      .clear_i      (clear),
      .active_i     (active),
      .progress_i   (dispatched || (|unit_start) || (|unit_done) || read_beat || write_beat ||
                      (|channel_read_beat) || (|channel_write_beat)),
      .watchdog_i   (watchdog),
      .valid_i      ({dispatch_fault || fetch_fault, unit_fault | token_overflow | {3'd0, stream_fault != '0}}),
      .code_i       ({fetch_fault ? fetch_fault_code : dispatch_fault_code, blame_code}),
      .unit_pc_i    ({unit_pc[63:16], (stream_fault != '0) ? stream_pc : unit_pc[15:0]}),
      .dispatch_pc_i((fetch_fault || fetch_busy) ? entry : dispatch_pc),
      .unit_busy_i  (~queue_empty),
      .stop_o       (stop),
      .code_o       (fault_code),
      .unit_o       (fault_unit),
      .pc_o         (fault_pc)
  );

  counters u_counters (
      .clk_i,
      .clear_i     (clear),
      .cycle_i     (active),
      .dispatched_i(dispatched),
      .retired_i   (unit_done),
      .busy_i      (queue_active),
      .wait_i      (queue_waiting),
      .read_beat_i (read_beat),
      .write_beat_i(write_beat),
      .mac_beats_i (mac_beats),
      .starved_i   (mm_starved),
      .channel_read_beat_i (channel_read_beat),
      .channel_write_beat_i(channel_write_beat),
      .rd_en_i     (count_re),
      .rd_word_i   (count_word),
      .rd_data_o   (count_data)
  );

  // ---- Read path: fetch owns it during a launch's copy, LD afterwards.
  logic        ld_req_valid, ld_beat_valid, ld_beat_ready;
  logic [31:0] ld_req_unit;
  logic [31:0] ld_req_beats;
  assign req_valid        = fetch_busy ? fetch_req_valid : ld_req_valid;
  assign req_unit         = fetch_busy ? fetch_req_unit : ld_req_unit;
  assign req_beats        = fetch_busy ? fetch_req_beats : ld_req_beats;
  assign beat_ready       = fetch_busy ? fetch_beat_ready : ld_beat_ready;
  assign fetch_beat_valid = beat_valid && fetch_busy;
  assign ld_beat_valid    = beat_valid && !fetch_busy;

  axi_read_engine #(
      .MaxOutstanding(8),
      .BeatsW(32)
  ) u_read (
      .clk_i,
      .rst_ni      (core_rst_n),
      .stop_i      (stop),
      .drained_o   (main_read_drained),
      .req_valid_i (req_valid),
      .req_ready_o (req_ready),
      .req_unit_i  (req_unit),
      .req_beats_i (req_beats),
      .beat_valid_o(beat_valid),
      .beat_ready_i(beat_ready),
      .beat_data_o (beat_data),
      .beat_error_o(beat_error),
      .m_arvalid_o (m_axi_arvalid_o),
      .m_arready_i (m_axi_arready_i),
      .m_araddr_o  (m_axi_araddr_o),
      .m_arlen_o   (m_axi_arlen_o),
      .m_rvalid_i  (m_axi_rvalid_i),
      .m_rready_o  (m_axi_rready_o),
      .m_rdata_i   (m_axi_rdata_i),
      .m_rresp_i   (m_axi_rresp_i),
      .m_rlast_i   (m_axi_rlast_i)
  );
  assign m_axi_arid_o    = '0;
  assign m_axi_arsize_o  = 3'd6;
  assign m_axi_arburst_o = 2'b01;

  logic         ld_spad_we, ld_spad_gnt, ld_s_we, ld_s_gnt, ld_s_re, stream_push;
  logic         ld_busy, st_busy, vx_busy;
  logic [31:0]  ld_spad_addr, ld_s_addr, ld_s_data, ld_s_raddr, ld_s_rdata;
  logic [511:0] ld_spad_data;
  slice_pkg::stream_cmd_t stream_cmd;

  ld_unit u_ld (
      .clk_i,
      .rst_ni      (core_rst_n),
      .start_i     (unit_start[0]),
      .cmd_i       (ld_cmd),
      .busy_o      (ld_busy),
      .done_o      (unit_done[0]),
      .fault_o     (unit_fault[0]),
      .fault_code_o(unit_fault_code[3:0]),
      .stop_i      (stop),
      .mem_units_i (mem_units),
      .channel_units_i(channel_units),
      .req_valid_o (ld_req_valid),
      .req_ready_i (req_ready),
      .req_unit_o  (ld_req_unit),
      .req_beats_o (ld_req_beats),
      .beat_valid_i(ld_beat_valid),
      .beat_ready_o(ld_beat_ready),
      .beat_data_i (beat_data),
      .beat_error_i(beat_error),
      .spad_we_o   (ld_spad_we),
      .spad_addr_o (ld_spad_addr),
      .spad_data_o (ld_spad_data),
      .spad_gnt_i  (ld_spad_gnt),
      .s_we_o      (ld_s_we),
      .s_addr_o    (ld_s_addr),
      .s_data_o    (ld_s_data),
      .s_gnt_i     (ld_s_gnt),
      .s_re_o      (ld_s_re),
      .s_raddr_o   (ld_s_raddr),
      .s_rdata_i   (ld_s_rdata),
      .stream_cmd_o  (stream_cmd),
      .stream_push_o (stream_push),
      .stream_ready_i(&stream_ready)
  );

  // ---- Write path.
  logic         st_req_valid, st_req_ready, st_beat_valid, st_beat_ready, main_write_error;
  logic         st_spad_re, st_abuf_re, st_s_re;
  logic [31:0]  st_req_unit, st_src_addr, st_s_rdata;
  logic [15:0]  st_req_beats;
  logic [511:0] st_beat_data, st_spad_rdata;
  logic [63:0]  st_beat_strb;
  logic [127:0] st_abuf_rdata;
  logic [31:0]  kv_unit;
  logic [511:0] kv_data;
  logic [63:0]  kv_strb;
  logic [Slices-1:0] kv_valid, kv_ready;

  st_unit u_st (
      .clk_i,
      .rst_ni          (core_rst_n),
      .start_i         (unit_start[1]),
      .cmd_i           (st_cmd),
      .busy_o          (st_busy),
      .done_o          (unit_done[1]),
      .fault_o         (unit_fault[1]),
      .fault_code_o    (unit_fault_code[7:4]),
      .mem_units_i     (mem_units),
      .channel_units_i (channel_units),
      .req_valid_o     (st_req_valid),
      .req_ready_i     (st_req_ready),
      .req_unit_o      (st_req_unit),
      .req_beats_o     (st_req_beats),
      .beat_valid_o    (st_beat_valid),
      .beat_ready_i    (st_beat_ready),
      .beat_data_o     (st_beat_data),
      .beat_strb_o     (st_beat_strb),
      .kv_valid_o      (kv_valid),
      .kv_ready_i      (kv_ready),
      .kv_unit_o       (kv_unit),
      .kv_data_o       (kv_data),
      .kv_strb_o       (kv_strb),
      .drained_i       (main_write_drained && (&kv_drained)),
      .error_i         (main_write_error || (|kv_error)),
      .spad_re_o       (st_spad_re),
      .abuf_re_o       (st_abuf_re),
      .s_re_o          (st_s_re),
      .src_addr_o      (st_src_addr),
      .spad_data_i     (st_spad_rdata),
      .abuf_data_i     (st_abuf_rdata),
      .s_data_i        (st_s_rdata)
  );

  axi_write_engine #(
      .MaxOutstanding(16),
      .BeatsW(16)
  ) u_write (
      .clk_i,
      .rst_ni      (core_rst_n),
      .stop_i      (stop),
      .drained_o   (main_write_drained),
      .req_valid_i (st_req_valid),
      .req_ready_o (st_req_ready),
      .req_unit_i  (st_req_unit),
      .req_beats_i (st_req_beats),
      .beat_valid_i(st_beat_valid),
      .beat_ready_o(st_beat_ready),
      .beat_data_i (st_beat_data),
      .beat_strb_i (st_beat_strb),
      .error_o     (main_write_error),
      .m_awvalid_o (m_axi_awvalid_o),
      .m_awready_i (m_axi_awready_i),
      .m_awaddr_o  (m_axi_awaddr_o),
      .m_awlen_o   (m_axi_awlen_o),
      .m_wvalid_o  (m_axi_wvalid_o),
      .m_wready_i  (m_axi_wready_i),
      .m_wdata_o   (m_axi_wdata_o),
      .m_wstrb_o   (m_axi_wstrb_o),
      .m_wlast_o   (m_axi_wlast_o),
      .m_bvalid_i  (m_axi_bvalid_i),
      .m_bready_o  (m_axi_bready_o),
      .m_bresp_i   (m_axi_bresp_i)
  );
  assign m_axi_awid_o    = '0;
  assign m_axi_awsize_o  = 3'd6;
  assign m_axi_awburst_o = 2'b01;

  // ---- Slices: weight stream and key/value writer on the slice's channel. Vectors towards the matrix
  // unit hold slice 0 in the low bits.
  logic [Slices*(WfAw+1)-1:0] wf_avail;
  logic [Slices*3072-1:0]     wf_rdata;
  logic [Slices-1:0]          wf_pop, sf_pop;
  logic [Slices*(SfAw+1)-1:0] sf_avail;
  logic [Slices*512-1:0]      sf_rdata;
  logic                       wf_re, sf_re;
  logic [WfAw-1:0]            wf_rd_off;
  logic [SfAw-1:0]            sf_rd_off;
  logic [SfAw:0]              sf_pop_num;

  for (genvar i = 0; i < Slices; i++) begin : gen_slice
    weight_stream u_stream (
        .clk_i,
        .rst_ni      (core_rst_n),
        .stop_i      (stop),
        .index_i     (slice_pkg::SliceW'(i)),
        .cmd_i       (stream_cmd),
        .ready_o     (stream_ready[i]),
        .push_i      (stream_push),
        .idle_o      (stream_idle[i]),
        .drained_o   (stream_drained[i]),
        .fault_o     (stream_fault[i]),
        .fault_pc_o  (stream_fault_pc[16*i+:16]),
        .beat_o      (channel_read_beat[i]),
        .m_arvalid_o (m_ch_arvalid_o[i]),
        .m_arready_i (m_ch_arready_i[i]),
        .m_araddr_o  (m_ch_araddr_o[64*i+:64]),
        .m_arlen_o   (m_ch_arlen_o[8*i+:8]),
        .m_rvalid_i  (m_ch_rvalid_i[i]),
        .m_rready_o  (m_ch_rready_o[i]),
        .m_rdata_i   (m_ch_rdata_i[512*i+:512]),
        .m_rresp_i   (m_ch_rresp_i[2*i+:2]),
        .m_rlast_i   (m_ch_rlast_i[i]),
        .wf_avail_o  (wf_avail[(WfAw+1)*i+:WfAw+1]),
        .wf_re_i     (wf_re),
        .wf_rd_off_i (wf_rd_off),
        .wf_rdata_o  (wf_rdata[3072*i+:3072]),
        .wf_pop_i    (wf_pop[i]),
        .sf_avail_o  (sf_avail[(SfAw+1)*i+:SfAw+1]),
        .sf_re_i     (sf_re),
        .sf_rd_off_i (sf_rd_off),
        .sf_rdata_o  (sf_rdata[512*i+:512]),
        .sf_pop_i    (sf_pop[i]),
        .sf_pop_num_i(sf_pop_num)
    );
    axi_single_write #(
        .MaxOutstanding(16)
    ) u_write (
        .clk_i,
        .rst_ni     (core_rst_n),
        .stop_i     (stop),
        .drained_o  (kv_drained[i]),
        .error_o    (kv_error[i]),
        .valid_i    (kv_valid[i]),
        .ready_o    (kv_ready[i]),
        .unit_i     (kv_unit),
        .data_i     (kv_data),
        .strb_i     (kv_strb),
        .m_awvalid_o(m_ch_awvalid_o[i]),
        .m_awready_i(m_ch_awready_i[i]),
        .m_awaddr_o (m_ch_awaddr_o[64*i+:64]),
        .m_wvalid_o (m_ch_wvalid_o[i]),
        .m_wready_i (m_ch_wready_i[i]),
        .m_wdata_o  (m_ch_wdata_o[512*i+:512]),
        .m_wstrb_o  (m_ch_wstrb_o[64*i+:64]),
        .m_bvalid_i (m_ch_bvalid_i[i]),
        .m_bready_o (m_ch_bready_o[i]),
        .m_bresp_i  (m_ch_bresp_i[2*i+:2])
    );
  end
  assign channel_write_beat = m_ch_wvalid_o & m_ch_wready_i;
  assign m_ch_arid_o        = '0;
  assign m_ch_arsize_o      = {Slices{3'd6}};
  assign m_ch_arburst_o     = {Slices{2'b01}};
  assign m_ch_awid_o        = '0;
  assign m_ch_awlen_o       = '0;
  assign m_ch_awsize_o      = {Slices{3'd6}};
  assign m_ch_awburst_o     = {Slices{2'b01}};
  assign m_ch_wlast_o       = '1;

  // ---- Compute units with the memories around them.
  compute #(
      .RomFile(RomFile)
  ) u_compute (
      .clk_i,
      .clk2x_i,
      .rst_ni,
      .abort_i        (abort),
      .init_o         (init),
      .mm_start_i     (unit_start[2]),
      .mm_cmd_i       (mm_cmd),
      .mm_ready_o     (mm_ready),
      .mm_done_o      (unit_done[2]),
      .mm_fault_o     (unit_fault[2]),
      .mm_fault_code_o(unit_fault_code[11:8]),
      .mm_mac_beats_o (mac_beats),
      .mm_starved_o   (mm_starved),
      .vx_start_i     (unit_start[3]),
      .vx_cmd_i       (vx_cmd),
      .vx_busy_o      (vx_busy),
      .vx_done_o      (unit_done[3]),
      .vx_fault_o     (unit_fault[3]),
      .vx_fault_code_o(unit_fault_code[15:12]),
      .ld_spad_we_i   (ld_spad_we),
      .ld_spad_addr_i (ld_spad_addr[SpadW-1:0]),
      .ld_spad_data_i (ld_spad_data),
      .ld_spad_gnt_o  (ld_spad_gnt),
      .ld_s_we_i      (ld_s_we),
      .ld_s_addr_i    (ld_s_addr[SW-1:0]),
      .ld_s_data_i    (ld_s_data),
      .ld_s_gnt_o     (ld_s_gnt),
      .ld_s_re_i      (ld_s_re),
      .ld_s_raddr_i   (ld_s_raddr[SW-1:0]),
      .ld_s_rdata_o   (ld_s_rdata),
      .wf_avail_i     (wf_avail),
      .wf_re_o        (wf_re),
      .wf_rd_off_o    (wf_rd_off),
      .wf_rdata_i     (wf_rdata),
      .wf_pop_o       (wf_pop),
      .sf_avail_i     (sf_avail),
      .sf_re_o        (sf_re),
      .sf_rd_off_o    (sf_rd_off),
      .sf_rdata_i     (sf_rdata),
      .sf_pop_o       (sf_pop),
      .sf_pop_num_o   (sf_pop_num),
      .st_spad_re_i   (st_spad_re),
      .st_abuf_re_i   (st_abuf_re),
      .st_s_re_i      (st_s_re),
      .st_spad_addr_i (st_src_addr[SpadW-1:0]),
      .st_abuf_addr_i (st_src_addr[AbufW-1:0]),
      .st_s_addr_i    (st_src_addr[SW-1:0]),
      .st_spad_rdata_o(st_spad_rdata),
      .st_abuf_rdata_o(st_abuf_rdata),
      .st_s_rdata_o   (st_s_rdata)
  );

  logic unused;
  assign unused = ^{m_axi_rid_i, m_axi_bid_i, m_ch_rid_i, m_ch_bid_i, ld_busy, st_busy, vx_busy,
                    ld_spad_addr[31:SpadW], ld_s_addr[31:SW], ld_s_raddr[31:SW],
                    st_src_addr[31:AbufW]};
endmodule

`default_nettype wire
