// One output of a slice: 8 DSPs in a P cascade at twice the kernel clock, then, in the kernel clock,
// the split into two rows and two 32-bit accumulators.
//
// DSP j serves stored input j in the first half of a kernel cycle and j + 8 in the second; its operands
// come j fast cycles later than those of DSP 0, to meet the partial sum on its way down. The last DSP
// adds the two halves, so a beat is one value of 16 products. Split: the low field is 19 bits and
// holds 16 products of int8 by [-127, 127]; a negative low sum has borrowed 1 from the high field,
// which its sign gives back as the carry into the accumulator.
//
// A beat's sum waits between the cascade and the split in a small RAM, because here it is narrowest:
// the array's latency is longer than a cascade of 8 needs (it allows one of 16).
`default_nettype none

module mpe_chain #(
  parameter int unsigned Hold = 11   // kernel cycles in the RAM: period of slot_i
) (
  input  wire          clk_i,
  input  wire          clk2x_i,
  input  wire          ce2x_i,
  input  wire          second_i,   // fast: two cycles before a second half's sum is in P
  input  wire [1023:0] block0_i,   // fast: row 0, DSP j: the 16 bytes that its input selects from
  input  wire [1023:0] block1_i,   // fast: row 1
  input  wire   [31:0] sel_i,      // fast, with block: 4 bits a DSP
  input  wire   [63:0] w_i,        // fast, one cycle after block: a byte a DSP
  input  wire    [3:0] slot_i,
  input  wire          store_i,    // P holds a beat's sum
  input  wire          load_i,     // that sum leaves the RAM
  input  wire          valid_i,    // at the accumulators
  input  wire          first_i,    // at the accumulators: start a new sum
  output logic  [31:0] acc0_o,
  output logic  [31:0] acc1_o
);
  /*verilator no_inline_module*/
  localparam int unsigned Depth = 8;

  wire [47:0] cascade [0:Depth];
  wire [47:0] p_dsp [0:Depth-1];
  wire [47:0] p;
  assign cascade[0] = 48'd0;
  assign p          = p_dsp[Depth-1];

  for (genvar j = 0; j < Depth; j++) begin : g_dsp
    logic [7:0] x0, x1;
    mpe_select u_select0 (
      .clk_i(clk2x_i), .ce_i(ce2x_i), .block_i(block0_i[128*j +: 128]), .sel_i(sel_i[4*j +: 4]), .x_o(x0)
    );
    mpe_select u_select1 (
      .clk_i(clk2x_i), .ce_i(ce2x_i), .block_i(block1_i[128*j +: 128]), .sel_i(sel_i[4*j +: 4]), .x_o(x1)
    );
    dsp48_mac #(.First(j == 0), .Last(j == Depth - 1)) u_dsp (
      .clk_i  (clk2x_i),
      .ce_i   (ce2x_i),
      .acc_i  (second_i),
      .a_i    (x1),
      .d_i    (x0),
      .b_i    (w_i[8*j +: 8]),
      .pcin_i (cascade[j]),
      .p_o    (p_dsp[j]),
      .pcout_o(cascade[j+1])
    );
  end

  (* ram_style = "distributed" *) logic [47:0] sum [0:Hold-1];
  logic [47:0] sum_q;
  always_ff @(posedge clk_i) begin
    if (store_i) sum[slot_i] <= p;
  end
  wire [32:0] next1;
  assign next1 = {first_i ? 32'd0 : acc1_o, 1'b1} + {{3{sum_q[47]}}, sum_q[47:18]};
  always_ff @(posedge clk_i) begin
    if (load_i) sum_q <= sum[slot_i];
    if (valid_i) begin
      acc0_o <= (first_i ? 32'd0 : acc0_o) + {{13{sum_q[18]}}, sum_q[18:0]};
      acc1_o <= next1[32:1];
    end
  end
  wire unused = next1[0];
endmodule

`default_nettype wire
