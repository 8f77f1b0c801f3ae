// MM front half: walks tiles, pairs of rows, scale groups and k-blocks, one array beat a cycle.
//
// A pair-group occupies max(words, 2) cycles when a tile has one group, else max(words, 8): the
// dequantiser behind takes two words a pair and adds groups of a row with a 4-stage adder. Idle
// cycles come before the beats, so that the ends of groups are that far apart.
// Words are read in place in the weight FIFO and popped while the last pair reads them, so a
// single pair streams. A beat waits until its word, and its group's scales, are there.
`default_nettype none

module mm_issue #(
  parameter  int unsigned AbufAw = 14,
  localparam int unsigned WfAw   = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  input  wire                    load_i,      // take the command's start values
  input  wire                    run_i,       // may issue
  input  wire  [15:0]            rows_i,
  input  wire  [15:0]            tiles_i,
  input  wire  [15:0]            kb_i,
  input  wire  [7:0]             kbg_i,
  input  wire  [AbufAw-1:0]      act_addr_i,
  input  wire  [11:0]            act_stride_i,
  input  wire                    wscale_i,
  input  wire                    bias_i,

  output logic                   abuf0_re_o,
  output logic [AbufAw-1:0]      abuf0_addr_o,
  output logic                   abuf1_re_o,
  output logic [AbufAw-1:0]      abuf1_addr_o,
  input  wire  [WfAw:0]          wf_avail_i,
  output logic                   wf_re_o,
  output logic [WfAw-1:0]        wf_rd_off_o,
  output logic                   wf_pop_o,
  input  wire  [SfAw:0]          sf_avail_i,
  input  wire                    sf_pop_i,    // the dequantiser drops a tile's scale words
  input  wire  [SfAw:0]          sf_pop_num_i,

  output logic                   end_o,       // last cycle of the last pair-group
  output logic                   beat_o,      // a beat: its memory data is there in the next cycle
  output logic                   first_o,     // first beat of a group
  output logic                   last_o,      // last beat of a group; the tags below go with it
  output logic                   tag_first_group_o,
  output logic                   tag_last_group_o,
  output logic                   tag_odd_o,   // the pair has a second row
  output logic                   tag_tile_end_o,
  output logic                   starved_o
);
  // Remaining work, counting what is being done: tiles, rows, words of the tile, of the group.
  logic [15:0]       tiles_q, rows_q, k_q, group_q, group_len;
  logic [WfAw-1:0]   word_q;
  logic              first_word_q;
  logic [3:0]        slot_q;      // cycles this pair-group has used, without the present one
  logic [SfAw:0]     scale_q;     // index of the group in the tile
  logic [SfAw:0]     ahead_q;     // scale words of issued tiles that the dequantiser still holds
  logic [SfAw:0]     tile_scales;
  logic [AbufAw-1:0] row_q, addr_q;
  logic [AbufAw-1:0] stride;

  logic        single_group, last_pair, pad, ready, slot_end, pair_end, tile_end;
  logic [3:0]  slot_min;
  logic [15:0] k_next, group_next;
  logic [SfAw+1:0] scales_needed;

  assign stride       = AbufAw'({20'd0, act_stride_i});
  assign group_len    = (kbg_i == 8'd0) ? kb_i : {8'd0, kbg_i};
  assign single_group = group_len >= kb_i;
  assign last_pair    = rows_q <= 16'd2;

  // Scale words that must be there, counted from the head of the FIFO.
  assign scales_needed = {1'b0, ahead_q} + {{(SfAw+1){1'b0}}, bias_i}
                       + (wscale_i ? {1'b0, scale_q} + (SfAw + 2)'(1) : '0);
  assign ready     = wf_avail_i > {1'b0, wf_rd_off_o} && {1'b0, sf_avail_i} >= scales_needed;
  assign slot_min  = single_group ? 4'd2 : 4'd8;
  assign pad       = group_q < 16'd8 && slot_q + group_q[3:0] < slot_min;
  assign beat_o    = run_i && !pad && ready;
  assign starved_o = run_i && !pad && !ready;

  assign first_o   = first_word_q;
  assign last_o    = group_q == 16'd1;
  assign slot_end  = beat_o && last_o;
  assign k_next    = beat_o ? k_q - 16'd1 : k_q;
  assign pair_end  = slot_end && k_next == 16'd0;
  assign tile_end  = pair_end && last_pair;
  assign end_o     = tile_end && tiles_q == 16'd1;

  assign tag_first_group_o = scale_q == '0;
  assign tag_last_group_o  = k_q == 16'd1;
  assign tag_odd_o         = rows_q != 16'd1;
  assign tag_tile_end_o    = last_pair && k_q == 16'd1;

  assign abuf0_re_o   = beat_o;
  assign abuf0_addr_o = addr_q;
  assign abuf1_re_o   = beat_o && tag_odd_o;
  assign abuf1_addr_o = addr_q + stride;
  assign wf_re_o      = beat_o;
  assign wf_rd_off_o  = last_pair ? '0 : word_q;
  assign wf_pop_o     = beat_o && last_pair;

  // The next group: all of K again after a pair.
  logic [15:0] k_left;
  assign k_left     = pair_end ? kb_i : k_next;
  assign group_next = (group_len < k_left) ? group_len : k_left;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      tiles_q      <= tiles_i;
      rows_q       <= rows_i;
      k_q          <= kb_i;
      group_q      <= single_group ? kb_i : group_len;
      word_q       <= '0;
      first_word_q <= 1'b1;
      slot_q       <= 4'd0;
      scale_q      <= '0;
      row_q        <= act_addr_i;
      addr_q       <= act_addr_i;
    end else if (run_i) begin
      if (beat_o) begin
        k_q          <= k_next;
        group_q      <= group_q - 16'd1;
        word_q       <= word_q + 1'b1;
        addr_q       <= addr_q + 1'b1;
        first_word_q <= 1'b0;
      end
      if (beat_o || pad) slot_q <= (slot_q == 4'd7) ? slot_q : slot_q + 4'd1;
      if (slot_end) begin
        slot_q       <= 4'd0;
        first_word_q <= 1'b1;
        group_q      <= group_next;
        scale_q      <= scale_q + 1'b1;
      end
      if (pair_end) begin
        k_q     <= kb_i;
        word_q  <= '0;
        scale_q <= '0;
        rows_q  <= tile_end ? rows_i : rows_q - 16'd2;
        row_q   <= tile_end ? act_addr_i : row_q + stride + stride;
        addr_q  <= tile_end ? act_addr_i : row_q + stride + stride;
      end
      if (tile_end) tiles_q <= tiles_q - 16'd1;
    end
  end

  assign tile_scales = {{SfAw{1'b0}}, bias_i} + (wscale_i ? scale_q + 1'b1 : '0);
  always_ff @(posedge clk_i) begin
    if (!rst_ni || load_i) ahead_q <= '0;
    else ahead_q <= ahead_q + (tile_end ? tile_scales : '0) - (sf_pop_i ? sf_pop_num_i : '0);
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!wf_pop_o || wf_avail_i != '0);
      assert (!run_i || (tiles_q != 16'd0 && rows_q != 16'd0));
      assert (!beat_o || (k_q != 16'd0 && group_q != 16'd0));
    end
  end
endmodule

`default_nettype wire
