// Sources of fvlm_top, relative to this folder; `-f` includes another list. The package of the
// configuration (gen/<name>/fvlm_isa_pkg.sv) comes first, from the command line.
mem/prim_ram_1r1w.sv
mem/prim_fifo.sv
mem/shared_ram.sv
mem/mem_init.sv
slice/slice_pkg.sv
slice/rank_count.sv
slice/rank_find.sv
slice/expand_values.sv
slice/expand_selectors.sv
slice/expander.sv
slice/run_walker.sv
slice/weight_fifo.sv
slice/scale_fifo.sv
slice/weight_stream.sv
ctrl/unit_queue.sv
ctrl/token_board.sv
ctrl/queues.sv
ctrl/scalar_file.sv
ctrl/agu_file.sv
ctrl/loop_stack.sv
ctrl/dispatch.sv
ctrl/fetch.sv
ctrl/fault.sv
ctrl/launch.sv
ctrl/counters.sv
ctrl/csr.sv
dma/multiply.sv
dma/axi_read_engine.sv
dma/axi_write_engine.sv
dma/axi_single_write.sv
dma/ld_unit.sv
dma/st_setup.sv
dma/st_unit.sv
-f compute.f
compute.sv
fvlm_top.sv
