// One slice of the matrix array: 16 chains, their weights, a copy of the activation blocks, and the
// control that follows a beat through them.
//
// A beat of kernel cycle t has its blocks at DSP j's multiplexer in fast cycle 2t + 4 + j, its operands
// at the DSP one later, and the cascade's first and second half in P in 2t + 16 and 2t + 17, so P is
// stored at the end of kernel cycle t + 8. Sums are in acc_o Latency cycles after the beat.
`default_nettype none

module mpe_slice #(
  parameter int unsigned NumChains = 16,
  parameter int unsigned Latency   = 21
) (
  input  wire                     clk_i,
  input  wire                     clk2x_i,
  input  wire                     rst_ni,
  input  wire                     half_i,   // kernel clock: changes every cycle
  input  wire                     valid_i,
  input  wire                     first_i,
  input  wire              [3:0]  slot_i,
  input  wire            [1023:0] pair_i,   // fast: see mpe_feed
  input  wire [128*NumChains-1:0] w_i,
  input  wire  [64*NumChains-1:0] sel_i,
  output wire  [32*NumChains-1:0] acc0_o,
  output wire  [32*NumChains-1:0] acc1_o
);
  localparam int unsigned StoreAt = 8;  // kernel cycles from the beat to its sum in P

  // Bit i: the beat that entered i + 1 cycles ago.
  logic [Latency-2:0] valid_q, first_q;
  logic               ce2x_q, accumulate_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      first_q <= '0;
      ce2x_q  <= 1'b0;
      accumulate_q <= 1'b0;
    end else begin
      valid_q <= {valid_q[Latency-3:0], valid_i};
      first_q <= {first_q[Latency-3:0], valid_i && first_i};
      ce2x_q  <= valid_i || valid_q[StoreAt-2:0] != '0;
      accumulate_q <= valid_q[Latency-3] || valid_q[Latency-2];
    end
  end

  // Second half of the kernel cycle.
  logic half_q, second_q;
  always_ff @(posedge clk2x_i) begin
    half_q   <= half_i;
    second_q <= half_i != half_q;
  end

  // Rows and DSPs: the second DSP of a pair is one fast cycle behind the first.
  logic [1023:0] even_q, odd_q;
  always_ff @(posedge clk2x_i) begin
    if (ce2x_q) begin
      even_q <= pair_i;
      odd_q  <= even_q;
    end
  end
  wire [1023:0] block0, block1;
  for (genvar i = 0; i < 4; i++) begin : g_pair
    assign block0[256*i +: 256] = {odd_q[256*i +: 128], even_q[256*i +: 128]};
    assign block1[256*i +: 256] = {odd_q[256*i+128 +: 128], even_q[256*i+128 +: 128]};
  end

  for (genvar n = 0; n < NumChains; n++) begin : g_chain
    wire [63:0] w;
    wire [31:0] sel;
    mpe_weights u_weights (
      .clk_i,
      .clk2x_i,
      .valid_i,
      .ce2x_i  (ce2x_q),
      .second_i(second_q),
      .w_i     (w_i[128*n +: 128]),
      .sel_i   (sel_i[64*n +: 64]),
      .w_o     (w),
      .sel_o   (sel)
    );
    mpe_chain #(.Hold(Latency - 2 - StoreAt)) u_chain (
      .clk_i,
      .clk2x_i,
      .ce2x_i  (ce2x_q),
      .second_i(second_q),
      .block0_i(block0),
      .block1_i(block1),
      .sel_i   (sel),
      .w_i     (w),
      .slot_i,
      .store_i (valid_q[StoreAt-1]),
      .load_i  (valid_q[Latency-3]),
      .accumulate_i(accumulate_q),
      .valid_i (valid_q[Latency-2]),
      .first_i (first_q[Latency-2]),
      .acc0_o  (acc0_o[32*n +: 32]),
      .acc1_o  (acc1_o[32*n +: 32])
    );
  end
endmodule

`default_nettype wire
