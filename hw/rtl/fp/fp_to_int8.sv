// Canonical f32 to int8: nearest even integer, clamped to [-127, 127]; two register stages.
// ce_i[i] loads stage i (see fp_add).
`default_nettype none

module fp_to_int8 (
  input  wire         clk_i,
  input  wire  [1:0]  ce_i /*verilator public_flat_rd*/,
  input  wire  [31:0] x_i /*verilator public_flat_rd*/,
  output logic [7:0]  y_o
);
  /*verilator no_inline_module*/

  // Stage 0: fixed point with 24 fraction bits for magnitudes in [0.5, 128).
  logic        sign0_q, huge0_q, tiny0_q, guard0_q, sticky0_q;
  logic [7:0]  int0_q;
  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin : to_fixed
      logic [2:0]  shift;
      logic [31:0] fixed;
      shift = x_i[25:23] + 3'd2;  // exponent field - 126, for fields 126..133
      fixed = {8'd0, 1'b1, x_i[22:0]} << shift;
      sign0_q   <= x_i[31];
      huge0_q   <= x_i[30:23] >= 8'd134;
      tiny0_q   <= x_i[30:23] < 8'd126;
      int0_q    <= fixed[31:24];
      guard0_q  <= fixed[23];
      sticky0_q <= fixed[22:0] != 23'd0;
    end
  end

  // Stage 1: round, clamp, sign.
  always_ff @(posedge clk_i) begin
    if (ce_i[1]) begin : round
      logic [7:0] rounded, mag;
      rounded = int0_q + {7'd0, guard0_q & (sticky0_q | int0_q[0])};
      mag     = tiny0_q ? 8'd0 : (huge0_q || rounded[7]) ? 8'd127 : rounded;
      y_o <= sign0_q ? -mag : mag;
    end
  end
endmodule

`default_nettype wire
