// Fault record and watchdog. The first fault wins; of several in one cycle the lowest unit. While
// the record is valid nothing starts (stop_o). The watchdog counts cycles without progress and
// names the running or oldest waiting command of the lowest unit that has one, else the dispatcher.
`default_nettype none

module fault (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic        clear_i,
    input  logic        active_i,        // a launch is in progress
    input  logic        progress_i,
    input  logic [31:0] watchdog_i,      // 0: off
    input  logic [4:0]  valid_i,         // LD, ST, MM, VX, dispatcher (or fetch)
    input  logic [19:0] code_i,
    input  logic [63:0] unit_pc_i,       // LD, ST, MM, VX
    input  logic [31:0] dispatch_pc_i,
    input  logic [3:0]  unit_busy_i,     // has a running or a waiting command
    output logic        stop_o,
    output logic [3:0]  code_o,
    output logic [2:0]  unit_o,
    output logic [31:0] pc_o
);
  logic        valid_q;
  logic [3:0]  code_q;
  logic [2:0]  unit_q;
  logic [31:0] pc_q, idle_q;
  logic        expired;

  assign expired = active_i && watchdog_i != '0 && idle_q >= watchdog_i;
  assign stop_o  = valid_q;
  assign code_o  = code_q;
  assign unit_o  = unit_q;
  assign pc_o    = pc_q;

  // The unit to blame, by the same priority for both causes.
  logic [3:0]  blame;
  logic [2:0]  unit;
  logic [31:0] pc;
  logic [3:0]  code;
  assign blame = (valid_i != '0) ? valid_i[3:0] : unit_busy_i;
  always_comb begin
    unit = fvlm_isa_pkg::UNIT_SYS;
    pc   = dispatch_pc_i;
    code = code_i[19:16];
    if (blame[3]) begin
      unit = fvlm_isa_pkg::UNIT_VX;
      pc   = {16'd0, unit_pc_i[63:48]};
      code = code_i[15:12];
    end
    if (blame[2]) begin
      unit = fvlm_isa_pkg::UNIT_MM;
      pc   = {16'd0, unit_pc_i[47:32]};
      code = code_i[11:8];
    end
    if (blame[1]) begin
      unit = fvlm_isa_pkg::UNIT_ST;
      pc   = {16'd0, unit_pc_i[31:16]};
      code = code_i[7:4];
    end
    if (blame[0]) begin
      unit = fvlm_isa_pkg::UNIT_LD;
      pc   = {16'd0, unit_pc_i[15:0]};
      code = code_i[3:0];
    end
    if (valid_i == '0) code = fvlm_isa_pkg::FAULT_DEADLOCK;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      valid_q <= 1'b0;
      idle_q  <= '0;
    end else begin
      idle_q <= (progress_i || !active_i) ? '0 : idle_q + 32'd1;
      if (!valid_q && (valid_i != '0 || expired)) begin
        valid_q <= 1'b1;
        code_q  <= code;
        unit_q  <= unit;
        pc_q    <= pc;
      end
    end
  end
endmodule

`default_nettype wire
