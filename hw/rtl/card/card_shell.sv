// The accelerator as it is on a card: fvlm_top, the ports' base addresses, and the double clock. Ports are
// packed vectors: main memory in the low bits, then the channels (fvlm_top has them apart). The top with a
// name for every port is generated (hw/xrt/<configuration>/flightvlm.v).
`default_nettype none

module card_shell #(
    parameter int unsigned Ports = fvlm_isa_pkg::Slices + 1,
    parameter logic [11:0] PortBase = 12'h180,
    parameter int unsigned ClockMhz = 225
) (
    input  wire  clk_i,
    input  wire  rst_ni,

    input  wire  [11:0]  s_awaddr_i,
    input  wire          s_awvalid_i,
    output logic         s_awready_o,
    input  wire  [31:0]  s_wdata_i,
    input  wire  [3:0]   s_wstrb_i,
    input  wire          s_wvalid_i,
    output logic         s_wready_o,
    output logic [1:0]   s_bresp_o,
    output logic         s_bvalid_o,
    input  wire          s_bready_i,
    input  wire  [11:0]  s_araddr_i,
    input  wire          s_arvalid_i,
    output logic         s_arready_o,
    output logic [31:0]  s_rdata_o,
    output logic [1:0]   s_rresp_o,
    output logic         s_rvalid_o,
    input  wire          s_rready_i,

    output logic [Ports*4-1:0]     m_arid_o,
    output logic [Ports*64-1:0]    m_araddr_o,
    output logic [Ports*8-1:0]     m_arlen_o,
    output logic [Ports*3-1:0]     m_arsize_o,
    output logic [Ports*2-1:0]     m_arburst_o,
    output logic [Ports-1:0]       m_arvalid_o,
    input  wire  [Ports-1:0]       m_arready_i,
    input  wire  [Ports*4-1:0]     m_rid_i,
    input  wire  [Ports*512-1:0]   m_rdata_i,
    input  wire  [Ports*2-1:0]     m_rresp_i,
    input  wire  [Ports-1:0]       m_rlast_i,
    input  wire  [Ports-1:0]       m_rvalid_i,
    output logic [Ports-1:0]       m_rready_o,
    output logic [Ports*4-1:0]     m_awid_o,
    output logic [Ports*64-1:0]    m_awaddr_o,
    output logic [Ports*8-1:0]     m_awlen_o,
    output logic [Ports*3-1:0]     m_awsize_o,
    output logic [Ports*2-1:0]     m_awburst_o,
    output logic [Ports-1:0]       m_awvalid_o,
    input  wire  [Ports-1:0]       m_awready_i,
    output logic [Ports*512-1:0]   m_wdata_o,
    output logic [Ports*64-1:0]    m_wstrb_o,
    output logic [Ports-1:0]       m_wlast_o,
    output logic [Ports-1:0]       m_wvalid_o,
    input  wire  [Ports-1:0]       m_wready_i,
    input  wire  [Ports*4-1:0]     m_bid_i,
    input  wire  [Ports*2-1:0]     m_bresp_i,
    input  wire  [Ports-1:0]       m_bvalid_i,
    output logic [Ports-1:0]       m_bready_o
);
  // The double clock must run before anything starts.
  logic clk2x, locked, rst_nq;
  card_clock #(.ClockMhz(ClockMhz)) u_clock (.clk_i, .rst_ni, .clk2x_o(clk2x), .locked_o(locked));
  always_ff @(posedge clk_i) rst_nq <= rst_ni && locked;

  // ---- Registers.
  logic [Ports*64-1:0] base;
  logic c_awvalid, c_awready, c_wvalid, c_wready, c_bvalid, c_bready;
  logic c_arvalid, c_arready, c_rvalid, c_rready;
  logic [1:0] c_bresp, c_rresp;
  logic [31:0] c_rdata;

  card_regs #(.Ports(Ports), .PortBase(PortBase)) u_regs (
      .clk_i,
      .rst_ni(rst_nq),
      .s_awaddr_i,
      .s_awvalid_i,
      .s_awready_o,
      .s_wdata_i,
      .s_wstrb_i,
      .s_wvalid_i,
      .s_wready_o,
      .s_bresp_o,
      .s_bvalid_o,
      .s_bready_i,
      .s_araddr_i,
      .s_arvalid_i,
      .s_arready_o,
      .s_rdata_o,
      .s_rresp_o,
      .s_rvalid_o,
      .s_rready_i,
      .c_awvalid_o(c_awvalid),
      .c_awready_i(c_awready),
      .c_wvalid_o(c_wvalid),
      .c_wready_i(c_wready),
      .c_bresp_i(c_bresp),
      .c_bvalid_i(c_bvalid),
      .c_bready_o(c_bready),
      .c_arvalid_o(c_arvalid),
      .c_arready_i(c_arready),
      .c_rdata_i(c_rdata),
      .c_rresp_i(c_rresp),
      .c_rvalid_i(c_rvalid),
      .c_rready_o(c_rready),
      .base_o(base)
  );

  // ---- Base addresses.
  logic [Ports*64-1:0] k_araddr, k_awaddr;
  logic [Ports*4-1:0] k_arid, k_awid;
  logic [Ports*8-1:0] k_arlen, k_awlen;
  logic [Ports*3-1:0] k_arsize, k_awsize;
  logic [Ports*2-1:0] k_arburst, k_awburst;
  logic [Ports-1:0] k_arvalid, k_arready, k_awvalid, k_awready;

  for (genvar p = 0; p < Ports; p++) begin : g_port
    card_port u_ar (
        .clk_i,
        .rst_ni (rst_nq),
        .base_i (base[64*p+:64]),
        .addr_i (k_araddr[64*p+:64]),
        .rest_i ({k_arid[4*p+:4], k_arlen[8*p+:8], k_arsize[3*p+:3], k_arburst[2*p+:2]}),
        .valid_i(k_arvalid[p]),
        .ready_o(k_arready[p]),
        .addr_o (m_araddr_o[64*p+:64]),
        .rest_o ({m_arid_o[4*p+:4], m_arlen_o[8*p+:8], m_arsize_o[3*p+:3], m_arburst_o[2*p+:2]}),
        .valid_o(m_arvalid_o[p]),
        .ready_i(m_arready_i[p])
    );
    card_port u_aw (
        .clk_i,
        .rst_ni (rst_nq),
        .base_i (base[64*p+:64]),
        .addr_i (k_awaddr[64*p+:64]),
        .rest_i ({k_awid[4*p+:4], k_awlen[8*p+:8], k_awsize[3*p+:3], k_awburst[2*p+:2]}),
        .valid_i(k_awvalid[p]),
        .ready_o(k_awready[p]),
        .addr_o (m_awaddr_o[64*p+:64]),
        .rest_o ({m_awid_o[4*p+:4], m_awlen_o[8*p+:8], m_awsize_o[3*p+:3], m_awburst_o[2*p+:2]}),
        .valid_o(m_awvalid_o[p]),
        .ready_i(m_awready_i[p])
    );
  end

  // ---- The accelerator.
  fvlm_top u_core (
      .clk_i,
      .clk2x_i(clk2x),
      .rst_ni (rst_nq),
      .s_axil_awaddr_i(s_awaddr_i),
      .s_axil_awvalid_i(c_awvalid),
      .s_axil_awready_o(c_awready),
      .s_axil_wdata_i(s_wdata_i),
      .s_axil_wstrb_i(s_wstrb_i),
      .s_axil_wvalid_i(c_wvalid),
      .s_axil_wready_o(c_wready),
      .s_axil_bresp_o(c_bresp),
      .s_axil_bvalid_o(c_bvalid),
      .s_axil_bready_i(c_bready),
      .s_axil_araddr_i(s_araddr_i),
      .s_axil_arvalid_i(c_arvalid),
      .s_axil_arready_o(c_arready),
      .s_axil_rdata_o(c_rdata),
      .s_axil_rresp_o(c_rresp),
      .s_axil_rvalid_o(c_rvalid),
      .s_axil_rready_i(c_rready),
      .m_axi_arid_o(k_arid[3:0]),
      .m_axi_araddr_o(k_araddr[63:0]),
      .m_axi_arlen_o(k_arlen[7:0]),
      .m_axi_arsize_o(k_arsize[2:0]),
      .m_axi_arburst_o(k_arburst[1:0]),
      .m_axi_arvalid_o(k_arvalid[0]),
      .m_axi_arready_i(k_arready[0]),
      .m_axi_rid_i(m_rid_i[3:0]),
      .m_axi_rdata_i(m_rdata_i[511:0]),
      .m_axi_rresp_i(m_rresp_i[1:0]),
      .m_axi_rlast_i(m_rlast_i[0]),
      .m_axi_rvalid_i(m_rvalid_i[0]),
      .m_axi_rready_o(m_rready_o[0]),
      .m_axi_awid_o(k_awid[3:0]),
      .m_axi_awaddr_o(k_awaddr[63:0]),
      .m_axi_awlen_o(k_awlen[7:0]),
      .m_axi_awsize_o(k_awsize[2:0]),
      .m_axi_awburst_o(k_awburst[1:0]),
      .m_axi_awvalid_o(k_awvalid[0]),
      .m_axi_awready_i(k_awready[0]),
      .m_axi_wdata_o(m_wdata_o[511:0]),
      .m_axi_wstrb_o(m_wstrb_o[63:0]),
      .m_axi_wlast_o(m_wlast_o[0]),
      .m_axi_wvalid_o(m_wvalid_o[0]),
      .m_axi_wready_i(m_wready_i[0]),
      .m_axi_bid_i(m_bid_i[3:0]),
      .m_axi_bresp_i(m_bresp_i[1:0]),
      .m_axi_bvalid_i(m_bvalid_i[0]),
      .m_axi_bready_o(m_bready_o[0]),
      .m_ch_arid_o(k_arid[Ports*4-1:4]),
      .m_ch_araddr_o(k_araddr[Ports*64-1:64]),
      .m_ch_arlen_o(k_arlen[Ports*8-1:8]),
      .m_ch_arsize_o(k_arsize[Ports*3-1:3]),
      .m_ch_arburst_o(k_arburst[Ports*2-1:2]),
      .m_ch_arvalid_o(k_arvalid[Ports-1:1]),
      .m_ch_arready_i(k_arready[Ports-1:1]),
      .m_ch_rid_i(m_rid_i[Ports*4-1:4]),
      .m_ch_rdata_i(m_rdata_i[Ports*512-1:512]),
      .m_ch_rresp_i(m_rresp_i[Ports*2-1:2]),
      .m_ch_rlast_i(m_rlast_i[Ports-1:1]),
      .m_ch_rvalid_i(m_rvalid_i[Ports-1:1]),
      .m_ch_rready_o(m_rready_o[Ports-1:1]),
      .m_ch_awid_o(k_awid[Ports*4-1:4]),
      .m_ch_awaddr_o(k_awaddr[Ports*64-1:64]),
      .m_ch_awlen_o(k_awlen[Ports*8-1:8]),
      .m_ch_awsize_o(k_awsize[Ports*3-1:3]),
      .m_ch_awburst_o(k_awburst[Ports*2-1:2]),
      .m_ch_awvalid_o(k_awvalid[Ports-1:1]),
      .m_ch_awready_i(k_awready[Ports-1:1]),
      .m_ch_wdata_o(m_wdata_o[Ports*512-1:512]),
      .m_ch_wstrb_o(m_wstrb_o[Ports*64-1:64]),
      .m_ch_wlast_o(m_wlast_o[Ports-1:1]),
      .m_ch_wvalid_o(m_wvalid_o[Ports-1:1]),
      .m_ch_wready_i(m_wready_i[Ports-1:1]),
      .m_ch_bid_i(m_bid_i[Ports*4-1:4]),
      .m_ch_bresp_i(m_bresp_i[Ports*2-1:2]),
      .m_ch_bvalid_i(m_bvalid_i[Ports-1:1]),
      .m_ch_bready_o(m_bready_o[Ports-1:1]),
      // Only simulations look at these.
      .active_o(),
      .retire_valid_o(),
      .retire_pc_o()
  );
endmodule

`default_nettype wire
