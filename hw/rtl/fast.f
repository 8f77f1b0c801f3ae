// The matrix array as behavioural dot products: the fast choice in simulation.
mpe/fast/mpe_core.sv
