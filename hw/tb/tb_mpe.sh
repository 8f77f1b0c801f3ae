#!/bin/sh
# The two versions of mpe_array against each other and the reference; run by run.sh (test mpe).
# usage: hw/tb/tb_mpe.sh [config...]    (default: sim mini)
# Lints both versions (the structural one with either DSP leaf), then runs tb_mpe with the fast
# version's portable and AVX2 code.
set -eu
cd "$(dirname "$0")/../.."
mpe=hw/rtl/mpe
model=$(echo hw/rtl/prim/model/dsp48_mac.sv hw/rtl/prim/model/dsp48_acc.sv hw/rtl/prim/model/mux16.sv)
structural="$(sed 's,//.*,,; s,^\(.\),hw/rtl/\1,' hw/rtl/mpe/struct/mpe.f)"
include=$(verilator --getenv VERILATOR_ROOT)/include
inc="-I$include -I$include/vltstd"
variants="portable"
grep -qw avx2 /proc/cpuinfo 2>/dev/null && variants="portable avx2"

# verilated DIR PREFIX FILES...
verilated() {
  dir=$1 prefix=$2
  shift 2
  verilator --cc --build -j 1 -O3 --assert --x-assign fast --x-initial fast -Wno-fatal -Wno-lint \
    --prefix "$prefix" --top-module mpe_array --Mdir "$dir/$prefix" -CFLAGS -O2 "$@" >"$dir/$prefix.log" 2>&1 ||
    { cat "$dir/$prefix.log"; return 1; }
}

for config in ${*:-sim mini}; do
  pkg=hw/rtl/gen/$config/fvlm_isa_pkg.sv
  dir=target/tb/mpe/$config
  slices=$(sed -n 's/.* Slices = \([0-9]*\);.*/\1/p' $pkg)
  mkdir -p "$dir"
  for files in "$mpe/fast/mpe_array.sv" "$model $structural" \
    "hw/lint/device_stub.sv $(echo $model | sed s,/model/,/xilinx/,g) $structural"; do
    verilator --lint-only -Wall --top-module mpe_array hw/lint/waivers.vlt $pkg $files
  done
  verilated "$dir" Vfast $pkg $mpe/fast/mpe_array.sv
  verilated "$dir" Vstruct $pkg $model $structural
  for v in $variants; do
    [ "$v" = avx2 ] && arch=-mavx2 || arch=-DMPE_MODEL_PORTABLE
    g++ -std=c++17 -O2 $arch -DVL_USER_STOP -DSLICES="$slices" -Ihw/tb $inc -I"$dir/Vfast" -I"$dir/Vstruct" \
      -o "$dir/tb_mpe_$v" hw/tb/tb_mpe.cpp $mpe/fast/mpe_model.cpp "$dir/Vfast/Vfast__ALL.a" \
      "$dir/Vstruct/Vstruct__ALL.a" "$include/verilated.cpp" "$include/verilated_dpi.cpp" \
      "$include/verilated_threads.cpp" -pthread
    "$dir/tb_mpe_$v" >"$dir/$v.log" 2>&1 || { cat "$dir/$v.log"; exit 1; }
    echo "$config $v: $(tail -n 1 "$dir/$v.log")"
  done
done
