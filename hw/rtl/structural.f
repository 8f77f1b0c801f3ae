// The matrix array built from DSP cells (simulation model of the cell).
mpe/struct/mpe_chain.sv
mpe/struct/mpe_core.sv
prim/model/dsp48_mac.sv
