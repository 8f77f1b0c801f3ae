// A FIFO whose oldest entry sits in a register: for a few bits that decide something at once, beside a
// prim_fifo with the rest of the entry, whose pushes and pops it shares. A push is visible at the output
// in the next cycle.
`default_nettype none

module head_fifo #(
    parameter int unsigned Width = 4,
    parameter int unsigned Depth = 8,
    localparam int unsigned PtrW = $clog2(Depth)
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    input  logic             push_i,
    input  logic [Width-1:0] data_i,
    input  logic             pop_i,
    output logic [Width-1:0] data_o,
    output logic             valid_o
);
  // Entries behind the oldest one.
  logic [Width-1:0] mem_q [0:Depth-1];
  logic [PtrW-1:0]  rd_ptr_q, wr_ptr_q;
  logic             more, refill, keep;
  assign more   = rd_ptr_q != wr_ptr_q;
  assign refill = pop_i || !valid_o;    // the register takes the next entry
  assign keep   = push_i && !(refill && !more);

  always_ff @(posedge clk_i) begin
    if (keep) mem_q[wr_ptr_q] <= data_i;
    if (refill) data_o <= more ? mem_q[rd_ptr_q] : data_i;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      rd_ptr_q <= '0;
      wr_ptr_q <= '0;
      valid_o  <= 1'b0;
    end else begin
      if (keep) wr_ptr_q <= (wr_ptr_q == PtrW'(Depth - 1)) ? '0 : wr_ptr_q + 1'b1;
      if (refill && more) rd_ptr_q <= (rd_ptr_q == PtrW'(Depth - 1)) ? '0 : rd_ptr_q + 1'b1;
      if (refill) valid_o <= more || push_i;
    end
  end
endmodule

`default_nettype wire
