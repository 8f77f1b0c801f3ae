#!/bin/sh
# Builds and runs the unit tests of the compute side; one line a test, nonzero exit on a failure.
# usage: hw/tb/run.sh [test...]    tests: fp mpe expand vx mm card (default: all)
# Tests of units lint them in each configuration; hw/lint/run lints the whole design.
# Models are kept in target/tb and rebuilt only when sources change.
set -u
cd "$(dirname "$0")/../.."
root=$(pwd)
rtl="hw/rtl"
pkgs="hw/lint/waivers.vlt $rtl/gen/sim/fvlm_isa_pkg.sv $rtl/fp/fp_pkg.sv"
dirs="-y $rtl/fp -y $rtl/sfu"
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

mkdir -p target/tb
for t in ${*:-fp mpe expand vx mm card}; do
  case $t in
    fp) model Vtb_fp tb_fp $pkgs $dirs hw/tb/tb_fp.sv && link tb_fp Vtb_fp && run tb_fp || failed=1 ;;
    mpe) if out=$(hw/tb/tb_mpe.sh 2>&1); then echo "ok   mpe: $out"; else echo "FAIL mpe: $out"; failed=1; fi ;;
    expand) if out=$(hw/tb/tb_expand.sh 2>&1); then echo "ok   expand: $out"; else echo "FAIL expand: $out"; failed=1; fi ;;
    vx) if out=$(hw/tb/tb_vx.sh 2>&1); then echo "ok   vx: $out"; else echo "FAIL vx: $out"; failed=1; fi ;;
    mm) if out=$(hw/tb/tb_mm.sh 2>&1); then echo "ok   mm: $out"; else echo "FAIL mm: $out"; failed=1; fi ;;
    card) model Vtb_card tb_card $pkgs $rtl/ctrl/csr.sv $rtl/card/card_regs.sv $rtl/card/card_port.sv hw/tb/tb_card.sv \
      && link tb_card Vtb_card && run tb_card || failed=1 ;;
    *) echo "unknown test $t"; failed=1 ;;
  esac
done
exit $failed
