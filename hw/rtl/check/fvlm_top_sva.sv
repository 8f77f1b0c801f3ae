// Assertions about fvlm_top, bound to it in simulation only: AXI rules on all ports, range checks as
// a safety net under the units' own, and no overflow, underflow or double start anywhere.
// A broken assertion stops the simulation with an error (sim/rtl proves that it does).
`default_nettype none

module fvlm_top_sva #(
    localparam int unsigned Slices = fvlm_isa_pkg::Slices,
    localparam int unsigned WfAw = $clog2(fvlm_isa_pkg::WfifoWords),
    localparam int unsigned SfAw = $clog2(fvlm_isa_pkg::SfifoWords)
) (
    input logic                       clk_i,
    input logic                       rst_ni,
    input logic [31:0]                mem_units,
    input logic [31:0]                channel_units,
    input logic                       m_axi_arvalid_o,
    input logic                       m_axi_arready_i,
    input logic [63:0]                m_axi_araddr_o,
    input logic [7:0]                 m_axi_arlen_o,
    input logic                       m_axi_rvalid_i,
    input logic                       m_axi_rready_o,
    input logic                       m_axi_rlast_i,
    input logic                       m_axi_awvalid_o,
    input logic                       m_axi_awready_i,
    input logic [63:0]                m_axi_awaddr_o,
    input logic [7:0]                 m_axi_awlen_o,
    input logic [511:0]               m_axi_wdata_o,
    input logic [63:0]                m_axi_wstrb_o,
    input logic                       m_axi_wlast_o,
    input logic                       m_axi_wvalid_o,
    input logic                       m_axi_wready_i,
    input logic                       m_axi_bvalid_i,
    input logic [Slices-1:0]          m_ch_arvalid_o,
    input logic [Slices-1:0]          m_ch_arready_i,
    input logic [Slices*64-1:0]       m_ch_araddr_o,
    input logic [Slices*8-1:0]        m_ch_arlen_o,
    input logic [Slices-1:0]          m_ch_rvalid_i,
    input logic [Slices-1:0]          m_ch_rready_o,
    input logic [Slices-1:0]          m_ch_rlast_i,
    input logic [Slices-1:0]          m_ch_awvalid_o,
    input logic [Slices-1:0]          m_ch_awready_i,
    input logic [Slices*64-1:0]       m_ch_awaddr_o,
    input logic [Slices*8-1:0]        m_ch_awlen_o,
    input logic [Slices*512-1:0]      m_ch_wdata_o,
    input logic [Slices*64-1:0]       m_ch_wstrb_o,
    input logic [Slices-1:0]          m_ch_wlast_o,
    input logic [Slices-1:0]          m_ch_wvalid_o,
    input logic [Slices-1:0]          m_ch_wready_i,
    input logic [Slices-1:0]          m_ch_bvalid_i,
    input logic                       stop,
    input logic                       clear,
    input logic [3:0]                 queue_full,
    input logic [3:0]                 queue_push,
    input logic [3:0]                 queue_active,
    input logic [3:0]                 unit_start,
    input logic [3:0]                 unit_done,
    input logic [3:0]                 unit_fault,
    input logic [Slices*(WfAw+1)-1:0] wf_avail,
    input logic [Slices-1:0]          wf_pop,
    input logic [Slices*(SfAw+1)-1:0] sf_avail,
    input logic [Slices-1:0]          sf_pop,
    input logic [SfAw:0]              sf_pop_num,
    input logic                       ld_spad_we,
    input logic [31:0]                ld_spad_addr,
    input logic                       ld_s_we,
    input logic [31:0]                ld_s_addr
);
  axi_sva u_main (
      .clk_i,
      .rst_ni,
      .units_i  (mem_units),
      .quiet_i  (clear),
      .arvalid_i(m_axi_arvalid_o),
      .arready_i(m_axi_arready_i),
      .araddr_i (m_axi_araddr_o),
      .arlen_i  (m_axi_arlen_o),
      .rvalid_i (m_axi_rvalid_i),
      .rready_i (m_axi_rready_o),
      .rlast_i  (m_axi_rlast_i),
      .awvalid_i(m_axi_awvalid_o),
      .awready_i(m_axi_awready_i),
      .awaddr_i (m_axi_awaddr_o),
      .awlen_i  (m_axi_awlen_o),
      .wdata_i  (m_axi_wdata_o),
      .wstrb_i  (m_axi_wstrb_o),
      .wlast_i  (m_axi_wlast_o),
      .wvalid_i (m_axi_wvalid_o),
      .wready_i (m_axi_wready_i),
      .bvalid_i (m_axi_bvalid_i)
  );

  for (genvar i = 0; i < Slices; i++) begin : gen_slice
    axi_sva u_channel (
        .clk_i,
        .rst_ni,
        .units_i  (channel_units),
        .quiet_i  (clear),
        .arvalid_i(m_ch_arvalid_o[i]),
        .arready_i(m_ch_arready_i[i]),
        .araddr_i (m_ch_araddr_o[64*i+:64]),
        .arlen_i  (m_ch_arlen_o[8*i+:8]),
        .rvalid_i (m_ch_rvalid_i[i]),
        .rready_i (m_ch_rready_o[i]),
        .rlast_i  (m_ch_rlast_i[i]),
        .awvalid_i(m_ch_awvalid_o[i]),
        .awready_i(m_ch_awready_i[i]),
        .awaddr_i (m_ch_awaddr_o[64*i+:64]),
        .awlen_i  (m_ch_awlen_o[8*i+:8]),
        .wdata_i  (m_ch_wdata_o[512*i+:512]),
        .wstrb_i  (m_ch_wstrb_o[64*i+:64]),
        .wlast_i  (m_ch_wlast_o[i]),
        .wvalid_i (m_ch_wvalid_o[i]),
        .wready_i (m_ch_wready_i[i]),
        .bvalid_i (m_ch_bvalid_i[i])
    );
    // The matrix unit drops only what is there.
    Pop_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
        (!wf_pop[i] || wf_avail[(WfAw+1)*i+:WfAw+1] != '0) &&
        (!sf_pop[i] || sf_avail[(SfAw+1)*i+:SfAw+1] >= sf_pop_num))
    else $error("Pop_A");
  end

  // Queues and units.
  NoOverflow_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      (queue_push & queue_full) == '0)
  else $error("NoOverflow_A");
  StartIdle_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      (unit_start & ~queue_active) == '0)
  else $error("StartIdle_A");
  DoneActive_A: assert property (@(posedge clk_i) disable iff (!rst_ni || stop)
      ((unit_done | unit_fault) & ~queue_active) == '0 && (unit_done & unit_fault) == '0)
  else $error("DoneActive_A");
  LdRange_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      (!ld_spad_we || ld_spad_addr < fvlm_isa_pkg::SpadWords) &&
      (!ld_s_we || ld_s_addr < fvlm_isa_pkg::SWords))
  else $error("LdRange_A");
endmodule

bind fvlm_top fvlm_top_sva u_sva (.*);

`default_nettype wire
