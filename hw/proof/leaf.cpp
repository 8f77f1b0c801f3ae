// Behavioural dsp48_mac against the DSP48E2 of the vendor's library: random and corner operands (high
// lane never -128), random clock enable, every cycle compared. usage: leaf [cycles]
#include "Vmodel.h"
#include "Vvendor.h"
#include "reference.h"
#include "verilated.h"

int main(int argc, char** argv) {
  const long cycles = argc > 1 ? std::atol(argv[1]) : 2000000;
  Vmodel model;
  Vvendor vendor;
  ref::Rng rng(11);
  long mismatches = 0;
  const auto corner = [&](int low) {
    static const int values[] = {-127, -1, 0, 1, 126, 127};
    return rng.chance(60) ? rng.range(low, 127) : rng.chance(30) ? low : values[rng.below(6)];
  };
  for (long cycle = 0; cycle < cycles; cycle++) {
    // Registers start empty in both; a few enabled cycles of zeros make it certain.
    const bool warm = cycle >= 8;
    const bool ce = !warm || rng.chance(80), acc = warm && rng.chance(50);
    const int a = warm ? corner(-127) : 0, d = warm ? corner(-128) : 0, b = warm ? corner(-128) : 0;
    const uint64_t pcin = !warm ? 0 : rng.next() >> 16;
    const auto step = [&](auto& dut) {
      dut.ce_i = ce, dut.acc_i = acc, dut.a_i = uint8_t(a), dut.d_i = uint8_t(d), dut.b_i = uint8_t(b);
      dut.pcin_i = pcin;
      dut.clk_i = 0, dut.eval();
      dut.clk_i = 1, dut.eval();
    };
    step(model), step(vendor);
    mismatches += model.first_o != vendor.first_o || model.middle_o != vendor.middle_o || model.last_o != vendor.last_o;
  }
  std::printf("%ld cycles of three leaves, %ld mismatches\n", cycles, mismatches);
  return mismatches != 0;
}
