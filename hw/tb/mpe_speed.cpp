// How many MACs a second the fast array simulates as a prefill drives it: a beat each cycle, new words, selectors
// and activations each beat, groups of 64 inputs. Fails if its sums are not those of an integer reference.
#include "Vfast.h"
#include "reference.h"
#include "verilated.h"
#include <algorithm>
#include <chrono>

#ifndef SLICES
#error "define SLICES as the configuration has it"
#endif

namespace {
constexpr int kLatency = 21, kOutputs = 16, kInputs = 16, kGroup = 4, kRing = 4 * kGroup, kRuns = 40;
constexpr int kPerBlock[] = {16, 8, 8, 4, 2};

struct Beat {
  int8_t act[2][128], w[SLICES][kOutputs][kInputs];
  uint8_t sel[SLICES][kOutputs][kInputs / 2];
};
Beat ring[kRing];

void fill(ref::Rng& rng, int nm) {
  for (Beat& b : ring) {
    for (auto& row : b.act) for (int8_t& x : row) x = int8_t(rng.range(-127, 127));
    for (auto& slice : b.w) for (auto& n : slice) for (int8_t& x : n) x = int8_t(rng.range(-128, 127));
    for (auto& slice : b.sel) {
      for (auto& n : slice) {
        for (int k = 0; k < kInputs / 2; k++) n[k] = uint8_t(nm ? rng.next() : 2 * k | (2 * k + 1) << 4);
      }
    }
  }
}

int32_t sum(int group, int nm, int row, int s, int n) {
  int32_t t = 0;
  for (int i = group * kGroup; i < (group + 1) * kGroup; i++) {
    for (int k = 0; k < kInputs; k++) {
      const int selector = ring[i].sel[s][n][k / 2] >> (4 * (k & 1)) & 15;
      t += ring[i].act[row][16 * (k / kPerBlock[nm]) + selector] * ring[i].w[s][n][k];
    }
  }
  return t;
}

// Seconds for so many beats; `errors` counts sums that differ.
double run(Vfast& dut, int nm, long beats, long& errors) {
  const auto begin = std::chrono::steady_clock::now();
  dut.nm_i = uint8_t(nm);
  long results = 0;
  for (long i = 0; i < beats + kLatency; i++) {
    const Beat& b = ring[i % kRing];
    dut.clk_i = 0, dut.eval();
    dut.valid_i = i < beats, dut.first_i = i % kGroup == 0, dut.last_i = i % kGroup == kGroup - 1;
    std::memcpy(&dut.act0_i[0], b.act[0], sizeof b.act[0]);
    std::memcpy(&dut.act1_i[0], b.act[1], sizeof b.act[1]);
    std::memcpy(&dut.w_i[0], b.w, sizeof b.w);
    std::memcpy(&dut.sel_i[0], b.sel, sizeof b.sel);
    dut.clk_i = 1, dut.eval();
    if (!dut.valid_o) continue;
    // One sum of each result, another one each time.
    const int group = int(results % (kRing / kGroup)), s = int(results % SLICES), n = int(results / SLICES % kOutputs);
    errors += int32_t(dut.acc0_o[kOutputs * s + n]) != sum(group, nm, 0, s, n);
    errors += int32_t(dut.acc1_o[kOutputs * s + n]) != sum(group, nm, 1, s, n);
    results++;
  }
  errors += results != beats / kGroup;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
}  // namespace

int main() {
  Vfast dut;
  ref::Rng rng(3);
  dut.rst_ni = 0, dut.clk_i = 0, dut.eval(), dut.clk_i = 1, dut.eval();
  dut.rst_ni = 1, dut.active_i = uint32_t((1ull << SLICES) - 1);
  const long beats = (1 << 16) / SLICES / kRing * kRing;
  long errors = 0;
  for (int nm : {0, 1, 3}) {
    fill(rng, nm);
    double best = 1e9;
    for (int i = 0; i < kRuns; i++) best = std::min(best, run(dut, nm, beats, errors));
    const double macs = 2.0 * SLICES * kOutputs * kInputs * double(beats);
    const char* name[] = {"dense", "2:4", "", "4:16"};
    std::printf("  %-5s %6.2f GMAC/s, %.3f M cycles/s\n", name[nm], macs / best * 1e-9, double(beats) / best * 1e-6);
  }
  if (errors) std::printf("  %ld sums differ from the reference\n", errors);
  return errors != 0;
}
