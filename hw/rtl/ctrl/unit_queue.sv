// In-order command queue of one unit. The oldest command is issued when the unit is idle and a
// token from every unit in its wait mask is there; it then sits in the run register, stable, until
// the unit reports done or fault. The start pulse follows issue by one cycle.
`default_nettype none

module unit_queue #(
    parameter int unsigned Width = 64,  // of the resolved command; its pc is in bits 15:0
    parameter int unsigned Depth = 8
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    input  logic             stop_i,

    input  logic             push_i,
    input  logic [Width-1:0] cmd_i,
    input  logic [3:0]       wait_i,
    input  logic [3:0]       release_i,
    output logic             full_o,

    input  logic [3:0]       tokens_i,   // bit p: a token from p is there
    output logic [3:0]       consume_o,  // bit p: takes one token from p now

    output logic             start_o,
    output logic [Width-1:0] cmd_o,
    input  logic             done_i,
    output logic [3:0]       release_o,  // of the running command
    output logic [15:0]      pc_o,       // of the running command, else of the oldest waiting one

    output logic             active_o,   // a command runs
    output logic             waiting_o,  // a command waits for tokens, the unit is idle
    output logic             empty_o     // nothing waits and nothing runs
);
  logic [Width+7:0] head;
  logic             head_valid, tokens_ok, issue;
  logic             active_q, start_q;
  logic [Width-1:0] cmd_q;
  logic [3:0]       release_q, head_wait, head_release;
  logic [Width-1:0] head_cmd;

  assign {head_wait, head_release, head_cmd} = head;
  assign tokens_ok = (head_wait & ~tokens_i) == '0;
  assign issue     = head_valid && !active_q && tokens_ok && !stop_i;
  assign consume_o = issue ? head_wait : '0;

  prim_fifo #(
      .Width(Width + 8),
      .Depth(Depth)
  ) u_fifo (
      .clk_i,
      .rst_ni,
      .push_i,
      .data_i ({wait_i, release_i, cmd_i}),
      .full_o,
      .pop_i  (issue),
      .data_o (head),
      .valid_o(head_valid),
      .count_o()
  );

  assign start_o   = start_q;
  assign cmd_o     = cmd_q;
  assign release_o = release_q;
  assign pc_o      = active_q ? cmd_q[15:0] : head_cmd[15:0];
  assign active_o  = active_q;
  assign waiting_o = head_valid && !active_q && !tokens_ok;
  assign empty_o   = !head_valid && !active_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q <= 1'b0;
      start_q  <= 1'b0;
    end else begin
      start_q <= issue;
      if (issue) active_q <= 1'b1;
      else if (done_i) active_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (issue) begin
      cmd_q     <= head_cmd;
      release_q <= head_release;
    end
  end
endmodule

`default_nettype wire
