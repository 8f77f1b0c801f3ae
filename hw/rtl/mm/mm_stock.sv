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

  // A slice idle so far pops nothing: its next tile begins at the head of its FIFOs.
  logic          begins;
  logic [WfAw:0] words_next;
  assign begins     = tile_last_i && !active_i;
  assign words_next = begins ? '0 : {1'b0, word_i} + {{WfAw{1'b0}}, !rewind_i};

  assign stay_o = !active_i || (wf_avail_i > {1'b0, word_i} && free >= scales_i);
  assign go_o   = !(tile_last_i ? next_active_i : active_i)
                  || (wf_avail_i > words_next
                      && {1'b0, free} >= (begins ? {{SfAw{1'b0}}, scales_fresh_i} : scales_next_i));

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!sf_pop_i || sf_avail_i >= sf_pop_num_i);
      assert (!(tile_end_i && active_i) || (wf_avail_i > {1'b0, word_i} && free >= scales_i));
    end
  end
endmodule

`default_nettype wire
