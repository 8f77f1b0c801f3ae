// Writes of one beat to a channel, for the key and value stores: address and data leave together, up
// to MaxOutstanding wait for their response. stop_i: takes nothing new.
`default_nettype none

module axi_single_write #(
    parameter int unsigned MaxOutstanding = 16
) (
    input  logic         clk_i,
    input  logic         rst_ni,
    input  logic         stop_i,
    output logic         drained_o,
    output logic         error_o,

    input  logic         valid_i,
    output logic         ready_o,
    input  logic [31:0]  unit_i,
    input  logic [511:0] data_i,
    input  logic [63:0]  strb_i,

    output logic         m_awvalid_o,
    input  logic         m_awready_i,
    output logic [63:0]  m_awaddr_o,
    output logic         m_wvalid_o,
    input  logic         m_wready_i,
    output logic [511:0] m_wdata_o,
    output logic [63:0]  m_wstrb_o,
    input  logic         m_bvalid_i,
    output logic         m_bready_o,
    input  logic [1:0]   m_bresp_i
);
  localparam int unsigned CountW = $clog2(MaxOutstanding + 1);

  logic              aw_q, w_q, take, free;
  logic [CountW-1:0] open_q;  // taken, response not there
  logic [31:0]       unit_q;
  logic [511:0]      data_q;
  logic [63:0]       strb_q;

  assign free    = (!aw_q || m_awready_i) && (!w_q || m_wready_i);
  assign ready_o = free && open_q != CountW'(MaxOutstanding) && !stop_i;
  assign take    = valid_i && ready_o;

  assign m_awvalid_o = aw_q;
  assign m_awaddr_o  = {26'd0, unit_q, 6'd0};
  assign m_wvalid_o  = w_q;
  assign m_wdata_o   = data_q;
  assign m_wstrb_o   = strb_q;
  assign m_bready_o  = 1'b1;
  assign error_o     = m_bvalid_i && m_bresp_i != 2'b00;
  assign drained_o   = open_q == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      aw_q   <= 1'b0;
      w_q    <= 1'b0;
      open_q <= '0;
    end else begin
      if (take) aw_q <= 1'b1;
      else if (m_awready_i) aw_q <= 1'b0;
      if (take) w_q <= 1'b1;
      else if (m_wready_i) w_q <= 1'b0;
      if (take && !m_bvalid_i) open_q <= open_q + 1'b1;
      if (!take && m_bvalid_i) open_q <= open_q - 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      unit_q <= unit_i;
      data_q <= data_i;
      strb_q <= strb_i;
    end
  end
endmodule

`default_nettype wire
