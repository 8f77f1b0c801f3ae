// fp_* and sfu_lane against host arithmetic: corner products and random vectors, one a cycle.
#include "Vtb_fp.h"
#include "reference.h"
#include "verilated.h"

namespace {
int errors = 0;
void check(const char* what, int which, uint32_t a, uint32_t b, uint32_t got, uint32_t want) {
  if (got == want) return;
  if (++errors <= 10)
    std::printf("%s/%d a=%08x b=%08x got %08x want %08x\n", what, which, a, b, got, want);
}
}  // namespace

int main(int argc, char** argv) {
  const long vectors = argc > 1 ? std::atol(argv[1]) : 200000;
  Vtb_fp dut;
  ref::Rng rng(1);
  const int kDepth = 13;
  uint32_t ha[kDepth] = {}, hb[kDepth] = {};
  long done = 0;
  for (int which = 0; which <= ref::kSilu; which++) {
    dut.func_i = which;
    for (long i = 0; i < vectors + kDepth; i++) {
      uint32_t a = rng.value(), b = rng.value();
      if (rng.chance(20)) b = ref::canon(a ^ (rng.next() & 0x8000000f));  // cancellation
      if (rng.chance(30)) a = ref::canon((a & 0x807fffff) | uint32_t(rng.range(110, 135)) << 23);
      if (rng.chance(3)) a = uint32_t(rng.next()) & (rng.chance(50) ? 0xfffu : ~0u), b = 0;
      if (rng.chance(2)) a = 0u - (1u << rng.below(32));  // integers: negative powers of two
      for (int k = kDepth - 1; k > 0; k--) ha[k] = ha[k - 1], hb[k] = hb[k - 1];
      ha[0] = a, hb[0] = b;
      dut.a_i = a, dut.b_i = b;
      dut.clk_i = 0, dut.eval();
      check("canon", 0, a, 0, dut.canon_o, ref::canon(a));
      // Outputs belong to operands presented `latency` cycles ago.
      auto ok = [&](int k) { return i >= k && ref::canon(ha[k]) == ha[k]; };
      if (ok(4)) check("add", 0, ha[4], hb[4], dut.add_o, ref::add(ha[4], hb[4]));
      if (ok(3)) check("mul", 0, ha[3], hb[3], dut.mul_o, ref::mul(ha[3], hb[3]));
      if (i >= 3) check("int", 0, ha[3], 0, dut.int_o, ref::from_int(int32_t(ha[3])));
      if (ok(2)) check("q8", 0, ha[2], 0, dut.q8_o, uint8_t(ref::to_int8(ha[2])));
      const int latency = which == 0 ? 0 : which >= ref::kGelu ? 12 : 7;
      if (ok(latency)) check("func", which, ha[latency], 0, dut.func_o, ref::func(which, ha[latency]));
      dut.clk_i = 1, dut.eval();
      done++;
    }
  }
  std::printf("%ld vectors, %d errors\n", done, errors);
  return errors != 0;
}
