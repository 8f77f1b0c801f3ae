// Where the steps of one word are: enables of the parts of its lanes (vx_plan). A part that the
// command does not use is passed over; nothing goes past a part's own latency, so that a later
// command with longer ones meets no leftover.
`default_nettype none

module vx_valid (
  input  wire         clk_i,
  input  wire         rst_ni,
  input  wire         en_i,
  input  wire         issue_i,
  input  wire  [2:0]  op1_i,     // cycles: 0, 1, 3, 4
  input  wire  [2:0]  op2_i,
  input  wire  [3:0]  func_i,    // 0, 7, 12
  output logic        ab_o,      // a, b at hand
  output logic        c_o,       // c at hand
  output logic [3:0]  op1_o,     // [i]: at stage i of the part
  output logic [3:0]  op2_o,
  output logic [11:0] func_o,
  output logic [3:0]  y_o        // [0]: y is computed, [1], [2], [3]: one to three stages behind
);
  // op1[k]: k cycles behind the part's start, and so on.
  logic        ab_q, start_q, op2_in, func_in, y_in;
  logic [4:1]  op1_q, op2_q;
  logic [12:1] func_q;
  logic [3:1]  y_q;
  logic [4:0]  op1, op2;
  assign op1 = {op1_q, start_q};
  assign op2 = {op2_q, op2_in};

  always_comb begin
    case (op1_i)
      3'd0: {c_o, op2_in} = {ab_q, op1[0]};
      3'd1: {c_o, op2_in} = {op1[0], op1[1]};
      3'd3: {c_o, op2_in} = {op1[2], op1[3]};
      default: {c_o, op2_in} = {op1[3], op1[4]};
    endcase
    case (op2_i)
      3'd0: func_in = op2[0];
      3'd1: func_in = op2[1];
      3'd3: func_in = op2[3];
      default: func_in = op2[4];
    endcase
    y_in = (func_i == 4'd0) ? func_in : (func_i == 4'd7) ? func_q[7] : func_q[12];
  end
  assign ab_o   = ab_q;
  assign op1_o  = op1[3:0];
  assign op2_o  = op2[3:0];
  assign func_o = {func_q[11:1], func_in};
  assign y_o    = {y_q, y_in};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ab_q    <= 1'b0;
      start_q <= 1'b0;
      op1_q   <= '0;
      op2_q   <= '0;
      func_q  <= '0;
      y_q     <= '0;
    end else if (en_i) begin
      ab_q    <= issue_i;
      start_q <= ab_q;
      for (int i = 1; i <= 4; i++) begin
        op1_q[i] <= op1[i-1] && op1_i >= 3'(i);
        op2_q[i] <= op2[i-1] && op2_i >= 3'(i);
      end
      func_q[1] <= func_in && func_i != 4'd0;
      for (int i = 2; i <= 12; i++) func_q[i] <= func_q[i-1] && func_i >= 4'(i);
      y_q <= {y_q[2:1], y_in};
    end
  end
endmodule

`default_nettype wire
