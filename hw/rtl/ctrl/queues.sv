// The four command queues with the token counters between their units. Unit u (LD, ST, MM, VX) owns
// bit u of the vectors, bits 16u+15:16u of pc_o.
`default_nettype none

module queues (
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  stop_i,
    input  logic [3:0]            push_i,
    input  logic [3:0]            wait_i,
    input  logic [3:0]            release_i,
    input  fvlm_isa_pkg::ld_cmd_t ld_cmd_i,
    input  fvlm_isa_pkg::st_cmd_t st_cmd_i,
    input  fvlm_isa_pkg::mm_cmd_t mm_cmd_i,
    input  fvlm_isa_pkg::vx_cmd_t vx_cmd_i,
    output logic [3:0]            full_o,
    output logic [3:0]            start_o,
    output fvlm_isa_pkg::ld_cmd_t ld_cmd_o,
    output fvlm_isa_pkg::st_cmd_t st_cmd_o,
    output fvlm_isa_pkg::mm_cmd_t mm_cmd_o,
    output fvlm_isa_pkg::vx_cmd_t vx_cmd_o,
    input  logic                  mm_ready_i,  // MM takes a further command
    input  logic [3:0]            done_i,
    output logic [63:0]           pc_o,
    output logic [3:0]            active_o,
    output logic [3:0]            waiting_o,
    output logic [3:0]            empty_o,
    output logic [3:0]            overflow_o
);
  // Masks of unit u in bits 4u+3:4u.
  logic [15:0] tokens, consume, releases, produce;

  unit_queue #(
      .Width($bits(fvlm_isa_pkg::ld_cmd_t)),
      .Depth(fvlm_isa_pkg::QueueDepth)
  ) u_ld_queue (
      .clk_i,
      .rst_ni,
      .stop_i,
      .push_i   (push_i[0]),
      .cmd_i    (ld_cmd_i),
      .wait_i   (wait_i),
      .release_i(release_i),
      .full_o   (full_o[0]),
      .tokens_i (tokens[3:0]),
      .consume_o(consume[3:0]),
      .start_o  (start_o[0]),
      .cmd_o    (ld_cmd_o),
      .ready_i  (1'b1),
      .done_i   (done_i[0]),
      .release_o(releases[3:0]),
      .pc_o     (pc_o[15:0]),
      .active_o (active_o[0]),
      .waiting_o(waiting_o[0]),
      .empty_o  (empty_o[0])
  );
  unit_queue #(
      .Width($bits(fvlm_isa_pkg::st_cmd_t)),
      .Depth(fvlm_isa_pkg::QueueDepth)
  ) u_st_queue (
      .clk_i,
      .rst_ni,
      .stop_i,
      .push_i   (push_i[1]),
      .cmd_i    (st_cmd_i),
      .wait_i   (wait_i),
      .release_i(release_i),
      .full_o   (full_o[1]),
      .tokens_i (tokens[7:4]),
      .consume_o(consume[7:4]),
      .start_o  (start_o[1]),
      .cmd_o    (st_cmd_o),
      .ready_i  (1'b1),
      .done_i   (done_i[1]),
      .release_o(releases[7:4]),
      .pc_o     (pc_o[31:16]),
      .active_o (active_o[1]),
      .waiting_o(waiting_o[1]),
      .empty_o  (empty_o[1])
  );
  unit_queue #(
      .Width($bits(fvlm_isa_pkg::mm_cmd_t)),
      .Depth(fvlm_isa_pkg::QueueDepth),
      .Flights(fvlm_isa_pkg::MmFlights)
  ) u_mm_queue (
      .clk_i,
      .rst_ni,
      .stop_i,
      .push_i   (push_i[2]),
      .cmd_i    (mm_cmd_i),
      .wait_i   (wait_i),
      .release_i(release_i),
      .full_o   (full_o[2]),
      .tokens_i (tokens[11:8]),
      .consume_o(consume[11:8]),
      .start_o  (start_o[2]),
      .cmd_o    (mm_cmd_o),
      .ready_i  (mm_ready_i),
      .done_i   (done_i[2]),
      .release_o(releases[11:8]),
      .pc_o     (pc_o[47:32]),
      .active_o (active_o[2]),
      .waiting_o(waiting_o[2]),
      .empty_o  (empty_o[2])
  );
  unit_queue #(
      .Width($bits(fvlm_isa_pkg::vx_cmd_t)),
      .Depth(fvlm_isa_pkg::QueueDepth)
  ) u_vx_queue (
      .clk_i,
      .rst_ni,
      .stop_i,
      .push_i   (push_i[3]),
      .cmd_i    (vx_cmd_i),
      .wait_i   (wait_i),
      .release_i(release_i),
      .full_o   (full_o[3]),
      .tokens_i (tokens[15:12]),
      .consume_o(consume[15:12]),
      .start_o  (start_o[3]),
      .cmd_o    (vx_cmd_o),
      .ready_i  (1'b1),
      .done_i   (done_i[3]),
      .release_o(releases[15:12]),
      .pc_o     (pc_o[63:48]),
      .active_o (active_o[3]),
      .waiting_o(waiting_o[3]),
      .empty_o  (empty_o[3])
  );

  assign produce = {releases[15:12] & {4{done_i[3]}}, releases[11:8] & {4{done_i[2]}},
                    releases[7:4] & {4{done_i[1]}}, releases[3:0] & {4{done_i[0]}}};
  token_board u_tokens (
      .clk_i,
      .rst_ni,
      .produce_i  (produce),
      .consume_i  (consume),
      .available_o(tokens),
      .overflow_o (overflow_o)
  );
endmodule

`default_nettype wire
