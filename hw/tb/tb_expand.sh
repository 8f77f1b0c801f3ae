#!/bin/sh
# The weight stream of a slice against its reference; run by run.sh (test expand).
# usage: hw/tb/tb_expand.sh [config...]    (default: sim mini)
set -eu
cd "$(dirname "$0")/../.."
rtl=hw/rtl
include=$(verilator --getenv VERILATOR_ROOT)/include
for config in ${*:-sim mini}; do
  pkg=$rtl/gen/$config/fvlm_isa_pkg.sv
  dir=target/tb/expand/$config
  slices=$(sed -n 's/.* Slices = \([0-9]*\);.*/\1/p' $pkg)
  mkdir -p "$dir"
  files="hw/lint/waivers.vlt $pkg $rtl/slice/slice_pkg.sv -y $rtl/mem -y $rtl/dma -y $rtl/slice $rtl/slice/weight_stream.sv"
  verilator --lint-only -Wall --top-module weight_stream $files
  verilator --cc --build -j 1 -O3 --assert --x-assign fast --x-initial fast --prefix Vstream \
    --top-module weight_stream --Mdir "$dir" -CFLAGS -O2 $files >"$dir.log" 2>&1 || { cat "$dir.log"; exit 1; }
  g++ -std=c++17 -O2 -DSLICES="$slices" -I"$dir" -I"$include" -I"$include/vltstd" -o "$dir/tb_expand" hw/tb/tb_expand.cpp \
    "$dir/Vstream__ALL.a" "$include/verilated.cpp" "$include/verilated_threads.cpp" -pthread
  echo "$config: $("$dir/tb_expand")"
done
