// Matrix array, cycle-exact: same name, ports and cycles as mpe/struct/mpe_array.sv, for simulation
// of whole models.
//
// The array is feed-forward, so a beat's products can be summed at once (in C++, mpe_model.cpp, which
// also queues the sums of finished groups) and a group's sums be shown when the real array would.
// The queue holds a group per set bit of last_q.
`default_nettype none

module mpe_array #(
  parameter int unsigned Slices     = fvlm_isa_pkg::Slices,
  parameter int unsigned NumChains  = 16,
  parameter int unsigned ChainDepth = 16
) (
  input  wire                                     clk_i,
  input  wire                                     clk2x_i,   // not used here
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
  output logic [32*Slices*NumChains-1:0]          acc0_o,
  output logic [32*Slices*NumChains-1:0]          acc1_o
);
  localparam int unsigned Latency = ChainDepth + 5;
  localparam int unsigned OutW    = 32 * Slices * NumChains;

  import "DPI-C" function chandle mpe_model_new(input int unsigned slices);
  import "DPI-C" function void mpe_model_free(input chandle model);
  import "DPI-C" function void mpe_model_reset(input chandle model);
  // One beat; 0 when a window holds a -128.
  import "DPI-C" function bit mpe_model_beat(
    input chandle model, input bit first, input bit last, input byte unsigned nm,
    input bit [1023:0] act0, input bit [1023:0] act1,
    input bit [8*Slices*NumChains*ChainDepth-1:0] w,
    input bit [4*Slices*NumChains*ChainDepth-1:0] sel, input int unsigned active);
  // The sums of the oldest finished group.
  import "DPI-C" function void mpe_model_take(
    input chandle model, output bit [OutW-1:0] acc0, output bit [OutW-1:0] acc1);

  chandle model;
  initial begin
    assert (NumChains == 16 && ChainDepth == 16 && Slices <= 32);
    model = mpe_model_new(Slices);
  end
  final mpe_model_free(model);

  logic [Latency-1:0] last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) last_q <= '0;
    else last_q <= {last_q[Latency-2:0], valid_i && last_i};
  end
  assign valid_o = last_q[Latency-1];

  bit [OutW-1:0] acc0, acc1;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      mpe_model_reset(model);
    end else begin
      if (last_q[Latency-2]) begin
        mpe_model_take(model, acc0, acc1);
        acc0_o <= acc0;
        acc1_o <= acc1;
      end
      if (valid_i) begin
        if (!mpe_model_beat(model, first_i, last_i, {5'd0, nm_i}, act0_i, act1_i, w_i, sel_i,
                            32'(active_i))) begin
          $error("mpe_array: an activation is -128");
        end
      end
    end
  end

  wire unused = &{1'b0, clk2x_i};
endmodule

`default_nettype wire
