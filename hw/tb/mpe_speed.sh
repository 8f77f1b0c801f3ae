#!/bin/sh
# Simulation speed of the fast matrix array (Verilated, through its DPI boundary), in MACs that count (stored weights) a second.
# usage: hw/tb/mpe_speed.sh [config...]    (default: u280)
# The array has the configuration's slices; the best of some runs counts, this computer's.
set -eu
cd "$(dirname "$0")/../.."
mpe=hw/rtl/mpe
include=$(verilator --getenv VERILATOR_ROOT)/include
inc="-I$include -I$include/vltstd"
variants="portable"
grep -qw avx2 /proc/cpuinfo 2>/dev/null && variants="portable avx2"

for config in ${*:-u280}; do
  pkg=hw/rtl/gen/$config/fvlm_isa_pkg.sv
  dir=target/tb/mpe_speed/$config
  slices=$(sed -n 's/.* Slices = \([0-9]*\);.*/\1/p' $pkg)
  mkdir -p "$dir"
  verilator --cc -O3 --assert --x-assign fast --x-initial fast -Wno-fatal -Wno-lint --prefix Vfast \
    --top-module mpe_array --Mdir "$dir/Vfast" $pkg $mpe/fast/mpe_array.sv >"$dir/Vfast.log" 2>&1 ||
    { cat "$dir/Vfast.log"; exit 1; }
  for v in $variants; do
    [ "$v" = avx2 ] && arch=-march=x86-64-v3 || arch=-DMPE_MODEL_PORTABLE
    g++ -std=c++17 -O2 $arch -DSLICES="$slices" -Ihw/tb $inc -I"$dir/Vfast" -o "$dir/mpe_speed_$v" hw/tb/mpe_speed.cpp \
      $mpe/fast/mpe_model.cpp "$dir"/Vfast/*.cpp "$include/verilated.cpp" "$include/verilated_dpi.cpp" \
      "$include/verilated_threads.cpp" -pthread
    echo "$config, $slices slices, $v:"
    "$dir/mpe_speed_$v"
  done
done
