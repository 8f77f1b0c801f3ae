// ST: copies SPAD rows, int8 chunks of ABUF (into K and V cache layouts) and scalars to DRAM.
// A command first spends fixed cycles on its address checks, then three processes run side by
// side: the request side (one AXI request a row, or a chunk), the source side (one on-chip read a
// cycle, formatted into a beat with strobes) and the engine's responses. The command is done when
// all responses are in. The source never looks at stop_i, so issued bursts always get their data.
// Theory of operation and cycle counts: hw/doc/timing.md.
`default_nettype none

module st_unit
(
    input  logic                   clk_i,
    input  logic                   rst_ni,

    input  logic                   start_i,
    input  fvlm_isa_pkg::st_cmd_t  cmd_i,  // stable from start_i to done_o or fault_o
    output logic                   busy_o,
    output logic                   done_o,
    output logic                   fault_o,
    output logic [3:0]             fault_code_o,
    input  logic                   stop_i,
    input  logic [31:0]            mem_units_i,

    // Write engine.
    output logic                   req_valid_o,
    input  logic                   req_ready_i,
    output logic [31:0]            req_unit_o,
    output logic [15:0]            req_beats_o,
    output logic                   beat_valid_o,
    input  logic                   beat_ready_i,
    output logic [511:0]           beat_data_o,
    output logic [63:0]            beat_strb_o,
    input  logic                   engine_drained_i,
    input  logic                   engine_error_i,

    // Source memories: one address, data in the next cycle.
    output logic                   spad_re_o,
    output logic                   abuf_re_o,
    output logic                   s_re_o,
    output logic [31:0]            src_addr_o,
    input  logic [511:0]           spad_data_i,
    input  logic [127:0]           abuf_data_i,
    input  logic [31:0]            s_data_i
);
  typedef enum logic [2:0] {StIdle, StMultiply, StAdd, StCheck, StRun, StFault} state_e;

  state_e state_q;

  logic is_rows, is_k, is_v, is_scalar, empty;
  assign is_rows   = cmd_i.mode == fvlm_isa_pkg::ST_MODE_ROWS;
  assign is_k      = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K;
  assign is_v      = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V;
  assign is_scalar = cmd_i.mode == fvlm_isa_pkg::ST_MODE_SCALAR;

  logic [15:0] len;
  assign len   = is_scalar ? 16'd1 : cmd_i.len;
  assign empty = (cmd_i.rows == '0) || (len == '0);

  // ---- Setup. Positions pos..pos+rows-1 lie in blocks of 16. A chunk of a block is four units,
  // all of which must exist even when the command touches fewer.
  logic [15:0] rows_less, len_less;
  logic [16:0] pos_last;
  logic [27:0] src_prod_q;
  logic [47:0] dst_prod_q;
  logic [31:0] first_prod_q;
  logic [39:0] chunk_prod_q;
  logic [34:0] src_end_q;
  logic [50:0] dst_end_q;
  logic [31:0] first_unit_q;
  logic [15:0] units_after;

  assign rows_less = cmd_i.rows - 16'd1;
  assign len_less  = len - 16'd1;
  assign pos_last  = 17'(cmd_i.pos) + 17'(rows_less);
  always_comb begin
    units_after = 16'd4;
    if (is_rows) units_after = len;
    if (is_scalar) units_after = 16'd1;
  end

  logic [19:0] unused;
  assign unused = {cmd_i.pc, pos_last[3:0]};

  logic       check_bad;
  logic [3:0] check_code;
  always_comb begin
    check_bad  = 1'b1;
    check_code = fvlm_isa_pkg::FAULT_DRAM;
    if (is_rows && src_end_q > 35'(fvlm_isa_pkg::SpadWords)) check_code = fvlm_isa_pkg::FAULT_SPAD;
    else if ((is_k || is_v) && src_end_q > 35'(fvlm_isa_pkg::AbufWords))
      check_code = fvlm_isa_pkg::FAULT_ABUF;
    else if (is_scalar && src_end_q > 35'(fvlm_isa_pkg::SWords))
      check_code = fvlm_isa_pkg::FAULT_SMEM;
    else if (dst_end_q <= {19'd0, mem_units_i}) check_bad = 1'b0;
  end

  // ---- Request side: (row, chunk) with the block address of the row's position.
  logic [15:0] req_row_q, req_chunk_q;
  logic [31:0] req_block_q, req_chunk_unit_q;
  logic [3:0]  req_pos_q;
  logic        req_left, req_fire, req_last_chunk;

  assign req_left       = req_row_q != cmd_i.rows;
  assign req_valid_o    = state_q == StRun && req_left && !stop_i;
  assign req_fire       = req_valid_o && req_ready_i;
  assign req_last_chunk = is_rows || is_scalar || req_chunk_q == len_less;
  always_comb begin
    req_unit_o  = req_chunk_unit_q;
    req_beats_o = 16'd1;
    if (is_rows) req_beats_o = len;
    if (is_k) req_unit_o = req_chunk_unit_q + {30'd0, req_pos_q[3:2]};
    if (is_v) req_beats_o = 16'd4;
  end

  // ---- Source side: read address now, beat formatting in the next cycle.
  logic [15:0] src_row_q, src_word_q;
  logic [31:0] src_row_addr_q, src_addr_q;
  logic [1:0]  src_part_q, part_q;
  logic [3:0]  src_pos_q, pos_q;
  logic        pending_q, src_left, src_fire, src_last_part;
  logic [2:0]  fifo_count;

  assign src_left      = state_q != StIdle && src_row_q != cmd_i.rows;
  assign src_fire      = (state_q == StRun || state_q == StFault) && src_left &&
                         (fifo_count + 3'(pending_q) < 3'd4);
  assign src_last_part = !is_v || src_part_q == 2'd3;
  assign src_addr_o    = src_addr_q;
  assign spad_re_o     = src_fire && is_rows;
  assign abuf_re_o     = src_fire && (is_k || is_v);
  assign s_re_o        = src_fire && is_scalar;

  logic [31:0]  v_window;
  logic [511:0] beat_data;
  logic [63:0]  beat_strb;
  always_comb begin
    v_window = abuf_data_i[31:0];
    case (part_q)
      2'd1: v_window = abuf_data_i[63:32];
      2'd2: v_window = abuf_data_i[95:64];
      2'd3: v_window = abuf_data_i[127:96];
      default: v_window = abuf_data_i[31:0];
    endcase
  end
  always_comb begin
    beat_data = spad_data_i;
    beat_strb = '1;
    if (is_k) begin
      beat_data = {4{abuf_data_i}};
      beat_strb = 64'h0000_0000_0000_ffff << {pos_q[1:0], 4'd0};
    end else if (is_v) begin
      beat_data = {{16{v_window[31:24]}}, {16{v_window[23:16]}}, {16{v_window[15:8]}},
                   {16{v_window[7:0]}}};
      beat_strb = 64'h0001_0001_0001_0001 << pos_q;
    end else if (is_scalar) begin
      beat_data = {16{s_data_i}};
      beat_strb = 64'h0000_0000_0000_000f << {pos_q, 2'd0};
    end
  end

  logic fifo_valid;
  prim_fifo #(
      .Width(576),
      .Depth(4)
  ) u_fifo (
      .clk_i,
      .rst_ni,
      .push_i (pending_q),
      .data_i ({beat_strb, beat_data}),
      .full_o (),
      .pop_i  (beat_valid_o && beat_ready_i),
      .data_o ({beat_strb_o, beat_data_o}),
      .valid_o(fifo_valid),
      .count_o(fifo_count)
  );
  assign beat_valid_o = fifo_valid;

  logic all_done;
  assign all_done = state_q == StRun && !req_left && !src_left && !pending_q && !fifo_valid &&
                    engine_drained_i;
  assign busy_o   = state_q != StIdle;
  assign done_o   = (all_done && !engine_error_i) || (state_q == StCheck && empty);
  assign fault_o  = (state_q == StCheck && !empty && check_bad) ||
                    (state_q == StRun && engine_error_i);
  assign fault_code_o = (state_q == StRun) ? fvlm_isa_pkg::FAULT_AXI : check_code;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= StIdle;
      pending_q <= 1'b0;
    end else begin
      pending_q <= src_fire;
      case (state_q)
        StIdle: if (start_i) state_q <= StMultiply;
        StMultiply: state_q <= StAdd;
        StAdd: state_q <= StCheck;
        StCheck: state_q <= empty ? StIdle : check_bad ? StFault : StRun;
        StRun: begin
          if (engine_error_i) state_q <= StFault;
          else if (all_done) state_q <= StIdle;
        end
        default: ;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StMultiply) begin
      src_prod_q   <= 28'(rows_less) * 28'(cmd_i.src_stride);
      dst_prod_q   <= (is_rows ? 48'(rows_less) : 48'(pos_last[16:4])) * 48'(cmd_i.dst_stride);
      first_prod_q <= 32'(cmd_i.pos[15:4]) * cmd_i.dst_stride;
      chunk_prod_q <= (is_k || is_v) ? 40'(len_less) * 40'(cmd_i.chunk_stride) : '0;
    end
    if (state_q == StAdd) begin
      src_end_q    <= 35'(src_prod_q) + 35'(cmd_i.src_addr) + 35'(len);
      dst_end_q    <= 51'(dst_prod_q) + 51'(cmd_i.dst_addr) + 51'(chunk_prod_q) +
                      51'(units_after);
      first_unit_q <= cmd_i.dst_addr + (is_rows ? 32'd0 : first_prod_q);
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) begin
      req_row_q        <= '0;
      req_chunk_q      <= '0;
      req_pos_q        <= cmd_i.pos[3:0];
      req_block_q      <= first_unit_q;
      req_chunk_unit_q <= first_unit_q;
    end
    if (req_fire) begin
      if (req_last_chunk) begin
        req_row_q   <= req_row_q + 16'd1;
        req_chunk_q <= '0;
        req_pos_q   <= req_pos_q + 4'd1;
        if (is_rows || req_pos_q == 4'd15) begin
          req_block_q      <= req_block_q + cmd_i.dst_stride;
          req_chunk_unit_q <= req_block_q + cmd_i.dst_stride;
        end else req_chunk_unit_q <= req_block_q;
      end else begin
        req_chunk_q      <= req_chunk_q + 16'd1;
        req_chunk_unit_q <= req_chunk_unit_q + 32'(cmd_i.chunk_stride);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StCheck) begin
      src_row_q      <= '0;
      src_word_q     <= '0;
      src_part_q     <= '0;
      src_pos_q      <= cmd_i.pos[3:0];
      src_row_addr_q <= cmd_i.src_addr;
      src_addr_q     <= cmd_i.src_addr;
    end
    if (src_fire) begin
      part_q <= src_part_q;
      pos_q  <= src_pos_q;
      if (is_v) src_part_q <= src_part_q + 2'd1;
      if (src_last_part) begin
        if (src_word_q == len_less) begin
          src_row_q      <= src_row_q + 16'd1;
          src_word_q     <= '0;
          src_pos_q      <= src_pos_q + 4'd1;
          src_row_addr_q <= src_row_addr_q + 32'(cmd_i.src_stride);
          src_addr_q     <= src_row_addr_q + 32'(cmd_i.src_stride);
        end else begin
          src_word_q <= src_word_q + 16'd1;
          src_addr_q <= src_addr_q + 32'd1;
        end
      end
    end
  end
endmodule

`default_nettype wire
