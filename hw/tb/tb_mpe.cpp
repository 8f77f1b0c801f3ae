// The two mpe_core implementations against an integer reference, cycle by cycle.
#include "Vfast.h"
#include "Vstruct.h"
#include "reference.h"
#include "verilated.h"
#include <deque>

namespace {
const int kLatency = 21;
struct Sums { long due; int32_t acc[2][16]; };

int8_t byte(ref::Rng& rng, int mode, bool full) {
  if (mode == 0) return int8_t(rng.range(full ? -128 : -127, 127));
  return rng.chance(50) ? 127 : int8_t(full && mode == 2 ? -128 : -127);  // at the field limit
}
}  // namespace

int main(int argc, char** argv) {
  const long beats = argc > 1 ? std::atol(argv[1]) : 40000;
  Vfast fast;
  Vstruct chain;
  ref::Rng rng(7);
  std::deque<Sums> expected;
  int32_t acc[2][16] = {};
  int errors = 0;
  long groups = 0;
  int left = 0;
  bool fresh = true;
  auto words = [](auto& wide, int i, const int8_t* p) { std::memcpy(&wide[i], p, 4); };
  for (long cycle = 0; cycle < beats; cycle++) {
    bool reset = cycle < 3, valid = !reset && rng.chance(cycle % 5000 < 2500 ? 100 : 60);
    int8_t act[2][32], w[256];
    uint8_t idx[256];
    if (left == 0) left = rng.range(1, 12), fresh = true;
    // Windows stay in [-127, 127]; weights may be -128 (see mpe_chain on the field limit).
    int mode = rng.below(3);
    for (auto& lane : act) for (auto& x : lane) x = byte(rng, mode, false);
    for (auto& x : w) x = byte(rng, mode, true);
    bool sparse = rng.chance(50);
    for (int i = 0; i < 256; i++) idx[i] = sparse ? uint8_t(rng.below(4)) : uint8_t(i & 1);
    auto drive = [&](auto& dut) {
      dut.rst_ni = !reset, dut.valid_i = valid, dut.first_i = fresh, dut.last_i = left == 1;
      for (int i = 0; i < 8; i++) words(dut.act0_i, i, act[0] + 4 * i), words(dut.act1_i, i, act[1] + 4 * i);
      for (int i = 0; i < 64; i++) words(dut.w_i, i, w + 4 * i);
      for (int i = 0; i < 16; i++) {
        uint32_t v = 0;
        for (int j = 0; j < 16; j++) v |= uint32_t(idx[16 * i + j]) << (2 * j);
        dut.idx_i[i] = v;
      }
      dut.clk_i = 0, dut.eval();
    };
    drive(fast), drive(chain);
    if (!reset) {
      bool want = !expected.empty() && expected.front().due == cycle;
      if (bool(fast.valid_o) != want || bool(chain.valid_o) != want) {
        if (++errors <= 5) std::printf("cycle %ld: valid fast %d struct %d want %d\n", cycle, fast.valid_o, chain.valid_o, want);
      }
      if (want) {
        for (int n = 0; n < 16; n++) {
          const int32_t* e[2] = {expected.front().acc[0], expected.front().acc[1]};
          if (int32_t(fast.acc0_o[n]) != e[0][n] || int32_t(fast.acc1_o[n]) != e[1][n] ||
              int32_t(chain.acc0_o[n]) != e[0][n] || int32_t(chain.acc1_o[n]) != e[1][n]) {
            if (++errors <= 5)
              std::printf("cycle %ld n %d: fast %d %d struct %d %d want %d %d\n", cycle, n,
                          int32_t(fast.acc0_o[n]), int32_t(fast.acc1_o[n]), int32_t(chain.acc0_o[n]),
                          int32_t(chain.acc1_o[n]), e[0][n], e[1][n]);
          }
        }
        expected.pop_front();
        groups++;
      }
    }
    if (valid) {
      for (int lane = 0; lane < 2; lane++)
        for (int n = 0; n < 16; n++) {
          if (fresh) acc[lane][n] = 0;
          for (int k = 0; k < 16; k++) {
            const int at[] = {k & ~1, (k & ~1) + 1, (k & ~1) + 16, (k & ~1) + 17};
            acc[lane][n] += int32_t(act[lane][at[idx[16 * n + k]]]) * w[16 * n + k];
          }
        }
      if (left == 1) {
        Sums s{cycle + kLatency, {}};
        std::memcpy(s.acc, acc, sizeof acc);
        expected.push_back(s);
      }
      left--, fresh = false;
    }
    fast.clk_i = chain.clk_i = 1;
    fast.eval(), chain.eval();
  }
  std::printf("%ld cycles, %ld groups, %d errors\n", beats, groups, errors);
  return errors != 0;
}
