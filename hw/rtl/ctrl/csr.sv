// AXI4-Lite register file with the ap_ctrl_hs block protocol at offset 0: ap_start is set by
// software and cleared when the launch is done, ap_done and ap_ready stay set until read.
// One transfer at a time: a write answers in the cycle after both channels were valid, a read two
// cycles after its address. Writes to read-only registers are ignored; unknown offsets read zero.
`default_nettype none

module csr (
    input  logic         clk_i,
    input  logic         rst_ni,

    input  logic [11:0]  s_awaddr_i,
    input  logic         s_awvalid_i,
    output logic         s_awready_o,
    input  logic [31:0]  s_wdata_i,
    input  logic [3:0]   s_wstrb_i,
    input  logic         s_wvalid_i,
    output logic         s_wready_o,
    output logic [1:0]   s_bresp_o,
    output logic         s_bvalid_o,
    input  logic         s_bready_i,
    input  logic [11:0]  s_araddr_i,
    input  logic         s_arvalid_i,
    output logic         s_arready_o,
    output logic [31:0]  s_rdata_o,
    output logic [1:0]   s_rresp_o,
    output logic         s_rvalid_o,
    input  logic         s_rready_i,

    output logic         start_o,
    input  logic         idle_i,
    input  logic         done_i,
    input  logic         fault_i,
    input  logic [3:0]   fault_code_i,
    input  logic [2:0]   fault_unit_i,
    input  logic [31:0]  fault_pc_i,

    output logic [31:0]  mem_units_o,
    output logic [31:0]  channel_units_o,
    output logic [31:0]  code_units_o,
    output logic [31:0]  code_base_o,
    output logic [31:0]  code_len_o,
    output logic [31:0]  entry_o,
    output logic [31:0]  watchdog_o,
    output logic [479:0] args_o,

    output logic         count_re_o,
    output logic [5:0]   count_word_o,
    input  logic [31:0]  count_data_i
);
  logic        start_q, done_q, ready_q;
  logic [31:0] mem_units_q, code_base_q, code_len_q, entry_q, watchdog_q;
  logic [31:0] code_units_q, channel_units_q;
  logic [479:0] args_q;

  assign start_o     = start_q;
  assign mem_units_o = mem_units_q;
  assign channel_units_o = channel_units_q;
  assign code_units_o = code_units_q;
  assign code_base_o = code_base_q;
  assign code_len_o  = code_len_q;
  assign entry_o     = entry_q;
  assign watchdog_o  = watchdog_q;
  assign args_o      = args_q;

  // ---- Writes.
  logic        write, bvalid_q;
  logic [31:0] write_mask;
  assign write       = s_awvalid_i && s_wvalid_i && !bvalid_q;
  assign s_awready_o = write;
  assign s_wready_o  = write;
  assign s_bresp_o   = 2'b00;
  assign s_bvalid_o  = bvalid_q;
  assign write_mask  = {{8{s_wstrb_i[3]}}, {8{s_wstrb_i[2]}}, {8{s_wstrb_i[1]}}, {8{s_wstrb_i[0]}}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      mem_units_q <= '0;
      code_units_q <= '0;
      channel_units_q <= '0;
      code_base_q <= '0;
      code_len_q  <= '0;
      entry_q     <= '0;
      watchdog_q  <= 32'd65536;
      args_q      <= '0;
    end else if (write) begin
      case (s_awaddr_i)
        fvlm_isa_pkg::CSR_MEM_UNITS:
          mem_units_q <= (mem_units_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_CODE_BASE:
          code_base_q <= (code_base_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_CODE_LEN:
          code_len_q <= (code_len_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_CODE_UNITS:
          code_units_q <= (code_units_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_CHANNEL_UNITS:
          channel_units_q <= (channel_units_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_ENTRY: entry_q <= (entry_q & ~write_mask) | (s_wdata_i & write_mask);
        fvlm_isa_pkg::CSR_WATCHDOG:
          watchdog_q <= (watchdog_q & ~write_mask) | (s_wdata_i & write_mask);
        default: begin
          for (int i = 0; i < 15; i++) begin
            if (s_awaddr_i == fvlm_isa_pkg::CSR_ARG1 + 12'(4 * i)) begin
              args_q[i*32+:32] <= (args_q[i*32+:32] & ~write_mask) | (s_wdata_i & write_mask);
            end
          end
        end
      endcase
    end
  end

  // ---- Reads: the address is latched, the counters' RAM-like port answers a cycle later.
  logic        pending_q, rvalid_q, read_control;
  logic [11:0] raddr_q, count_offset;
  logic [31:0] rdata_q;
  assign s_arready_o  = !pending_q && !rvalid_q;
  assign s_rvalid_o   = rvalid_q;
  assign s_rdata_o    = rdata_q;
  assign s_rresp_o    = 2'b00;
  assign count_offset = s_araddr_i - fvlm_isa_pkg::CSR_CNT_CYCLES;
  assign count_re_o   = s_arvalid_i && s_arready_o;
  assign count_word_o = count_offset[7:2];
  assign read_control = pending_q && raddr_q == fvlm_isa_pkg::CSR_AP_CTRL;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      bvalid_q  <= 1'b0;
      pending_q <= 1'b0;
      rvalid_q  <= 1'b0;
      start_q   <= 1'b0;
      done_q    <= 1'b0;
      ready_q   <= 1'b0;
    end else begin
      if (write) bvalid_q <= 1'b1;
      else if (s_bready_i) bvalid_q <= 1'b0;
      pending_q <= count_re_o;
      if (pending_q) rvalid_q <= 1'b1;
      else if (s_rready_i) rvalid_q <= 1'b0;

      if (write && s_awaddr_i == fvlm_isa_pkg::CSR_AP_CTRL && s_wstrb_i[0] && s_wdata_i[0]) begin
        start_q <= 1'b1;
      end else if (done_i) start_q <= 1'b0;
      if (done_i) done_q <= 1'b1;
      else if (read_control) done_q <= 1'b0;
      if (done_i) ready_q <= 1'b1;
      else if (read_control) ready_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (count_re_o) raddr_q <= s_araddr_i;
    if (pending_q) begin : read
      logic [31:0] value;
      value = '0;
      case (raddr_q)
        fvlm_isa_pkg::CSR_AP_CTRL: value = {28'd0, ready_q, idle_i && !start_q, done_q, start_q};
        fvlm_isa_pkg::CSR_ISA_HASH: value = fvlm_isa_pkg::IsaHash;
        fvlm_isa_pkg::CSR_STATUS:
          value = {13'd0, fault_unit_i, 4'd0, fault_code_i, 7'd0, fault_i} & {32{fault_i}};
        fvlm_isa_pkg::CSR_FAULT_PC: value = fault_pc_i & {32{fault_i}};
        fvlm_isa_pkg::CSR_MEM_UNITS: value = mem_units_q;
        fvlm_isa_pkg::CSR_CODE_BASE: value = code_base_q;
        fvlm_isa_pkg::CSR_CODE_LEN: value = code_len_q;
        fvlm_isa_pkg::CSR_ENTRY: value = entry_q;
        fvlm_isa_pkg::CSR_WATCHDOG: value = watchdog_q;
        fvlm_isa_pkg::CSR_CODE_UNITS: value = code_units_q;
        fvlm_isa_pkg::CSR_CHANNEL_UNITS: value = channel_units_q;
        default: begin
          for (int i = 0; i < 15; i++) begin
            if (raddr_q == fvlm_isa_pkg::CSR_ARG1 + 12'(4 * i)) value = args_q[i*32+:32];
          end
          if (raddr_q >= fvlm_isa_pkg::CSR_CNT_CYCLES &&
              raddr_q <= fvlm_isa_pkg::CSR_CNT_CHANNEL_WRITE_BEATS + 12'd4) value = count_data_i;
        end
      endcase
      rdata_q <= value;
    end
  end

  logic unused;
  assign unused = ^{count_offset[11:8], count_offset[1:0]};
endmodule

`default_nettype wire
