// The matrix array built from DSP cells (simulation model of the cell).
prim/model/dsp48_mac.sv
-f mpe/struct/mpe.f
