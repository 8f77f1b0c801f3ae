// Hardware loops: up to four nested frames {first, last, iterations left}. The dispatcher asks
// where an instruction leads: next_pc_o follows the innermost frame when pc_i is its last
// instruction. Entering and leaving happen when the instruction completes (advance_i).
`default_nettype none

module loop_stack (
    input  logic        clk_i,
    input  logic        clear_i,
    input  logic [31:0] pc_i,
    input  logic        advance_i,     // the instruction at pc_i completes
    input  logic        enter_i,       // ... and is a LOOP with a count above zero
    input  logic        skip_i,        // ... and is a LOOP with count zero
    input  logic [11:0] len_i,
    input  logic [31:0] count_i,
    input  logic [31:0] code_len_i,
    output logic [31:0] next_pc_o,
    output logic        bad_o,         // a LOOP here would nest wrongly
    output logic        step_o,        // level_o starts its next iteration
    output logic        exit_o,        // level_o ends
    output logic [1:0]  level_o
);
  logic [31:0] first_q [0:3], last_q [0:3], left_q [0:3];
  logic [2:0]  depth_q;
  logic [1:0]  top;
  logic        open, at_end, again;
  logic [31:0] body_last;

  assign top       = 2'(depth_q - 3'd1);
  assign open      = depth_q != '0;
  assign at_end    = open && last_q[top] == pc_i;
  assign again     = left_q[top] != 32'd1;
  assign body_last = pc_i + 32'(len_i);
  assign bad_o     = depth_q == 3'd4 || body_last >= code_len_i ||
                     (open && body_last >= last_q[top]);
  assign level_o   = top;
  assign step_o    = advance_i && at_end && again;
  assign exit_o    = advance_i && at_end && !again;

  always_comb begin
    next_pc_o = pc_i + 32'd1;
    if (at_end && again) next_pc_o = first_q[top];
    if (skip_i) next_pc_o = body_last + 32'd1;
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) depth_q <= '0;
    else if (advance_i) begin
      if (enter_i) begin
        depth_q                <= depth_q + 3'd1;
        first_q[depth_q[1:0]] <= pc_i + 32'd1;
        last_q[depth_q[1:0]]  <= body_last;
        left_q[depth_q[1:0]]  <= count_i;
      end else if (step_o) left_q[top] <= left_q[top] - 32'd1;
      else if (exit_o) depth_q <= depth_q - 3'd1;
    end
  end
endmodule

`default_nettype wire
