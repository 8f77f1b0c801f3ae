// Does one slice hold what the next beat needs? Two answers, for the cycle after this one: `stay`
// if no beat is issued now, `go` if one is. The caller registers both over all slices, so that the
// FIFO counts of far slices are a whole cycle away from what they decide.
`default_nettype none

module mm_stock #(
  localparam int unsigned WfAw = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire             clk_i,
  input  wire             rst_ni,
  input  wire             active_i,       // in the present round
  input  wire             next_active_i,  // in the next one
  input  wire  [WfAw:0]   wf_avail_i,
  input  wire  [WfAw-1:0] word_i,         // offset of the beat's word
  input  wire  [WfAw:0]   word_up_i,      // and one more
  input  wire             rewind_i,       // the next beat takes the tile's first word again
  input  wire             tile_last_i,    // the beat is the last of its round
  input  wire  [SfAw:0]   sf_avail_i,
  input  wire  [SfAw:0]   scales_i,       // scale words of the tile up to the beat's group
  input  wire  [SfAw+1:0] scales_next_i,  // the same for the next beat, from the same base
  input  wire  [1:0]      scales_fresh_i, // for the first beat of a tile
  input  wire             tile_end_i,     // a round's last beat is issued
  input  wire             sf_pop_i,       // the dequantiser drops a tile's scale words
  input  wire  [SfAw:0]   sf_pop_num_i,
  output logic            stay_o,
  output logic            go_o
);
  // Scale words of issued tiles that the dequantiser still holds, and the others.
  logic [SfAw:0] held_q, free;
  assign free = sf_avail_i - held_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) held_q <= '0;
    else held_q <= held_q + ((tile_end_i && active_i) ? scales_i : '0) - (sf_pop_i ? sf_pop_num_i : '0);
  end

  // Comparisons as differences, which go along a carry chain.
  logic [WfAw+1:0] word_left, word_up_left;
  logic [SfAw+2:0] over, over_next;
  assign word_left    = {2'b00, word_i} - {1'b0, wf_avail_i};
  assign word_up_left = {1'b0, word_up_i} - {1'b0, wf_avail_i};
  assign over         = {2'b00, free} - {2'b00, scales_i};
  assign over_next    = {2'b00, free} - {1'b0, active_i ? scales_next_i : (SfAw + 2)'(scales_fresh_i)};

  // A slice idle so far pops nothing: its next tile begins at the head of its FIFOs.
  logic first_word, now, next;
  assign first_word = wf_avail_i != '0;
  assign now  = word_left[WfAw+1] && !over[SfAw+2];
  assign next = ((active_i && !rewind_i) ? word_up_left[WfAw+1] : first_word) && !over_next[SfAw+2];

  assign stay_o = !active_i || now;
  assign go_o   = !(tile_last_i ? next_active_i : active_i) || next;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!sf_pop_i || sf_avail_i >= sf_pop_num_i);
      assert (!(tile_end_i && active_i) || now);
    end
  end
endmodule

`default_nettype wire
