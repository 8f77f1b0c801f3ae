// Address arithmetic of a store: the last source word and the last destination unit for the checks,
// the first unit, and the step between heads. One multiplier computes a product a cycle.
`default_nettype none

module st_setup
  import slice_pkg::*;
(
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  start_i,
    input  fvlm_isa_pkg::st_cmd_t cmd_i,
    input  logic [15:0]           len_i,          // 1 in modes scalar, kv_scale
    input  logic [15:0]           heads_i,        // 1 in mode rows
    output logic                  ready_o,        // results are there, for one cycle
    output logic [35:0]           src_end_o,      // one past the last source word
    output logic [65:0]           dst_end_o,      // one past the last destination unit
    output logic [31:0]           first_unit_o,
    output logic [31:0]           head_units_o,   // from head to head, without a carry of slices
    output logic [31:0]           round_stride_o  // from round to round of slices
);
  logic is_rows, is_k, is_v, is_scalar, is_scale, is_half;
  assign is_rows   = cmd_i.mode == fvlm_isa_pkg::ST_MODE_ROWS;
  assign is_k      = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K4;
  assign is_v      = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V4;
  assign is_half   = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_K4 || cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_V4;
  assign is_scalar = cmd_i.mode == fvlm_isa_pkg::ST_MODE_SCALAR;
  assign is_scale  = cmd_i.mode == fvlm_isa_pkg::ST_MODE_KV_SCALE;

  logic [15:0] rows_less, len_less, heads_less;
  logic [11:0] first_block;
  logic [12:0] last_block;
  logic [16:0] first_slot;
  assign rows_less   = cmd_i.rows - 16'd1;
  assign len_less    = len_i - 16'd1;
  assign heads_less  = heads_i - 16'd1;
  assign first_block = cmd_i.pos[15:4];
  assign last_block  = 13'((17'(cmd_i.pos) + 17'(rows_less)) >> 4);
  assign first_slot  = 17'(cmd_i.first) + (is_v ? 17'd0 : 17'(first_block));
  assign round_stride_o = is_v ? 32'(cmd_i.chunk_stride) : cmd_i.dst_stride;

  // ---- One product a step, begun a cycle before it; it is there two steps later.
  logic        busy_q;
  logic [3:0]  step_q, next_q, next;
  assign next = start_i ? 4'd0 : next_q;
  logic [31:0] last_slot_q, a, b;
  logic [63:0] product;
  always_comb begin
    a = '0;
    b = round_stride_o;
    case (next)
      4'd0: begin
        a = 32'(heads_less);
        b = 32'(cmd_i.head_step);
      end
      4'd1: begin
        a = 32'(rows_less);
        b = 32'(cmd_i.src_stride);
      end
      4'd2: begin
        a = 32'(heads_less);
        b = 32'(cmd_i.head_stride);
      end
      4'd3: if (!is_rows && !is_scalar) a = 32'(first_slot) >> SliceShift;
      4'd4: begin
        if (is_rows) a = 32'(rows_less);
        else if (!is_scalar) a = last_slot_q >> SliceShift;
      end
      4'd5: a = 32'(cmd_i.head_step) >> SliceShift;
      4'd6: begin
        if (is_k) a = 32'(len_less);
        if (is_v || is_scalar) a = 32'(last_block);
        b = is_k ? 32'(cmd_i.chunk_stride) : cmd_i.dst_stride;
      end
      default: begin
        if (is_v || is_scalar) a = 32'(first_block);
        b = cmd_i.dst_stride;
      end
    endcase
  end
  multiply u_multiply (
      .clk_i,
      .en_i     (start_i || busy_q),
      .a_i      (a),
      .b_i      (b),
      .product_o(product)
  );

  // Units of a block that must exist behind the first one, even when the command touches fewer.
  logic [15:0] units_after;
  always_comb begin
    units_after = 16'd1;
    if (is_rows) units_after = len_i;
    if (is_k || is_v) units_after = is_half ? 16'd2 : 16'd4;
  end

  assign ready_o = busy_q && step_q == 4'd10;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) busy_q <= 1'b0;
    else if (start_i) busy_q <= 1'b1;
    else if (ready_o) busy_q <= 1'b0;
  end

  logic [31:0] slots_behind;  // of the last block or chunk behind the head's first
  assign slots_behind = is_v ? 32'(len_less) : 32'(last_block);

  always_ff @(posedge clk_i) begin
    if (start_i) step_q <= '0;
    next_q <= next + 4'd1;
    if (busy_q) begin
      step_q <= next_q;
      case (step_q)
        4'd2: begin
          last_slot_q <= 32'(cmd_i.first) + product[31:0] + slots_behind;
          dst_end_o   <= 66'(cmd_i.dst_addr) + 66'(units_after) +
                         (is_scalar ? 66'(product[31:0]) : '0);
        end
        4'd3: src_end_o <= 36'(cmd_i.src_addr) + 36'(product[27:0]) +
                           36'(len_i);
        4'd4: src_end_o <= src_end_o + (is_rows ? 36'd0 : 36'(product[27:0]));
        4'd5: first_unit_o <= cmd_i.dst_addr + product[31:0];
        4'd6: dst_end_o <= dst_end_o + 66'(product);
        4'd7: head_units_o <= is_scalar ? 32'(cmd_i.head_step) : product[31:0];
        4'd8: if (!is_rows && !is_scale) dst_end_o <= dst_end_o + 66'(product);
        4'd9: if (is_v || is_scalar) first_unit_o <= first_unit_o + product[31:0];
        default: ;
      endcase
    end
  end
endmodule

`default_nettype wire
