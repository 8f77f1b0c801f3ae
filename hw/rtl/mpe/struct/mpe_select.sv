// One byte of 16: the input multiplexer of a DSP (both halves of a kernel cycle share it). Two levels of
// four with a register between; the register after the second is the DSP's own.
`default_nettype none

module mpe_select (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire [127:0] block_i,
  input  wire   [3:0] sel_i,
  output logic  [7:0] x_o
);
  logic [31:0] word_q;
  logic  [1:0] sel_q;
  always_ff @(posedge clk_i) begin
    if (ce_i) begin
      case (sel_i[3:2])
        2'd0:    word_q <= block_i[31:0];
        2'd1:    word_q <= block_i[63:32];
        2'd2:    word_q <= block_i[95:64];
        default: word_q <= block_i[127:96];
      endcase
      sel_q <= sel_i[1:0];
    end
  end
  always_comb begin
    case (sel_q)
      2'd0:    x_o = word_q[7:0];
      2'd1:    x_o = word_q[15:8];
      2'd2:    x_o = word_q[23:16];
      default: x_o = word_q[31:24];
    endcase
  end
endmodule

`default_nettype wire
