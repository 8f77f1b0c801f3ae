// Address generators A0..A15: base, and per loop level a stride and a running offset. The sum
// base + offsets is kept in a register, so reading an address costs one multiplexer. A SETA and a
// loop event may come in the same cycle (SETA is the last instruction of a body): SETA first.
`default_nettype none

module agu_file (
    input  logic         clk_i,
    input  logic         clear_i,
    input  logic         set_i,        // SETA
    input  logic [3:0]   set_agu_i,
    input  logic [2:0]   set_what_i,
    input  logic [31:0]  set_value_i,
    input  logic         step_i,       // loop level starts its next iteration
    input  logic         exit_i,       // loop level ends
    input  logic [1:0]   level_i,
    input  logic [19:0]  rd_agu_i,     // five ports
    output logic [159:0] rd_sum_o
);
  logic [31:0] sum_q [0:15];

  assign sum_q[0] = '0;

  for (genvar i = 0; i < 5; i++) begin : gen_read
    assign rd_sum_o[i*32+:32] = sum_q[rd_agu_i[i*4+:4]];
  end

  for (genvar a = 1; a < 16; a++) begin : gen_agu
    logic [31:0] base_q, stride0_q, stride1_q, stride2_q, stride3_q;
    logic [31:0] off0_q, off1_q, off2_q, off3_q;
    logic        set;
    assign set = set_i && set_agu_i == 4'(a);

    always_ff @(posedge clk_i) begin
      if (clear_i) begin
        base_q    <= '0;
        stride0_q <= '0;
        stride1_q <= '0;
        stride2_q <= '0;
        stride3_q <= '0;
        off0_q    <= '0;
        off1_q    <= '0;
        off2_q    <= '0;
        off3_q    <= '0;
        sum_q[a]  <= '0;
      end else if (set || step_i || exit_i) begin : update
        logic [31:0] base, stride0, stride1, stride2, stride3, off0, off1, off2, off3;
        base    = base_q;
        stride0 = stride0_q;
        stride1 = stride1_q;
        stride2 = stride2_q;
        stride3 = stride3_q;
        if (set) begin
          case (set_what_i)
            fvlm_isa_pkg::SETA_WHAT_BASE: base = set_value_i;
            fvlm_isa_pkg::SETA_WHAT_STRIDE0: stride0 = set_value_i;
            fvlm_isa_pkg::SETA_WHAT_STRIDE1: stride1 = set_value_i;
            fvlm_isa_pkg::SETA_WHAT_STRIDE2: stride2 = set_value_i;
            fvlm_isa_pkg::SETA_WHAT_STRIDE3: stride3 = set_value_i;
            default: base = base_q + set_value_i;
          endcase
        end
        off0 = off0_q;
        off1 = off1_q;
        off2 = off2_q;
        off3 = off3_q;
        if (step_i || exit_i) begin
          case (level_i)
            2'd0: off0 = exit_i ? 32'd0 : off0_q + stride0;
            2'd1: off1 = exit_i ? 32'd0 : off1_q + stride1;
            2'd2: off2 = exit_i ? 32'd0 : off2_q + stride2;
            default: off3 = exit_i ? 32'd0 : off3_q + stride3;
          endcase
        end
        base_q    <= base;
        stride0_q <= stride0;
        stride1_q <= stride1;
        stride2_q <= stride2;
        stride3_q <= stride3;
        off0_q    <= off0;
        off1_q    <= off1;
        off2_q    <= off2;
        off3_q    <= off3;
        sum_q[a]  <= base + off0 + off1 + off2 + off3;
      end
    end
  end
endmodule

`default_nettype wire
