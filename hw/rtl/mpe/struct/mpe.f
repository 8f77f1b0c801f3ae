// The structural matrix array without the DSP leaf, relative to hw/rtl.
mpe/struct/mpe_select.sv
mpe/struct/mpe_blocks.sv
mpe/struct/mpe_weights.sv
mpe/struct/mpe_chain.sv
mpe/struct/mpe_feed.sv
mpe/struct/mpe_slice.sv
mpe/struct/mpe_array.sv
