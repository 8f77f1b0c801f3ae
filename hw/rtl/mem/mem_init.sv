// Sweeps all addresses once after reset so that SPAD, ABUF and S start as zero. A launch waits
// for the end of the sweep.
`default_nettype none

module mem_init #(
    parameter int unsigned Depth = 16384,
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    output logic             init_o,
    output logic [AddrW-1:0] addr_o
);
  logic [AddrW:0] count_q;

  assign init_o = !count_q[AddrW];
  assign addr_o = count_q[AddrW-1:0];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else if (init_o) count_q <= count_q + 1'b1;
  end
endmodule

`default_nettype wire
