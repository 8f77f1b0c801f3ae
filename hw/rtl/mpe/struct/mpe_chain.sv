// One output of a slice: 8 DSPs in a P cascade at twice the kernel clock, then the split into two rows and
// their 32-bit accumulators, a DSP that takes one row in each half of a kernel cycle.
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
  input  wire          second_i,   // fast: second half of the kernel cycle; two cycles on, a second half's sum is in P
  input  wire [1023:0] block0_i,   // fast: row 0, DSP j: the 16 bytes that its input selects from
  input  wire [1023:0] block1_i,   // fast: row 1
  input  wire   [31:0] sel_i,      // fast, with block: 4 bits a DSP
  input  wire   [63:0] w_i,        // fast, one cycle after block: a byte a DSP
  input  wire    [3:0] slot_i,
  input  wire          store_i,    // P holds a beat's sum
  input  wire          load_i,     // that sum leaves the RAM
  input  wire          accumulate_i,  // a sum is at the accumulators, or was in the cycle before
  input  wire          valid_i,       // at the accumulators
  input  wire          first_i,       // with valid_i: start a new sum
  output logic  [31:0] acc0_o,        // in the second half of the cycle behind the one of valid_i
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
  always_ff @(posedge clk_i) begin
    if (load_i) sum_q <= sum[slot_i];
  end

  wire [31:0] acc;
  dsp48_acc u_acc (
    .clk_i  (clk2x_i),
    .ce_i   (accumulate_i),
    .none_i (!valid_i),
    .first_i,
    .x_i    (second_i ? sum_q[47:19] : {{10{sum_q[18]}}, sum_q[18:0]}),
    .carry_i(second_i && sum_q[18]),
    .p_o    (acc)
  );
  always_ff @(posedge clk2x_i) begin
    if (accumulate_i && !second_i) acc0_o <= acc;
  end
  assign acc1_o = acc;
endmodule

`default_nettype wire
