// What the kernel for a card has around the accelerator: registers of the ports' bases in front of the
// accelerator's own register file, and an address channel.
`default_nettype none

module tb_card #(
    localparam int unsigned Ports = 5
) (
    input  wire         clk_i,
    input  wire         rst_ni,
    input  wire  [11:0] s_awaddr_i,
    input  wire         s_awvalid_i,
    output logic        s_awready_o,
    input  wire  [31:0] s_wdata_i,
    input  wire  [3:0]  s_wstrb_i,
    input  wire         s_wvalid_i,
    output logic        s_wready_o,
    output logic        s_bvalid_o,
    input  wire         s_bready_i,
    input  wire  [11:0] s_araddr_i,
    input  wire         s_arvalid_i,
    output logic        s_arready_o,
    output logic [31:0] s_rdata_o,
    output logic        s_rvalid_o,
    input  wire         s_rready_i,

    input  wire  [63:0] addr_i,
    input  wire  [16:0] rest_i,
    input  wire         valid_i,
    output logic        ready_o,
    output logic [63:0] addr_o,
    output logic [16:0] rest_o,
    output logic        valid_o,
    input  wire         ready_i
);
  logic c_awvalid, c_awready, c_wvalid, c_wready, c_bvalid, c_bready;
  logic c_arvalid, c_arready, c_rvalid, c_rready;
  logic [1:0] c_bresp, c_rresp, s_bresp, s_rresp;
  logic [31:0] c_rdata;
  logic [Ports*64-1:0] base;

  card_regs #(.Ports(Ports)) u_regs (
      .clk_i, .rst_ni,
      .s_awaddr_i, .s_awvalid_i, .s_awready_o, .s_wdata_i, .s_wstrb_i, .s_wvalid_i, .s_wready_o,
      .s_bresp_o(s_bresp), .s_bvalid_o, .s_bready_i,
      .s_araddr_i, .s_arvalid_i, .s_arready_o, .s_rdata_o, .s_rresp_o(s_rresp), .s_rvalid_o, .s_rready_i,
      .c_awvalid_o(c_awvalid), .c_awready_i(c_awready), .c_wvalid_o(c_wvalid), .c_wready_i(c_wready),
      .c_bresp_i(c_bresp), .c_bvalid_i(c_bvalid), .c_bready_o(c_bready),
      .c_arvalid_o(c_arvalid), .c_arready_i(c_arready), .c_rdata_i(c_rdata), .c_rresp_i(c_rresp),
      .c_rvalid_i(c_rvalid), .c_rready_o(c_rready),
      .base_o(base)
  );

  csr u_csr (
      .clk_i, .rst_ni,
      .s_awaddr_i, .s_awvalid_i(c_awvalid), .s_awready_o(c_awready), .s_wdata_i, .s_wstrb_i,
      .s_wvalid_i(c_wvalid), .s_wready_o(c_wready), .s_bresp_o(c_bresp), .s_bvalid_o(c_bvalid),
      .s_bready_i(c_bready),
      .s_araddr_i, .s_arvalid_i(c_arvalid), .s_arready_o(c_arready), .s_rdata_o(c_rdata),
      .s_rresp_o(c_rresp), .s_rvalid_o(c_rvalid), .s_rready_i(c_rready),
      .start_o(), .idle_i(1'b1), .done_i(1'b0), .fault_i(1'b0), .fault_code_i('0), .fault_unit_i('0),
      .fault_pc_i('0), .mem_units_o(), .channel_units_o(), .code_units_o(), .code_base_o(), .code_len_o(),
      .entry_o(), .watchdog_o(), .args_o(), .count_re_o(), .count_word_o(), .count_data_i('0)
  );

  // Port 3's address channel.
  card_port u_port (
      .clk_i, .rst_ni, .base_i(base[64*3+:64]),
      .addr_i, .rest_i, .valid_i, .ready_o, .addr_o, .rest_o, .valid_o, .ready_i
  );
endmodule

`default_nettype wire
