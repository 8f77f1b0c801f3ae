// What the kernel for a card has around and below fvlm_top, relative to hw/rtl: memories and the array of DSP
// cells on the vendor's primitives, the clock, the registers of the ports' bases.
prim/xilinx/weight_ram.sv
prim/xilinx/dsp48_mac.sv
prim/xilinx/dsp48_acc.sv
prim/xilinx/mux16.sv
-f mpe/struct/mpe.f
card/card_clock.sv
card/card_regs.sv
card/card_port.sv
card/card_shell.sv
