// Turns write requests (first 64-byte unit, beats) plus a stream of data beats into AXI4 INCR
// bursts of at most 16 beats that do not cross a 4 KiB boundary. W beats of a burst follow its AW;
// up to MaxOutstanding bursts wait for their response. stop_i: no new burst; the data of bursts
// already issued must still be supplied until drained_o.
`default_nettype none

module axi_write_engine #(
    parameter int unsigned MaxOutstanding = 16,
    parameter int unsigned BeatsW = 16
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              stop_i,
    output logic              drained_o,

    input  logic              req_valid_i,
    output logic              req_ready_o,
    input  logic [31:0]       req_unit_i,
    input  logic [BeatsW-1:0] req_beats_i,  // at least 1

    input  logic              beat_valid_i,
    output logic              beat_ready_o,
    input  logic [511:0]      beat_data_i,
    input  logic [63:0]       beat_strb_i,
    output logic              error_o,

    output logic              m_awvalid_o,
    input  logic              m_awready_i,
    output logic [63:0]       m_awaddr_o,
    output logic [7:0]        m_awlen_o,
    output logic              m_wvalid_o,
    input  logic              m_wready_i,
    output logic [511:0]      m_wdata_o,
    output logic [63:0]       m_wstrb_o,
    output logic              m_wlast_o,
    input  logic              m_bvalid_i,
    output logic              m_bready_o,
    input  logic [1:0]        m_bresp_i
);
  localparam int unsigned CountW = $clog2(MaxOutstanding + 1);

  logic              have_q;
  logic [31:0]       unit_q;
  logic [BeatsW-1:0] left_q;
  logic [CountW-1:0] inflight_q;  // AW taken, B not yet
  logic [3:0]        w_beat_q;

  // Beats of the next burst, known a burst ahead as in axi_read_engine.
  logic        last_burst_q;
  logic [4:0]  cap_q, cap_next, cap_first, burst;
  logic [5:0]  two_caps;
  always_comb begin
    cap_first = (req_unit_i[5:4] == 2'd3) ? 5'd16 - {1'b0, req_unit_i[3:0]} : 5'd16;
    cap_next  = (unit_q[5:4] == 2'd2) ? 5'd16 - {1'b0, unit_q[3:0]} : 5'd16;
    two_caps  = {1'b0, cap_q} + {1'b0, cap_next};
  end
  assign burst = last_burst_q ? left_q[4:0] : cap_q;

  logic aw_fire, b_fire, w_fire;
  assign m_awvalid_o = have_q && (inflight_q != CountW'(MaxOutstanding));
  assign m_awaddr_o  = {26'd0, unit_q, 6'd0};
  assign m_awlen_o   = {3'd0, burst} - 8'd1;
  assign aw_fire     = m_awvalid_o && m_awready_i;
  assign req_ready_o = !stop_i && (!have_q || (aw_fire && last_burst_q));

  // Lengths (minus one) of bursts whose data is still to be sent; never more than inflight_q.
  logic       len_valid;
  logic [3:0] len;
  prim_fifo #(
      .Width(4),
      .Depth(MaxOutstanding)
  ) u_len (
      .clk_i,
      .rst_ni,
      .push_i (aw_fire),
      .data_i (m_awlen_o[3:0]),
      .full_o (),
      .pop_i  (w_fire && m_wlast_o),
      .data_o (len),
      .valid_o(len_valid),
      .count_o()
  );

  assign m_wvalid_o   = len_valid && beat_valid_i;
  assign m_wdata_o    = beat_data_i;
  assign m_wstrb_o    = beat_strb_i;
  assign m_wlast_o    = w_beat_q == len;
  assign w_fire       = m_wvalid_o && m_wready_i;
  assign beat_ready_o = len_valid && m_wready_i;

  assign m_bready_o = 1'b1;
  assign b_fire     = m_bvalid_i;
  assign error_o    = m_bvalid_i && (m_bresp_i != 2'b00);
  assign drained_o  = !have_q && (inflight_q == '0);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      have_q     <= 1'b0;
      inflight_q <= '0;
      w_beat_q   <= '0;
    end else begin
      if (aw_fire && !b_fire) inflight_q <= inflight_q + 1'b1;
      if (!aw_fire && b_fire) inflight_q <= inflight_q - 1'b1;
      if (w_fire) w_beat_q <= m_wlast_o ? '0 : w_beat_q + 1'b1;
      if (req_valid_i && req_ready_o) have_q <= 1'b1;
      else if (aw_fire && (last_burst_q || stop_i)) have_q <= 1'b0;
      else if (stop_i && !m_awvalid_o) have_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (req_valid_i && req_ready_o) begin
      unit_q <= req_unit_i;
      left_q <= req_beats_i;
      cap_q  <= cap_first;
      last_burst_q <= req_beats_i <= BeatsW'(cap_first);
    end else if (aw_fire) begin
      unit_q <= unit_q + {27'd0, burst};
      left_q <= left_q - BeatsW'(burst);
      cap_q  <= cap_next;
      last_burst_q <= left_q <= BeatsW'(two_caps);
    end
  end
endmodule

`default_nettype wire
