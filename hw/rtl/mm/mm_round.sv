// Which slices work on a tile in the present round: tile j has slot first + j, slot t belongs to
// slice t mod NS in round t div NS. The first and the last round may be partial.
`default_nettype none

module mm_round #(
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned CountW = $clog2(NS + 1)
) (
  input  wire               clk_i,
  input  wire               load_i,    // first round of a command
  input  wire               step_i,    // next round
  input  wire  [15:0]       tiles_i,
  input  wire  [15:0]       first_i,
  output logic [NS-1:0]     active_o,
  output logic [NS-1:0]     next_o,    // of the next round
  output logic [CountW-1:0] count_o,   // active slices
  output logic              last_o     // no further round
);
  logic [15:0]   left_q;  // tiles of the rounds to come
  logic [15:0]   lowest;  // slice of the first tile
  logic [16:0]   past;    // slice past the last tile, if all were in this round
  logic [NS-1:0] initial_active;
  assign lowest = first_i & 16'(NS - 1);
  assign past   = {1'b0, lowest} + {1'b0, tiles_i};
  for (genvar s = 0; s < NS; s++) begin : g_slice
    assign initial_active[s] = lowest <= 16'(s) && past > 17'(s);
    assign next_o[s]         = left_q > 16'(s);
  end
  assign last_o = left_q == 16'd0;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      active_o <= initial_active;
      count_o  <= (past > 17'(NS)) ? CountW'(16'(NS) - lowest) : CountW'(tiles_i);
      left_q   <= (past > 17'(NS)) ? 16'(past - 17'(NS)) : 16'd0;
    end else if (step_i) begin
      active_o <= next_o;
      count_o  <= (left_q > 16'(NS)) ? CountW'(NS) : CountW'(left_q);
      left_q   <= (left_q > 16'(NS)) ? left_q - 16'(NS) : 16'd0;
    end
  end
endmodule

`default_nettype wire
