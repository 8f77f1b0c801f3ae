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
// A command is taken over in the cycle of the last beat of the one before, or when idle, and issues
// its first beat two cycles later. What the next step will be is kept in registers (`..._next_q`, flags).
`default_nettype none

module mm_issue #(
  parameter  int unsigned AbufAw = 14,
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned CountW = $clog2(NS + 1),
  localparam int unsigned WfAw   = $clog2(fvlm_isa_pkg::WfifoWords),
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords),
  localparam int unsigned KW     = WfAw + 1
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,
  output logic                   free_o,      // may take a command over now
  input  wire                    load_i,      // takes it
  input  wire                    cancel_i,    // in the cycle after: must not work on it
  input  fvlm_isa_pkg::mm_cmd_t  cmd_i,
  input  wire  [KW-1:0]          group_i,     // start values of mm_front
  input  wire  [KW-1:0]          behind_i,
  input  wire  [4:0]             group_cycles_i,
  input  wire  [4:0]             pads_i,
  input  wire                    odd_i,
  input  wire                    single_pair_i,
  input  wire  [CountW-1:0]      lowest_i,
  input  wire  [CountW-1:0]      stop_i,
  input  wire  [15:0]            left_i,

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

  output logic                   end_o,       // last beat of the command
  output logic                   beat_o,      // a beat: its memory data is there in the next cycle
  output logic [2:0]             nm_o,
  output logic [NS-1:0]          active_o,    // slices it matters to
  output logic [CountW-1:0]      count_o,     // their number
  output logic                   first_o,     // first beat of a group
  output logic                   last_o,      // last beat of a group; the tags below go with it
  output logic                   tag_wscale_o,
  output logic                   tag_bias_o,
  output logic                   tag_first_group_o,
  output logic                   tag_last_group_o,
  output logic                   tag_odd_o,   // the pair has a second row
  output logic                   tag_tile_end_o,
  output logic                   tag_command_end_o,
  output logic                   starved_o
);
  // Of the command.
  logic [15:0]       rows_q;
  logic [KW-1:0]     kb_q, group_q;
  logic [4:0]        group_cycles_q;
  logic [3:0]        window_words_q;
  logic [AbufAw-1:0] act_q, act1_q, stride_q;
  logic              wscale_q, bias_q, odd_q, single_pair_q;

  // Where the walk is. Words left in the group with the present one, words of the tile behind it.
  logic              run_q, load_q;
  logic [15:0]       rows_left_q;
  logic [KW-1:0]     words_q, behind_q;
  logic [4:0]        pads_q;      // idle cycles before the next beat
  logic [WfAw-1:0]   word_q;      // offset of the word: 0 in the last pair, which pops them
  logic [WfAw:0]     word_up_q;   // and one more
  logic              idle_q;      // pads_q is not 0
  logic              first_word_q, last_word_q, first_group_q, last_group_q, last_pair_q, pair_odd_q;
  // The beat is the last of a group with others behind it, of a pair with others behind it, of its round.
  logic              group_last_q, rewind_q, round_last_q;
  logic [AbufAw-1:0] row_q, addr_q, addr1_q;
  // What comes behind the group, computed while it lasts (a group of several takes 8 cycles).
  logic [KW-1:0]     available_q, words_next_q, behind_next_q;
  logic [4:0]        pads_next_q;
  logic [AbufAw-1:0] row_next_q, row1_next_q;
  logic              one_word_next_q, last_group_next_q, last_pair_next_q;

  logic last_round, ready, group_end, pair_end, tile_end;
  assign beat_o    = run_q && !idle_q && ready;
  assign starved_o = run_q && !idle_q && !ready;
  assign group_end = beat_o && last_word_q;
  assign pair_end  = group_end && last_group_q;
  assign tile_end  = beat_o && round_last_q;
  assign end_o     = tile_end && last_round;
  assign free_o    = !(run_q || load_q) || end_o;

  assign first_o           = first_word_q;
  assign last_o            = last_word_q;
  assign tag_wscale_o      = wscale_q;
  assign tag_bias_o        = bias_q;
  assign tag_first_group_o = first_group_q;
  assign tag_last_group_o  = last_group_q;
  assign tag_odd_o         = pair_odd_q;
  assign tag_tile_end_o    = last_group_q && last_pair_q;
  assign tag_command_end_o = last_group_q && last_pair_q && last_round;

  assign abuf0_re_o   = beat_o;
  assign abuf0_addr_o = addr_q;
  assign abuf1_re_o   = beat_o && pair_odd_q;
  assign abuf1_addr_o = addr1_q;
  assign wf_re_o      = beat_o;
  assign wf_rd_off_o  = word_q;
  assign wf_pop_o     = (beat_o && last_pair_q) ? active_o : '0;

  // ---- Rounds, and what their slices hold --------------------------------------------------------
  logic [NS-1:0] next_active, stay, go;
  mm_round u_round (
    .clk_i,
    .load_i,
    .lowest_i,
    .stop_i,
    .left_i,
    .step_i  (tile_end),
    .active_o,
    .next_o  (next_active),
    .count_o,
    .last_o  (last_round)
  );

  // Scale words of the tile up to the beat's group (bias included), the same with one group more, and with
  // the first group of a further tile: sums made when the group begins, so that a beat only picks one.
  logic [SfAw:0]   scales_q;
  logic [SfAw+1:0] scales_up_q, scales_tile_q, scales_next;
  logic [1:0]      fresh_q, fresh;
  assign fresh       = {1'b0, cmd_i.bias} + {1'b0, cmd_i.wscale};
  assign scales_next = round_last_q ? scales_tile_q : group_last_q ? scales_up_q : {1'b0, scales_q};
  always_ff @(posedge clk_i) begin
    if (load_i) begin
      fresh_q       <= fresh;
      scales_q      <= (SfAw + 1)'(fresh);
      scales_up_q   <= (SfAw + 2)'(fresh) + (SfAw + 2)'(cmd_i.wscale);
      scales_tile_q <= (SfAw + 2)'({fresh, 1'b0});
    end else if (pair_end) begin
      scales_q      <= (SfAw + 1)'(fresh_q);
      scales_up_q   <= (SfAw + 2)'(fresh_q) + (SfAw + 2)'(wscale_q);
      scales_tile_q <= (SfAw + 2)'({fresh_q, 1'b0});
    end else if (group_end) begin
      scales_q      <= scales_up_q[SfAw:0];
      scales_up_q   <= scales_up_q + (SfAw + 2)'(wscale_q);
      scales_tile_q <= scales_tile_q + (SfAw + 2)'(wscale_q);
    end
  end
  for (genvar s = 0; s < NS; s++) begin : g_stock
    mm_stock u_stock (
      .clk_i,
      .rst_ni,
      .active_i      (active_o[s]),
      .next_active_i (next_active[s]),
      .wf_avail_i    (wf_avail_i[s*(WfAw+1) +: WfAw+1]),
      .word_i        (word_q),
      .word_up_i     (word_up_q),
      .rewind_i      (rewind_q),
      .tile_last_i   (round_last_q),
      .sf_avail_i    (sf_avail_i[s*(SfAw+1) +: SfAw+1]),
      .scales_i      (scales_q),
      .scales_next_i (scales_next),
      .scales_fresh_i(fresh_q),
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
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      run_q  <= 1'b0;
      load_q <= 1'b0;
    end else begin
      load_q <= load_i;
      run_q  <= load_q ? !cancel_i : run_q && !end_o;
    end
  end

  logic last_word, last_group, last_pair;
  always_comb begin
    last_word  = last_word_q;
    last_group = last_group_q;
    last_pair  = last_pair_q;
    if (beat_o) last_word = words_q == KW'(2);
    if (group_end) begin
      last_word  = one_word_next_q;
      last_group = last_group_next_q;
    end
    if (pair_end) last_pair = last_pair_next_q;
    if (load_i) begin
      last_word  = group_i == KW'(1);
      last_group = behind_i == '0;
      last_pair  = single_pair_i;
    end
  end
  always_ff @(posedge clk_i) begin
    last_word_q  <= last_word;
    last_group_q <= last_group;
    last_pair_q  <= last_pair;
    group_last_q <= last_word && !last_group;
    rewind_q     <= last_word && last_group && !last_pair;
    round_last_q <= last_word && last_group && last_pair;
  end

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      rows_q         <= cmd_i.rows;
      kb_q           <= KW'(cmd_i.kb);
      group_q        <= group_i;
      group_cycles_q <= group_cycles_i;
      window_words_q <= fvlm_isa_pkg::nm_window_words(cmd_i.nm);
      act_q          <= cmd_i.act_addr[AbufAw-1:0];
      act1_q         <= cmd_i.act_addr[AbufAw-1:0] + cmd_i.act_stride[AbufAw-1:0];
      stride_q       <= cmd_i.act_stride[AbufAw-1:0];
      wscale_q       <= cmd_i.wscale;
      bias_q         <= cmd_i.bias;
      odd_q          <= odd_i;
      single_pair_q  <= single_pair_i;
      nm_o           <= cmd_i.nm;
    end

    // Next group: all of the tile's words again behind a pair.
    available_q   <= (behind_q == '0) ? kb_q : behind_q;
    words_next_q  <= (group_q < available_q) ? group_q : available_q;
    behind_next_q <= (group_q < available_q) ? available_q - group_q : '0;
    pads_next_q   <= (words_next_q >= KW'(group_cycles_q)) ? 5'd0 : group_cycles_q - 5'(words_next_q);
    row_next_q    <= last_pair_q ? act_q : row_q + {stride_q[AbufAw-2:0], 1'b0};
    row1_next_q   <= last_pair_q ? act1_q : row_q + {stride_q[AbufAw-2:0], 1'b0} + stride_q;
    one_word_next_q   <= words_next_q == KW'(1);
    last_group_next_q <= behind_next_q == '0;
    last_pair_next_q  <= last_pair_q ? single_pair_q : rows_left_q <= 16'd4;

    if (load_i) begin
      words_q      <= group_i;
      behind_q     <= behind_i;
      words_next_q <= group_i;
      available_q  <= KW'(cmd_i.kb);
      behind_next_q <= behind_i;
      one_word_next_q   <= group_i == KW'(1);
      last_group_next_q <= behind_i == '0;
      pads_q       <= pads_i;
      idle_q       <= pads_i != 5'd0;
      first_word_q <= 1'b1;
      word_q       <= '0;
      word_up_q    <= (WfAw + 1)'(1);
      first_group_q <= 1'b1;
      rows_left_q  <= cmd_i.rows;
      pair_odd_q   <= odd_i;
      row_q        <= cmd_i.act_addr[AbufAw-1:0];
      addr_q       <= cmd_i.act_addr[AbufAw-1:0];
      addr1_q      <= cmd_i.act_addr[AbufAw-1:0] + cmd_i.act_stride[AbufAw-1:0];
    end else if (run_q) begin
      if (idle_q) begin
        pads_q <= pads_q - 5'd1;
        idle_q <= pads_q != 5'd1;
      end
      if (beat_o) begin
        words_q      <= words_q - 1'b1;
        if (!last_pair_q) begin
          word_q    <= word_up_q[WfAw-1:0];
          word_up_q <= word_up_q + 1'b1;
        end
        addr_q       <= addr_q + AbufAw'(window_words_q);
        addr1_q      <= addr1_q + AbufAw'(window_words_q);
        first_word_q <= 1'b0;
      end
      if (group_end) begin
        words_q      <= words_next_q;
        behind_q     <= behind_next_q;
        pads_q       <= pads_next_q;
        idle_q       <= pads_next_q != 5'd0;
        first_word_q <= 1'b1;
        first_group_q <= last_group_q;
      end
      if (pair_end) begin
        word_q      <= '0;
        word_up_q   <= (WfAw + 1)'(1);
        rows_left_q <= last_pair_q ? rows_q : rows_left_q - 16'd2;
        pair_odd_q  <= last_pair_q ? odd_q : rows_left_q != 16'd3;
        row_q       <= row_next_q;
        addr_q      <= row_next_q;
        addr1_q     <= row1_next_q;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!run_q || (active_o != '0 && rows_left_q != 16'd0));
      assert (!beat_o || words_q != '0);
      assert (!run_q || idle_q == (pads_q != 5'd0));
      assert (!load_i || free_o);
      for (int s = 0; s < NS; s++) begin
        assert (!(beat_o && active_o[s]) || wf_avail_i[s*(WfAw+1) +: WfAw+1] > {1'b0, wf_rd_off_o});
      end
    end
  end
endmodule

`default_nettype wire
