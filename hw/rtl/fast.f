// The matrix array as sums in C++ (DPI): the fast choice in simulation.
mpe/fast/mpe_array.sv
mpe/fast/mpe_model.cpp
