// Matrix array: NumChains outputs x ChainDepth inputs x 2 activation lanes, one beat a cycle,
// down to DSP slices. Same name, ports and cycles as mpe/fast/mpe_core.sv.
//
// N:M selection: slice k of pair p = k/2 takes window byte {2p, 2p+1, 2p+16, 2p+17}[idx], so dense
// operation is idx = {0, k[0]} with the activations in the low half of the window.
// Latency from valid_i to valid_o with a group's sums: ChainDepth + 5.
`default_nettype none

module mpe_core #(
  parameter int unsigned NumChains  = 16,
  parameter int unsigned ChainDepth = 16
) (
  input  wire                               clk_i,
  input  wire                               rst_ni,
  input  wire                               valid_i,
  input  wire                               first_i,  // first beat of a group
  input  wire                               last_i,   // last beat of a group
  input  wire  [16*ChainDepth-1:0]          act0_i,   // lane 0 window, 2 * ChainDepth bytes
  input  wire  [16*ChainDepth-1:0]          act1_i,   // lane 1 window, bytes not -128
  input  wire  [8*NumChains*ChainDepth-1:0] w_i,      // byte n * ChainDepth + k
  input  wire  [2*NumChains*ChainDepth-1:0] idx_i,
  output logic                              valid_o,
  output logic [32*NumChains-1:0]           acc0_o,
  output logic [32*NumChains-1:0]           acc1_o
);
  localparam int unsigned Latency = ChainDepth + 5;

  // Bit i: the beat that entered i + 1 cycles ago.
  logic [Latency-2:0] valid_q, first_q;
  logic [Latency-1:0] last_q;
  logic               ce;
  assign ce = valid_i || valid_q != '0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      first_q <= '0;
      last_q  <= '0;
    end else begin
      valid_q <= {valid_q[Latency-3:0], valid_i};
      first_q <= {first_q[Latency-3:0], valid_i && first_i};
      last_q  <= {last_q[Latency-2:0], valid_i && last_i};
    end
  end
  assign valid_o = last_q[Latency-1];

  for (genvar n = 0; n < NumChains; n++) begin : g_chain
    wire [8*ChainDepth-1:0] x0, x1;
    for (genvar k = 0; k < ChainDepth; k++) begin : g_mux
      localparam int unsigned Low  = 16 * (k / 2);
      localparam int unsigned High = Low + 8 * ChainDepth;
      wire [1:0]  idx  = idx_i[2*(n*ChainDepth+k) +: 2];
      wire [15:0] win0 = idx[1] ? act0_i[High +: 16] : act0_i[Low +: 16];
      wire [15:0] win1 = idx[1] ? act1_i[High +: 16] : act1_i[Low +: 16];
      assign x0[8*k +: 8] = idx[0] ? win0[15:8] : win0[7:0];
      assign x1[8*k +: 8] = idx[0] ? win1[15:8] : win1[7:0];
    end
    mpe_chain #(.Depth(ChainDepth)) u_chain (
      .clk_i,
      .ce_i   (ce),
      .first_i(first_q[Latency-2]),
      .valid_i(valid_q[Latency-2]),
      .x0_i   (x0),
      .x1_i   (x1),
      .w_i    (w_i[8*n*ChainDepth +: 8*ChainDepth]),
      .acc0_o (acc0_o[32*n +: 32]),
      .acc1_o (acc1_o[32*n +: 32])
    );
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni && valid_i) begin
      for (int k = 0; k < 2 * ChainDepth; k++) assert (act1_i[8*k +: 8] != 8'h80);
    end
  end
endmodule

`default_nettype wire
