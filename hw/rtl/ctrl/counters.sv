// 64-bit performance counters in the order of the register map from CNT_CYCLES on, cleared by a
// launch. Word 2i of the read port is the low half of counter i. Beats of the slices are added up a
// cycle before they are counted.
`default_nettype none

module counters #(
    localparam int unsigned Slices = fvlm_isa_pkg::Slices,
    localparam int unsigned StepW = $clog2(2 * Slices + 1)
) (
    input  logic              clk_i,
    input  logic              clear_i,
    input  logic              cycle_i,
    input  logic              dispatched_i,
    input  logic [3:0]        retired_i,
    input  logic [3:0]        busy_i,
    input  logic [3:0]        wait_i,
    input  logic              read_beat_i,
    input  logic              write_beat_i,
    input  logic [StepW-1:0]  mac_beats_i,
    input  logic              starved_i,
    input  logic [Slices-1:0] channel_read_beat_i,
    input  logic [Slices-1:0] channel_write_beat_i,
    input  logic              rd_en_i,
    input  logic [5:0]        rd_word_i,
    output logic [31:0]       rd_data_o
);
  localparam int unsigned Count = 20;

  // Counters that go up by more than one.
  logic [StepW-1:0] mac_q, reads_q, writes_q, reads, writes;
  always_comb begin
    reads  = '0;
    writes = '0;
    for (int i = 0; i < Slices; i++) begin
      reads  = reads + StepW'(channel_read_beat_i[i]);
      writes = writes + StepW'(channel_write_beat_i[i]);
    end
  end
  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      mac_q    <= '0;
      reads_q  <= '0;
      writes_q <= '0;
    end else begin
      mac_q    <= mac_beats_i;
      reads_q  <= reads;
      writes_q <= writes;
    end
  end

  logic [StepW*Count-1:0] step;
  assign step = {writes_q, reads_q, StepW'(starved_i), mac_q, StepW'(write_beat_i),
                 StepW'(read_beat_i), StepW'(wait_i[3]), StepW'(wait_i[2]), StepW'(wait_i[1]),
                 StepW'(wait_i[0]), StepW'(busy_i[3]), StepW'(busy_i[2]), StepW'(busy_i[1]),
                 StepW'(busy_i[0]), StepW'(retired_i[3]), StepW'(retired_i[2]),
                 StepW'(retired_i[1]), StepW'(retired_i[0]), StepW'(dispatched_i),
                 StepW'(cycle_i)};

  logic [63:0] count_q [0:Count-1];
  for (genvar i = 0; i < Count; i++) begin : gen_counter
    always_ff @(posedge clk_i) begin
      if (clear_i) count_q[i] <= '0;
      else if (step[StepW*i+:StepW] != '0) count_q[i] <= count_q[i] + 64'(step[StepW*i+:StepW]);
    end
  end

  always_ff @(posedge clk_i) begin
    if (rd_en_i) begin
      rd_data_o <= rd_word_i[0] ? count_q[rd_word_i[5:1]][63:32] : count_q[rd_word_i[5:1]][31:0];
    end
  end
endmodule

`default_nettype wire
