// Which slices work on a tile in the present round: tile j has slot first + j, slot t belongs to
// slice t mod NS in round t div NS. The first and the last round may be partial.
`default_nettype none

module mm_round #(
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned CountW = $clog2(NS + 1)
) (
  input  wire               clk_i,
  input  wire               load_i,    // first round of a command: slices lowest .. stop - 1,
  input  wire  [CountW-1:0] lowest_i,
  input  wire  [CountW-1:0] stop_i,
  input  wire  [15:0]       left_i,    // and the tiles of later rounds
  input  wire               step_i,    // next round
  output logic [NS-1:0]     active_o,
  output logic [NS-1:0]     next_o,    // of the next round
  output logic [CountW-1:0] count_o,   // active slices
  output logic              last_o     // no further round
);
  logic [15:0]   left_q;  // tiles of the rounds to come
  logic [NS-1:0] initial_active, second, behind;  // the round after the first one, after the next one
  for (genvar s = 0; s < NS; s++) begin : g_slice
    assign initial_active[s] = lowest_i <= CountW'(s) && stop_i > CountW'(s);
    assign second[s]         = left_i > 16'(s);
    assign behind[s]         = left_q > 16'(NS + s);
  end

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      active_o <= initial_active;
      next_o   <= second;
      count_o  <= stop_i - lowest_i;
      left_q   <= left_i;
      last_o   <= left_i == 16'd0;
    end else if (step_i) begin
      active_o <= next_o;
      next_o   <= behind;
      count_o  <= (left_q > 16'(NS)) ? CountW'(NS) : CountW'(left_q);
      left_q   <= (left_q > 16'(NS)) ? left_q - 16'(NS) : 16'd0;
      last_o   <= left_q <= 16'(NS);
    end
  end
endmodule

`default_nettype wire
