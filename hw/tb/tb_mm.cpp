// mm_unit against a scalar reference: random commands, weights that arrive late or early, faults,
// FIFO contents left over, and the documented durations.
#include "Vmm_unit.h"
#include "flightvlm_isa.h"
#include "reference.h"
#include "verilated.h"
#include <array>
#include <deque>

namespace {

constexpr int kCommandWords = 7;  // ceil($bits(mm_cmd_t) / 32)
constexpr uint32_t kSpad = 8192, kAbuf = 16384, kS = 4096, kWfifo = 512, kSfifo = 128;  // `sim`

struct Cmd {
  uint32_t rows, tiles, kb, kbg, act_addr, act_stride, out_addr, out_stride, sa_addr, wscale, bias;
  uint32_t groups() const { return kbg == 0 ? 1 : (kb + kbg - 1) / kbg; }
  uint32_t scales() const { return bias + (wscale ? groups() : 0); }
  bool is_nop() const { return rows == 0 || tiles == 0; }
};

using Word = std::array<int8_t, 256>;
using Scales = std::array<uint32_t, 16>;

struct Bench {
  Vmm_unit dut;
  ref::Rng rng{5};
  std::vector<uint32_t> spad = std::vector<uint32_t>(kSpad * 16), s = std::vector<uint32_t>(kS);
  std::vector<int8_t> abuf = std::vector<int8_t>(kAbuf * 16);
  std::deque<Word> wfifo, w_coming;
  std::deque<Scales> sfifo, s_coming;
  std::deque<int> order;  // 0: scale word, 1: weight word
  int supply_percent = 100;
  long cycles = 0, mac_beats = 0, starved = 0;

  void drive(const Cmd& c) {
    struct { uint32_t v; int w; } list[] = {{c.rows, 16}, {c.tiles, 16}, {c.kb, 16}, {c.kbg, 8},
      {c.act_addr, 32}, {c.act_stride, 12}, {c.out_addr, 32}, {c.out_stride, 12}, {c.sa_addr, 32},
      {c.wscale, 1}, {c.bias, 1}, {0, 16}};
    static_assert(sizeof dut.cmd_i == 4 * kCommandWords, "mm_cmd_t changed: fix this list");
    int total = 0;
    for (auto& x : list) total += x.w;
    for (int i = 0; i < kCommandWords; i++) dut.cmd_i[i] = 0;
    for (auto& x : list) {
      total -= x.w;
      for (int i = 0; i < x.w; i++)
        if (x.v >> i & 1) dut.cmd_i[(total + i) / 32] |= 1u << ((total + i) % 32);
    }
  }

  void arrive() {
    if (order.empty() || !rng.chance(supply_percent)) return;
    if (order.front() ? wfifo.size() >= kWfifo : sfifo.size() >= kSfifo) return;
    if (order.front()) wfifo.push_back(w_coming.front()), w_coming.pop_front();
    else sfifo.push_back(s_coming.front()), s_coming.pop_front();
    order.pop_front();
  }

  void cycle() {
    dut.wf_avail_i = wfifo.size(), dut.sf_avail_i = sfifo.size();
    dut.clk_i = 0, dut.eval();
    mac_beats += dut.mac_beats_o, starved += dut.starved_o;
    const bool a0 = dut.abuf0_re_o, a1 = dut.abuf1_re_o, w = dut.wf_re_o, sf = dut.sf_re_o, sc = dut.s_re_o;
    int8_t act[2][16];
    Word word{};
    Scales scale{};
    uint32_t row_scale = 0;
    if (a0) std::memcpy(act[0], &abuf[dut.abuf0_addr_o * 16], 16);
    if (a1) std::memcpy(act[1], &abuf[dut.abuf1_addr_o * 16], 16);
    if (w) word = wfifo.at(dut.wf_rd_off_o);
    if (sf) scale = sfifo.at(dut.sf_rd_off_o);
    if (sc) row_scale = s[dut.s_addr_o];
    if (dut.wf_pop_o) wfifo.pop_front();
    if (dut.sf_pop_o) for (int i = dut.sf_pop_num_o; i > 0; i--) sfifo.at(0), sfifo.pop_front();
    if (dut.spad_we_o) std::memcpy(&spad[dut.spad_waddr_o * 16], &dut.spad_wdata_o[0], 64);
    dut.clk_i = 1, dut.eval();
    if (a0) std::memcpy(&dut.abuf0_rdata_i[0], act[0], 16);
    if (a1) std::memcpy(&dut.abuf1_rdata_i[0], act[1], 16);
    if (w) std::memcpy(&dut.wf_rdata_i[0], word.data(), 256);
    if (sf) std::memcpy(&dut.sf_rdata_i[0], scale.data(), 64);
    if (sc) dut.s_rdata_i = row_scale;
    arrive();
    cycles++;
  }
};

bool outside(uint32_t base, uint32_t rows, uint32_t stride, uint32_t n, uint32_t limit) {
  return uint64_t(base) + uint64_t(rows - 1) * stride + n - 1 >= limit;
}

int fault_of(const Cmd& c) {
  if (c.is_nop()) return 0;
  if (c.kb == 0 || c.kb > kWfifo || c.scales() > kSfifo) return FVLM_FAULT_WFIFO;
  if (outside(c.act_addr, c.rows, c.act_stride, c.kb, kAbuf)) return FVLM_FAULT_ABUF;
  if (outside(c.out_addr, c.rows, c.out_stride, c.tiles, kSpad)) return FVLM_FAULT_SPAD;
  if (outside(c.sa_addr, c.rows, 1, 1, kS)) return FVLM_FAULT_SMEM;
  return 0;
}

// Makes the command's weights, queues them, and applies the reference to `spad`.
void execute(const Cmd& c, Bench& t, std::vector<uint32_t>& spad) {
  for (uint32_t j = 0; j < c.tiles; j++) {
    Scales bias{};
    std::vector<Scales> scales;
    std::vector<Word> words;
    auto random_scales = [&] { Scales x; for (auto& v : x) v = t.rng.raw(); return x; };
    if (c.bias) bias = random_scales(), t.s_coming.push_back(bias), t.order.push_back(0);
    const uint32_t per_group = c.kbg == 0 ? c.kb : c.kbg;
    for (uint32_t b = 0; b < c.kb; b++) {
      if (c.wscale && b % per_group == 0) {
        scales.push_back(random_scales());
        t.s_coming.push_back(scales.back()), t.order.push_back(0);
      }
      Word w;
      const bool extreme = t.rng.chance(10);
      for (auto& x : w) x = extreme ? (t.rng.chance(50) ? 127 : -128) : int8_t(t.rng.range(-128, 127));
      words.push_back(w), t.w_coming.push_back(w), t.order.push_back(1);
    }
    for (uint32_t r = 0; r < c.rows; r++)
      for (uint32_t n = 0; n < 16; n++) {
        uint32_t p = 0;
        for (uint32_t g = 0; g < c.groups(); g++) {
          int32_t acc = 0;
          for (uint32_t b = g * per_group; b < c.kb && b < (g + 1) * per_group; b++)
            for (uint32_t k = 0; k < 16; k++)
              acc += int32_t(t.abuf[(c.act_addr + r * c.act_stride + b) * 16 + k]) * words[b][n * 16 + k];
          uint32_t x = ref::from_int(acc);
          if (c.wscale) x = ref::mul(x, ref::canon(scales[g][n]));
          p = g == 0 ? x : ref::add(p, x);
        }
        uint32_t y = ref::mul(p, ref::canon(t.s[c.sa_addr + r]));
        if (c.bias) y = ref::add(y, ref::canon(bias[n]));
        spad[(c.out_addr + r * c.out_stride + j) * 16 + n] = y;
      }
  }
}

Cmd random_command(ref::Rng& rng) {
  Cmd c{};
  const int size = rng.below(8);
  c.rows = rng.range(1, size == 0 ? 20 : 5);
  c.tiles = rng.range(1, size == 1 ? 12 : 4);
  c.kb = rng.range(1, size == 2 ? 60 : 6);
  if (size == 3) c.kb = rng.range(8, 30);
  c.kbg = rng.chance(50) ? 0 : rng.range(1, 10);
  c.act_addr = rng.below(3000), c.act_stride = rng.chance(10) ? 0 : c.kb + rng.below(3);
  c.out_addr = rng.below(3000), c.out_stride = c.tiles + rng.below(3);
  c.sa_addr = rng.below(4000);
  c.wscale = rng.chance(60), c.bias = rng.chance(50);
  if (rng.chance(5)) (rng.chance(50) ? c.rows : c.tiles) = 0;
  if (rng.chance(5)) {
    switch (rng.below(6)) {
      case 0: c.act_addr = kAbuf - rng.below(30); break;
      case 1: c.out_addr = kSpad - rng.below(20); break;
      case 2: c.sa_addr = kS - rng.below(6); break;
      case 3: c.kb = rng.chance(50) ? 0 : 513; break;
      case 4: c.kb = rng.range(120, 140), c.kbg = 1, c.wscale = 1, c.act_stride = c.kb; break;
      default: c.act_addr = ~0u;
    }
  }
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  const int commands = argc > 1 ? std::atoi(argv[1]) : 1500;
  static Bench t;
  for (auto& x : t.abuf) x = int8_t(t.rng.chance(20) ? (t.rng.chance(50) ? 127 : -127) : t.rng.range(-127, 127));
  for (auto& x : t.s) x = t.rng.raw();
  for (auto& x : t.spad) x = uint32_t(t.rng.next());
  auto want = t.spad;
  t.dut.rst_ni = 0, t.cycle(), t.cycle(), t.dut.rst_ni = 1, t.cycle();
  int errors = 0, faults = 0;
  for (int i = 0; i < commands && errors < 5; i++) {
    Cmd c = random_command(t.rng);
    const int code = fault_of(c);
    if (code == 0 && !c.is_nop()) execute(c, t, want);
    long beats = 0, issue = 0;
    for (uint32_t g = 0; g < c.groups() && code == 0 && !c.is_nop(); g++) {
      const uint32_t per_group = c.kbg == 0 ? c.kb : c.kbg;
      const uint32_t words = std::min(per_group, c.kb - g * per_group);
      beats += long(words) * c.rows * c.tiles;
      issue += long(std::max(words, c.groups() == 1 ? 2u : 8u)) * ((c.rows + 1) / 2) * c.tiles;
    }
    if (i % 50 == 49) {  // abandoned by reset at any point, with the FIFOs: nothing of it comes later
      t.drive(c);
      t.dut.start_i = 1, t.cycle(), t.dut.start_i = 0;
      for (int k = t.rng.below(120); k > 0; k--) t.cycle();
      t.dut.rst_ni = 0, t.cycle(), t.dut.rst_ni = 1;
      t.wfifo.clear(), t.sfifo.clear(), t.order.clear(), t.w_coming.clear(), t.s_coming.clear();
      want = t.spad;
      continue;
    }
    t.supply_percent = i % 2 ? 100 : t.rng.range(20, 100);
    if (t.rng.chance(50)) for (int k = 0; k < 2000; k++) t.arrive();  // as far as the FIFOs take it
    // Words of the next command may already be behind this one's.
    t.drive(c);
    t.dut.start_i = 1;
    t.mac_beats = t.starved = 0;
    long took = 0;
    const long limit = 1000 + 12 * issue + 10 * beats;
    int got_fault = 0;
    for (;; took++) {
      t.dut.wf_avail_i = t.wfifo.size(), t.dut.sf_avail_i = t.sfifo.size();
      t.dut.clk_i = 0, t.dut.eval();
      if (t.dut.fault_o) got_fault = t.dut.fault_code_o;
      if (t.dut.done_o || t.dut.fault_o || took > limit) break;
      t.cycle();
      t.dut.start_i = 0;
      for (int k = 0; k < kCommandWords; k++) t.dut.cmd_i[k] = uint32_t(t.rng.next());  // it latched it
    }
    const long expected = c.is_nop() || code ? 3 : issue + 44 + t.starved;
    if (took != expected) std::printf("command %d: took %ld want %ld\n", i, took, expected), errors++;
    if (t.mac_beats != beats) std::printf("command %d: %ld mac beats want %ld\n", i, t.mac_beats, beats), errors++;
    if (got_fault != code) std::printf("command %d: fault %d want %d\n", i, got_fault, code), errors++;
    if (!t.wfifo.empty() || !t.sfifo.empty() || !t.order.empty())
      std::printf("command %d: %zu words, %zu scales left\n", i, t.wfifo.size(), t.sfifo.size()), errors++;
    if (t.spad != want) {
      errors++;
      int shown = 0;
      for (size_t k = 0; k < want.size() && shown < 6; k++)
        if (t.spad[k] != want[k]) shown++, std::printf("  spad %zu.%zu %08x want %08x\n", k / 16, k % 16, t.spad[k], want[k]);
      std::printf("command %d: differs (rows %u tiles %u kb %u kbg %u out %u+%u wscale %u bias %u)\n", i, c.rows, c.tiles, c.kb, c.kbg, c.out_addr, c.out_stride, c.wscale, c.bias);
      want = t.spad;
    }
    faults += code != 0;
    t.cycle();
  }
  std::printf("%d commands, %d faults, %ld cycles, %d errors\n", commands, faults, t.cycles, errors);
  return errors != 0;
}
