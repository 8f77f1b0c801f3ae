// Assertions about fvlm_top, bound to it in simulation only: AXI rules on both sides, range checks
// as a safety net under the units' own, and no overflow, underflow or double start anywhere.
// A broken assertion stops the simulation with an error (sim/rtl proves that it does).
`default_nettype none

module fvlm_top_sva (
    input logic         clk_i,
    input logic         rst_ni,
    input logic [31:0]  mem_units,
    input logic         m_axi_arvalid_o,
    input logic         m_axi_arready_i,
    input logic [63:0]  m_axi_araddr_o,
    input logic [7:0]   m_axi_arlen_o,
    input logic         m_axi_rvalid_i,
    input logic         m_axi_rready_o,
    input logic         m_axi_rlast_i,
    input logic         m_axi_awvalid_o,
    input logic         m_axi_awready_i,
    input logic [63:0]  m_axi_awaddr_o,
    input logic [7:0]   m_axi_awlen_o,
    input logic [511:0] m_axi_wdata_o,
    input logic [63:0]  m_axi_wstrb_o,
    input logic         m_axi_wlast_o,
    input logic         m_axi_wvalid_o,
    input logic         m_axi_wready_i,
    input logic         m_axi_bvalid_i,
    input logic         stop,
    input logic         clear,
    input logic [3:0]   queue_full,
    input logic [3:0]   queue_push,
    input logic [3:0]   queue_active,
    input logic [3:0]   unit_start,
    input logic [3:0]   unit_done,
    input logic [3:0]   unit_fault,
    input logic         wf_push,
    input logic         wf_full,
    input logic         sf_push,
    input logic         sf_full,
    input logic         ld_spad_we,
    input logic [31:0]  ld_spad_addr,
    input logic         ld_s_we,
    input logic [31:0]  ld_s_addr
);
  // Bursts in flight, as the bus shows them.
  int reads_q, writes_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reads_q  <= 0;
      writes_q <= 0;
    end else begin
      reads_q <= reads_q + int'(m_axi_arvalid_o && m_axi_arready_i) -
                 int'(m_axi_rvalid_i && m_axi_rready_o && m_axi_rlast_i);
      writes_q <= writes_q + int'(m_axi_awvalid_o && m_axi_awready_i) - int'(m_axi_bvalid_i);
    end
  end

  // AXI: an offer stays as it is until taken.
  ArStable_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      $past(m_axi_arvalid_o && !m_axi_arready_i) |-> m_axi_arvalid_o &&
      $stable(m_axi_araddr_o) && $stable(m_axi_arlen_o))
  else $error("ArStable_A");
  AwStable_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      $past(m_axi_awvalid_o && !m_axi_awready_i) |-> m_axi_awvalid_o &&
      $stable(m_axi_awaddr_o) && $stable(m_axi_awlen_o))
  else $error("AwStable_A");
  WStable_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      $past(m_axi_wvalid_o && !m_axi_wready_i) |-> m_axi_wvalid_o && $stable(m_axi_wdata_o) &&
      $stable(m_axi_wstrb_o) && $stable(m_axi_wlast_o))
  else $error("WStable_A");
  // AXI: bursts of at most 16 beats within 4 KiB and within the declared memory.
  ArShape_A: assert property (@(posedge clk_i) disable iff (!rst_ni) m_axi_arvalid_o |->
      m_axi_arlen_o < 16 && 32'(m_axi_araddr_o[11:6]) + 32'(m_axi_arlen_o) < 64 &&
      (m_axi_araddr_o >> 6) + 64'(m_axi_arlen_o) < 64'(mem_units))
  else $error("ArShape_A");
  AwShape_A: assert property (@(posedge clk_i) disable iff (!rst_ni) m_axi_awvalid_o |->
      m_axi_awlen_o < 16 && 32'(m_axi_awaddr_o[11:6]) + 32'(m_axi_awlen_o) < 64 &&
      (m_axi_awaddr_o >> 6) + 64'(m_axi_awlen_o) < 64'(mem_units))
  else $error("AwShape_A");
  // AXI: the memory answers only what was asked.
  RExpected_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      m_axi_rvalid_i |-> reads_q > 0)
  else $error("RExpected_A");
  BExpected_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      m_axi_bvalid_i |-> writes_q > 0)
  else $error("BExpected_A");
  // A launch starts with nothing in flight.
  ClearQuiet_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      clear |-> reads_q == 0 && writes_q == 0)
  else $error("ClearQuiet_A");

  // Queues and units.
  NoOverflow_A: assert property (@(posedge clk_i) disable iff (!rst_ni)
      (queue_push & queue_full) == '0 && !(wf_push && wf_full) && !(sf_push && sf_full))
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
