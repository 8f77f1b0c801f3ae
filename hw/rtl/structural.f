// The matrix array built from device cells (their simulation models).
prim/model/weight_ram.sv
prim/model/dsp48_mac.sv
prim/model/dsp48_acc.sv
prim/model/mux16.sv
-f mpe/struct/mpe.f
