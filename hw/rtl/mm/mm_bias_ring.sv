// Bias words on their way to the dequantiser's last adder: read from the scale FIFO when a pair's
// last group arrives, used 9 cycles later. At most 5 are in flight (pairs are 2 cycles apart).
`default_nettype none

module mm_bias_ring #(
  parameter int unsigned Width = 512,
  parameter int unsigned Depth = 8
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              push_i,
  input  wire  [Width-1:0] wdata_i,
  input  wire              pop_i,     // data in the next cycle, held until the next pop
  output logic [Width-1:0] rdata_o
);
  localparam int unsigned Aw = $clog2(Depth);
  (* ram_style = "distributed" *) logic [Width-1:0] mem [0:Depth-1];
  logic [Aw-1:0] wptr_q, rptr_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wptr_q <= '0;
      rptr_q <= '0;
    end else begin
      if (push_i) wptr_q <= wptr_q + 1'b1;
      if (pop_i) rptr_q <= rptr_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (push_i) mem[wptr_q] <= wdata_i;
    if (pop_i) rdata_o <= mem[rptr_q];
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!pop_i || rptr_q != wptr_q);
  end
endmodule

`default_nettype wire
