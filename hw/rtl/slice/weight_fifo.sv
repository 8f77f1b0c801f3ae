// Weight FIFO of a slice. A word is 256 values and 256 selectors. The expander writes it in place,
// piece by piece, as its units arrive: values in 16 blocks of 4 outputs x 4 inputs (any format
// fills whole blocks), selectors in two halves of 8 outputs; so no word is ever assembled in
// registers. A word shows in avail_o two cycles after its push; the reader may read it from the next cycle.
`default_nettype none

module weight_fifo #(
    parameter int unsigned Depth = 512,  // a power of two
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic             rst_ni,

    output logic [AddrW-1:0] tail_o,      // address of the next word to complete
    output logic             room_o,      // a place more than pushes so far; pops count a cycle late
    input  logic             push_i,      // the word at tail_o will be complete
    input  logic [15:0]      value_we_i,  // block 4 * (output / 4) + input / 4
    input  logic [AddrW-1:0] value_addr_i,
    input  logic [2047:0]    value_i,     // block i in bits 128i+127:128i, (output, input) within
    input  logic [1:0]       sel_we_i,    // half of the outputs
    input  logic [AddrW-1:0] sel_addr_i,
    input  logic [1023:0]    sel_i,

    output logic [AddrW:0]   avail_o,
    input  logic             rd_en_i,
    input  logic [AddrW-1:0] rd_off_i,
    output logic [3071:0]    rd_data_o,   // {selectors, values}, stored input k of output n at 16n+k
    input  logic             pop_i
);
  logic [AddrW-1:0] head_q, tail_q, rd_addr;
  logic [AddrW:0]   count_q, used_q;
  logic             push_q;  // a word becomes visible a cycle after its push

  assign tail_o     = tail_q;
  assign avail_o    = count_q;
  assign rd_addr    = head_q + rd_off_i;

  // Room from the count of the cycle before and what was pushed in it: short paths.
  logic [1:0] at_most_q;  // bit i: used was at most Depth - 1 - i
  assign room_o = push_q ? at_most_q[1] : at_most_q[0];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) at_most_q <= '1;
    else for (int i = 0; i < 2; i++) at_most_q[i] <= used_q <= (AddrW + 1)'(Depth - 1 - i);
  end

  logic [2047:0] values;
  weight_ram #(
      .Depth(Depth)
  ) u_ram (
      .clk_i,
      .value_we_i,
      .value_addr_i,
      .value_i,
      .sel_we_i,
      .sel_addr_i,
      .sel_i,
      .rd_en_i,
      .rd_addr_i(rd_addr),
      .value_o  (values),
      .sel_o    (rd_data_o[3071:2048])
  );

  // A block holds four inputs of four outputs.
  always_comb begin
    for (int n = 0; n < 16; n++) begin
      for (int c = 0; c < 4; c++) rd_data_o[128*n+32*c+:32] = values[128*(4*(n/4)+c)+32*(n%4)+:32];
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      head_q  <= '0;
      tail_q  <= '0;
      count_q <= '0;
      used_q  <= '0;
      push_q  <= 1'b0;
    end else begin
      push_q <= push_i;
      if (push_i) tail_q <= tail_q + 1'b1;
      if (pop_i) head_q <= head_q + 1'b1;
      if (push_q != pop_i) count_q <= push_q ? count_q + 1'b1 : count_q - 1'b1;
      if (push_i != pop_i) used_q <= push_i ? used_q + 1'b1 : used_q - 1'b1;
    end
  end
endmodule

`default_nettype wire
