// Scale FIFO of a slice: 16 f32 a word. The reader may look at any word (a tile's scales are read
// once per pair of rows), from the cycle after it shows in avail_o, and drops a whole tile's at once.
`default_nettype none

module scale_fifo #(
    parameter int unsigned Depth = 128,  // a power of two
    localparam int unsigned AddrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    input  logic             push_i,
    input  logic [511:0]     data_i,      // a cycle after its push
    output logic             full_o,
    output logic [AddrW:0]   avail_o,
    input  logic             rd_en_i,
    input  logic [AddrW-1:0] rd_off_i,
    output logic [511:0]     rd_data_o,
    input  logic             pop_i,
    input  logic [AddrW:0]   pop_num_i  // words to drop, at least 1
);
  logic [AddrW-1:0] head_q, tail_q, addr_q, rd_addr;
  logic             push_q;
  logic [AddrW:0]   count_q;

  // Power-of-two depth: the top bit says full without a comparator.
  assign full_o  = count_q[AddrW];
  assign avail_o = count_q;
  assign rd_addr = head_q + rd_off_i;

  // UltraRAM has 72 bits: seven of them, and LUTs for the last eight bits.
  localparam int unsigned UltraW = 504;
  prim_ram_1r1w #(
      .Width(UltraW),
      .Depth(Depth),
      .Style("ultra")
  ) u_ultra (
      .clk_i,
      .wr_en_i  (push_q),
      .wr_addr_i(addr_q),
      .wr_data_i(data_i[UltraW-1:0]),
      .rd_en_i,
      .rd_addr_i(rd_addr),
      .rd_data_o(rd_data_o[UltraW-1:0])
  );
  prim_ram_1r1w #(
      .Width(512 - UltraW),
      .Depth(Depth),
      .Style("distributed")
  ) u_rest (
      .clk_i,
      .wr_en_i  (push_q),
      .wr_addr_i(addr_q),
      .wr_data_i(data_i[511:UltraW]),
      .rd_en_i,
      .rd_addr_i(rd_addr),
      .rd_data_o(rd_data_o[511:UltraW])
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      head_q  <= '0;
      tail_q  <= '0;
      count_q <= '0;
      push_q  <= 1'b0;
    end else begin
      push_q <= push_i;
      if (push_i) tail_q <= tail_q + 1'b1;
      if (pop_i) head_q <= head_q + pop_num_i[AddrW-1:0];
      if (push_i || pop_i) begin
        count_q <= count_q + (AddrW + 1)'(push_i) - (pop_i ? pop_num_i : '0);
      end
    end
  end
  always_ff @(posedge clk_i) addr_q <= tail_q;
endmodule

`default_nettype wire
