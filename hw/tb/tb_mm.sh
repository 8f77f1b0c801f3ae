#!/bin/sh
# mm_unit with the fast array, lint and bench; run by run.sh (test mm).
# usage: hw/tb/tb_mm.sh [config...]    (default: sim mini sixteen; u280 takes minutes to build)
# `sixteen` is mini with sixteen slices: its dequantiser takes a pair in eight steps and writes a row in eight cycles, as that
# of u280 does.
set -eu
cd "$(dirname "$0")/../.."
rtl=hw/rtl
include=$(verilator --getenv VERILATOR_ROOT)/include
arch=""
grep -qw avx2 /proc/cpuinfo 2>/dev/null && arch=-mavx2

for config in sim mini u280; do
  verilator --lint-only -Wall --top-module mm_unit hw/lint/waivers.vlt $rtl/gen/$config/fvlm_isa_pkg.sv \
    $rtl/fp/fp_pkg.sv -y $rtl/fp -y $rtl/mem -y $rtl/mm -y $rtl/mpe/fast $rtl/mm/mm_unit.sv
done
for config in ${*:-sim mini sixteen}; do
  pkg=$rtl/gen/$config/fvlm_isa_pkg.sv
  dir=target/tb/mm/$config
  mkdir -p "$dir"
  if [ "$config" = sixteen ]; then
    pkg=$dir/fvlm_isa_pkg.sv
    sed 's/ Slices = 4;/ Slices = 16;/; s/ PairWriteCycles = 4;/ PairWriteCycles = 16;/' $rtl/gen/mini/fvlm_isa_pkg.sv >"$pkg"
    grep -q ' Slices = 16;' "$pkg" && grep -q ' PairWriteCycles = 16;' "$pkg"
  fi
  of() { sed -n "s/.* $1 = \([0-9]*\);.*/\1/p" "$pkg"; }
  commands=3000
  [ "$(of Slices)" -gt 16 ] && commands=300
  verilator --cc --build -j 1 -O3 --assert --x-assign fast --x-initial fast -Wno-fatal -Wno-lint --prefix Vmm_unit \
    --top-module mm_unit --Mdir "$dir" -CFLAGS -O1 $pkg $rtl/fp/fp_pkg.sv -y $rtl/fp -y $rtl/mem -y $rtl/mm \
    $rtl/mpe/fast/mpe_array.sv $rtl/mm/mm_unit.sv >"$dir/build.log" 2>&1 || { cat "$dir/build.log"; exit 1; }
  g++ -std=c++17 -O2 -ffp-contract=off $arch -DSLICES="$(of Slices)" -DVX_WORDS="$(of VxWords)" -DFLIGHTS="$(of MmFlights)" \
    -DSPAD_WORDS="$(of SpadWords)" -DABUF_WORDS="$(of AbufWords)" -DS_WORDS="$(of SWords)" \
    -DWFIFO_WORDS="$(of WfifoWords)" -DSFIFO_WORDS="$(of SfifoWords)" -Ihw/tb -Ihw/include -I"$include" \
    -I"$include/vltstd" -I"$dir" -o "$dir/tb_mm" hw/tb/tb_mm.cpp $rtl/mpe/fast/mpe_model.cpp \
    "$dir/Vmm_unit__ALL.a" "$include/verilated.cpp" "$include/verilated_dpi.cpp" "$include/verilated_threads.cpp" -pthread
  "$dir/tb_mm" $commands >"$dir/run.log" 2>&1 || { cat "$dir/run.log"; exit 1; }
  echo "$config: $(tail -n 1 "$dir/run.log")"
done
