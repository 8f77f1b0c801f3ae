// Matrix array: Slices x 16 outputs x 16 stored inputs x 2 rows, one beat a cycle, down to DSP slices
// that work at twice the kernel clock (a DSP48E2 closes 2 x 225 MHz; 128 DSPs a slice instead of
// 256). Same name, ports and cycles as mpe/fast/mpe_array.sv.
//
// N:M selection: stored input k takes window byte 16 B + selector, B = 0 (dense), k/8 (2:4, 8:16),
// k/4 (4:16), k/2 (2:16). Latency from valid_i to valid_o with a group's sums: 21 cycles.
`default_nettype none

module mpe_array #(
  parameter int unsigned Slices     = fvlm_isa_pkg::Slices,
  parameter int unsigned NumChains  = 16,
  parameter int unsigned ChainDepth = 16
) (
  input  wire                                     clk_i,
  input  wire                                     clk2x_i,   // twice clk_i, edges aligned
  input  wire                                     rst_ni,
  input  wire                                     valid_i,
  input  wire                                     first_i,   // first beat of a group
  input  wire                                     last_i,    // last beat of a group
  input  wire  [2:0]                              nm_i,
  input  wire  [1023:0]                           act0_i,    // row 0: window bytes, not -128
  input  wire  [1023:0]                           act1_i,    // row 1
  input  wire  [8*Slices*NumChains*ChainDepth-1:0] w_i,      // byte n * ChainDepth + k of a slice
  input  wire  [4*Slices*NumChains*ChainDepth-1:0] sel_i,
  input  wire  [Slices-1:0]                       active_i,  // constant over a group
  output logic                                    valid_o,
  output wire  [32*Slices*NumChains-1:0]          acc0_o,
  output wire  [32*Slices*NumChains-1:0]          acc1_o
);
  localparam int unsigned Latency     = ChainDepth + 5;
  localparam int unsigned FeedSlices  = 4;   // slices that share a mpe_feed
  localparam int unsigned Feeds       = (Slices + FeedSlices - 1) / FeedSlices;
  localparam int unsigned Hold        = 11;  // period of slot_q

  logic [Latency-1:0] last_q;
  logic         [3:0] slot_q;
  logic               half_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      last_q <= '0;
      slot_q <= 4'd0;
      half_q <= 1'b0;
    end else begin
      last_q <= {last_q[Latency-2:0], valid_i && last_i};
      slot_q <= (slot_q == 4'(Hold - 1)) ? 4'd0 : slot_q + 4'd1;
      half_q <= !half_q;
    end
  end
  assign valid_o = last_q[Latency-1];

  // Fast clock: which half of the kernel cycle.
  logic half2x_q, second_q;
  always_ff @(posedge clk2x_i) begin
    half2x_q <= half_q;
    second_q <= half_q != half2x_q;
  end

  logic [8:0] busy_q;
  logic       ce2x_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q <= '0;
      ce2x_q <= 1'b0;
    end else begin
      busy_q <= {busy_q[7:0], valid_i};
      ce2x_q <= valid_i || busy_q != '0;
    end
  end

  wire [2047:0] blocks;
  mpe_blocks u_blocks (.nm_i, .act0_i, .act1_i, .blocks_o(blocks));

  for (genvar f = 0; f < Feeds; f++) begin : g_feed
    wire [1023:0] pair;
    mpe_feed u_feed (
      .clk_i,
      .clk2x_i,
      .valid_i,
      .ce2x_i  (ce2x_q),
      .second_i(second_q),
      .blocks_i(blocks),
      .pair_o  (pair)
    );
    for (genvar s = f * FeedSlices; s < Slices && s < (f + 1) * FeedSlices; s++) begin : g_slice
      mpe_slice #(.NumChains(NumChains), .Latency(Latency)) u_slice (
        .clk_i,
        .clk2x_i,
        .rst_ni,
        .half_i (half_q),
        .valid_i(valid_i && active_i[s]),
        .first_i,
        .slot_i (slot_q),
        .pair_i (pair),
        .w_i    (w_i[8*NumChains*ChainDepth*s +: 8*NumChains*ChainDepth]),
        .sel_i  (sel_i[4*NumChains*ChainDepth*s +: 4*NumChains*ChainDepth]),
        .acc0_o (acc0_o[32*NumChains*s +: 32*NumChains]),
        .acc1_o (acc1_o[32*NumChains*s +: 32*NumChains])
      );
    end
  end

  // The low field of a DSP is exact without -128; the fast clock must have two edges a kernel cycle.
  logic [3:0] window;
  logic       armed_q;
  assign window = fvlm_isa_pkg::nm_window_words(nm_i);
  always_ff @(posedge clk_i) begin
    armed_q <= rst_ni;
    if (rst_ni && valid_i) begin
      for (int i = 0; i < 128; i++) begin
        if (i < 16 * int'(window)) assert (act0_i[8*i +: 8] != 8'h80 && act1_i[8*i +: 8] != 8'h80);
      end
    end
    if (rst_ni && armed_q) assert (half2x_q == half_q);
  end
endmodule

`default_nettype wire
