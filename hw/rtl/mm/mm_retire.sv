// Ends of MM commands, in the order in which they started: Drain cycles after a command's last beat,
// and not in the cycle of another end. A command without rows or tiles ends right behind the one
// before it.
`default_nettype none

module mm_retire #(
  parameter int unsigned Drain = 46
) (
  input  wire  clk_i,
  input  wire  rst_ni,
  input  wire  empty_i,   // a command without work passes
  input  wire  accept_i,  // a command that will be worked on
  input  wire  last_i,    // last beat of such a command
  output logic done_o,
  output logic quiet_o    // nothing in flight
);
  localparam int unsigned CountW = $clog2(fvlm_isa_pkg::MmFlights + 1);

  logic [Drain:1]    drain_q;
  logic [CountW-1:0] owed_q;  // drained, but behind others
  logic              valid, works;
  assign done_o  = valid && (!works || drain_q[Drain] || owed_q != '0);
  assign quiet_o = !valid;

  prim_fifo #(
    .Width(1),
    .Depth(fvlm_isa_pkg::MmFlights)
  ) u_flights (
    .clk_i,
    .rst_ni,
    .push_i (empty_i || accept_i),
    .data_i (accept_i),
    .full_o (),
    .pop_i  (done_o),
    .data_o (works),
    .valid_o(valid),
    .count_o()
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      drain_q <= '0;
      owed_q  <= '0;
    end else begin
      drain_q <= {drain_q[Drain-1:1], last_i};
      owed_q  <= owed_q + CountW'(drain_q[Drain]) - CountW'(done_o && works);
    end
  end
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!(empty_i && accept_i) && (!drain_q[Drain] || valid));
  end
endmodule

`default_nettype wire
