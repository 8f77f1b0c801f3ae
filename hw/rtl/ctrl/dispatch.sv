// Dispatcher: two cycles an instruction. Read: the instruction is at the IMEM output; registers are read,
// what it is and what is wrong with it are noted. Execute: SYS-class instructions take effect (a
// multiplication three cycles later), the others are pushed in their unit's queue (waits while it is
// full) with the addresses that the generators give now; the next pc goes to IMEM. Order of checks: PC,
// ILLEGAL, OPERAND, LOOP. The first instruction is read when a launch's arguments are in the registers.
// IMEM is a block RAM without an output register: what the execute cycle decides by comes from registers
// of the read cycle; only fields that pass through unchanged come from the instruction itself.
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
  typedef enum logic [1:0] {StIdle, StLoad, StRead, StExecute} state_e;
  state_e      state_q;
  logic [31:0] pc_q;

  assign pc_o = pc_q;

  // ---- Read stage. What the instruction is; for multiplexers in front of the registers a few bits do, as
  // what is no instruction at all faults.
  logic [7:0] opcode;
  logic       to_unit, ld_st, seta_else_alu;
  logic [1:0] unit;
  logic [3:0] func;
  assign func          = insn_i[fvlm_isa_pkg::AluFuncLsb+:4];
  assign opcode        = insn_i[7:0];
  assign to_unit       = opcode[4];
  assign unit          = opcode[1:0];
  assign ld_st         = to_unit && !unit[1];
  assign seta_else_alu = opcode[1];

  localparam int unsigned Insns = fvlm_isa_pkg::Insns;
  logic [fvlm_isa_pkg::ExamineW-1:0] examined_q;
  logic [Insns-1:0] is_q, legal;
  logic             pc_bad_q, mask_bad_q, cnt_bad, illegal;
  logic             halt_q, loop_q, seta_q, waits_q, multiplies_q;
  logic [3:0]       unit_q;
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      examined_q   <= fvlm_isa_pkg::examine(insn_i);
      pc_bad_q     <= pc_q >= code_len_i;
      waits_q      <= opcode == fvlm_isa_pkg::OP_HALT || opcode == fvlm_isa_pkg::OP_FENCE;
      multiplies_q <= opcode == fvlm_isa_pkg::OP_ALU && func == fvlm_isa_pkg::ALU_FUNC_MUL;
    end
  end
  assign is_q    = examined_q[Insns-1:0];
  assign halt_q  = is_q[fvlm_isa_pkg::InsnHalt];
  assign loop_q  = is_q[fvlm_isa_pkg::InsnLoop];
  assign seta_q  = is_q[fvlm_isa_pkg::InsnSeta];
  assign unit_q  = {is_q[fvlm_isa_pkg::InsnVx], is_q[fvlm_isa_pkg::InsnMm], is_q[fvlm_isa_pkg::InsnSt],
                    is_q[fvlm_isa_pkg::InsnLd]};
  assign legal   = fvlm_isa_pkg::legal(examined_q);
  assign illegal = legal == '0;

  // Counts of each instruction, in the order of its fields. The ALU's and SETA's operands come through the last
  // two ports.
  localparam int unsigned Ports = 7;
  logic [16*Ports-1:0] field;
  logic [5*Ports-1:0]  r_addr;
  logic [16*Ports-1:0] r_low;
  logic [47:0]         r_high;  // of a loop's count and the operands
  logic [3*Ports-1:0]  r_wide;
  logic [31:0]         r_vbase, r_rmod;
  logic                loading, alu_we;
  logic [31:0]         alu_result;
  logic [4:0]          rd_q;
  always_comb begin
    field[15:0]  = ld_st ? insn_i[fvlm_isa_pkg::LdRowsLsb+:16] : insn_i[fvlm_isa_pkg::MmRowsLsb+:16];
    field[31:16] = ld_st ? insn_i[fvlm_isa_pkg::LdLenLsb+:16] : insn_i[fvlm_isa_pkg::MmTilesLsb+:16];
    case (unit)
      2'd0: field[47:32] = insn_i[fvlm_isa_pkg::LdFirstLsb+:16];
      2'd1: field[47:32] = insn_i[fvlm_isa_pkg::StPosLsb+:16];
      default: field[47:32] = insn_i[fvlm_isa_pkg::MmKbLsb+:16];
    endcase
    field[63:48]  = unit[0] ? insn_i[fvlm_isa_pkg::StFirstLsb+:16] : insn_i[fvlm_isa_pkg::MmActStrideLsb+:16];
    field[79:64]  = unit[0] ? insn_i[fvlm_isa_pkg::StHeadsLsb+:16] : insn_i[fvlm_isa_pkg::MmOutStrideLsb+:16];
    field[95:80]  = insn_i[fvlm_isa_pkg::MmSaStrideLsb+:16];
    field[111:96] = insn_i[fvlm_isa_pkg::MmFirstLsb+:16];
    for (int i = 0; i < Ports; i++) r_addr[5*i+:5] = field[16*i+:5];
    if (!to_unit) begin
      r_addr[29:25] = seta_else_alu ? insn_i[fvlm_isa_pkg::SetaRsLsb+:5] : insn_i[fvlm_isa_pkg::AluRsLsb+:5];
      r_addr[34:30] = insn_i[fvlm_isa_pkg::AluRtLsb+:5];
    end
  end

  scalar_file #(
      .Ports(Ports)
  ) u_scalars (
      .clk_i,
      .launch_i,
      .args_i,
      .loading_o(loading),
      .wr_en_i  (alu_we),
      .wr_addr_i(rd_q),
      .wr_data_i(alu_result),
      .rd_addr_i(r_addr),
      .rd_low_o (r_low),
      .rd_high_o(r_high),
      .rd_wide_o(r_wide),
      .vbase_o  (r_vbase),
      .rmod_o   (r_rmod)
  );

  // A count from a register must fit 16 bits, if the instruction has it at all.
  logic [16*Ports-1:0] count_q;
  logic [3*Ports-1:0]  wide_q;
  logic [Ports-1:0]    checked, checked_q;
  always_comb begin
    case (unit)
      2'd0: checked = Ports'('h07);     // LD
      2'd1: checked = Ports'('h1f);     // ST
      2'd2: checked = Ports'('h7f);     // MM
      default: checked = Ports'('h03);  // VX
    endcase
  end
  logic [31:0]         loop_count_q, opa_q, opb, opb_q;
  assign opb = seta_else_alu ? insn_i[fvlm_isa_pkg::SetaImmLsb+:32] :
               insn_i[fvlm_isa_pkg::AluUseImmLsb] ? insn_i[fvlm_isa_pkg::AluImmLsb+:32] : {r_high[47:32], r_low[111:96]};
  for (genvar i = 0; i < Ports; i++) begin : gen_count
    always_ff @(posedge clk_i) begin
      if (state_q == StRead) begin
        count_q[16*i+:16] <= field[16*i+15] ? r_low[16*i+:16] : field[16*i+:16];
        wide_q[3*i+:3]    <= r_wide[3*i+:3];
        checked_q[i]      <= field[16*i+15] && checked[i];
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      loop_count_q <= field[15] ? {r_high[15:0], r_low[15:0]} : {16'd0, field[15:0]};
      opa_q        <= {r_high[31:16], r_low[95:80]};
      opb_q        <= opb;
    end
  end
  // Parts of the ALU's result; of them one is taken.
  logic       sum_q, sub_q, mul_q, shift_q, left_q, min_q, max_q, less_q, equal_q;
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      rd_q    <= insn_i[fvlm_isa_pkg::AluRdLsb+:5];
      sum_q   <= func == fvlm_isa_pkg::ALU_FUNC_ADD || func == fvlm_isa_pkg::ALU_FUNC_SUB;
      sub_q   <= func == fvlm_isa_pkg::ALU_FUNC_SUB;
      mul_q   <= func == fvlm_isa_pkg::ALU_FUNC_MUL;
      shift_q <= func == fvlm_isa_pkg::ALU_FUNC_SHL || func == fvlm_isa_pkg::ALU_FUNC_SHR;
      left_q  <= func == fvlm_isa_pkg::ALU_FUNC_SHL;
      min_q   <= func == fvlm_isa_pkg::ALU_FUNC_MIN;
      max_q   <= func == fvlm_isa_pkg::ALU_FUNC_MAX;
      less_q  <= func == fvlm_isa_pkg::ALU_FUNC_LT;
      equal_q <= func == fvlm_isa_pkg::ALU_FUNC_EQ;
    end
  end

  always_comb begin
    cnt_bad = 1'b0;
    for (int i = 0; i < Ports; i++) begin
      if (checked_q[i] && wide_q[3*i+:3] != '0) cnt_bad = unit_q != '0;
    end
  end

  // R30 and R31 matter to a VX command with a causal mask or another row order for b or c.
  logic        mask_used;
  logic [15:0] vbase_q, rmod_q;
  assign mask_used = insn_i[fvlm_isa_pkg::VxCausalLsb] ||
                     insn_i[fvlm_isa_pkg::VxBRowLsb+:2] != '0 ||
                     insn_i[fvlm_isa_pkg::VxCRowLsb+:2] != '0;
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      vbase_q    <= mask_used ? r_vbase[15:0] : '0;
      rmod_q     <= mask_used ? r_rmod[15:0] : '0;
      mask_bad_q <= mask_used && (r_vbase[31:16] != '0 || r_rmod[31:16] != '0);
    end
  end

  // Five address ports: LD dst, src, sidx; ST src, dst; MM act, out, sa; VX a, b, c, d, sred. An immediate
  // is an offset from A0.
  logic [19:0]  agu, agu_q;
  logic [17:0]  off0, off0_q, off3_q;
  logic [31:0]  off1, off1_q, off2, off2_q;
  logic [13:0]  off4_q;
  logic [159:0] agu_sum;
  logic         b_imm, c_imm;
  assign b_imm = insn_i[fvlm_isa_pkg::VxBKindLsb+:2] == fvlm_isa_pkg::VX_B_KIND_IMM;
  assign c_imm = insn_i[fvlm_isa_pkg::VxCKindLsb+:2] == fvlm_isa_pkg::VX_C_KIND_IMM;
  always_comb begin
    agu[15:12] = insn_i[fvlm_isa_pkg::VxDAguLsb+:4];
    agu[19:16] = insn_i[fvlm_isa_pkg::VxSredAguLsb+:4];
    case (unit)
      2'd0: begin
        agu[11:0] = {insn_i[fvlm_isa_pkg::LdSidxAguLsb+:4], insn_i[fvlm_isa_pkg::LdSrcAguLsb+:4],
                     insn_i[fvlm_isa_pkg::LdDstAguLsb+:4]};
        off0 = insn_i[fvlm_isa_pkg::LdDstOffLsb+:18];
        off1 = {4'd0, insn_i[fvlm_isa_pkg::LdSrcOffLsb+:28]};
        off2 = {14'd0, insn_i[fvlm_isa_pkg::LdSidxOffLsb+:18]};
      end
      2'd1: begin
        agu[11:0] = {4'd0, insn_i[fvlm_isa_pkg::StDstAguLsb+:4], insn_i[fvlm_isa_pkg::StSrcAguLsb+:4]};
        off0 = insn_i[fvlm_isa_pkg::StSrcOffLsb+:18];
        off1 = {4'd0, insn_i[fvlm_isa_pkg::StDstOffLsb+:28]};
        off2 = '0;
      end
      2'd2: begin
        agu[11:0] = {insn_i[fvlm_isa_pkg::MmSaAguLsb+:4], insn_i[fvlm_isa_pkg::MmOutAguLsb+:4],
                     insn_i[fvlm_isa_pkg::MmActAguLsb+:4]};
        off0 = insn_i[fvlm_isa_pkg::MmActOffLsb+:18];
        off1 = {14'd0, insn_i[fvlm_isa_pkg::MmOutOffLsb+:18]};
        off2 = {14'd0, insn_i[fvlm_isa_pkg::MmSaOffLsb+:18]};
      end
      default: begin
        agu[11:0] = {c_imm ? 4'd0 : insn_i[fvlm_isa_pkg::VxCLsb+28+:4],
                     b_imm ? 4'd0 : insn_i[fvlm_isa_pkg::VxBLsb+28+:4], insn_i[fvlm_isa_pkg::VxAAguLsb+:4]};
        off0 = insn_i[fvlm_isa_pkg::VxAOffLsb+:18];
        off1 = {b_imm ? insn_i[fvlm_isa_pkg::VxBLsb+18+:14] : 14'd0, insn_i[fvlm_isa_pkg::VxBLsb+:18]};
        off2 = {c_imm ? insn_i[fvlm_isa_pkg::VxCLsb+18+:14] : 14'd0, insn_i[fvlm_isa_pkg::VxCLsb+:18]};
      end
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      agu_q  <= agu;
      off0_q <= off0;
      off1_q <= off1;
      off2_q <= off2;
      off3_q <= insn_i[fvlm_isa_pkg::VxDOffLsb+:18];
      off4_q <= insn_i[fvlm_isa_pkg::VxSredOffLsb+:14];
    end
  end

  // What a SETA changes, and of which generator.
  logic [15:1] seta_agu_q;
  logic        seta_base_q, seta_sum_q;
  logic [3:0]  seta_stride_q;
  logic [2:0]  what;
  assign what = insn_i[fvlm_isa_pkg::SetaWhatLsb+:3];
  always_ff @(posedge clk_i) begin
    if (state_q == StRead) begin
      for (int a = 1; a < 16; a++) seta_agu_q[a] <= insn_i[fvlm_isa_pkg::SetaAguLsb+:4] == 4'(a);
      seta_base_q <= what == fvlm_isa_pkg::SETA_WHAT_BASE;
      seta_sum_q  <= what == fvlm_isa_pkg::SETA_WHAT_BASE || what == fvlm_isa_pkg::SETA_WHAT_ADVANCE;
      for (int l = 0; l < 4; l++) seta_stride_q[l] <= what == fvlm_isa_pkg::SETA_WHAT_STRIDE0 + 3'(l);
    end
  end

  // ---- Execute stage. Commands.
  logic [31:0] addr0, addr1, addr2, addr3, addr4;
  assign addr0 = agu_sum[31:0] + 32'(off0_q);
  assign addr1 = agu_sum[63:32] + off1_q;
  assign addr2 = agu_sum[95:64] + off2_q;
  assign addr3 = agu_sum[127:96] + 32'(off3_q);
  assign addr4 = agu_sum[159:128] + 32'(off4_q);

  assign ld_cmd_o = '{
      mode: insn_i[fvlm_isa_pkg::LdModeLsb+:3],
      rows: count_q[15:0],
      len: count_q[31:16],
      dst_addr: addr0,
      dst_stride: insn_i[fvlm_isa_pkg::LdDstStrideLsb+:12],
      src_addr: addr1,
      src_stride: insn_i[fvlm_isa_pkg::LdSrcStrideLsb+:32],
      sidx_addr: addr2,
      kbg: insn_i[fvlm_isa_pkg::LdKbgLsb+:8],
      wscale: insn_i[fvlm_isa_pkg::LdWscaleLsb+:1],
      bias: insn_i[fvlm_isa_pkg::LdBiasLsb+:1],
      fmt: insn_i[fvlm_isa_pkg::LdFmtLsb+:3],
      nm: insn_i[fvlm_isa_pkg::LdNmLsb+:3],
      first: count_q[47:32],
      pc: pc_q[15:0]
  };
  assign st_cmd_o = '{
      mode: insn_i[fvlm_isa_pkg::StModeLsb+:3],
      rows: count_q[15:0],
      len: count_q[31:16],
      src_addr: addr0,
      src_stride: insn_i[fvlm_isa_pkg::StSrcStrideLsb+:12],
      dst_addr: addr1,
      dst_stride: insn_i[fvlm_isa_pkg::StDstStrideLsb+:32],
      chunk_stride: insn_i[fvlm_isa_pkg::StChunkStrideLsb+:24],
      pos: count_q[47:32],
      first: count_q[63:48],
      heads: count_q[79:64],
      head_stride: insn_i[fvlm_isa_pkg::StHeadStrideLsb+:12],
      head_step: insn_i[fvlm_isa_pkg::StHeadStepLsb+:16],
      pc: pc_q[15:0]
  };
  assign mm_cmd_o = '{
      rows: count_q[15:0],
      tiles: count_q[31:16],
      kb: count_q[47:32],
      kbg: insn_i[fvlm_isa_pkg::MmKbgLsb+:8],
      act_addr: addr0,
      act_stride: count_q[63:48],
      out_addr: addr1,
      out_stride: count_q[79:64],
      sa_addr: addr2,
      sa_stride: count_q[95:80],
      wscale: insn_i[fvlm_isa_pkg::MmWscaleLsb+:1],
      bias: insn_i[fvlm_isa_pkg::MmBiasLsb+:1],
      nm: insn_i[fvlm_isa_pkg::MmNmLsb+:3],
      first: count_q[111:96],
      pc: pc_q[15:0]
  };
  assign vx_cmd_o = '{
      rows: count_q[15:0],
      len: count_q[31:16],
      a_kind: insn_i[fvlm_isa_pkg::VxAKindLsb+:1],
      a_addr: addr0,
      a_stride: insn_i[fvlm_isa_pkg::VxAStrideLsb+:12],
      b_kind: insn_i[fvlm_isa_pkg::VxBKindLsb+:2],
      b_val: addr1,
      b_stride: insn_i[fvlm_isa_pkg::VxBStrideLsb+:12],
      c_kind: insn_i[fvlm_isa_pkg::VxCKindLsb+:2],
      c_val: addr2,
      c_stride: insn_i[fvlm_isa_pkg::VxCStrideLsb+:12],
      op1: insn_i[fvlm_isa_pkg::VxOp1Lsb+:3],
      op2: insn_i[fvlm_isa_pkg::VxOp2Lsb+:3],
      func: insn_i[fvlm_isa_pkg::VxFuncLsb+:4],
      red: insn_i[fvlm_isa_pkg::VxRedLsb+:3],
      d_kind: insn_i[fvlm_isa_pkg::VxDKindLsb+:2],
      d_addr: addr3,
      d_stride: insn_i[fvlm_isa_pkg::VxDStrideLsb+:12],
      sred_addr: addr4,
      causal: insn_i[fvlm_isa_pkg::VxCausalLsb+:1],
      b_row: insn_i[fvlm_isa_pkg::VxBRowLsb+:2],
      c_row: insn_i[fvlm_isa_pkg::VxCRowLsb+:2],
      vbase: vbase_q,
      rmod: rmod_q,
      pc: pc_q[15:0]
  };

  // ---- What happens.
  logic        operand_bad, loop_bad, execute, blocked, complete, set;
  logic        loop_step, loop_exit;
  logic [1:0]  loop_level;
  logic [31:0] next_pc;

  assign operand_bad = cnt_bad || (unit_q[3] && mask_bad_q);
  assign execute     = state_q == StExecute && !stop_i;
  assign fault_o     = execute && (pc_bad_q || illegal || operand_bad || (loop_q && loop_bad));
  always_comb begin
    fault_code_o = fvlm_isa_pkg::FAULT_LOOP;
    if (operand_bad) fault_code_o = fvlm_isa_pkg::FAULT_OPERAND;
    if (illegal) fault_code_o = fvlm_isa_pkg::FAULT_ILLEGAL;
    if (pc_bad_q) fault_code_o = fvlm_isa_pkg::FAULT_PC;
  end

  // A multiplication waits for the pipelined multiplier.
  logic [2:0]  multiplied_q;  // its cycles that are over
  logic [63:0] product;
  multiply u_multiply (
      .clk_i,
      .en_i     (execute && multiplies_q),
      .a_i      (opa_q),
      .b_i      (opb_q),
      .product_o(product)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni || state_q != StExecute) multiplied_q <= '0;
    else multiplied_q <= {multiplied_q[1:0], 1'b1};
  end

  // Scalars see no faults of units. Loops and generators see none at all: a launch clears them.
  logic multiplying;
  assign multiplying  = multiplies_q && !multiplied_q[2];
  assign blocked      = (unit_q & full_i) != '0 || (waits_q && !idle_i) || multiplying;
  assign complete     = execute && !fault_o && !blocked;
  assign dispatched_o = complete;
  assign halt_o       = execute && legal[fvlm_isa_pkg::InsnHalt] && !pc_bad_q && idle_i;
  assign push_o       = complete ? unit_q : '0;
  assign wait_o       = insn_i[11:8];
  assign release_o    = insn_i[15:12];
  assign alu_we       = execute && legal[fvlm_isa_pkg::InsnAlu] && !pc_bad_q && !multiplying;
  assign set          = execute && seta_q;

  logic        less, take_a, take_b, true;
  logic [31:0] shl, shr, shift, sum;
  assign less  = opa_q < opb_q;
  assign sum   = opa_q + (opb_q ^ {32{sub_q}}) + 32'(sub_q);
  // Shifts by 0 to 3, by multiples of 4, by 16: a LUT a bit each.
  function automatic logic [31:0] quarter(input logic [1:0] by, input logic [3:0][31:0] of);
    quarter = by[1] ? (by[0] ? of[3] : of[2]) : (by[0] ? of[1] : of[0]);
  endfunction
  logic [31:0] shl_low, shr_low;
  assign shl_low = quarter(opb_q[1:0], {opa_q << 3, opa_q << 2, opa_q << 1, opa_q});
  assign shr_low = quarter(opb_q[1:0], {opa_q >> 3, opa_q >> 2, opa_q >> 1, opa_q});
  assign shl = quarter(opb_q[3:2], {shl_low << 12, shl_low << 8, shl_low << 4, shl_low});
  assign shr = quarter(opb_q[3:2], {shr_low >> 12, shr_low >> 8, shr_low >> 4, shr_low});
  assign shift = left_q ? (opb_q[4] ? {shl[15:0], 16'd0} : shl) : (opb_q[4] ? {16'd0, shr[31:16]} : shr);
  assign take_a = less ? min_q : max_q;
  assign take_b = less ? max_q : min_q;
  assign true   = (less_q && less) || (equal_q && opa_q == opb_q);
  assign alu_result = ({32{sum_q}} & sum) | ({32{mul_q}} & product[31:0]) | ({32{shift_q}} & shift) |
                      ({32{take_a}} & opa_q) | ({32{take_b}} & opb_q) | {31'd0, true};

  loop_stack u_loops (
      .clk_i,
      .clear_i   (launch_i),
      .read_i    (state_q == StRead),
      .pc_i      (pc_q),
      .len_i     (insn_i[fvlm_isa_pkg::LoopLenLsb+:12]),
      .code_len_i,
      .advance_i (execute && !blocked),
      .loop_i    (loop_q),
      .count_i   (loop_count_q),
      .next_pc_o (next_pc),
      .bad_o     (loop_bad),
      .step_o    (loop_step),
      .exit_o    (loop_exit),
      .level_o   (loop_level)
  );

  agu_file u_agu (
      .clk_i,
      .clear_i    (launch_i),
      .set_i      (set),
      .set_agu_i  (seta_agu_q),
      .set_base_i (seta_base_q),
      .set_sum_i  (seta_sum_q),
      .set_stride_i(seta_stride_q),
      .set_value_i(opa_q + opb_q),
      .step_i     (loop_step),
      .exit_i     (loop_exit),
      .level_i    (loop_level),
      .rd_agu_i   (agu_q),
      .rd_sum_o   (agu_sum)
  );

  // An instruction behind one that faults may be read, but does not execute.
  assign imem_re_o = run_i || (execute && !blocked && !halt_q);
  assign imem_pc_o = run_i ? entry_i : next_pc;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || launch_i) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle: if (run_i) state_q <= loading ? StLoad : StRead;
        StLoad: if (!loading) state_q <= StRead;
        StRead: state_q <= StExecute;
        StExecute: begin
          if (stop_i || fault_o || (halt_q && idle_i)) state_q <= StIdle;
          else if (!blocked) state_q <= StRead;
        end
        default: state_q <= StIdle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (imem_re_o) pc_q <= imem_pc_o;
  end

  logic unused;
  assign unused = ^{opcode[3:2], product[63:32]};
endmodule

`default_nettype wire
