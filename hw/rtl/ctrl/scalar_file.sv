// Scalar registers R0..R31 in LUT memory, a copy for each reader: a port for each count of an instruction
// (the last two also give the ALU its operands), one write port. R30 and R31 stand apart as well, for the
// causal mask. A launch writes all registers, one a cycle from R0 on: the arguments, zero in the others.
`default_nettype none

module scalar_file #(
    parameter int unsigned Ports = 7
) (
    input  logic                clk_i,
    input  logic                launch_i,
    input  logic [479:0]        args_i,     // R1..R15
    output logic                loading_o,  // a launch's values are not all there in the next cycle
    input  logic                wr_en_i,
    input  logic [4:0]          wr_addr_i,
    input  logic [31:0]         wr_data_i,
    input  logic [5*Ports-1:0]  rd_addr_i,
    output logic [16*Ports-1:0] rd_low_o,
    output logic [47:0]         rd_high_o,  // upper halves of the first and the last two
    output logic [3*Ports-1:0]  rd_wide_o,  // three bits each: one is set if the value needs more than 16 bits
    output logic [31:0]         vbase_o,
    output logic [31:0]         rmod_o
);
  // ---- Launch.
  logic       load_q;
  logic [4:0] load_addr_q;
  wire [31:0] arg [0:15];
  assign arg[0] = '0;
  for (genvar i = 1; i < 16; i++) begin : gen_arg
    assign arg[i] = args_i[(i-1)*32+:32];
  end
  always_ff @(posedge clk_i) begin
    if (launch_i) begin
      load_q      <= 1'b1;
      load_addr_q <= '0;
    end else if (load_q) begin
      load_q      <= loading_o;
      load_addr_q <= load_addr_q + 5'd1;
    end
  end
  assign loading_o = load_q && load_addr_q != '1;

  // ---- Writes. R0 stays zero.
  logic        wr_en;
  logic [4:0]  wr_addr;
  logic [31:0] wr_data;
  assign wr_en   = load_q || (wr_en_i && wr_addr_i != '0);
  assign wr_addr = load_q ? load_addr_q : wr_addr_i;
  assign wr_data = !load_q ? wr_data_i : load_addr_q[4] ? '0 : arg[load_addr_q[3:0]];

  (* ram_style = "distributed" *) logic [31:0] r_q [0:31];
  always_ff @(posedge clk_i) begin
    if (wr_en) r_q[wr_addr] <= wr_data;
    if (launch_i) vbase_o <= '0;
    else if (wr_en_i && wr_addr_i == 5'(fvlm_isa_pkg::RegVbase)) vbase_o <= wr_data_i;
    if (launch_i) rmod_o <= '0;
    else if (wr_en_i && wr_addr_i == 5'(fvlm_isa_pkg::RegRmod)) rmod_o <= wr_data_i;
  end

  // ---- Reads.
  wire [31:0] value [0:Ports-1];
  for (genvar i = 0; i < Ports; i++) begin : gen_read
    assign value[i]           = r_q[rd_addr_i[i*5+:5]];
    assign rd_low_o[i*16+:16] = value[i][15:0];
    assign rd_wide_o[i*3+:3]  = {value[i][31:26] != '0, value[i][25:21] != '0, value[i][20:16] != '0};
  end
  assign rd_high_o = {value[Ports-1][31:16], value[Ports-2][31:16], value[0][31:16]};
endmodule

`default_nettype wire
