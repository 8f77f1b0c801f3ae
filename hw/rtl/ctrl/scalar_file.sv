// Scalar registers R0..R31: a read port for each count of an instruction (the last two also give the
// ALU its operands), the two registers of the causal mask, one write port, and a load of all
// registers at launch. R0 stays zero.
`default_nettype none

module scalar_file #(
    parameter int unsigned Ports = 7
) (
    input  logic                clk_i,
    input  logic                launch_i,
    input  logic [479:0]        args_i,     // R1..R15
    input  logic                wr_en_i,
    input  logic [4:0]          wr_addr_i,
    input  logic [31:0]         wr_data_i,
    input  logic [5*Ports-1:0]  rd_addr_i,
    output logic [16*Ports-1:0] rd_low_o,
    output logic [47:0]         rd_high_o,  // upper halves of the first and the last two
    output logic [Ports-1:0]    rd_wide_o,  // it needs more than 16 bits
    output logic [31:0]         vbase_o,
    output logic [31:0]         rmod_o
);
  logic [31:0] r_q [0:31];
  logic [31:0] wide;
  for (genvar i = 0; i < 32; i++) begin : gen_wide
    assign wide[i] = r_q[i][31:16] != '0;
  end

  for (genvar i = 0; i < Ports; i++) begin : gen_read
    assign rd_low_o[i*16+:16] = 16'(r_q[rd_addr_i[i*5+:5]]);
    assign rd_wide_o[i]       = wide[rd_addr_i[i*5+:5]];
  end
  assign rd_high_o = {r_q[rd_addr_i[5*Ports-1-:5]][31:16], r_q[rd_addr_i[5*Ports-6-:5]][31:16],
                      r_q[rd_addr_i[4:0]][31:16]};
  assign vbase_o = r_q[fvlm_isa_pkg::RegVbase];
  assign rmod_o  = r_q[fvlm_isa_pkg::RegRmod];

  always_ff @(posedge clk_i) begin
    if (launch_i) begin
      r_q[0] <= '0;
      for (int i = 1; i < 16; i++) r_q[i] <= args_i[(i-1)*32+:32];
      for (int i = 16; i < 32; i++) r_q[i] <= '0;
    end else if (wr_en_i && wr_addr_i != '0) r_q[wr_addr_i] <= wr_data_i;
  end
endmodule

`default_nettype wire
