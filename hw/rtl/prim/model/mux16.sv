// One byte of 16. Behavioural twin of prim/xilinx/mux16.sv; same name and ports.
`default_nettype none

module mux16 (
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
    case (sel_i[1:0])
      2'd0:    x_o = word[7:0];
      2'd1:    x_o = word[15:8];
      2'd2:    x_o = word[23:16];
      default: x_o = word[31:24];
    endcase
  end
endmodule

`default_nettype wire
