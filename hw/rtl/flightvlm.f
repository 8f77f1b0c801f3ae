// Sources of fvlm_top, relative to this folder; `-f` includes another list.
gen/fvlm_isa_pkg.sv
mem/prim_ram_1r1w.sv
mem/prim_fifo.sv
mem/peek_fifo.sv
mem/shared_ram.sv
mem/mem_init.sv
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
dma/axi_read_engine.sv
dma/axi_write_engine.sv
dma/ld_unit.sv
dma/st_unit.sv
-f compute.f
compute.sv
fvlm_top.sv
