// MM back half: a pair-group's 2 x 16 int32 sums become f32 words, one word (one row) a cycle, and
// go to SPAD.
//
// The sums arrive together (sums_valid_i); row 0's word enters stage 0 at once, row 1's one cycle
// later. Arrivals are at least 2 cycles apart, groups of one row at least 8. Side reads:
//   scale FIFO: the group's scales when row 0 is at stage 1; the bias one cycle later, on last
//               groups; a tile's words are dropped with its last bias read
//   S:          the row scale when the word is at stage 8
// A word is written to SPAD at stage 17.
`default_nettype none

module mm_dequant #(
  parameter  int unsigned SpadAw = 13,
  parameter  int unsigned SAw    = 12,
  localparam int unsigned SfAw   = $clog2(fvlm_isa_pkg::SfifoWords)
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              load_i,
  input  wire              wscale_i,
  input  wire              bias_i,
  input  wire  [SpadAw-1:0] out_addr_i,
  input  wire  [11:0]      out_stride_i,
  input  wire  [SAw-1:0]   sa_addr_i,

  input  wire              sums_valid_i,
  input  wire  [511:0]     sums0_i,
  input  wire  [511:0]     sums1_i,
  input  wire              first_group_i,
  input  wire              last_group_i,
  input  wire              odd_i,        // the pair has a second row
  input  wire              tile_end_i,

  output logic             sf_re_o,
  output logic [SfAw-1:0]  sf_rd_off_o,
  input  wire  [511:0]     sf_rdata_i,
  output logic             sf_pop_o,
  output logic [SfAw:0]    sf_pop_num_o,
  output logic             s_re_o,
  output logic [SAw-1:0]   s_addr_o,
  input  wire  [31:0]      s_rdata_i,
  output logic             spad_we_o,
  output logic [SpadAw-1:0] spad_waddr_o,
  output logic [511:0]     spad_wdata_o
);
  // ---- Words; bit k = stage k ------------------------------------------------------------------
  logic         second_q, first_q, last_group_q, odd_pair_q, tile_end_q;
  logic [511:0] sums1_q;
  logic         in_valid, in_first, in_last, in_tile_end;
  assign in_valid    = sums_valid_i || (second_q && odd_pair_q);
  assign in_first    = second_q ? first_q : first_group_i;
  assign in_last     = second_q ? last_group_q : last_group_i;
  assign in_tile_end = second_q ? tile_end_q : tile_end_i && !odd_i;

  logic [10:1] valid_q, firsts_q;
  logic [12:1] odd_q;
  logic [17:1] lasts_q;  // word of a row's last group
  logic [17:1] end_q;    // last word of a tile
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      second_q <= 1'b0;
      valid_q  <= '0;
      lasts_q  <= '0;
      end_q    <= '0;
      odd_q    <= '0;
      firsts_q <= '0;
    end else begin
      second_q <= sums_valid_i;
      valid_q  <= {valid_q[9:1], in_valid};
      lasts_q  <= {lasts_q[16:1], in_valid && in_last};
      end_q    <= {end_q[16:1], in_valid && in_tile_end};
      odd_q    <= {odd_q[11:1], second_q};
      firsts_q <= {firsts_q[9:1], in_first};
    end
  end
  always_ff @(posedge clk_i) begin
    if (sums_valid_i) begin
      sums1_q      <= sums1_i;
      first_q      <= first_group_i;
      last_group_q <= last_group_i;
      odd_pair_q   <= odd_i;
      tile_end_q   <= tile_end_i;
    end
  end

  // ---- Scale FIFO -------------------------------------------------------------------------------
  logic [SfAw-1:0] group_q;         // index of the group at stage 1
  logic            read_scale, read_bias, third_q, bias_read_q, last1_q, end1_q;
  assign read_scale = second_q && wscale_i;
  assign read_bias  = third_q && last1_q && bias_i;
  assign sf_re_o      = read_scale || read_bias;
  assign sf_rd_off_o  = read_scale ? group_q + {{(SfAw-1){1'b0}}, bias_i} : '0;
  assign sf_pop_o     = third_q && end1_q && sf_pop_num_o != '0;
  assign sf_pop_num_o = {{SfAw{1'b0}}, bias_i} + (wscale_i ? {1'b0, group_q} + 1'b1 : '0);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      third_q     <= 1'b0;
      bias_read_q <= 1'b0;
      group_q     <= '0;
    end else begin
      third_q     <= second_q;
      bias_read_q <= read_bias;
      if (sums_valid_i) group_q <= first_group_i ? '0 : group_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (second_q) begin
      last1_q <= last_group_q;
      end1_q  <= tile_end_q;
    end
  end

  logic         bias_push_q;
  logic [511:0] scale_q, bias_q, bias_word;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) bias_push_q <= 1'b0;
    else bias_push_q <= bias_read_q;
    for (int l = 0; l < 16; l++) begin
      if (third_q && wscale_i) scale_q[32*l +: 32] <= fp_pkg::canon(sf_rdata_i[32*l +: 32]);
      if (bias_read_q) bias_q[32*l +: 32] <= fp_pkg::canon(sf_rdata_i[32*l +: 32]);
    end
  end
  mm_bias_ring u_bias (
    .clk_i,
    .rst_ni,
    .push_i (bias_push_q),
    .wdata_i(bias_q),
    .pop_i  (lasts_q[12] && !odd_q[12] && bias_i),
    .rdata_o(bias_word)
  );

  // ---- Row scale --------------------------------------------------------------------------------
  logic [31:0] row_scale_q;
  assign s_re_o = lasts_q[8];
  always_ff @(posedge clk_i) begin
    if (load_i) s_addr_o <= sa_addr_i;
    else if (s_re_o) s_addr_o <= end_q[8] ? sa_addr_i : s_addr_o + 1'b1;
    if (lasts_q[9]) row_scale_q <= fp_pkg::canon(s_rdata_i);
  end

  // ---- Lanes ------------------------------------------------------------------------------------
  logic [9:0]   ce;
  assign ce = {valid_q[9:1], in_valid};
  for (genvar l = 0; l < 16; l++) begin : g_lane
    mm_lane u_lane (
      .clk_i,
      .ce_i       (ce),
      .ce_last_i  (lasts_q[16:10]),
      .wscale_i,
      .bias_en_i  (bias_i),
      .first_i    (firsts_q[9:6]),
      .first10_i  (firsts_q[10]),
      .odd6_i     (odd_q[6]),
      .odd10_i    (odd_q[10]),
      .keep10_i   (valid_q[10] && !lasts_q[10]),
      .acc_i      (second_q ? sums1_q[32*l +: 32] : sums0_i[32*l +: 32]),
      .scale_i    (scale_q[32*l +: 32]),
      .row_scale_i(row_scale_q),
      .bias_i     (bias_word[32*l +: 32]),
      .y_o        (spad_wdata_o[32*l +: 32])
    );
  end

  // ---- Write: down the rows of a tile, then the next column ---------------------------------------
  logic [SpadAw-1:0] column_q;
  assign spad_we_o = lasts_q[17];
  always_ff @(posedge clk_i) begin
    if (load_i) begin
      column_q     <= out_addr_i;
      spad_waddr_o <= out_addr_i;
    end else if (spad_we_o) begin
      column_q     <= end_q[17] ? column_q + 1'b1 : column_q;
      spad_waddr_o <= end_q[17] ? column_q + 1'b1 : spad_waddr_o + SpadAw'({20'd0, out_stride_i});
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!(sums_valid_i && second_q));
      assert (!(read_scale && read_bias));
      if (spad_we_o) begin
        for (int l = 0; l < 16; l++) begin
          assert (fp_pkg::canon(spad_wdata_o[32*l +: 32]) == spad_wdata_o[32*l +: 32]);
        end
      end
    end
  end
endmodule

`default_nettype wire
