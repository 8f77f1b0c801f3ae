// The matrix array as sums in C++ (DPI): the fast choice in simulation.
prim/model/weight_ram.sv
mpe/fast/mpe_array.sv
mpe/fast/mpe_model.cpp
