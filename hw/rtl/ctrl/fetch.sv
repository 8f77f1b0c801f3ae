// Instruction memory and its filling at launch: reads CODE_UNITS units from CODE_BASE and expands
// CODE_LEN instructions of 16 or 32 bytes, one a cycle, after checking that they fit. Afterwards
// the dispatcher reads one instruction a cycle: address now, instruction in the next cycle, held
// until the next read.
`default_nettype none

module fetch (
    input  logic         clk_i,
    input  logic         rst_ni,
    input  logic         start_i,
    input  logic         stop_i,
    input  logic [31:0]  code_base_i,
    input  logic [31:0]  code_len_i,
    input  logic [31:0]  code_units_i,
    input  logic [31:0]  mem_units_i,
    output logic         busy_o,
    output logic         done_o,
    output logic         fault_o,
    output logic [3:0]   fault_code_o,

    output logic         req_valid_o,
    input  logic         req_ready_i,
    output logic [31:0]  req_unit_o,
    output logic [31:0]  req_beats_o,
    input  logic         beat_valid_i,
    output logic         beat_ready_o,
    input  logic [511:0] beat_data_i,
    input  logic         beat_error_i,

    input  logic         rd_en_i,
    input  logic [31:0]  rd_pc_i,
    output logic [255:0] insn_o
);
  localparam int unsigned PcW = $clog2(fvlm_isa_pkg::ImemWords);

  typedef enum logic [1:0] {StIdle, StCheck, StRequest, StFill} state_e;
  state_e state_q;

  logic [31:0] units_left_q;  // with the present one
  logic [32:0] end_unit;
  logic        too_long, outside, too_short, axi_bad, last_unit_q, unit_end;

  assign too_long  = code_len_i > 32'(fvlm_isa_pkg::ImemWords) ||
                     (code_units_i == '0 && code_len_i != '0);
  assign end_unit  = {1'b0, code_base_i} + {1'b0, code_units_i};
  assign outside   = end_unit > {1'b0, mem_units_i};
  assign axi_bad   = state_q == StFill && beat_valid_i && beat_error_i;

  // ---- A unit is four quarters. An instruction is one or two of them; of one that begins in the
  // last quarter the first half is kept.
  logic [1:0]   quarter_q;
  logic         kept_q, long, split, write;
  logic         complete_q, last_insn_q;  // no instruction is left, one is
  logic [127:0] kept, low, high;
  logic [PcW:0] count_q, left_q;
  always_comb begin
    low  = beat_data_i[127:0];
    high = beat_data_i[255:128];
    case (quarter_q)
      2'd1: begin
        low  = beat_data_i[255:128];
        high = beat_data_i[383:256];
      end
      2'd2: begin
        low  = beat_data_i[383:256];
        high = beat_data_i[511:384];
      end
      2'd3: low = beat_data_i[511:384];
      default: low = beat_data_i[127:0];
    endcase
  end
  assign long      = low[7:0] >= fvlm_isa_pkg::FirstLongOpcode;
  assign split     = !kept_q && long && quarter_q == 2'd3;
  assign write     = state_q == StFill && beat_valid_i && !beat_error_i && !complete_q && !split;
  assign unit_end  = complete_q || quarter_q == 2'd3 || (!kept_q && long && quarter_q == 2'd2);
  assign too_short = state_q == StFill && beat_valid_i && unit_end && last_unit_q &&
                     !complete_q && !(last_insn_q && write);

  assign busy_o       = state_q != StIdle;
  assign fault_o      = (state_q == StCheck && (too_long || outside)) || axi_bad || too_short;
  assign fault_code_o = axi_bad ? fvlm_isa_pkg::FAULT_AXI :
                        (too_short || too_long) ? fvlm_isa_pkg::FAULT_PC : fvlm_isa_pkg::FAULT_DRAM;
  assign req_valid_o  = state_q == StRequest && !stop_i;
  assign req_unit_o   = code_base_i;
  assign req_beats_o  = code_units_i;
  assign beat_ready_o = state_q == StFill && unit_end;

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
          else if (code_units_i == '0) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end else state_q <= StRequest;
        end
        StRequest: if (req_ready_i || stop_i) state_q <= stop_i ? StIdle : StFill;
        default: begin
          if (axi_bad || too_short || stop_i) state_q <= StIdle;
          else if (beat_valid_i && unit_end && last_unit_q) begin
            state_q <= StIdle;
            done_o  <= 1'b1;
          end
        end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) begin
      units_left_q <= code_units_i;
      last_unit_q  <= code_units_i == 32'd1;
      quarter_q    <= '0;
      kept_q       <= 1'b0;
      count_q      <= '0;
      left_q       <= code_len_i[PcW:0];
      complete_q   <= code_len_i == '0;
      last_insn_q  <= code_len_i == 32'd1;
    end else if (state_q == StFill && beat_valid_i) begin
      if (write) begin
        count_q     <= count_q + 1'b1;
        left_q      <= left_q - 1'b1;
        complete_q  <= last_insn_q;
        last_insn_q <= left_q == (PcW + 1)'(2);
      end
      quarter_q <= quarter_q + ((!kept_q && long && quarter_q != 2'd3) ? 2'd2 : 2'd1);
      kept_q    <= split && !complete_q;
      if (unit_end) begin
        units_left_q <= units_left_q - 32'd1;
        last_unit_q  <= units_left_q == 32'd2;
        quarter_q    <= '0;
      end
    end
    if (split) kept <= low;
  end

  logic [255:0] insn;
  always_comb begin
    insn = {128'd0, low};
    if (kept_q) insn = {low, kept};
    else if (long) insn = {high, low};
  end
  prim_ram_1r1w #(
      .Width(256),
      .Depth(fvlm_isa_pkg::ImemWords)
  ) u_imem (
      .clk_i,
      .wr_en_i  (write),
      .wr_addr_i(count_q[PcW-1:0]),
      .wr_data_i(insn),
      .rd_en_i,
      .rd_addr_i(rd_pc_i[PcW-1:0]),
      .rd_data_o(insn_o)
  );

  logic unused;
  assign unused = ^rd_pc_i[31:PcW];
endmodule

`default_nettype wire
