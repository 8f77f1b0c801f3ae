#!/bin/sh
# vx_unit and the banked memories, lint and benches; run by run.sh (test vx).
# usage: hw/tb/tb_vx.sh [config...]    (default: all)
set -eu
cd "$(dirname "$0")/../.."
rtl=hw/rtl
tables=$(pwd)/hw/tables
include=$(verilator --getenv VERILATOR_ROOT)/include

# model CONFIG TOP: target/tb/vx/CONFIG/TOP/VTOP__ALL.a
model() {
  dir=target/tb/vx/$1/$2
  mkdir -p "$dir"
  files="$rtl/gen/$1/fvlm_isa_pkg.sv $rtl/fp/fp_pkg.sv -y $rtl/fp -y $rtl/sfu -y $rtl/vx -y $rtl/mem"
  verilator --lint-only -Wall --assert --top-module "$2" hw/lint/waivers.vlt $files "$rtl"/*/"$2".sv
  verilator --cc --build -j 1 -O3 --assert --x-assign fast --x-initial fast -Wno-fatal -Wno-lint --prefix "V$2" \
    --top-module "$2" --Mdir "$dir" -CFLAGS -O1 $files "$rtl"/*/"$2".sv >"$dir/build.log" 2>&1 || { cat "$dir/build.log"; exit 1; }
}

# bench CONFIG NAME MODELS...: hw/tb/NAME.cpp with the models, run in the folder of the tables.
bench() {
  config=$1 name=$2
  shift 2
  of() { sed -n "s/.* $1 = \([0-9]*\);.*/\1/p" "$rtl/gen/$config/fvlm_isa_pkg.sv"; }
  inc="" libs=""
  for top in "$@"; do
    model "$config" "$top"
    inc="$inc -I$dir" libs="$libs $dir/V${top}__ALL.a"
  done
  out=target/tb/vx/$config
  g++ -std=c++17 -O2 -ffp-contract=off -DVX_WORDS="$(of VxWords)" -DSPAD_WORDS="$(of SpadWords)" \
    -DABUF_WORDS="$(of AbufWords)" -DS_WORDS="$(of SWords)" -Ihw/tb -Ihw/include -I"$include" -I"$include/vltstd" \
    $inc -o "$out/$name" "hw/tb/$name.cpp" $libs "$include/verilated.cpp" "$include/verilated_threads.cpp" -pthread
  run=$(pwd)/$out
  (cd "$tables" && "$run/$name") >"$out/$name.log" 2>&1 || { cat "$out/$name.log"; exit 1; }
  echo "$config $name: $(tail -n 1 "$out/$name.log")"
}

for config in ${*:-sim mini u280}; do
  bench "$config" tb_vx_mem spad abuf
  bench "$config" tb_vx vx_unit
done
