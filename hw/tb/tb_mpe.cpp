// The two versions of mpe_array against an integer reference, cycle by cycle, for one configuration.
// The -128 and clock assertions are checked at the end: they must fire, and only then.
#include "Vfast.h"
#include "Vstruct.h"
#include "reference.h"
#include "verilated.h"
#include <deque>

#ifndef SLICES
#error "define SLICES as the configuration has it"
#endif

namespace {
constexpr int kLatency = 21, kOutputs = 16, kInputs = 16, kModes = 5;
constexpr int kPerBlock[kModes] = {16, 8, 8, 4, 2};
int stops = 0;

struct Sums { long due; uint32_t active; int32_t acc[2][SLICES][kOutputs]; };

struct Input {
  bool reset = true, valid = false, first = false, last = false;
  uint8_t nm = 0;
  uint32_t active = 0;
  int8_t act[2][128] = {}, w[SLICES][kOutputs][kInputs] = {};
  uint8_t sel[SLICES][kOutputs][kInputs] = {};
};

template <class Dut>
void drive(Dut& dut, const Input& in) {
  dut.rst_ni = !in.reset, dut.valid_i = in.valid, dut.first_i = in.first, dut.last_i = in.last;
  dut.nm_i = in.nm, dut.active_i = in.active;
  std::memcpy(&dut.act0_i[0], in.act[0], 128);
  std::memcpy(&dut.act1_i[0], in.act[1], 128);
  std::memcpy(&dut.w_i[0], in.w, sizeof in.w);
  static uint8_t packed[sizeof in.sel / 2];
  const uint8_t* sel = &in.sel[0][0][0];
  for (size_t i = 0; i < sizeof packed; i++) packed[i] = uint8_t(sel[2 * i] | sel[2 * i + 1] << 4);
  std::memcpy(&dut.sel_i[0], packed, sizeof packed);
  dut.clk_i = 0, dut.eval();
}

void clock(Vfast& dut) { dut.clk_i = 1, dut.eval(); }
void clock(Vstruct& dut) {
  dut.clk_i = dut.clk2x_i = 1, dut.eval();
  dut.clk2x_i = 0, dut.eval();
  dut.clk_i = 0, dut.clk2x_i = 1, dut.eval();
  dut.clk2x_i = 0, dut.eval();
}

// Uniform, mixed extremes, or all products of the row at the field limit (16 x 127 x 128).
int8_t byte(ref::Rng& rng, int mode, bool full) {
  const int low = full ? -128 : -127;
  if (mode == 0) return int8_t(rng.range(low, 127));
  if (mode == 1) return rng.chance(50) ? 127 : int8_t(low);
  return int8_t(full ? -128 : mode == 2 ? 127 : -127);
}

void fill(ref::Rng& rng, Input& in) {
  const int mode = rng.below(4), window = 16 * kInputs / kPerBlock[in.nm];
  for (auto& row : in.act) {
    for (int i = 0; i < 128; i++) row[i] = i < window ? byte(rng, mode, false) : int8_t(rng.next());
  }
  const bool in_order = rng.chance(50);  // the usual selectors of dense words
  for (int s = 0; s < SLICES; s++) {
    for (int n = 0; n < kOutputs; n++) {
      for (int k = 0; k < kInputs; k++) {
        in.w[s][n][k] = byte(rng, mode, true);
        in.sel[s][n][k] = uint8_t(in_order ? k : rng.below(16));
      }
    }
  }
}

void accumulate(const Input& in, Sums& sums) {
  for (int row = 0; row < 2; row++) {
    for (int s = 0; s < SLICES; s++) {
      for (int n = 0; n < kOutputs; n++) {
        int32_t& acc = sums.acc[row][s][n];
        if (in.first) acc = 0;
        for (int k = 0; k < kInputs; k++) {
          acc += in.act[row][16 * (k / kPerBlock[in.nm]) + in.sel[s][n][k]] * in.w[s][n][k];
        }
      }
    }
  }
}

template <class Dut>
int compare(const char* name, Dut& dut, long cycle, const Sums* want) {
  if (bool(dut.valid_o) != (want != nullptr)) {
    std::printf("%s, cycle %ld: valid %d\n", name, cycle, dut.valid_o);
    return 1;
  }
  if (!want) return 0;
  for (int s = 0; s < SLICES; s++) {
    if (!(want->active >> s & 1)) continue;
    for (int n = 0; n < kOutputs; n++) {
      const int32_t a0 = int32_t(dut.acc0_o[kOutputs * s + n]), a1 = int32_t(dut.acc1_o[kOutputs * s + n]);
      if (a0 == want->acc[0][s][n] && a1 == want->acc[1][s][n]) continue;
      std::printf("%s, cycle %ld, slice %d, output %d: got %d %d, want %d %d\n", name, cycle, s, n, a0, a1,
                  want->acc[0][s][n], want->acc[1][s][n]);
      return 1;
    }
  }
  return 0;
}

}  // namespace

void vl_stop(const char*, int, const char*) VL_MT_UNSAFE { stops++; }

int main(int argc, char** argv) {
  const long cycles = argc > 1 ? std::atol(argv[1]) : 60000 / SLICES;
  Vfast fast;
  Vstruct chain;
  ref::Rng rng(7);
  Input in;
  Sums sums{};
  std::deque<Sums> expected;
  int errors = 0, left = 0;
  long groups[kModes] = {}, beats = 0;
  for (long cycle = 0; cycle < cycles && errors < 5; cycle++) {
    // Bursts, bubbles, and pauses long enough for the clock enable to fall.
    const int busy = cycle % 3000 < 1000 ? 100 : cycle % 3000 < 2000 ? 60 : 4;
    in.reset = cycle < 3 || (cycle > cycles / 2 && cycle < cycles / 2 + 3);
    if (in.reset) left = 0, expected.clear();
    in.valid = !in.reset && rng.chance(busy);
    if (in.valid) {
      in.first = left == 0;
      if (in.first) {
        left = rng.chance(30) ? 1 : rng.range(1, rng.chance(10) ? 200 : 12);
        in.nm = uint8_t(rng.below(kModes));
        in.active = rng.chance(50) ? ~0u : uint32_t(rng.next());
        in.active &= uint32_t((1ull << SLICES) - 1);
      }
      in.last = left == 1;
      fill(rng, in);
    }
    drive(fast, in), drive(chain, in);
    if (!in.reset) {
      const Sums* want = !expected.empty() && expected.front().due == cycle ? &expected.front() : nullptr;
      errors += compare("fast", fast, cycle, want) + compare("struct", chain, cycle, want);
      if (want) expected.pop_front();
    }
    if (in.valid) {
      accumulate(in, sums), beats++;
      if (in.last) {
        sums.due = cycle + kLatency, sums.active = in.active, groups[in.nm]++;
        expected.push_back(sums);
      }
      left--;
    }
    clock(fast), clock(chain);
  }
  if (stops) errors++, std::printf("%d assertions fired on legal input\n", stops);

  // A -128 beside the window passes, one inside is caught by both versions.
  in.reset = false, in.valid = true, in.nm = 3;
  for (auto& row : in.act) std::fill(row, row + 128, int8_t(1));
  for (int at : {64, 63}) {
    in.act[0][at] = -128, stops = 0;
    drive(fast, in), clock(fast);
    const int fast_stops = stops;
    drive(chain, in), clock(chain);
    const bool want = at == 63;
    if ((fast_stops > 0) != want || (stops > fast_stops) != want) errors++, std::printf("-128 at %d: %d %d stops\n", at, fast_stops, stops - fast_stops);
  }
  // A structural array without its fast clock says so.
  in.valid = false, stops = 0;
  for (int i = 0; i < 3; i++) drive(chain, in), chain.clk_i = 1, chain.eval();
  if (!stops) errors++, std::printf("a missing fast clock went unnoticed\n");

  std::printf("%d slices, %ld cycles, %ld beats, groups", SLICES, cycles, beats);
  for (long g : groups) std::printf(" %ld", g);
  std::printf(", %d errors\n", errors);
  return errors != 0;
}
