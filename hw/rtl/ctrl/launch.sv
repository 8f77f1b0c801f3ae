// Sequence of a launch: clear (one cycle: tokens, queues, FIFOs, loops, generators; arguments are
// loaded), copy the code, run until HALT or a fault, wait until no AXI transfer is pending, done.
`default_nettype none

module launch (
    input  logic clk_i,
    input  logic rst_ni,
    input  logic start_i,       // ap_start, held until done_o
    input  logic init_i,        // memories are still being cleared after reset
    input  logic fetch_done_i,
    input  logic halt_i,
    input  logic stop_i,        // a fault is recorded
    input  logic drained_i,     // no AXI transfer is pending
    output logic clear_o,
    output logic fetch_o,       // start copying the code
    output logic run_o,         // start the dispatcher
    output logic active_o,
    output logic idle_o,
    output logic done_o
);
  typedef enum logic [2:0] {StIdle, StClear, StFetch, StRun, StDrain} state_e;
  state_e state_q;
  logic   fetch_q, halted_q;

  assign idle_o   = state_q == StIdle;
  assign clear_o  = state_q == StClear;
  assign active_o = state_q != StIdle && state_q != StClear;
  assign fetch_o  = fetch_q;
  assign run_o    = state_q == StFetch && fetch_done_i && !stop_i;
  assign done_o   = state_q == StDrain && drained_i && (halted_q || stop_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      fetch_q  <= 1'b0;
      halted_q <= 1'b0;
    end else begin
      fetch_q <= state_q == StClear;
      case (state_q)
        StIdle: begin
          halted_q <= 1'b0;
          if (start_i && !init_i) state_q <= StClear;
        end
        StClear: state_q <= StFetch;
        StFetch: begin
          if (stop_i) state_q <= StDrain;
          else if (fetch_done_i) state_q <= StRun;
        end
        StRun: begin
          if (halt_i) halted_q <= 1'b1;
          if (halt_i || stop_i) state_q <= StDrain;
        end
        StDrain: if (done_o) state_q <= StIdle;
        default: state_q <= StIdle;
      endcase
    end
  end
endmodule

`default_nettype wire
