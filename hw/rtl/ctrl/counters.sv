// 64-bit performance counters in the order of the register map from CNT_CYCLES on, cleared by a
// launch. Word 2i of the read port is the low half of counter i.
`default_nettype none

module counters (
    input  logic        clk_i,
    input  logic        clear_i,
    input  logic        cycle_i,
    input  logic        dispatched_i,
    input  logic [3:0]  retired_i,
    input  logic [3:0]  busy_i,
    input  logic [3:0]  wait_i,
    input  logic        read_beat_i,
    input  logic        write_beat_i,
    input  logic [1:0]  mac_beats_i,
    input  logic        starved_i,
    input  logic        rd_en_i,
    input  logic [5:0]  rd_word_i,
    output logic [31:0] rd_data_o
);
  localparam int unsigned Count = 18;

  logic [63:0]      count_q [0:Count-1];
  logic [Count-1:0] up;

  assign up = {starved_i, mac_beats_i != '0, write_beat_i, read_beat_i, wait_i, busy_i, retired_i,
               dispatched_i, cycle_i};

  for (genvar i = 0; i < Count; i++) begin : gen_counter
    localparam logic [63:0] Mask = (i == 16) ? 64'd3 : 64'd1;
    logic [63:0] step;
    assign step = (i == 16) ? (64'(mac_beats_i) & Mask) : Mask;
    always_ff @(posedge clk_i) begin
      if (clear_i) count_q[i] <= '0;
      else if (up[i]) count_q[i] <= count_q[i] + step;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rd_en_i) begin
      rd_data_o <= rd_word_i[0] ? count_q[rd_word_i[5:1]][63:32] : count_q[rd_word_i[5:1]][31:0];
    end
  end
endmodule

`default_nettype wire
