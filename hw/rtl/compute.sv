// The matrix and vector units with the memories around them: SPAD, ABUF, S and the write
// arbitration (SPAD: MM, then VX, then LD; S: VX, then LD). The weight and scale FIFOs are in the
// slices; MM's ports to them pass through.
`default_nettype none

module compute #(
    parameter RomFile = "sfu.hex",
    localparam int unsigned NS = fvlm_isa_pkg::Slices,
    localparam int unsigned W = fvlm_isa_pkg::VxWords,
    localparam int unsigned MacW = $clog2(2 * NS + 1),
    localparam int unsigned SpadW = $clog2(fvlm_isa_pkg::SpadWords),
    localparam int unsigned AbufW = $clog2(fvlm_isa_pkg::AbufWords),
    localparam int unsigned SW = $clog2(fvlm_isa_pkg::SWords),
    localparam int unsigned WfifoW = $clog2(fvlm_isa_pkg::WfifoWords),
    localparam int unsigned SfifoW = $clog2(fvlm_isa_pkg::SfifoWords)
) (
    input  logic                  clk_i,
    input  logic                  clk2x_i,      // for the array of MM
    input  logic                  rst_ni,
    input  logic                  abort_i,      // launch or fault: units give up
    output logic                  init_o,       // memories are being cleared after reset

    input  logic                  mm_start_i,
    input  fvlm_isa_pkg::mm_cmd_t mm_cmd_i,
    output logic                  mm_ready_o,
    output logic                  mm_done_o,
    output logic                  mm_fault_o,
    output logic [3:0]            mm_fault_code_o,
    output logic [MacW-1:0]       mm_mac_beats_o,
    output logic                  mm_starved_o,
    input  logic                  vx_start_i,
    input  fvlm_isa_pkg::vx_cmd_t vx_cmd_i,
    output logic                  vx_busy_o,
    output logic                  vx_done_o,
    output logic                  vx_fault_o,
    output logic [3:0]            vx_fault_code_o,

    input  logic                  ld_spad_we_i,
    input  logic [SpadW-1:0]      ld_spad_addr_i,
    input  logic [511:0]          ld_spad_data_i,
    output logic                  ld_spad_gnt_o,
    input  logic                  ld_s_we_i,
    input  logic [SW-1:0]         ld_s_addr_i,
    input  logic [31:0]           ld_s_data_i,
    output logic                  ld_s_gnt_o,
    input  logic                  ld_s_re_i,
    input  logic [SW-1:0]         ld_s_raddr_i,
    output logic [31:0]           ld_s_rdata_o,

    input  logic [NS*(WfifoW+1)-1:0] wf_avail_i,
    output logic                     wf_re_o,
    output logic [WfifoW-1:0]        wf_rd_off_o,
    input  logic [NS*3072-1:0]       wf_rdata_i,  // a slice: {selectors, values}
    output logic [NS-1:0]            wf_pop_o,
    input  logic [NS*(SfifoW+1)-1:0] sf_avail_i,
    output logic                     sf_re_o,
    output logic [SfifoW-1:0]        sf_rd_off_o,
    input  logic [NS*512-1:0]        sf_rdata_i,
    output logic [NS-1:0]            sf_pop_o,
    output logic [SfifoW:0]          sf_pop_num_o,

    input  logic                  st_spad_re_i,
    input  logic                  st_abuf_re_i,
    input  logic                  st_s_re_i,
    input  logic [SpadW-1:0]      st_spad_addr_i,
    input  logic [AbufW-1:0]      st_abuf_addr_i,
    input  logic [SW-1:0]         st_s_addr_i,
    output logic [511:0]          st_spad_rdata_o,
    output logic [127:0]          st_abuf_rdata_o,
    output logic [31:0]           st_s_rdata_o
);
  // Initial sweep: the deepest memory (rows of a bank) sets its length, the others are swept
  // several times.
  localparam int unsigned SpadRows = fvlm_isa_pkg::SpadWords / W;
  localparam int unsigned AbufRows = fvlm_isa_pkg::AbufWords / 8;
  localparam int unsigned BankRows = (SpadRows > AbufRows) ? SpadRows : AbufRows;
  localparam int unsigned InitRows = (BankRows > fvlm_isa_pkg::SWords) ? BankRows : fvlm_isa_pkg::SWords;
  logic                        init;
  logic [$clog2(InitRows)-1:0] init_addr;
  mem_init #(
      .Depth(InitRows)
  ) u_init (
      .clk_i,
      .rst_ni,
      .init_o(init),
      .addr_o(init_addr)
  );
  assign init_o = init;

  logic unit_rst_n;
  assign unit_rst_n = rst_ni && !abort_i;

  // ---- Vector unit.
  logic             va_re, vb_re, vc_re, v_spad_we, v_spad_gnt, v_abuf_we, v_s_we;
  logic             vsa_re, vsb_re, vsc_re;
  logic [SpadW-1:0] va_addr, vb_addr, vc_addr, v_spad_waddr;
  logic [512*W-1:0] va_data, vb_data, vc_data, v_spad_wdata;
  logic [AbufW-1:0] v_abuf_waddr;
  logic [128*W-1:0] v_abuf_wdata;
  logic [W-1:0]     v_spad_wmask, v_abuf_wmask;
  logic [SW-1:0]    vsa_addr, vsb_addr, vsc_addr, v_s_waddr;
  logic [31:0]      vsa_data, vsb_data, vsc_data, v_s_wdata;

  vx_unit #(
      .RomFile(RomFile)
  ) u_vx (
      .clk_i,
      .rst_ni         (unit_rst_n),
      .start_i        (vx_start_i),
      .cmd_i          (vx_cmd_i),
      .busy_o         (vx_busy_o),
      .done_o         (vx_done_o),
      .fault_o        (vx_fault_o),
      .fault_code_o   (vx_fault_code_o),
      .spad_a_re_o    (va_re),
      .spad_a_addr_o  (va_addr),
      .spad_a_rdata_i (va_data),
      .spad_b_re_o    (vb_re),
      .spad_b_addr_o  (vb_addr),
      .spad_b_rdata_i (vb_data),
      .spad_c_re_o    (vc_re),
      .spad_c_addr_o  (vc_addr),
      .spad_c_rdata_i (vc_data),
      .spad_we_o      (v_spad_we),
      .spad_waddr_o   (v_spad_waddr),
      .spad_wmask_o   (v_spad_wmask),
      .spad_wdata_o   (v_spad_wdata),
      .spad_wready_i  (v_spad_gnt),
      .abuf_we_o      (v_abuf_we),
      .abuf_waddr_o   (v_abuf_waddr),
      .abuf_wmask_o   (v_abuf_wmask),
      .abuf_wdata_o   (v_abuf_wdata),
      .s_a_re_o       (vsa_re),
      .s_a_addr_o     (vsa_addr),
      .s_a_rdata_i    (vsa_data),
      .s_b_re_o       (vsb_re),
      .s_b_addr_o     (vsb_addr),
      .s_b_rdata_i    (vsb_data),
      .s_c_re_o       (vsc_re),
      .s_c_addr_o     (vsc_addr),
      .s_c_rdata_i    (vsc_data),
      .s_we_o         (v_s_we),
      .s_waddr_o      (v_s_waddr),
      .s_wdata_o      (v_s_wdata)
  );

  // ---- Matrix unit.
  logic             ma0_re, ma1_re, ms_re, m_spad_we;
  logic [AbufW-1:0] ma0_addr, ma1_addr;
  logic [1023:0]    ma0_data, ma1_data;
  logic [SW-1:0]    ms_addr;
  logic [31:0]      ms_data;
  logic [SpadW-1:0] m_spad_waddr;
  logic [W-1:0]     m_spad_wmask;
  logic [512*W-1:0] m_spad_wdata;

  mm_unit u_mm (
      .clk_i,
      .clk2x_i,
      .rst_ni       (unit_rst_n),
      .start_i      (mm_start_i),
      .cmd_i        (mm_cmd_i),
      .ready_o      (mm_ready_o),
      .done_o       (mm_done_o),
      .fault_o      (mm_fault_o),
      .fault_code_o (mm_fault_code_o),
      .abuf0_re_o   (ma0_re),
      .abuf0_addr_o (ma0_addr),
      .abuf0_rdata_i(ma0_data),
      .abuf1_re_o   (ma1_re),
      .abuf1_addr_o (ma1_addr),
      .abuf1_rdata_i(ma1_data),
      .wf_avail_i,
      .wf_re_o,
      .wf_rd_off_o,
      .wf_rdata_i,
      .wf_pop_o,
      .sf_avail_i,
      .sf_re_o,
      .sf_rd_off_o,
      .sf_rdata_i,
      .sf_pop_o,
      .sf_pop_num_o,
      .s_re_o       (ms_re),
      .s_addr_o     (ms_addr),
      .s_rdata_i    (ms_data),
      .spad_we_o    (m_spad_we),
      .spad_waddr_o (m_spad_waddr),
      .spad_wmask_o (m_spad_wmask),
      .spad_wdata_o (m_spad_wdata),
      .mac_beats_o  (mm_mac_beats_o),
      .starved_o    (mm_starved_o)
  );

  // ---- SPAD: readers VX a, b, c and ST.
  logic             spad_we;
  logic [SpadW-1:0] spad_waddr;
  logic [W-1:0]     spad_wmask;
  logic [512*W-1:0] spad_wdata;
  assign v_spad_gnt    = !m_spad_we;
  assign ld_spad_gnt_o = !m_spad_we && !v_spad_we;
  assign spad_we       = m_spad_we || v_spad_we || ld_spad_we_i;
  always_comb begin
    spad_waddr = ld_spad_addr_i;
    spad_wmask = W'(1);
    spad_wdata = (512*W)'(ld_spad_data_i);
    if (v_spad_we) begin
      spad_waddr = v_spad_waddr;
      spad_wmask = v_spad_wmask;
      spad_wdata = v_spad_wdata;
    end
    if (m_spad_we) begin
      spad_waddr = m_spad_waddr;
      spad_wmask = m_spad_wmask;
      spad_wdata = m_spad_wdata;
    end
  end
  spad u_spad (
      .clk_i,
      .init_i    (init),
      .init_row_i(init_addr[$clog2(SpadRows)-1:0]),
      .we_i      (spad_we),
      .waddr_i   (spad_waddr),
      .wmask_i   (spad_wmask),
      .wdata_i   (spad_wdata),
      .vx_re_i   ({vc_re, vb_re, va_re}),
      .vx_addr_i ({vc_addr, vb_addr, va_addr}),
      .vx_rdata_o({vc_data, vb_data, va_data}),
      .st_re_i   (st_spad_re_i),
      .st_addr_i (st_spad_addr_i),
      .st_rdata_o(st_spad_rdata_o)
  );

  // ---- ABUF: readers MM lane 0, MM lane 1 and ST.
  abuf u_abuf (
      .clk_i,
      .init_i    (init),
      .init_row_i(init_addr[$clog2(AbufRows)-1:0]),
      .we_i      (v_abuf_we),
      .waddr_i   (v_abuf_waddr),
      .wmask_i   (v_abuf_wmask),
      .wdata_i   (v_abuf_wdata),
      .mm_re_i   ({ma1_re, ma0_re}),
      .mm_addr_i ({ma1_addr, ma0_addr}),
      .mm_rdata_o({ma1_data, ma0_data}),
      .st_re_i   (st_abuf_re_i),
      .st_addr_i (st_abuf_addr_i),
      .st_rdata_o(st_abuf_rdata_o)
  );

  // ---- S: readers VX a, b, c, MM, ST and LD.
  assign ld_s_gnt_o = !v_s_we;
  shared_ram #(
      .Width(32),
      .Depth(fvlm_isa_pkg::SWords),
      .Readers(6),
      .Style("ultra")
  ) u_s (
      .clk_i,
      .wr_en_i    (init || v_s_we || ld_s_we_i),
      .wr_addr_i  (init ? init_addr[SW-1:0] : v_s_we ? v_s_waddr : ld_s_addr_i),
      .wr_data_i  (init ? 32'd0 : v_s_we ? v_s_wdata : ld_s_data_i),
      .rd_en_i    ({ld_s_re_i, st_s_re_i, ms_re, vsc_re, vsb_re, vsa_re}),
      .rd_addr_i  ({ld_s_raddr_i, st_s_addr_i, ms_addr, vsc_addr, vsb_addr, vsa_addr}),
      .rd_data_o  ({ld_s_rdata_o, st_s_rdata_o, ms_data, vsc_data, vsb_data, vsa_data})
  );
endmodule

`default_nettype wire
