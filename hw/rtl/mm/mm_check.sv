// Operand checks of an MM command, in three stages (ce_i[i] loads stage i); the verdict follows.
// Priority: windows aligned, weights fit the FIFOs, activations, output, row scales.
`default_nettype none

module mm_check (
  input  wire                   clk_i,
  input  wire  [2:0]            ce_i,
  input  fvlm_isa_pkg::mm_cmd_t cmd_i,
  output logic                  bad_o,
  output logic [3:0]            code_o
);
  logic [3:0]  window_words;
  logic [2:0]  align_mask;
  logic        bad_align_q, bad_fifo_q, bad_kb_q, many_q, bad_act, bad_out, bad_sa;
  logic [15:0] max_groups_kb_q, act_words_q;
  logic [8:0]  max_groups;
  assign window_words = fvlm_isa_pkg::nm_window_words(cmd_i.nm);
  assign align_mask   = 3'(window_words - 4'd1);
  assign max_groups   = 9'(fvlm_isa_pkg::SfifoWords) - {8'd0, cmd_i.bias};

  always_ff @(posedge clk_i) begin
    if (ce_i[0]) begin
      // Windows are powers of two. Exact for every kb that passes the FIFO check, which comes first.
      act_words_q <= cmd_i.kb << (window_words[3] ? 2'd3 : window_words[2:1]);
      // groups > max_groups is kb > max_groups * kbg: no division. Without kbg there is one group.
      max_groups_kb_q <= {7'd0, max_groups} * {8'd0, cmd_i.kbg};
      bad_align_q     <= (cmd_i.act_addr[2:0] & align_mask) != 3'd0
                         || (cmd_i.rows != 16'd1 && (cmd_i.act_stride[2:0] & align_mask) != 3'd0);
      bad_kb_q        <= cmd_i.kb == 16'd0 || cmd_i.kb > 16'(fvlm_isa_pkg::WfifoWords);
    end
    if (ce_i[1]) many_q <= cmd_i.wscale && cmd_i.kbg != 8'd0 && cmd_i.kb > max_groups_kb_q;
    if (ce_i[2]) bad_fifo_q <= bad_kb_q || many_q;
  end
  mm_range #(.Limit(fvlm_isa_pkg::AbufWords)) u_act (
    .clk_i, .ce_i, .base_i(cmd_i.act_addr), .rows_i(cmd_i.rows), .stride_i(cmd_i.act_stride),
    .words_i(act_words_q), .bad_o(bad_act)
  );
  mm_range #(.Limit(fvlm_isa_pkg::SpadWords)) u_out (
    .clk_i, .ce_i, .base_i(cmd_i.out_addr), .rows_i(cmd_i.rows), .stride_i(cmd_i.out_stride),
    .words_i(cmd_i.tiles), .bad_o(bad_out)
  );
  mm_range #(.Limit(fvlm_isa_pkg::SWords)) u_sa (
    .clk_i, .ce_i, .base_i(cmd_i.sa_addr), .rows_i(cmd_i.rows), .stride_i(cmd_i.sa_stride),
    .words_i(16'd1), .bad_o(bad_sa)
  );

  assign bad_o  = bad_align_q || bad_fifo_q || bad_act || bad_out || bad_sa;
  assign code_o = bad_align_q ? fvlm_isa_pkg::FAULT_OPERAND
                : bad_fifo_q ? fvlm_isa_pkg::FAULT_WFIFO
                : bad_act ? fvlm_isa_pkg::FAULT_ABUF
                : bad_out ? fvlm_isa_pkg::FAULT_SPAD : fvlm_isa_pkg::FAULT_SMEM;
endmodule

`default_nettype wire
