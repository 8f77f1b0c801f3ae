#!/bin/sh
# Builds and runs the unit tests of the compute side; one line a test, nonzero exit on a failure.
# usage: hw/tb/run.sh [test...]    tests: lint fp mpe expand vx mm (default: all)
# Models are kept in target/tb and rebuilt only when sources change.
set -u
cd "$(dirname "$0")/../.."
root=$(pwd)
rtl="hw/rtl"
pkgs="hw/lint/waivers.vlt $rtl/gen/fvlm_isa_pkg.sv $rtl/fp/fp_pkg.sv"
dirs="-y $rtl/fp -y $rtl/sfu -y $rtl/vx -y $rtl/mm"
fast="$rtl/mpe/fast/mpe_array.sv"
cflags="-std=c++17 -O2 -ffp-contract=off -Ihw/tb -Ihw/include"
failed=0

# model PREFIX TOP FILES...: verilates into target/tb/PREFIX, builds the library.
model() {
  prefix=$1 top=$2
  shift 2
  verilator --cc --build -j 2 -O3 --assert --x-assign fast --x-initial fast -Wno-fatal -Wno-lint \
    --prefix "$prefix" --top-module "$top" --Mdir "target/tb/$prefix" -CFLAGS "-O2" "$@" \
    >"target/tb/$prefix.log" 2>&1 || { cat "target/tb/$prefix.log"; return 1; }
}

# link NAME PREFIX...: hw/tb/NAME.cpp with the models.
link() {
  name=$1
  shift
  include=$(verilator --getenv VERILATOR_ROOT)/include
  inc="" libs=""
  for p in "$@"; do
    inc="$inc -Itarget/tb/$p"
    libs="$libs target/tb/$p/${p}__ALL.a"
  done
  for f in verilated verilated_threads; do
    [ -f target/tb/$f.o ] || g++ -std=c++17 -O2 -I"$include" -I"$include/vltstd" -c "$include/$f.cpp" -o target/tb/$f.o || return 1
  done
  g++ $cflags $inc -I"$include" -I"$include/vltstd" -o "target/tb/$name" "hw/tb/$name.cpp" $libs \
    target/tb/verilated.o target/tb/verilated_threads.o -pthread
}

run() {
  name=$1
  shift
  out=$(cd hw/tables && "$root/target/tb/$name" "$@" 2>&1)
  code=$?
  if [ $code -eq 0 ]; then echo "ok   $name: $out"; else
    echo "FAIL $name: $out"
    failed=1
  fi
}

lint() {
  for top in vx_unit mm_unit; do
    verilator --lint-only -Wall --top-module $top $pkgs $dirs $fast $rtl/*/$top.sv || return 1
  done
}

mkdir -p target/tb
for t in ${*:-lint fp mpe expand vx mm}; do
  case $t in
    lint) if lint; then echo "ok   lint"; else echo "FAIL lint"; failed=1; fi ;;
    fp) model Vtb_fp tb_fp $pkgs $dirs hw/tb/tb_fp.sv && link tb_fp Vtb_fp && run tb_fp || failed=1 ;;
    mpe) if out=$(hw/tb/tb_mpe.sh 2>&1); then echo "ok   mpe: $out"; else echo "FAIL mpe: $out"; failed=1; fi ;;
    expand) if out=$(hw/tb/tb_expand.sh 2>&1); then echo "ok   expand: $out"; else echo "FAIL expand: $out"; failed=1; fi ;;
    vx) model Vvx_unit vx_unit $pkgs $dirs $rtl/vx/vx_unit.sv && link tb_vx Vvx_unit && run tb_vx || failed=1 ;;
    mm) if out=$(hw/tb/tb_mm.sh 2>&1); then echo "ok   mm: $out"; else echo "FAIL mm: $out"; failed=1; fi ;;
    *) echo "unknown test $t"; failed=1 ;;
  esac
done
exit $failed
