// In-order command queue of one unit. The oldest command is issued when the unit can take it and a
// token from every unit in its wait mask is there; it then sits in the command register, stable,
// until the next one is issued. The start pulse follows issue by one cycle.
// The wait mask of the oldest command sits in a register: issue, and with it the token counters and their
// overflow, hang on it.
// A unit with one flight takes a command when it is idle; with more when it says ready. What is needed
// at a command's end waits in a FIFO: commands end in the order of their starts.
`default_nettype none

module unit_queue #(
    parameter int unsigned Width = 64,  // of the resolved command; its pc is in bits 15:0
    parameter int unsigned Depth = 8,
    parameter int unsigned Flights = 1  // commands that the unit may hold
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

    input  logic             ready_i,
    output logic             start_o,
    output logic [Width-1:0] cmd_o,
    input  logic             done_i,     // of the oldest command in flight
    output logic [3:0]       release_o,  // its mask
    output logic [15:0]      pc_o,       // its pc; with nothing in flight, of the oldest waiting one

    output logic             active_o,   // a command is in flight
    output logic             waiting_o,  // a command waits for tokens, nothing is in flight
    output logic             empty_o     // nothing waits and nothing is in flight
);
  logic [Width+3:0] head;
  logic             head_valid, tokens_ok, issue, can_take, flights_full;
  logic             active, start_q;
  logic [Width-1:0] cmd_q;
  logic [3:0]       head_wait, head_release;
  logic [Width-1:0] head_cmd;
  logic [15:0]      flight_pc;

  assign {head_release, head_cmd} = head;
  assign tokens_ok = (head_wait & ~tokens_i) == '0;
  assign can_take  = (Flights == 1) ? !active : ready_i && !start_q && !flights_full;
  assign issue     = head_valid && can_take && tokens_ok && !stop_i;
  assign consume_o = issue ? head_wait : '0;

  head_fifo #(
      .Width(4),
      .Depth(Depth)
  ) u_wait (
      .clk_i,
      .rst_ni,
      .push_i,
      .data_i (wait_i),
      .pop_i  (issue),
      .data_o (head_wait),
      .valid_o(head_valid)
  );
  prim_fifo #(
      .Width(Width + 4),
      .Depth(Depth)
  ) u_fifo (
      .clk_i,
      .rst_ni,
      .push_i,
      .data_i ({release_i, cmd_i}),
      .full_o,
      .pop_i  (issue),
      .data_o (head),
      .valid_o(),
      .count_o()
  );

  prim_fifo #(
      .Width(20),
      .Depth((Flights < 2) ? 2 : Flights)
  ) u_flights (
      .clk_i,
      .rst_ni,
      .push_i (issue),
      .data_i ({head_release, head_cmd[15:0]}),
      .full_o (flights_full),
      .pop_i  (done_i),
      .data_o ({release_o, flight_pc}),
      .valid_o(active),
      .count_o()
  );

  assign start_o   = start_q;
  assign cmd_o     = cmd_q;
  assign pc_o      = active ? flight_pc : head_cmd[15:0];
  assign active_o  = active;
  assign waiting_o = head_valid && !active && !tokens_ok;
  assign empty_o   = !head_valid && !active;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) start_q <= 1'b0;
    else start_q <= issue;
    if (issue) cmd_q <= head_cmd;
  end
endmodule

`default_nettype wire
