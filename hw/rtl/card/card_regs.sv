// Registers that a card needs beside the accelerator's: the 64-bit base address of each AXI port, two words
// each from PortBase. All other accesses pass to the accelerator's slave. One read and one write at a time.
`default_nettype none

module card_regs #(
    parameter int unsigned Ports = 2,
    parameter logic [11:0] PortBase = 12'h180
) (
    input  wire                  clk_i,
    input  wire                  rst_ni,

    input  wire  [11:0]          s_awaddr_i,
    input  wire                  s_awvalid_i,
    output logic                 s_awready_o,
    input  wire  [31:0]          s_wdata_i,
    input  wire  [3:0]           s_wstrb_i,
    input  wire                  s_wvalid_i,
    output logic                 s_wready_o,
    output logic [1:0]           s_bresp_o,
    output logic                 s_bvalid_o,
    input  wire                  s_bready_i,
    input  wire  [11:0]          s_araddr_i,
    input  wire                  s_arvalid_i,
    output logic                 s_arready_o,
    output logic [31:0]          s_rdata_o,
    output logic [1:0]           s_rresp_o,
    output logic                 s_rvalid_o,
    input  wire                  s_rready_i,

    output logic                 c_awvalid_o,
    input  wire                  c_awready_i,
    output logic                 c_wvalid_o,
    input  wire                  c_wready_i,
    input  wire  [1:0]           c_bresp_i,
    input  wire                  c_bvalid_i,
    output logic                 c_bready_o,
    output logic                 c_arvalid_o,
    input  wire                  c_arready_i,
    input  wire  [31:0]          c_rdata_i,
    input  wire  [1:0]           c_rresp_i,
    input  wire                  c_rvalid_i,
    output logic                 c_rready_o,

    output logic [Ports*64-1:0]  base_o
);
  localparam logic [11:0] End = PortBase + 12'(8 * Ports);
  localparam int unsigned WordW = $clog2(2 * Ports);

  logic [2*Ports-1:0][31:0] base_q;
  assign base_o = base_q;

  // ---- Writes. The accelerator takes address and data in the same cycle, so do these.
  logic own_write, write, bvalid_q;
  logic [11:0] write_offset;
  logic [31:0] write_mask;
  assign own_write    = s_awaddr_i >= PortBase && s_awaddr_i < End;
  assign write        = s_awvalid_i && s_wvalid_i && own_write && !bvalid_q;
  assign write_offset = s_awaddr_i - PortBase;
  assign write_mask   = {{8{s_wstrb_i[3]}}, {8{s_wstrb_i[2]}}, {8{s_wstrb_i[1]}}, {8{s_wstrb_i[0]}}};
  assign c_awvalid_o  = s_awvalid_i && s_wvalid_i && !own_write && !bvalid_q;
  assign c_wvalid_o   = c_awvalid_o;
  assign s_awready_o  = own_write ? write : c_awvalid_o && c_awready_i;
  assign s_wready_o   = own_write ? write : c_wvalid_o && c_wready_i;
  assign s_bvalid_o   = bvalid_q || c_bvalid_i;
  assign s_bresp_o    = bvalid_q ? 2'b00 : c_bresp_i;
  assign c_bready_o   = s_bready_i && !bvalid_q;

  // ---- Reads, answered in order.
  logic own_read, read, rvalid_q, core_read_q;
  logic [11:0] read_offset;
  logic [31:0] rdata_q;
  assign own_read    = s_araddr_i >= PortBase && s_araddr_i < End;
  assign read        = s_arvalid_i && own_read && !rvalid_q && !core_read_q;
  assign read_offset = s_araddr_i - PortBase;
  assign c_arvalid_o = s_arvalid_i && !own_read && !rvalid_q && !core_read_q;
  assign s_arready_o = own_read ? read : c_arvalid_o && c_arready_i;
  assign s_rvalid_o  = rvalid_q || c_rvalid_i;
  assign s_rdata_o   = rvalid_q ? rdata_q : c_rdata_i;
  assign s_rresp_o   = rvalid_q ? 2'b00 : c_rresp_i;
  assign c_rready_o  = s_rready_i && !rvalid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      bvalid_q    <= 1'b0;
      rvalid_q    <= 1'b0;
      core_read_q <= 1'b0;
      base_q      <= '0;
    end else begin
      if (write) bvalid_q <= 1'b1;
      else if (s_bready_i) bvalid_q <= 1'b0;
      if (read) rvalid_q <= 1'b1;
      else if (s_rready_i) rvalid_q <= 1'b0;
      if (c_arvalid_o && c_arready_i) core_read_q <= 1'b1;
      else if (c_rvalid_i && c_rready_o) core_read_q <= 1'b0;
      if (write) begin
        base_q[write_offset[2+:WordW]] <=
            (base_q[write_offset[2+:WordW]] & ~write_mask) | (s_wdata_i & write_mask);
      end
    end
  end
  always_ff @(posedge clk_i) if (read) rdata_q <= base_q[read_offset[2+:WordW]];

  logic unused;
  assign unused = ^{write_offset, read_offset};
endmodule

`default_nettype wire
