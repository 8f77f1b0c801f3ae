// Address of one operand or destination while a command walks its rows: base + r * stride + w.
// load_i takes the base; each step_i moves Words words on, or to the next row when last_i.
// The row index may be r, r mod rmod or r div rmod (row_i); wrap_i says that rmod rows are over.
`default_nettype none

module vx_walk #(
  parameter int unsigned AddrW = 16,
  parameter int unsigned Words = 1
) (
  input  wire              clk_i,
  input  wire              load_i,
  input  wire              step_i,
  input  wire              last_i,
  input  wire              by_word_i,  // 0: one address a row (S)
  input  wire  [1:0]       row_i,
  input  wire              wrap_i,
  input  wire  [AddrW-1:0] base_i,
  input  wire  [11:0]      stride_i,
  output logic [AddrW-1:0] addr_o
);
  logic [AddrW-1:0] row_q, row_next;
  always_comb begin
    row_next = row_q + AddrW'({20'd0, stride_i});
    if (row_i == fvlm_isa_pkg::VX_B_ROW_MOD && wrap_i) row_next = base_i;
    if (row_i == fvlm_isa_pkg::VX_B_ROW_DIV && !wrap_i) row_next = row_q;
  end

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      row_q  <= base_i;
      addr_o <= base_i;
    end else if (step_i && last_i) begin
      row_q  <= row_next;
      addr_o <= row_next;
    end else if (step_i && by_word_i) begin
      addr_o <= addr_o + AddrW'(Words);
    end
  end
endmodule

`default_nettype wire
