// int32 to canonical f32, nearest even, three register stages.
// ce_i[i] loads stage i (see fp_add). The exponent is 127..158, so canonical form is automatic.
`default_nettype none

module fp_from_int (
  input  wire         clk_i,
  input  wire  [2:0]  ce_i,
  input  wire  [31:0] x_i,
  output logic [31:0] y_o
);
  /*verilator no_inline_module*/

  logic        sign0_q;
  logic [31:0] mag0_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      sign0_q <= x_i[31];
      mag0_q  <= x_i[31] ? -x_i : x_i;
    end
  end

  logic        sign1_q;
  logic [4:0]  lz1_q;
  logic [31:0] norm1_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : normalise
      logic [4:0] lz;
      lz = fp_pkg::lzc32(mag0_q);
      sign1_q <= sign0_q;
      lz1_q   <= lz;
      norm1_q <= mag0_q << lz;
    end
  end

  always_ff @(posedge clk_i) begin
    if (ce_i[2]) begin
      y_o <= !norm1_q[31] ? 32'd0
           : fp_pkg::round_pack(sign1_q, 10'd158 - {5'd0, lz1_q}, norm1_q[31:8], norm1_q[7],
                                norm1_q[6:0] != 7'd0);
    end
  end
endmodule

`default_nettype wire
