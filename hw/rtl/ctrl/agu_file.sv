// Address generators A0..A15: the sum base + offsets, the offsets of the loop levels and their sum, the
// strides. A SETA takes effect in the cycle in which it is given, a loop event one cycle later, so that
// the event of the same instruction (SETA as the last one of a body) sees it; sums are read a cycle after that.
// A change adds one number to a sum: the SETA's value, a level's stride, or what a level's offset was.
`default_nettype none

module agu_file (
    input  logic         clk_i,
    input  logic         clear_i,
    input  logic         set_i,        // SETA
    input  logic [15:1]  set_agu_i,    // of which generator
    input  logic         set_base_i,   // base, else advance,
    input  logic         set_sum_i,    // ... if it is one of the two
    input  logic [3:0]   set_stride_i, // stride of a level
    input  logic [31:0]  set_value_i,
    input  logic         step_i,       // loop level starts its next iteration
    input  logic         exit_i,       // loop level ends
    input  logic [1:0]   level_i,
    input  logic [19:0]  rd_agu_i,     // five ports
    output logic [159:0] rd_sum_o
);
  logic [31:0] sum_q [0:15];

  assign sum_q[0] = '0;

  for (genvar i = 0; i < 5; i++) begin : gen_read
    assign rd_sum_o[i*32+:32] = sum_q[rd_agu_i[i*4+:4]];
  end

  logic       event_q, exit_q;
  logic [1:0] level_q;
  always_ff @(posedge clk_i) begin
    event_q <= !clear_i && (step_i || exit_i);
    exit_q  <= exit_i;
    level_q <= level_i;
  end

  for (genvar a = 1; a < 16; a++) begin : gen_agu
    logic [31:0] stride_q [0:3], off_q [0:3];
    logic [31:0] off_sum_q, stride, off, delta, from, by;
    logic        set, set_sum;
    assign set     = set_i && set_agu_i[a];
    assign set_sum = set && set_sum_i;
    assign stride  = stride_q[level_q];
    assign off     = off_q[level_q];
    // Without an event the instruction may be a SETA.
    assign delta   = exit_q ? ~off : stride;
    assign by      = event_q ? delta : set_value_i;
    assign from    = (!event_q && set_base_i) ? off_sum_q : sum_q[a];

    always_ff @(posedge clk_i) begin
      if (clear_i) begin
        sum_q[a]  <= '0;
        off_sum_q <= '0;
      end else begin
        if (event_q || set_sum) sum_q[a] <= from + by + 32'(event_q && exit_q);
        if (event_q) off_sum_q <= off_sum_q + delta + 32'(exit_q);
      end
    end
    for (genvar l = 0; l < 4; l++) begin : gen_level
      always_ff @(posedge clk_i) begin
        if (clear_i) stride_q[l] <= '0;
        else if (set && set_stride_i[l]) stride_q[l] <= set_value_i;
        if (clear_i || (event_q && exit_q && level_q == 2'(l))) off_q[l] <= '0;
        else if (event_q && level_q == 2'(l)) off_q[l] <= off + stride;
      end
    end
  end
endmodule

`default_nettype wire
