// Matrix array, behavioural and cycle-exact: same name, ports and cycles as
// mpe/struct/mpe_core.sv, for simulation of whole models.
//
// The cascade is feed-forward, so a beat's dot products are taken at once, accumulated, and a
// group's sums wait in a ring for the latency of the real array. One 64-bit multiplication serves
// both lanes: (x1 * 2^32 + x0) * w keeps them apart (x0 * w fits 32 bits with its sign).
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
  localparam int unsigned RingW   = $clog2(Latency);

  function automatic logic [63:0] pack(input logic [7:0] x1, input logic [7:0] x0);
    pack = {{24{x1[7]}}, x1, 32'd0} + {{56{x0[7]}}, x0};
  endfunction
  function automatic logic [63:0] mac(input logic [63:0] x, input logic [7:0] w);
    mac = x * {{56{w[7]}}, w};
  endfunction

  // Both lanes of each window byte.
  wire [63:0] x [0:2*ChainDepth-1];
  for (genvar i = 0; i < 2 * ChainDepth; i++) begin : g_pack
    logic [63:0] both;
    always_comb begin
      both = 64'd0;
      if (valid_i) both = pack(act1_i[8*i +: 8], act0_i[8*i +: 8]);
    end
    assign x[i] = both;
  end

  // A group's sums leave Latency cycles after its last beat.
  logic [Latency-1:0] last_q;
  logic [RingW-1:0]   slot_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      last_q <= '0;
      slot_q <= '0;
    end else begin
      last_q <= {last_q[Latency-2:0], valid_i && last_i};
      slot_q <= (slot_q == RingW'(Latency - 2)) ? '0 : slot_q + RingW'(1);
    end
  end
  assign valid_o = last_q[Latency-1];

  for (genvar n = 0; n < NumChains; n++) begin : g_chain
    logic [63:0] acc_q, out_q;
    logic [63:0] ring [0:Latency-2];
    always_ff @(posedge clk_i) begin
      if (valid_i) begin : beat
        logic [63:0] dot;
        dot = first_i ? 64'd0 : acc_q;
        for (int k = 0; k < ChainDepth; k++) begin
          case (idx_i[2*(n*ChainDepth+k) +: 2])
            2'd0: dot = dot + mac(x[2*(k/2)], w_i[8*(n*ChainDepth+k) +: 8]);
            2'd1: dot = dot + mac(x[2*(k/2)+1], w_i[8*(n*ChainDepth+k) +: 8]);
            2'd2: dot = dot + mac(x[2*(k/2)+ChainDepth], w_i[8*(n*ChainDepth+k) +: 8]);
            default: dot = dot + mac(x[2*(k/2)+ChainDepth+1], w_i[8*(n*ChainDepth+k) +: 8]);
          endcase
        end
        acc_q <= dot;
        if (last_i) ring[slot_q] <= dot;
      end
      if (last_q[Latency-2]) out_q <= ring[slot_q];
    end
    assign acc0_o[32*n +: 32] = out_q[31:0];
    assign acc1_o[32*n +: 32] = out_q[63:32] + {31'd0, out_q[31]};
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni && valid_i) begin
      for (int k = 0; k < 2 * ChainDepth; k++) assert (act1_i[8*k +: 8] != 8'h80);
    end
  end
endmodule

`default_nettype wire
