// Dispatcher: two cycles an instruction. Read: the instruction is at the IMEM output; registers
// and address generators are read and the command registers filled with numbers. Execute: SYS-class
// instructions take effect (a multiplication three cycles later), the others are pushed in their
// unit's queue (waits while it is full); the next pc goes to IMEM. Order of checks: PC, ILLEGAL,
// OPERAND, LOOP.
`default_nettype none

module dispatch
(
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  launch_i,     // load arguments, clear loops and generators
    input  logic                  run_i,        // start at entry_i
    input  logic                  stop_i,
    input  logic [31:0]           entry_i,
    input  logic [31:0]           code_len_i,
    input  logic [479:0]          args_i,
    input  logic                  idle_i,       // all queues empty, all units idle

    output logic                  imem_re_o,
    output logic [31:0]           imem_pc_o,
    input  logic [255:0]          insn_i,

    input  logic [3:0]            full_i,
    output logic [3:0]            push_o,
    output logic [3:0]            wait_o,
    output logic [3:0]            release_o,
    output fvlm_isa_pkg::ld_cmd_t ld_cmd_o,
    output fvlm_isa_pkg::st_cmd_t st_cmd_o,
    output fvlm_isa_pkg::mm_cmd_t mm_cmd_o,
    output fvlm_isa_pkg::vx_cmd_t vx_cmd_o,

    output logic                  dispatched_o,  // an instruction completes
    output logic                  halt_o,        // ... and it is HALT
    output logic                  fault_o,
    output logic [3:0]            fault_code_o,
    output logic [31:0]           pc_o
);
  typedef enum logic [1:0] {StIdle, StRead, StExecute} state_e;
  state_e      state_q;
  logic [31:0] pc_q;

  assign pc_o = pc_q;

  // ---- What the instruction is.
  logic [7:0] opcode;
  logic is_nop, is_halt, is_fence, is_loop, is_alu, is_seta, is_ld, is_st, is_mm, is_vx;
  logic [3:0] is_unit;
  assign opcode   = insn_i[7:0];
  assign is_nop   = opcode == fvlm_isa_pkg::OP_NOP;
  assign is_halt  = opcode == fvlm_isa_pkg::OP_HALT;
  assign is_fence = opcode == fvlm_isa_pkg::OP_FENCE;
  assign is_loop  = opcode == fvlm_isa_pkg::OP_LOOP;
  assign is_alu   = opcode == fvlm_isa_pkg::OP_ALU;
  assign is_seta  = opcode == fvlm_isa_pkg::OP_SETA;
  assign is_ld    = opcode == fvlm_isa_pkg::OP_LD;
  assign is_st    = opcode == fvlm_isa_pkg::OP_ST;
  assign is_mm    = opcode == fvlm_isa_pkg::OP_MM;
  assign is_vx    = opcode == fvlm_isa_pkg::OP_VX;
  assign is_unit  = {is_vx, is_mm, is_st, is_ld};

  // ---- Read stage.
  logic [31:0]  cnt0_q, opa_q, opb_q, value_q;
  logic         illegal_q, operand_bad_q;

  // Counts of each instruction, in the order of its fields.
  localparam int unsigned Ports = 7;
  logic [16*Ports-1:0] field;
  logic [Ports-1:0]    is_count, bad_count;
  logic [5*Ports-1:0]  r_addr;
  logic [32*Ports-1:0] r_data, count;
  logic [31:0]         r_vbase, r_rmod;
  logic                alu_we;
  logic [31:0]         alu_result;
  always_comb begin
    field    = '0;
    is_count = '0;
    if (is_loop) field[15:0] = insn_i[fvlm_isa_pkg::LoopCountLsb+:16];
    if (is_ld) begin
      field[47:0] = {insn_i[fvlm_isa_pkg::LdFirstLsb+:16], insn_i[fvlm_isa_pkg::LdLenLsb+:16],
                     insn_i[fvlm_isa_pkg::LdRowsLsb+:16]};
      is_count    = 7'b0000111;
    end
    if (is_st) begin
      field[79:0] = {insn_i[fvlm_isa_pkg::StHeadsLsb+:16], insn_i[fvlm_isa_pkg::StFirstLsb+:16],
                     insn_i[fvlm_isa_pkg::StPosLsb+:16], insn_i[fvlm_isa_pkg::StLenLsb+:16],
                     insn_i[fvlm_isa_pkg::StRowsLsb+:16]};
      is_count    = 7'b0011111;
    end
    if (is_mm) begin
      field    = {insn_i[fvlm_isa_pkg::MmFirstLsb+:16], insn_i[fvlm_isa_pkg::MmSaStrideLsb+:16],
                  insn_i[fvlm_isa_pkg::MmOutStrideLsb+:16],
                  insn_i[fvlm_isa_pkg::MmActStrideLsb+:16], insn_i[fvlm_isa_pkg::MmKbLsb+:16],
                  insn_i[fvlm_isa_pkg::MmTilesLsb+:16], insn_i[fvlm_isa_pkg::MmRowsLsb+:16]};
      is_count = 7'b1111111;
    end
    if (is_vx) begin
      field[31:0] = {insn_i[fvlm_isa_pkg::VxLenLsb+:16], insn_i[fvlm_isa_pkg::VxRowsLsb+:16]};
      is_count    = 7'b0000011;
    end
  end
  for (genvar i = 0; i < Ports; i++) begin : gen_count
    assign count[32*i+:32] = field[16*i+15] ? r_data[32*i+:32] : {16'd0, field[16*i+:16]};
    assign bad_count[i]    = is_count[i] && count[32*i+16+:16] != '0;
    if (i < 5) begin : gen_plain
      assign r_addr[5*i+:5] = field[16*i+:5];
    end
  end
  // The ALU's and SETA's operands come through the last two ports.
  always_comb begin
    r_addr[29:25] = field[84:80];
    r_addr[34:30] = field[100:96];
    if (is_alu) begin
      r_addr[29:25] = insn_i[fvlm_isa_pkg::AluRsLsb+:5];
      r_addr[34:30] = insn_i[fvlm_isa_pkg::AluRtLsb+:5];
    end
    if (is_seta) r_addr[29:25] = insn_i[fvlm_isa_pkg::SetaRsLsb+:5];
  end

  scalar_file #(
      .Ports(Ports)
  ) u_scalars (
      .clk_i,
      .launch_i,
      .args_i,
      .wr_en_i  (alu_we),
      .wr_addr_i(insn_i[fvlm_isa_pkg::AluRdLsb+:5]),
      .wr_data_i(alu_result),
      .rd_addr_i(r_addr),
      .rd_data_o(r_data),
      .vbase_o  (r_vbase),
      .rmod_o   (r_rmod)
  );

  logic bad_mask, mask_used;
  // R30 and R31 matter to a VX command with a causal mask or another row order for b or c.
  assign mask_used = insn_i[fvlm_isa_pkg::VxCausalLsb] ||
                     insn_i[fvlm_isa_pkg::VxBRowLsb+:2] != '0 ||
                     insn_i[fvlm_isa_pkg::VxCRowLsb+:2] != '0;
  assign bad_mask = r_vbase[31:16] != '0 || r_rmod[31:16] != '0;

  // Five address ports: LD dst, src, sidx; ST src, dst; MM act, out, sa; VX a, b, c, d, sred.
  logic [19:0]  agu;
  logic [27:0]  off0, off1, off2;
  logic [159:0] agu_sum;
  logic         b_imm, c_imm;
  assign b_imm = insn_i[fvlm_isa_pkg::VxBKindLsb+:2] == fvlm_isa_pkg::VX_B_KIND_IMM;
  assign c_imm = insn_i[fvlm_isa_pkg::VxCKindLsb+:2] == fvlm_isa_pkg::VX_C_KIND_IMM;
  always_comb begin
    agu[3:0] = insn_i[fvlm_isa_pkg::LdDstAguLsb+:4];
    agu[7:4] = insn_i[fvlm_isa_pkg::LdSrcAguLsb+:4];
    agu[11:8] = insn_i[fvlm_isa_pkg::LdSidxAguLsb+:4];
    agu[15:12] = insn_i[fvlm_isa_pkg::VxDAguLsb+:4];
    agu[19:16] = insn_i[fvlm_isa_pkg::VxSredAguLsb+:4];
    off0 = {10'd0, insn_i[fvlm_isa_pkg::LdDstOffLsb+:18]};
    off1 = insn_i[fvlm_isa_pkg::LdSrcOffLsb+:28];
    off2 = {10'd0, insn_i[fvlm_isa_pkg::LdSidxOffLsb+:18]};
    if (is_st) begin
      agu[3:0] = insn_i[fvlm_isa_pkg::StSrcAguLsb+:4];
      agu[7:4] = insn_i[fvlm_isa_pkg::StDstAguLsb+:4];
      off0 = {10'd0, insn_i[fvlm_isa_pkg::StSrcOffLsb+:18]};
      off1 = insn_i[fvlm_isa_pkg::StDstOffLsb+:28];
    end
    if (is_mm) begin
      agu[3:0] = insn_i[fvlm_isa_pkg::MmActAguLsb+:4];
      agu[7:4] = insn_i[fvlm_isa_pkg::MmOutAguLsb+:4];
      agu[11:8] = insn_i[fvlm_isa_pkg::MmSaAguLsb+:4];
      off0 = {10'd0, insn_i[fvlm_isa_pkg::MmActOffLsb+:18]};
      off1 = {10'd0, insn_i[fvlm_isa_pkg::MmOutOffLsb+:18]};
      off2 = {10'd0, insn_i[fvlm_isa_pkg::MmSaOffLsb+:18]};
    end
    if (is_vx) begin
      agu[3:0] = insn_i[fvlm_isa_pkg::VxAAguLsb+:4];
      agu[7:4] = insn_i[fvlm_isa_pkg::VxBLsb+28+:4];
      agu[11:8] = insn_i[fvlm_isa_pkg::VxCLsb+28+:4];
      off0 = {10'd0, insn_i[fvlm_isa_pkg::VxAOffLsb+:18]};
      off1 = {10'd0, insn_i[fvlm_isa_pkg::VxBLsb+:18]};
      off2 = {10'd0, insn_i[fvlm_isa_pkg::VxCLsb+:18]};
    end
  end

  logic [31:0] addr0, addr1, addr2, addr3, addr4;
  assign addr0 = agu_sum[31:0] + {4'd0, off0};
  assign addr1 = (is_vx && b_imm) ? insn_i[fvlm_isa_pkg::VxBLsb+:32]
                                  : agu_sum[63:32] + {4'd0, off1};
  assign addr2 = (is_vx && c_imm) ? insn_i[fvlm_isa_pkg::VxCLsb+:32]
                                  : agu_sum[95:64] + {4'd0, off2};
  assign addr3 = agu_sum[127:96] + {14'd0, insn_i[fvlm_isa_pkg::VxDOffLsb+:18]};
  assign addr4 = agu_sum[159:128] + {18'd0, insn_i[fvlm_isa_pkg::VxSredOffLsb+:14]};

  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      cnt0_q  <= count[31:0];
      opa_q   <= r_data[191:160];
      opb_q   <= insn_i[fvlm_isa_pkg::AluUseImmLsb] ? insn_i[fvlm_isa_pkg::AluImmLsb+:32]
                                                    : r_data[223:192];
      value_q <= r_data[191:160] + insn_i[fvlm_isa_pkg::SetaImmLsb+:32];
      illegal_q <= fvlm_isa_pkg::is_illegal(insn_i);
      operand_bad_q <= (|bad_count) || (is_vx && mask_used && bad_mask);
      if (is_ld) begin
        ld_cmd_o.mode <= insn_i[fvlm_isa_pkg::LdModeLsb+:3];
        ld_cmd_o.rows <= count[15:0];
        ld_cmd_o.len <= count[47:32];
        ld_cmd_o.dst_addr <= addr0;
        ld_cmd_o.dst_stride <= insn_i[fvlm_isa_pkg::LdDstStrideLsb+:12];
        ld_cmd_o.src_addr <= addr1;
        ld_cmd_o.src_stride <= insn_i[fvlm_isa_pkg::LdSrcStrideLsb+:32];
        ld_cmd_o.sidx_addr <= addr2;
        ld_cmd_o.kbg <= insn_i[fvlm_isa_pkg::LdKbgLsb+:8];
        ld_cmd_o.wscale <= insn_i[fvlm_isa_pkg::LdWscaleLsb+:1];
        ld_cmd_o.bias <= insn_i[fvlm_isa_pkg::LdBiasLsb+:1];
        ld_cmd_o.fmt <= insn_i[fvlm_isa_pkg::LdFmtLsb+:3];
        ld_cmd_o.nm <= insn_i[fvlm_isa_pkg::LdNmLsb+:3];
        ld_cmd_o.first <= count[79:64];
        ld_cmd_o.pc <= pc_q[15:0];
      end
      if (is_st) begin
        st_cmd_o.mode <= insn_i[fvlm_isa_pkg::StModeLsb+:3];
        st_cmd_o.rows <= count[15:0];
        st_cmd_o.len <= count[47:32];
        st_cmd_o.src_addr <= addr0;
        st_cmd_o.src_stride <= insn_i[fvlm_isa_pkg::StSrcStrideLsb+:12];
        st_cmd_o.dst_addr <= addr1;
        st_cmd_o.dst_stride <= insn_i[fvlm_isa_pkg::StDstStrideLsb+:32];
        st_cmd_o.chunk_stride <= insn_i[fvlm_isa_pkg::StChunkStrideLsb+:24];
        st_cmd_o.pos <= count[79:64];
        st_cmd_o.first <= count[111:96];
        st_cmd_o.heads <= count[143:128];
        st_cmd_o.head_stride <= insn_i[fvlm_isa_pkg::StHeadStrideLsb+:12];
        st_cmd_o.head_step <= insn_i[fvlm_isa_pkg::StHeadStepLsb+:16];
        st_cmd_o.pc <= pc_q[15:0];
      end
      if (is_mm) begin
        mm_cmd_o.rows <= count[15:0];
        mm_cmd_o.tiles <= count[47:32];
        mm_cmd_o.kb <= count[79:64];
        mm_cmd_o.kbg <= insn_i[fvlm_isa_pkg::MmKbgLsb+:8];
        mm_cmd_o.act_addr <= addr0;
        mm_cmd_o.act_stride <= count[111:96];
        mm_cmd_o.out_addr <= addr1;
        mm_cmd_o.out_stride <= count[143:128];
        mm_cmd_o.sa_addr <= addr2;
        mm_cmd_o.wscale <= insn_i[fvlm_isa_pkg::MmWscaleLsb+:1];
        mm_cmd_o.bias <= insn_i[fvlm_isa_pkg::MmBiasLsb+:1];
        mm_cmd_o.sa_stride <= count[175:160];
        mm_cmd_o.nm <= insn_i[fvlm_isa_pkg::MmNmLsb+:3];
        mm_cmd_o.first <= count[207:192];
        mm_cmd_o.pc <= pc_q[15:0];
      end
      if (is_vx) begin
        vx_cmd_o.rows <= count[15:0];
        vx_cmd_o.len <= count[47:32];
        vx_cmd_o.a_kind <= insn_i[fvlm_isa_pkg::VxAKindLsb+:1];
        vx_cmd_o.a_addr <= addr0;
        vx_cmd_o.a_stride <= insn_i[fvlm_isa_pkg::VxAStrideLsb+:12];
        vx_cmd_o.b_kind <= insn_i[fvlm_isa_pkg::VxBKindLsb+:2];
        vx_cmd_o.b_val <= addr1;
        vx_cmd_o.b_stride <= insn_i[fvlm_isa_pkg::VxBStrideLsb+:12];
        vx_cmd_o.c_kind <= insn_i[fvlm_isa_pkg::VxCKindLsb+:2];
        vx_cmd_o.c_val <= addr2;
        vx_cmd_o.c_stride <= insn_i[fvlm_isa_pkg::VxCStrideLsb+:12];
        vx_cmd_o.op1 <= insn_i[fvlm_isa_pkg::VxOp1Lsb+:3];
        vx_cmd_o.op2 <= insn_i[fvlm_isa_pkg::VxOp2Lsb+:3];
        vx_cmd_o.func <= insn_i[fvlm_isa_pkg::VxFuncLsb+:4];
        vx_cmd_o.red <= insn_i[fvlm_isa_pkg::VxRedLsb+:3];
        vx_cmd_o.d_kind <= insn_i[fvlm_isa_pkg::VxDKindLsb+:2];
        vx_cmd_o.d_addr <= addr3;
        vx_cmd_o.d_stride <= insn_i[fvlm_isa_pkg::VxDStrideLsb+:12];
        vx_cmd_o.sred_addr <= addr4;
        vx_cmd_o.causal <= insn_i[fvlm_isa_pkg::VxCausalLsb+:1];
        vx_cmd_o.b_row <= insn_i[fvlm_isa_pkg::VxBRowLsb+:2];
        vx_cmd_o.c_row <= insn_i[fvlm_isa_pkg::VxCRowLsb+:2];
        vx_cmd_o.vbase <= mask_used ? r_vbase[15:0] : '0;
        vx_cmd_o.rmod <= mask_used ? r_rmod[15:0] : '0;
        vx_cmd_o.pc <= pc_q[15:0];
      end
    end
  end

  // ---- Execute stage.
  logic        pc_bad, loop_bad, complete, execute;
  logic        loop_step, loop_exit;
  logic [1:0]  loop_level;
  logic [31:0] next_pc;

  assign pc_bad  = pc_q >= code_len_i;
  assign execute = state_q == StExecute && !stop_i;
  assign fault_o = execute &&
                   (pc_bad || illegal_q || operand_bad_q || (is_loop && loop_bad));
  always_comb begin
    fault_code_o = fvlm_isa_pkg::FAULT_LOOP;
    if (operand_bad_q) fault_code_o = fvlm_isa_pkg::FAULT_OPERAND;
    if (illegal_q) fault_code_o = fvlm_isa_pkg::FAULT_ILLEGAL;
    if (pc_bad) fault_code_o = fvlm_isa_pkg::FAULT_PC;
  end

  // A multiplication waits for the pipelined multiplier.
  logic        is_mul;
  logic [1:0]  mul_wait_q;
  logic [63:0] product;
  assign is_mul = is_alu && insn_i[fvlm_isa_pkg::AluFuncLsb+:4] == fvlm_isa_pkg::ALU_FUNC_MUL;
  multiply u_multiply (
      .clk_i,
      .en_i     (execute && is_mul),
      .a_i      (opa_q),
      .b_i      (opb_q),
      .product_o(product)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni || state_q != StExecute) mul_wait_q <= '0;
    else if (mul_wait_q != 2'd3) mul_wait_q <= mul_wait_q + 2'd1;
  end

  always_comb begin
    complete = execute && !fault_o;
    if ((is_unit & full_i) != '0) complete = 1'b0;
    if ((is_halt || is_fence) && !idle_i) complete = 1'b0;
    if (is_mul && mul_wait_q != 2'd3) complete = 1'b0;
  end
  assign dispatched_o = complete;
  assign halt_o       = complete && is_halt;
  assign push_o       = complete ? is_unit : '0;
  assign wait_o       = insn_i[11:8];
  assign release_o    = insn_i[15:12];
  assign alu_we       = complete && is_alu;

  always_comb begin
    alu_result = opa_q + opb_q;
    case (insn_i[fvlm_isa_pkg::AluFuncLsb+:4])
      fvlm_isa_pkg::ALU_FUNC_SUB: alu_result = opa_q - opb_q;
      fvlm_isa_pkg::ALU_FUNC_MUL: alu_result = product[31:0];
      fvlm_isa_pkg::ALU_FUNC_MIN: alu_result = (opa_q < opb_q) ? opa_q : opb_q;
      fvlm_isa_pkg::ALU_FUNC_MAX: alu_result = (opa_q < opb_q) ? opb_q : opa_q;
      fvlm_isa_pkg::ALU_FUNC_SHL: alu_result = opa_q << opb_q[4:0];
      fvlm_isa_pkg::ALU_FUNC_SHR: alu_result = opa_q >> opb_q[4:0];
      fvlm_isa_pkg::ALU_FUNC_LT: alu_result = {31'd0, opa_q < opb_q};
      fvlm_isa_pkg::ALU_FUNC_EQ: alu_result = {31'd0, opa_q == opb_q};
      default: alu_result = opa_q + opb_q;
    endcase
  end

  loop_stack u_loops (
      .clk_i,
      .clear_i   (launch_i),
      .pc_i      (pc_q),
      .advance_i (complete),
      .enter_i   (is_loop && cnt0_q != '0),
      .skip_i    (is_loop && cnt0_q == '0),
      .len_i     (insn_i[fvlm_isa_pkg::LoopLenLsb+:12]),
      .count_i   (cnt0_q),
      .code_len_i,
      .next_pc_o (next_pc),
      .bad_o     (loop_bad),
      .step_o    (loop_step),
      .exit_o    (loop_exit),
      .level_o   (loop_level)
  );

  agu_file u_agu (
      .clk_i,
      .clear_i    (launch_i),
      .set_i      (complete && is_seta),
      .set_agu_i  (insn_i[fvlm_isa_pkg::SetaAguLsb+:4]),
      .set_what_i (insn_i[fvlm_isa_pkg::SetaWhatLsb+:3]),
      .set_value_i(value_q),
      .step_i     (loop_step),
      .exit_i     (loop_exit),
      .level_i    (loop_level),
      .rd_agu_i   (agu),
      .rd_sum_o   (agu_sum)
  );

  assign imem_re_o = run_i || (complete && !is_halt);
  assign imem_pc_o = run_i ? entry_i : next_pc;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || launch_i) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle: if (run_i) state_q <= StRead;
        StRead: state_q <= StExecute;
        StExecute: begin
          if (halt_o || stop_i || fault_o) state_q <= StIdle;
          else if (complete) state_q <= StRead;
        end
        default: state_q <= StIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (imem_re_o) pc_q <= imem_pc_o;
  end

  logic unused;
  assign unused = ^{is_nop, product[63:32]};
endmodule

`default_nettype wire
