// Hardware loops: up to four nested frames {first, last, iterations left}. The dispatcher asks
// where an instruction leads. In the read cycle the innermost frame, the end of a body that begins here and
// what is wrong with it are noted; in the execute cycle next_pc_o follows from these notes: back to the
// frame's start when pc_i is its last instruction. Entering and leaving happen when the instruction
// completes (advance_i).
`default_nettype none

module loop_stack (
    input  logic        clk_i,
    input  logic        clear_i,
    input  logic        read_i,        // read cycle of the instruction at pc_i
    input  logic [31:0] pc_i,
    input  logic [11:0] len_i,
    input  logic [31:0] code_len_i,
    input  logic        advance_i,     // the instruction at pc_i completes
    input  logic        loop_i,        // ... and is a LOOP
    input  logic [31:0] count_i,
    output logic [31:0] next_pc_o,
    output logic        bad_o,         // a LOOP here would nest wrongly
    output logic        step_o,        // level_o starts its next iteration
    output logic        exit_o,        // level_o ends
    output logic [1:0]  level_o
);
  logic [31:0] first_q [0:3], last_q [0:3], left_q [0:3];
  logic [2:0]  depth_q;
  logic [1:0]  top_q;  // depth_q - 1
  logic        open;
  logic [3:0]  ends;
  logic [31:0] last, left, body_last;
  assign open      = depth_q != '0;
  assign last      = last_q[top_q];
  assign left      = left_q[top_q];
  for (genvar l = 0; l < 4; l++) begin : gen_end
    assign ends[l] = last_q[l] == pc_i;
  end
  assign body_last = pc_i + 32'(len_i);

  logic        at_end_q, again_q, deep_q, past_q, outside_q;
  logic [31:0] first_top_q, left_less_q, pc_next_q, body_last_q;
  always_ff @(posedge clk_i) begin
    if (read_i) begin
      at_end_q    <= open && ends[top_q];
      again_q     <= left != 32'd1;
      left_less_q <= left - 32'd1;
      first_top_q <= first_q[top_q];
      pc_next_q   <= pc_i + 32'd1;
      body_last_q <= body_last;
      deep_q      <= depth_q == 3'd4;
      past_q      <= body_last >= code_len_i;
      outside_q   <= open && body_last >= last;
    end
  end

  logic skip;
  assign skip    = loop_i && count_i == '0;
  assign bad_o   = deep_q || past_q || outside_q;
  assign level_o = top_q;
  assign step_o  = advance_i && at_end_q && again_q;
  assign exit_o  = advance_i && at_end_q && !again_q;

  always_comb begin
    next_pc_o = pc_next_q;
    if (at_end_q && again_q) next_pc_o = first_top_q;
    if (skip) next_pc_o = body_last_q + 32'd1;
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      depth_q <= '0;
      top_q   <= '1;
    end else if (advance_i) begin
      if (loop_i && !skip) begin
        depth_q <= depth_q + 3'd1;
        top_q   <= top_q + 2'd1;
      end else if (exit_o) begin
        depth_q <= depth_q - 3'd1;
        top_q   <= top_q - 2'd1;
      end
    end
    // A frame above the innermost one holds nothing: it may be written whether it opens or not.
    if (advance_i && loop_i) begin
      first_q[depth_q[1:0]] <= pc_next_q;
      last_q[depth_q[1:0]]  <= body_last_q;
      left_q[depth_q[1:0]]  <= count_i;
    end else if (step_o) left_q[top_q] <= left_less_q;
  end
endmodule

`default_nettype wire
