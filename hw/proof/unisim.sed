# Xilinx's UNISIM DSP48E2.v for Verilator: pins are never Z, so the tests for Z go, and there is no glbl
# module, so the global set/reset is low. Nothing else changes.
s/(\([A-Z0-9_]*\(\[[0-9]*\]\)\{0,1\}\) !== 1'bz) && //
s/(\([A-Z0-9_]*\(\[[0-9]*\]\)\{0,1\}\) === 1'bz) || //
s/tri0 glblGSR = glbl.GSR;/wire glblGSR = 1'b0;/
