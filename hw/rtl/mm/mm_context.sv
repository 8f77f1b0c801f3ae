// What a part of the dequantiser must know of each command, for the commands in flight: a FIFO of
// values and the moment to take them over. The part calls end_i in the cycle of a command's last
// step; load_o follows in the next cycle at the earliest, so that the values count two cycles later.
`default_nettype none

module mm_context #(
  parameter int unsigned Width = 32
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              push_i,  // a command begins
  input  wire  [Width-1:0] data_i,
  input  wire              end_i,
  output logic             load_o,
  output logic [Width-1:0] data_o
);
  logic valid, taken_q;
  assign load_o = valid && !taken_q;

  prim_fifo #(
    .Width(Width),
    .Depth(fvlm_isa_pkg::MmFlights)
  ) u_fifo (
    .clk_i,
    .rst_ni,
    .push_i,
    .data_i,
    .full_o (),  // the queue starts no more commands than this
    .pop_i  (load_o),
    .data_o,
    .valid_o(valid),
    .count_o()
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) taken_q <= 1'b0;
    else if (load_o) taken_q <= 1'b1;
    else if (end_i) taken_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!end_i || taken_q);
  end
endmodule

`default_nettype wire
