// One address channel of an AXI port: adds the port's base behind a register, so that neither the sum nor
// the way to the memory is in the accelerator's paths. A request a cycle.
`default_nettype none

module card_port (
    input  wire         clk_i,
    input  wire         rst_ni,
    input  wire  [63:0] base_i,

    input  wire  [63:0] addr_i,
    input  wire  [16:0] rest_i,   // id, len, size, burst
    input  wire         valid_i,
    output logic        ready_o,

    output logic [63:0] addr_o,
    output logic [16:0] rest_o,
    output logic        valid_o,
    input  wire         ready_i
);
  assign ready_o = !valid_o || ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_o <= 1'b0;
    else if (ready_o) valid_o <= valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (ready_o) begin
      addr_o <= addr_i + base_i;
      rest_o <= rest_i;
    end
  end
endmodule

`default_nettype wire
