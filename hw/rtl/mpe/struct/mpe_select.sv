// One byte of 16, registered: the input multiplexer of a DSP (both halves of a kernel cycle share it).
// Words of 32 bits are sliced before the byte is picked: wide dynamic part-selects simulate slowly.
`default_nettype none

module mpe_select (
  input  wire         clk_i,
  input  wire         ce_i,
  input  wire [127:0] block_i,
  input  wire   [3:0] sel_i,
  output logic  [7:0] x_o
);
  logic [31:0] word;
  always_comb begin
    case (sel_i[3:2])
      2'd0:    word = block_i[31:0];
      2'd1:    word = block_i[63:32];
      2'd2:    word = block_i[95:64];
      default: word = block_i[127:96];
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (ce_i) begin
      case (sel_i[1:0])
        2'd0:    x_o <= word[7:0];
        2'd1:    x_o <= word[15:8];
        2'd2:    x_o <= word[23:16];
        default: x_o <= word[31:24];
      endcase
    end
  end
endmodule

`default_nettype wire
