// Turns read requests (first 64-byte unit, beats) into AXI4 INCR bursts of at most 16 beats that
// do not cross a 4 KiB boundary, one AR a cycle, up to MaxOutstanding bursts in flight, one ID.
// Data goes straight from R to the consumer, in order. stop_i: no new burst, pending data is
// dropped until drained_o.
`default_nettype none

module axi_read_engine #(
    parameter int unsigned MaxOutstanding = 8,
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

    output logic              beat_valid_o,
    input  logic              beat_ready_i,
    output logic [511:0]      beat_data_o,
    output logic              beat_error_o,

    output logic              m_arvalid_o,
    input  logic              m_arready_i,
    output logic [63:0]       m_araddr_o,
    output logic [7:0]        m_arlen_o,
    input  logic              m_rvalid_i,
    output logic              m_rready_o,
    input  logic [511:0]      m_rdata_i,
    input  logic [1:0]        m_rresp_i,
    input  logic              m_rlast_i
);
  localparam int unsigned CountW = $clog2(MaxOutstanding + 1);

  logic              have_q;
  logic [31:0]       unit_q;
  logic [BeatsW-1:0] left_q;
  logic [CountW-1:0] inflight_q;

  // Beats of the next burst: what is left, 16, and the rest of the 4 KiB page (64 units). Both are
  // known a burst ahead: units keep their place in a 16th of the page until a page ends.
  logic        last_burst_q;
  logic [4:0]  cap_q, cap_next, cap_first, burst;
  logic [5:0]  two_caps;
  always_comb begin
    cap_first = (req_unit_i[5:4] == 2'd3) ? 5'd16 - {1'b0, req_unit_i[3:0]} : 5'd16;
    cap_next  = (unit_q[5:4] == 2'd2) ? 5'd16 - {1'b0, unit_q[3:0]} : 5'd16;
    two_caps  = {1'b0, cap_q} + {1'b0, cap_next};
  end
  assign burst = last_burst_q ? left_q[4:0] : cap_q;

  logic ar_fire, r_last;
  assign m_arvalid_o = have_q && (inflight_q != CountW'(MaxOutstanding));
  assign m_araddr_o  = {26'd0, unit_q, 6'd0};
  assign m_arlen_o   = {3'd0, burst} - 8'd1;
  assign ar_fire     = m_arvalid_o && m_arready_i;
  assign req_ready_o = !stop_i && (!have_q || (ar_fire && last_burst_q));

  assign m_rready_o   = beat_ready_i || stop_i;
  assign beat_valid_o = m_rvalid_i && !stop_i;
  assign beat_data_o  = m_rdata_i;
  assign beat_error_o = m_rresp_i != 2'b00;
  assign r_last       = m_rvalid_i && m_rready_o && m_rlast_i;
  assign drained_o    = !have_q && (inflight_q == '0);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      have_q     <= 1'b0;
      inflight_q <= '0;
    end else begin
      if (ar_fire && !r_last) inflight_q <= inflight_q + 1'b1;
      if (!ar_fire && r_last) inflight_q <= inflight_q - 1'b1;
      if (req_valid_i && req_ready_o) have_q <= 1'b1;
      // A burst that is already offered must be taken before the engine may give up.
      else if (ar_fire && (last_burst_q || stop_i)) have_q <= 1'b0;
      else if (stop_i && !m_arvalid_o) have_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (req_valid_i && req_ready_o) begin
      unit_q <= req_unit_i;
      left_q <= req_beats_i;
      cap_q  <= cap_first;
      last_burst_q <= req_beats_i <= BeatsW'(cap_first);
    end else if (ar_fire) begin
      unit_q <= unit_q + {27'd0, burst};
      left_q <= left_q - BeatsW'(burst);
      cap_q  <= cap_next;
      last_burst_q <= left_q <= BeatsW'(two_caps);
    end
  end
endmodule

`default_nettype wire
