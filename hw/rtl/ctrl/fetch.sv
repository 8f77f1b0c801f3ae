// Instruction memory and its filling at launch: copies CODE_LEN instructions from DRAM CODE_BASE
// (two a beat) after checking that they fit. Afterwards the dispatcher reads one instruction a
// cycle: address now, instruction in the next cycle, held until the next read.
`default_nettype none

module fetch (
    input  logic         clk_i,
    input  logic         rst_ni,
    input  logic         start_i,
    input  logic         stop_i,
    input  logic [31:0]  code_base_i,
    input  logic [31:0]  code_len_i,
    input  logic [31:0]  mem_units_i,
    output logic         busy_o,
    output logic         done_o,
    output logic         fault_o,
    output logic [3:0]   fault_code_o,

    output logic         req_valid_o,
    input  logic         req_ready_i,
    output logic [31:0]  req_unit_o,
    output logic [17:0]  req_beats_o,
    input  logic         beat_valid_i,
    output logic         beat_ready_o,
    input  logic [511:0] beat_data_i,
    input  logic         beat_error_i,

    input  logic         rd_en_i,
    input  logic [31:0]  rd_pc_i,
    output logic [255:0] insn_o
);
  localparam int unsigned Rows = fvlm_isa_pkg::ImemWords / 2;
  localparam int unsigned RowW = $clog2(Rows);

  typedef enum logic [1:0] {StIdle, StCheck, StRequest, StFill} state_e;
  state_e state_q;

  logic [RowW:0] beats, row_q;
  logic [33:0]   end_unit;
  logic          too_long, outside, last, axi_bad;

  assign beats    = (RowW + 1)'((code_len_i + 32'd1) >> 1);
  assign too_long = code_len_i > 32'(fvlm_isa_pkg::ImemWords);
  assign end_unit = {2'd0, code_base_i} + 34'(beats);
  assign outside  = end_unit > {2'd0, mem_units_i};
  assign last     = row_q + 1'b1 == beats;
  assign axi_bad  = state_q == StFill && beat_valid_i && beat_error_i;

  assign busy_o       = state_q != StIdle;
  assign fault_o      = (state_q == StCheck && (too_long || outside)) || axi_bad;
  assign fault_code_o = axi_bad ? fvlm_isa_pkg::FAULT_AXI :
                        too_long ? fvlm_isa_pkg::FAULT_PC : fvlm_isa_pkg::FAULT_DRAM;
  assign req_valid_o  = state_q == StRequest && !stop_i;
  assign req_unit_o   = code_base_i;
  assign req_beats_o  = 18'(beats);
  assign beat_ready_o = state_q == StFill;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      done_o  <= 1'b0;
    end else begin
      done_o <= 1'b0;
      case (state_q)
        StIdle: if (start_i) state_q <= StCheck;
        StCheck: begin
          if (too_long || outside) state_q <= StIdle;
          else if (beats == '0) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end else state_q <= StRequest;
        end
        StRequest: if (req_ready_i || stop_i) state_q <= stop_i ? StIdle : StFill;
        default: begin
          if (axi_bad || stop_i) state_q <= StIdle;
          else if (beat_valid_i && last) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end
        end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) row_q <= '0;
    else if (state_q == StFill && beat_valid_i) row_q <= row_q + 1'b1;
  end

  logic [511:0] row_data;
  logic         half_q;
  prim_ram_1r1w #(
      .Width(512),
      .Depth(Rows)
  ) u_imem (
      .clk_i,
      .wr_en_i  (state_q == StFill && beat_valid_i),
      .wr_addr_i(row_q[RowW-1:0]),
      .wr_data_i(beat_data_i),
      .rd_en_i,
      .rd_addr_i(rd_pc_i[RowW:1]),
      .rd_data_o(row_data)
  );
  always_ff @(posedge clk_i) begin
    if (rd_en_i) half_q <= rd_pc_i[0];
  end
  assign insn_o = half_q ? row_data[511:256] : row_data[255:0];

  logic unused;
  assign unused = ^rd_pc_i[31:RowW+1];
endmodule

`default_nettype wire
