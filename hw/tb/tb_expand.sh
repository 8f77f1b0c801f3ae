#!/bin/sh
# The weight stream of a slice against its reference; run by run.sh (test expand).
# usage: hw/tb/tb_expand.sh [config...]    (default: sim mini)
# The first configuration is built a second time with the device's weight RAM.
set -eu
cd "$(dirname "$0")/../.."
rtl=hw/rtl
include=$(verilator --getenv VERILATOR_ROOT)/include
# bench CONFIG LEAF
bench() {
  pkg=$rtl/gen/$1/fvlm_isa_pkg.sv
  dir=target/tb/expand/$1-$2
  slices=$(sed -n 's/.* Slices = \([0-9]*\);.*/\1/p' $pkg)
  mkdir -p "$dir"
  files="hw/lint/waivers.vlt $pkg $rtl/slice/slice_pkg.sv -y $rtl/mem -y $rtl/dma -y $rtl/slice -y $rtl/prim/$2 $rtl/slice/weight_stream.sv"
  verilator --lint-only -Wall --top-module weight_stream $files
  verilator --cc --build -j 1 -O3 --assert --x-assign fast --x-initial fast --prefix Vstream \
    --top-module weight_stream --Mdir "$dir" -CFLAGS -O2 $files >"$dir.log" 2>&1 || { cat "$dir.log"; exit 1; }
  g++ -std=c++17 -O2 -DSLICES="$slices" -I"$dir" -I"$include" -I"$include/vltstd" -o "$dir/tb_expand" hw/tb/tb_expand.cpp \
    "$dir/Vstream__ALL.a" "$include/verilated.cpp" "$include/verilated_threads.cpp" -pthread
  echo "$1 $2: $("$dir/tb_expand")"
}
[ $# -gt 0 ] || set -- sim mini
bench "$1" xilinx
for config; do bench "$config" model; done
