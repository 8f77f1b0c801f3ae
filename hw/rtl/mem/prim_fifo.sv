// Synchronous first-word-fall-through FIFO of flip-flops (or LUT RAM), for a few entries.
// A push is visible at the output in the next cycle. Full and empty are registered counts: no
// combinational path from one side to the other.
`default_nettype none

module prim_fifo #(
    parameter int unsigned Width = 32,
    parameter int unsigned Depth = 8,
    localparam int unsigned PtrW = $clog2(Depth),
    localparam int unsigned CountW = $clog2(Depth + 1)
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              push_i,
    input  logic [Width-1:0]  data_i,
    output logic              full_o,
    input  logic              pop_i,
    output logic [Width-1:0]  data_o,
    output logic              valid_o,
    output logic [CountW-1:0] count_o
);
  logic [Width-1:0]  mem_q [0:Depth-1];
  logic [PtrW-1:0]   rd_ptr_q, wr_ptr_q;
  logic [CountW-1:0] count_q;

  assign full_o  = count_q == CountW'(Depth);
  assign valid_o = count_q != '0;
  assign count_o = count_q;
  assign data_o  = mem_q[rd_ptr_q];

  always_ff @(posedge clk_i) begin
    if (push_i) mem_q[wr_ptr_q] <= data_i;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      rd_ptr_q <= '0;
      wr_ptr_q <= '0;
      count_q  <= '0;
    end else begin
      if (push_i) wr_ptr_q <= (wr_ptr_q == PtrW'(Depth - 1)) ? '0 : wr_ptr_q + 1'b1;
      if (pop_i) rd_ptr_q <= (rd_ptr_q == PtrW'(Depth - 1)) ? '0 : rd_ptr_q + 1'b1;
      if (push_i && !pop_i) count_q <= count_q + 1'b1;
      if (!push_i && pop_i) count_q <= count_q - 1'b1;
    end
  end
endmodule

`default_nettype wire
