// Commands on their way to the walk (mm_issue): one is checked while the one before is worked on,
// and waits until that has issued its last beat. Start values that take arithmetic are computed on
// the way.
//
// Command taken in cycle s: products at s + 1, sums at s + 2, answers at s + 3, verdict at s + 4. The
// walk takes the start values at s + 3 at the earliest, before the verdict; cancel_o then stops it.
// A command without rows or tiles passes at s + 1, a bad one faults when nothing is in flight.
`default_nettype none

module mm_front #(
  localparam int unsigned NS     = fvlm_isa_pkg::Slices,
  localparam int unsigned CountW = $clog2(NS + 1),
  localparam int unsigned KW     = $clog2(fvlm_isa_pkg::WfifoWords) + 1
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire                   start_i,
  input  fvlm_isa_pkg::mm_cmd_t cmd_i,
  output logic                  ready_o,
  input  wire                   free_i,     // the walk can take a command now
  input  wire                   quiet_i,    // no command before this one is in flight
  output logic                  load_o,     // it takes this one
  output logic                  cancel_o,   // one cycle later: it must not
  output logic                  accept_o,   // the command is good and at the walk
  output logic                  empty_o,    // a command without work passes
  output logic                  fault_o,
  output logic [3:0]            fault_code_o,

  output fvlm_isa_pkg::mm_cmd_t cmd_o,
  output logic [KW-1:0]         group_o,        // words of a full group, at most kb
  output logic [KW-1:0]         behind_o,       // words behind the first group
  output logic [4:0]            group_cycles_o, // fewest cycles of a group
  output logic [4:0]            pads_o,         // idle ones before the first
  output logic                  odd_o,          // the first pair has a second row
  output logic                  single_pair_o,
  output logic [CountW-1:0]     lowest_o,       // rounds: see mm_round
  output logic [CountW-1:0]     stop_o,
  output logic [15:0]           left_o
);
  typedef enum logic [2:0] {StIdle, StProduct, StSum, StLast, StVerdict} state_e;
  fvlm_isa_pkg::mm_cmd_t cmd_q;
  state_e state_q;
  logic   loaded_q, empty, bad;
  assign cmd_o = cmd_q;

  assign empty    = cmd_q.rows == 16'd0 || cmd_q.tiles == 16'd0;
  assign ready_o  = state_q == StIdle;
  assign empty_o  = state_q == StProduct && empty;
  assign load_o   = free_i && (state_q == StLast || (state_q == StVerdict && !loaded_q && !bad));
  assign cancel_o = state_q == StVerdict && bad;
  assign accept_o = state_q == StVerdict && !bad && (loaded_q || free_i);
  assign fault_o  = state_q == StVerdict && bad && quiet_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      loaded_q <= 1'b0;
    end else begin
      case (state_q)
        StIdle:    if (start_i) state_q <= StProduct;
        StProduct: state_q <= empty ? StIdle : StSum;
        StSum:     state_q <= StLast;
        StLast:    state_q <= StVerdict;
        StVerdict: if (accept_o) state_q <= StIdle;
        default:   state_q <= StIdle;
      endcase
      if (state_q == StLast) loaded_q <= free_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i && ready_o) cmd_q <= cmd_i;
  end

  mm_check u_check (
    .clk_i, .ce_i({state_q == StLast, state_q == StSum, state_q == StProduct}), .cmd_i(cmd_q), .bad_o(bad),
    .code_o(fault_code_o)
  );

  // ---- Start values ------------------------------------------------------------------------------
  localparam logic [4:0] SingleCycles = 5'(fvlm_isa_pkg::PairWriteCycles);
  localparam logic [4:0] GroupCycles  = 5'd8;
  function automatic logic [4:0] idle_cycles(logic [4:0] least, logic [KW-1:0] words);
    return (words >= KW'(least)) ? 5'd0 : least - 5'(words);
  endfunction

  logic          single_q;    // one group
  logic [KW-1:0] group_q;
  logic [16:0]   past_q;      // slice past the last tile, if all were in the first round
  logic [CountW-1:0] lowest;
  assign lowest = CountW'(cmd_q.first & 16'(NS - 1));
  always_ff @(posedge clk_i) begin
    if (state_q == StProduct) begin
      single_q <= cmd_q.kbg == 8'd0 || {8'd0, cmd_q.kbg} >= cmd_q.kb;
      group_q  <= KW'(cmd_q.kbg);
      past_q   <= 17'(lowest) + {1'b0, cmd_q.tiles};
    end
    if (state_q == StSum) begin
      group_o        <= single_q ? KW'(cmd_q.kb) : group_q;
      behind_o       <= single_q ? '0 : KW'(cmd_q.kb) - group_q;
      group_cycles_o <= single_q ? SingleCycles : GroupCycles;
      pads_o         <= single_q ? idle_cycles(SingleCycles, KW'(cmd_q.kb)) : idle_cycles(GroupCycles, group_q);
      odd_o          <= cmd_q.rows != 16'd1;
      single_pair_o  <= cmd_q.rows <= 16'd2;
      lowest_o       <= lowest;
      stop_o         <= (past_q > 17'(NS)) ? CountW'(NS) : CountW'(past_q);
      left_o         <= (past_q > 17'(NS)) ? 16'(past_q - 17'(NS)) : 16'd0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!(start_i && !ready_o));
  end
endmodule

`default_nettype wire
