// Request half of a slice's weight stream: turns commands into read requests, one run of contiguous
// units each, as fast as the read engine takes them and without a gap between commands. A command
// whose tiles have no units asks for nothing and holds later ones back until it is expanded, so
// that no unit of theirs arrives before.
`default_nettype none

module run_walker (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            stop_i,

    input  logic            cmd_valid_i,
    input  slice_pkg::run_t cmd_i,
    output logic            cmd_take_o,
    input  logic            expanded_i,  // the expander finished a command

    output logic            req_valid_o,
    input  logic            req_ready_i,
    output logic [31:0]     req_unit_o,
    output logic [31:0]     req_beats_o,
    output logic            idle_o
);
  logic        have_q, empty_q;
  logic [31:0] unit_q, stride_q, units_q;
  logic [15:0] runs_q;
  logic [2:0]  ahead_q;  // commands taken here that are not expanded yet
  logic        fire, finish;

  assign req_valid_o = have_q && !empty_q && !stop_i;
  assign req_unit_o  = unit_q;
  assign req_beats_o = units_q;
  assign fire        = req_valid_o && req_ready_i;
  assign finish      = (fire && runs_q == 16'd1) || (have_q && empty_q && ahead_q == '0);
  assign cmd_take_o  = cmd_valid_i && (!have_q || finish);
  assign idle_o      = !have_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      have_q  <= 1'b0;
      ahead_q <= '0;
    end else begin
      if (cmd_take_o) have_q <= 1'b1;
      else if (finish) have_q <= 1'b0;
      if (cmd_take_o && !expanded_i) ahead_q <= ahead_q + 3'd1;
      if (!cmd_take_o && expanded_i) ahead_q <= ahead_q - 3'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (cmd_take_o) begin
      unit_q   <= cmd_i.unit;
      stride_q <= cmd_i.stride;
      units_q  <= cmd_i.units;
      runs_q   <= cmd_i.runs;
      empty_q  <= cmd_i.units == '0;
    end else if (fire) begin
      unit_q <= unit_q + stride_q;
      runs_q <= runs_q - 16'd1;
    end
  end
endmodule

`default_nettype wire
