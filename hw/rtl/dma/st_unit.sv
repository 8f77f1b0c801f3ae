// ST: copies SPAD rows and scalars to main memory, and int8 (or rounded 4-bit) chunks of ABUF and
// their scales into the key and value layouts of the channels. A command first spends fixed cycles
// on its address checks, then reads one source word a cycle, formats it and hands it to the write
// engine of main memory (a request a row, or a scalar) or to the writer of its slot's channel. It
// is done when all responses are in. The source never looks at stop_i, so bursts that the engine
// has issued always get their data.
// Theory of operation and cycle counts: hw/doc/timing.md.
`default_nettype none

module st_unit
  import slice_pkg::*;
(
    input  logic                   clk_i,
    input  logic                   rst_ni,

    input  logic                   start_i,
    input  fvlm_isa_pkg::st_cmd_t  cmd_i,  // stable from start_i to done_o or fault_o
    output logic                   busy_o,
    output logic                   done_o,
    output logic                   fault_o,
    output logic [3:0]             fault_code_o,
    input  logic [31:0]            mem_units_i,
    input  logic [31:0]            channel_units_i,

    // Write engine of main memory.
    output logic                   req_valid_o,
    input  logic                   req_ready_i,
    output logic [31:0]            req_unit_o,
    output logic [15:0]            req_beats_o,
    output logic                   beat_valid_o,
    input  logic                   beat_ready_i,
    output logic [511:0]           beat_data_o,
    output logic [63:0]            beat_strb_o,

    // Writers of the channels.
    output logic [Slices-1:0]      kv_valid_o,
    input  logic [Slices-1:0]      kv_ready_i,
    output logic [31:0]            kv_unit_o,
    output logic [511:0]           kv_data_o,
    output logic [63:0]            kv_strb_o,

    input  logic                   drained_i,  // all of them
    input  logic                   error_i,

    // Source memories: one address, data in the next cycle.
    output logic                   spad_re_o,
    output logic                   abuf_re_o,
    output logic                   s_re_o,
    output logic [31:0]            src_addr_o,
    input  logic [511:0]           spad_data_i,
    input  logic [127:0]           abuf_data_i,
    input  logic [31:0]            s_data_i
);
  typedef enum logic [1:0] {StIdle, StSetup, StRun, StFault} state_e;
  state_e state_q;

  logic is_rows, is_k, is_v, is_half, is_scalar, is_scale, is_kv, from_s, from_abuf, empty;
  // In registers: true from the cycle behind the start, long before anything depends on them.
  always_ff @(posedge clk_i) begin
    is_rows   <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_ROWS;
    is_k      <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K4;
    is_v      <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V4;
    is_half   <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K4 || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V4;
    is_scalar <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_SCALAR;
    is_scale  <= cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_SCALE;
    is_kv     <= cmd_i.mode != fvlm_isa_pkg::ST_MODE_ROWS && cmd_i.mode != fvlm_isa_pkg::ST_MODE_SCALAR;
  end
  assign from_s    = is_scalar || is_scale;
  assign from_abuf = is_k || is_v;

  logic [15:0] len, heads;
  logic        empty_q;
  assign len   = from_s ? 16'd1 : cmd_i.len;
  assign heads = (cmd_i.mode == fvlm_isa_pkg::ST_MODE_ROWS) ? 16'd1 : cmd_i.heads;  // needed at the start
  assign empty = cmd_i.rows == '0 || len == '0 || heads == '0;
  always_ff @(posedge clk_i) empty_q <= empty;

  // ---- Setup and checks.
  logic        ready;
  logic [35:0] src_end;
  logic [65:0] dst_end;
  logic [31:0] first_unit, head_units, round_stride;
  st_setup u_setup (
      .clk_i,
      .rst_ni,
      .start_i,
      .cmd_i,
      .len_i         (len),
      .heads_i       (heads),
      .ready_o       (ready),
      .src_end_o     (src_end),
      .dst_end_o     (dst_end),
      .first_unit_o  (first_unit),
      .head_units_o  (head_units),
      .round_stride_o(round_stride)
  );

  // The verdict: in registers, because the last of the sums (dst_end) is there a cycle before `ready`.
  logic        check_bad_q;
  logic [3:0]  check_code_q;
  logic [31:0] units_q;
  always_ff @(posedge clk_i) begin
    units_q      <= is_kv ? channel_units_i : mem_units_i;
    check_bad_q  <= 1'b1;
    check_code_q <= fvlm_isa_pkg::FAULT_DRAM;
    if (is_rows && src_end > 36'(fvlm_isa_pkg::SpadWords)) check_code_q <= fvlm_isa_pkg::FAULT_SPAD;
    else if (from_abuf && src_end > 36'(fvlm_isa_pkg::AbufWords)) check_code_q <= fvlm_isa_pkg::FAULT_ABUF;
    else if (from_s && src_end > 36'(fvlm_isa_pkg::SWords)) check_code_q <= fvlm_isa_pkg::FAULT_SMEM;
    else if (dst_end <= {34'd0, units_q}) check_bad_q <= 1'b0;
  end

  // ---- Walk: heads, rows, chunks (or words of a row). Source index, destination unit and slice.
  logic [15:0]       heads_q, rows_q, chunks_q;  // behind the present one
  logic              last_chunk_q, last_row_q, last_head_q;
  logic              to_row_q, to_head_q;        // the next step is one to the next row, head
  logic              needs_request_q;            // the read begins a burst of main memory
  logic              one_chunk_q, one_row_q;     // of the command, like is_rows above
  logic [31:0]       src_head_q, src_row_q, src_q, unit_head_q, unit_row_q, unit_q;
  logic [SliceW-1:0] slice_head_q, slice_row_q, slice_q;
  logic [3:0]        pos_q;
  logic              left_q, pending_q, fire, fifo_pop;
  logic [2:0]        places_q;  // places in the FIFO that no read has taken
  logic              room_q;    // there is one

  assign req_valid_o = state_q == StRun && left_q && needs_request_q && room_q;
  assign req_unit_o  = unit_q;
  assign req_beats_o = len;
  assign fire        = left_q && room_q && (!needs_request_q || (state_q == StRun && req_ready_i));
  assign src_addr_o  = src_q;
  assign spad_re_o   = fire && is_rows;
  assign abuf_re_o   = fire && from_abuf;
  assign s_re_o      = fire && from_s;

  // Steps. A step over the last slice is one to the next round.
  logic [SliceW-1:0] next_slice, next_row_slice, next_head_slice, first_slice;
  logic              wrap, row_wrap, head_wrap, next_block;
  logic [31:0]       next_row_unit, next_head_unit, src_next_row, src_next_head;
  if (Slices == 1) begin : gen_one
    assign next_slice      = '0;
    assign next_row_slice  = '0;
    assign next_head_slice = '0;
    assign first_slice     = '0;
    assign wrap            = 1'b1;
    assign row_wrap        = 1'b1;
    assign head_wrap       = 1'b0;
    logic unused;
    assign unused = ^{slice_row_q, slice_head_q};
  end else begin : gen_many
    assign {wrap, next_slice}           = {1'b0, slice_q} + 1'b1;
    assign {row_wrap, next_row_slice}   = {1'b0, slice_row_q} + 1'b1;
    assign {head_wrap, next_head_slice} = {1'b0, slice_head_q} + {1'b0, cmd_i.head_step[SliceW-1:0]};
    assign first_slice = cmd_i.first[SliceW-1:0] + (is_v ? '0 : cmd_i.pos[4+:SliceW]);
  end
  assign next_block     = pos_q == 4'd15;
  assign src_next_row   = src_row_q + 32'(cmd_i.src_stride);
  assign src_next_head  = src_head_q + 32'(cmd_i.head_stride);
  assign next_head_unit = unit_head_q + head_units + ((is_kv && head_wrap) ? round_stride : '0);
  always_comb begin
    next_row_unit = unit_row_q;
    if (is_rows || (next_block && (is_v || is_scalar || row_wrap)))
      next_row_unit = unit_row_q + cmd_i.dst_stride;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q    <= 1'b0;
      pending_q <= 1'b0;
      places_q  <= 3'd4;
      room_q    <= 1'b1;
    end else begin
      pending_q <= fire;
      if (fire && !fifo_pop) begin
        places_q <= places_q - 3'd1;
        room_q   <= places_q != 3'd1;
      end
      if (!fire && fifo_pop) begin
        places_q <= places_q + 3'd1;
        room_q   <= 1'b1;
      end
      if (ready) left_q <= !empty_q;
      else if (fire && to_head_q && last_head_q) left_q <= 1'b0;
    end
  end

  // What the next step will be is known with the present one: a read only enables it.
  logic last_chunk, last_row;
  always_comb begin
    last_chunk = last_chunk_q;
    last_row   = last_row_q;
    if (fire) begin
      last_chunk = last_chunk_q ? one_chunk_q : chunks_q == 16'd1;
      if (to_row_q) last_row = rows_q == 16'd1;
      if (to_head_q) last_row = one_row_q;
    end
    if (ready) begin
      last_chunk = one_chunk_q;
      last_row   = one_row_q;
    end
  end
  always_ff @(posedge clk_i) begin
    one_chunk_q  <= len == 16'd1;
    one_row_q    <= cmd_i.rows == 16'd1;
    last_chunk_q <= last_chunk;
    last_row_q   <= last_row;
    to_row_q     <= last_chunk && !last_row;
    to_head_q    <= last_chunk && last_row;
  end

  always_ff @(posedge clk_i) begin
    if (ready) begin
      heads_q         <= heads - 16'd1;
      rows_q          <= cmd_i.rows - 16'd1;
      chunks_q        <= len - 16'd1;
      needs_request_q <= !is_kv;
      last_head_q     <= heads == 16'd1;
      pos_q           <= cmd_i.pos[3:0];
      src_head_q      <= cmd_i.src_addr;
      src_row_q       <= cmd_i.src_addr;
      src_q           <= cmd_i.src_addr;
      unit_head_q     <= first_unit;
      unit_row_q      <= first_unit;
      unit_q          <= first_unit;
      slice_head_q    <= first_slice;
      slice_row_q     <= first_slice;
      slice_q         <= first_slice;
    end else if (fire) begin
      needs_request_q <= !is_kv && last_chunk_q;
      chunks_q        <= last_chunk_q ? len - 16'd1 : chunks_q - 16'd1;
      if (to_head_q) begin
        rows_q       <= cmd_i.rows - 16'd1;
        heads_q      <= heads_q - 16'd1;
        last_head_q  <= heads_q == 16'd1;
        pos_q        <= cmd_i.pos[3:0];
        src_head_q   <= src_next_head;
        src_row_q    <= src_next_head;
        src_q        <= src_next_head;
        unit_head_q  <= next_head_unit;
        unit_row_q   <= next_head_unit;
        unit_q       <= next_head_unit;
        slice_head_q <= next_head_slice;
        slice_row_q  <= next_head_slice;
        slice_q      <= next_head_slice;
      end else if (to_row_q) begin
        rows_q     <= rows_q - 16'd1;
        pos_q      <= pos_q + 4'd1;
        src_row_q  <= src_next_row;
        src_q      <= src_next_row;
        unit_row_q <= next_row_unit;
        unit_q     <= next_row_unit;
        slice_q    <= slice_row_q;
        if (next_block && !is_v) begin
          slice_row_q <= next_row_slice;
          slice_q     <= next_row_slice;
        end
      end else begin
        src_q <= src_q + 32'd1;
        if (is_k || (is_v && wrap)) unit_q <= unit_q + 32'(cmd_i.chunk_stride);
        if (is_v) slice_q <= next_slice;
      end
    end
  end

  // ---- The data of a read come in the next cycle and wait in a FIFO, with their place: the
  // destination of a key or value takes bits that only rows use otherwise.
  logic [31:0]       to_unit_q;
  logic [SliceW-1:0] to_slice_q;
  logic [3:0]        to_pos_q;
  always_ff @(posedge clk_i) begin
    if (fire) begin
      to_unit_q  <= unit_q;
      to_slice_q <= slice_q;
      to_pos_q   <= pos_q;
      if (from_abuf) to_unit_q <= unit_q + (is_half ? {31'd0, pos_q[3]} : {30'd0, pos_q[3:2]});
    end
  end

  // n4 of the specification, (113 x + 1024) >> 11: 8-bit values rounded to the 4-bit grid. 113 is 16 * 7 + 1,
  // so this is (7 x + (x >> 4) + 64) >> 7, without a multiplier.
  function automatic logic [3:0] n4(input logic [7:0] x);
    logic signed [11:0] y;
    y  = 12'($signed(x));
    n4 = 4'(((y <<< 3) - y + (y >>> 4) + 12'sd64) >>> 7);
  endfunction

  logic [63:0]  nibbles;
  logic [127:0] kv_data;
  logic [511:0] word, head_word;
  always_comb begin
    nibbles = '0;
    if (pending_q && is_half) begin
      // Elements 8 j + i and 8 j + 4 + i share a byte.
      for (int i = 0; i < 8; i++) begin
        nibbles[8*i+:4]   = n4(abuf_data_i[64*(i/4)+8*(i%4)+:8]);
        nibbles[8*i+4+:4] = n4(abuf_data_i[64*(i/4)+32+8*(i%4)+:8]);
      end
    end
  end
  always_comb begin
    kv_data = abuf_data_i;
    if (is_half) kv_data = {{2{nibbles[63:32]}}, {2{nibbles[31:0]}}};
    if (is_scale) kv_data = {4{s_data_i}};
    word = spad_data_i;
    if (is_scalar) word = {16{s_data_i}};
    if (is_kv) word = {352'd0, to_unit_q, kv_data};
  end

  logic       fifo_valid;
  logic [3:0] head_pos;
  prim_fifo #(
      .Width(516),
      .Depth(4)
  ) u_fifo (
      .clk_i,
      .rst_ni,
      .push_i (pending_q),
      .data_i ({to_pos_q, word}),
      .full_o (),
      .pop_i  (fifo_pop),
      .data_o ({head_pos, head_word}),
      .valid_o(fifo_valid),
      .count_o()
  );

  assign beat_valid_o = fifo_valid && !is_kv;
  assign beat_data_o  = head_word;
  assign beat_strb_o  = is_rows ? '1 : 64'hf << {head_pos, 2'd0};

  assign kv_unit_o = head_word[159:128];

  // The channel of the oldest entry decides at once whether it goes: it is not in the FIFO's memory.
  logic              to_valid;
  logic [SliceW-1:0] to_slice;
  head_fifo #(
      .Width(SliceW),
      .Depth(4)
  ) u_slices (
      .clk_i,
      .rst_ni,
      .push_i (pending_q),
      .data_i (to_slice_q),
      .pop_i  (fifo_pop),
      .data_o (to_slice),
      .valid_o(to_valid)
  );

  // Keys, values and scales in their unit. Chunk q of 16 bytes has four elements (or, of 4 bits, eight) of
  // position p, those of block q ^ (p / 4): of a key in the p-th four bytes, of a value in the p-th byte of
  // each four.
  always_comb begin : place
    logic [31:0] four;
    logic        chunk;
    kv_data_o = 'x;
    kv_strb_o = 'x;
    four      = '0;
    chunk     = 1'b0;
    if (fifo_valid && is_kv) begin
      for (int q = 0; q < 4; q++) begin
        case (head_pos[3:2] ^ 2'(q))
          2'd0: four = head_word[31:0];
          2'd1: four = head_word[63:32];
          2'd2: four = head_word[95:64];
          default: four = head_word[127:96];
        endcase
        chunk = 1'b1;
        if (is_half) chunk = head_pos[2] == 1'(q);
        if (is_scale) chunk = head_pos[3:2] == 2'(q);
        for (int j = 0; j < 4; j++) begin
          kv_data_o[128*q+32*j+:32] = is_v ? {4{four[8*j+:8]}} : four;
          kv_strb_o[16*q+4*j+:4]    = {4{chunk}} & (is_v ? 4'd1 << head_pos[1:0] : {4{head_pos[1:0] == 2'(j)}});
        end
      end
    end
  end
  for (genvar i = 0; i < Slices; i++) begin : gen_channel
    assign kv_valid_o[i] = to_valid && is_kv && to_slice == SliceW'(i);
  end
  assign fifo_pop = to_valid && (is_kv ? kv_ready_i[to_slice] : beat_ready_i);

  // ---- Sequence.
  logic all_done;
  assign all_done = state_q == StRun && !left_q && !pending_q && !fifo_valid && drained_i;
  assign busy_o   = state_q != StIdle;
  assign done_o   = (all_done && !error_i) || (ready && empty_q);
  assign fault_o  = (ready && !empty_q && check_bad_q) || (state_q == StRun && error_i);
  assign fault_code_o = (state_q == StRun) ? fvlm_isa_pkg::FAULT_AXI : check_code_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else begin
      case (state_q)
        StIdle: if (start_i) state_q <= StSetup;
        StSetup: if (ready) state_q <= empty_q ? StIdle : check_bad_q ? StFault : StRun;
        StRun: begin
          if (error_i) state_q <= StFault;
          else if (all_done) state_q <= StIdle;
        end
        default: ;
      endcase
    end
  end

  logic unused;
  assign unused = ^cmd_i.pc;
endmodule

`default_nettype wire
