// MM front half: walks rounds of tiles, pairs of rows, scale groups and words, one array beat a
// cycle in all active slices.
//
// A pair-group occupies max(words, PairWriteCycles) cycles when a tile has one group, else
// max(words, 8): SPAD takes both rows of all slices meanwhile, and the dequantiser adds groups of
// a row with a 4-stage adder. Idle cycles come before the beats, so that the ends of groups are
// that far apart.
// Words are read in place in the weight FIFOs and popped while the last pair reads them, so a
// single pair streams. A beat waits until its word, and its group's scales, were there in all
// active slices in the cycle before (mm_stock).
`default_nettype none

module mm_issue #(
  parameter  int unsigned AbufAw = 14,
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned CountW = $clog2(NS + 1),
  localparam int unsigned WfAw   = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  input  wire                    load_i,      // take the command's start values, 2 cycles before
  input  wire                    run_i,       // may issue
  input  wire  [15:0]            rows_i,
  input  wire  [15:0]            tiles_i,
  input  wire  [15:0]            first_i,
  input  wire  [15:0]            kb_i,
  input  wire  [7:0]             kbg_i,
  input  wire  [3:0]             window_words_i,
  input  wire  [AbufAw-1:0]      act_addr_i,
  input  wire  [AbufAw-1:0]      act_stride_i,
  input  wire                    wscale_i,
  input  wire                    bias_i,

  output logic                   abuf0_re_o,
  output logic [AbufAw-1:0]      abuf0_addr_o,
  output logic                   abuf1_re_o,
  output logic [AbufAw-1:0]      abuf1_addr_o,
  input  wire  [NS*(WfAw+1)-1:0] wf_avail_i,
  output logic                   wf_re_o,
  output logic [WfAw-1:0]        wf_rd_off_o,
  output logic [NS-1:0]          wf_pop_o,
  input  wire  [NS*(SfAw+1)-1:0] sf_avail_i,
  input  wire  [NS-1:0]          sf_pop_i,    // the dequantiser drops a tile's scale words
  input  wire  [SfAw:0]          sf_pop_num_i,

  output logic                   end_o,       // last cycle of the last pair-group
  output logic                   beat_o,      // a beat: its memory data is there in the next cycle
  output logic [NS-1:0]          active_o,    // slices it matters to
  output logic [CountW-1:0]      count_o,     // their number
  output logic                   first_o,     // first beat of a group
  output logic                   last_o,      // last beat of a group; the tags below go with it
  output logic                   tag_first_group_o,
  output logic                   tag_last_group_o,
  output logic                   tag_odd_o,   // the pair has a second row
  output logic                   tag_tile_end_o,
  output logic                   starved_o
);
  localparam int unsigned SingleCycles = fvlm_isa_pkg::PairWriteCycles;
  localparam int unsigned GroupCycles  = 8;

  // Remaining work, counting what is being done: rows, words of the tile, of the group.
  logic [15:0]       rows_q, k_q, group_q, group_len;
  logic [WfAw-1:0]   word_q;
  logic              first_word_q;
  logic [3:0]        slot_q;      // cycles this pair-group has used, without the present one
  logic [SfAw:0]     scale_q;     // index of the group in the tile
  logic [AbufAw-1:0] row_q, addr_q, next_pair;

  logic        single_group, last_pair, last_round, pad, ready, slot_end, pair_end, tile_end;
  logic [4:0]  slot_min;
  logic [15:0] k_next, group_next;

  assign next_pair    = row_q + act_stride_i + act_stride_i;
  assign group_len    = (kbg_i == 8'd0) ? kb_i : {8'd0, kbg_i};
  assign single_group = group_len >= kb_i;
  assign last_pair    = rows_q <= 16'd2;

  assign slot_min  = single_group ? 5'(SingleCycles) : 5'(GroupCycles);
  assign pad       = group_q < 16'd16 && {1'b0, slot_q} + {1'b0, group_q[3:0]} < slot_min;
  assign beat_o    = run_i && !pad && ready;
  assign starved_o = run_i && !pad && !ready;

  assign first_o   = first_word_q;
  assign last_o    = group_q == 16'd1;
  assign slot_end  = beat_o && last_o;
  assign k_next    = beat_o ? k_q - 16'd1 : k_q;
  assign pair_end  = slot_end && k_next == 16'd0;
  assign tile_end  = pair_end && last_pair;
  assign end_o     = tile_end && last_round;

  assign tag_first_group_o = scale_q == '0;
  assign tag_last_group_o  = k_q == 16'd1;
  assign tag_odd_o         = rows_q != 16'd1;
  assign tag_tile_end_o    = last_pair && k_q == 16'd1;

  assign abuf0_re_o   = beat_o;
  assign abuf0_addr_o = addr_q;
  assign abuf1_re_o   = beat_o && tag_odd_o;
  assign abuf1_addr_o = addr_q + act_stride_i;
  assign wf_re_o      = beat_o;
  assign wf_rd_off_o  = last_pair ? '0 : word_q;
  assign wf_pop_o     = (beat_o && last_pair) ? active_o : '0;

  // ---- Rounds, and what their slices hold --------------------------------------------------------
  logic [NS-1:0] next_active, stay, go;
  mm_round u_round (
    .clk_i,
    .load_i,
    .step_i  (tile_end),
    .tiles_i,
    .first_i,
    .active_o,
    .next_o  (next_active),
    .count_o,
    .last_o  (last_round)
  );

  logic [SfAw:0]   scales;
  logic [SfAw+1:0] scales_next;
  logic [1:0]      scales_fresh;
  assign scales       = {{SfAw{1'b0}}, bias_i} + (wscale_i ? scale_q + 1'b1 : '0);
  assign scales_fresh = {1'b0, bias_i} + {1'b0, wscale_i};
  assign scales_next  = {1'b0, scales} + (tag_tile_end_o ? {{SfAw{1'b0}}, scales_fresh}
                                          : {{(SfAw+1){1'b0}}, wscale_i && last_o && !tag_last_group_o});
  for (genvar s = 0; s < NS; s++) begin : g_stock
    mm_stock u_stock (
      .clk_i,
      .rst_ni,
      .active_i      (active_o[s]),
      .next_active_i (next_active[s]),
      .wf_avail_i    (wf_avail_i[s*(WfAw+1) +: WfAw+1]),
      .word_i        (wf_rd_off_o),
      .rewind_i      (!last_pair && tag_last_group_o),
      .tile_last_i   (tag_tile_end_o),
      .sf_avail_i    (sf_avail_i[s*(SfAw+1) +: SfAw+1]),
      .scales_i      (scales),
      .scales_next_i (scales_next),
      .scales_fresh_i(scales_fresh),
      .tile_end_i    (tile_end),
      .sf_pop_i      (sf_pop_i[s]),
      .sf_pop_num_i,
      .stay_o        (stay[s]),
      .go_o          (go[s])
    );
  end

  logic stay_q, go_q, went_q;
  assign ready = went_q ? go_q : stay_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) went_q <= 1'b0;
    else went_q <= beat_o;
    stay_q <= &stay;
    go_q   <= &go;
  end

  // ---- Walk --------------------------------------------------------------------------------------
  // The next group: all of K again after a pair.
  logic [15:0] k_left;
  assign k_left     = pair_end ? kb_i : k_next;
  assign group_next = (group_len < k_left) ? group_len : k_left;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
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
        addr_q       <= addr_q + AbufAw'(window_words_i);
        first_word_q <= 1'b0;
      end
      if (beat_o || pad) slot_q <= (slot_q == 4'd15) ? slot_q : slot_q + 4'd1;
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
        row_q   <= tile_end ? act_addr_i : next_pair;
        addr_q  <= tile_end ? act_addr_i : next_pair;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!run_i || (active_o != '0 && rows_q != 16'd0));
      assert (!beat_o || (k_q != 16'd0 && group_q != 16'd0));
      for (int s = 0; s < NS; s++) begin
        assert (!(beat_o && active_o[s]) || wf_avail_i[s*(WfAw+1) +: WfAw+1] > {1'b0, wf_rd_off_o});
      end
    end
  end
endmodule

`default_nettype wire
