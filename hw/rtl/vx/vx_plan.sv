// What a command's operations take: kinds and latencies of its parts, registered once per command.
// Stages count from a step's issue: 1 a, b at hand, 2 op1 .. op2 .. function .. y_stage (mask).
// Cycle counts: hw/doc/timing.md, section VX.
`default_nettype none

module vx_plan #(
  parameter int unsigned SumCycles  = 30,  // from a row's last step at the accumulator to its sum
  parameter int unsigned BestCycles = 5    // from the candidates to the row's extremum
) (
  input  wire                    clk_i,
  input  wire                    load_i,
  /* verilator lint_off UNUSEDSIGNAL */  // operations only
  input  fvlm_isa_pkg::vx_cmd_t  cmd_i,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [1:0]  kind1_o,     // see vx_op
  output logic [1:0]  kind2_o,
  output logic        sub1_o,
  output logic        sub2_o,
  output logic [2:0]  op1_o,       // cycles
  output logic [2:0]  op2_o,
  output logic [3:0]  func_o,
  output logic [4:0]  y_stage_o,
  output logic [4:0]  y_tap_o,     // 0 where Y is 2 or 3, else Y - 3
  output logic        is_sum_o,
  output logic        is_square_o,
  output logic        slow_o,      // op2 and the function both need the adder: a step in 16 cycles
  output logic [3:0]  sum_slot_o,  // stage of the accumulator, mod 16
  output logic [9:0]  end_o        // from the last issue to the last write
);
  // op1 and op2 share one encoding; the package has it per field.
  function automatic logic [1:0] kind(input logic [2:0] op);
    case (op)
      fvlm_isa_pkg::VX_OP1_ADD, fvlm_isa_pkg::VX_OP1_SUB: kind = 2'd3;
      fvlm_isa_pkg::VX_OP1_MUL: kind = 2'd2;
      fvlm_isa_pkg::VX_OP1_MAX: kind = 2'd1;
      default: kind = 2'd0;
    endcase
  endfunction
  function automatic logic [2:0] cycles(input logic [1:0] k);
    cycles = (k == 2'd3) ? 3'd4 : (k == 2'd2) ? 3'd3 : {2'd0, k[0]};
  endfunction

  logic       is_sum, is_square, is_bump, slow;
  logic [1:0] kind1, kind2;
  logic [2:0] op1, op2;
  logic [3:0] func;
  logic [4:0] y_stage, sum_stage;
  assign kind1     = kind(cmd_i.op1);
  assign kind2     = kind(cmd_i.op2);
  assign op1       = cycles(kind1);
  assign op2       = cycles(kind2);
  assign is_bump   = cmd_i.func == fvlm_isa_pkg::VX_FUNC_GELU || cmd_i.func == fvlm_isa_pkg::VX_FUNC_GELU_TANH
                     || cmd_i.func == fvlm_isa_pkg::VX_FUNC_SILU;
  assign func      = (cmd_i.func == fvlm_isa_pkg::VX_FUNC_NONE) ? 4'd0 : is_bump ? 4'd12 : 4'd7;
  assign y_stage   = 5'd2 + {2'd0, op1} + {2'd0, op2} + {1'd0, func};
  assign is_square = cmd_i.red == fvlm_isa_pkg::VX_RED_SUMSQ;
  assign is_sum    = cmd_i.red == fvlm_isa_pkg::VX_RED_SUM || is_square;
  assign sum_stage = y_stage + (is_square ? 5'd4 : 5'd1);
  assign slow      = is_bump && kind2 == 2'd3;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      kind1_o     <= kind1;
      kind2_o     <= kind2;
      sub1_o      <= cmd_i.op1 == fvlm_isa_pkg::VX_OP1_SUB;
      sub2_o      <= cmd_i.op2 == fvlm_isa_pkg::VX_OP2_SUB;
      op1_o       <= op1;
      op2_o       <= op2;
      func_o      <= func;
      y_stage_o   <= y_stage;
      y_tap_o     <= (y_stage < 5'd4) ? 5'd0 : y_stage - 5'd3;
      is_sum_o    <= is_sum;
      is_square_o <= is_square;
      slow_o      <= slow;
      sum_slot_o  <= sum_stage[3:0];
      end_o       <= is_sum ? 10'(sum_stage) + (slow ? 10'(16 * SumCycles) : 10'(SumCycles))
                   : (cmd_i.red != fvlm_isa_pkg::VX_RED_NONE) ? 10'(y_stage) + 10'(2 + BestCycles)
                   : 10'(y_stage) + ((cmd_i.d_kind == fvlm_isa_pkg::VX_D_KIND_ABUF) ? 10'd3 : 10'd1);
    end
  end
endmodule

`default_nettype wire
