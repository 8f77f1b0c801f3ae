// The banked memories against plain arrays: random masked runs written at any address, in the same
// cycles runs, aligned windows and single words read; also words at both ends and the sweep after
// reset. A build per configuration, see tb_vx.sh.
#include "Vabuf.h"
#include "Vspad.h"
#include "reference.h"
#include "verilated.h"

namespace {

constexpr uint32_t kW = VX_WORDS, kSpad = SPAD_WORDS, kAbuf = ABUF_WORDS;
constexpr int kCycles = 200000;

constexpr int bits(uint32_t n) { return n <= 1 ? 0 : 1 + bits(n / 2); }

ref::Rng rng{7};

// Words that meet often: near a moving place, sometimes at the ends of the memory.
uint32_t address(uint32_t words) {
  return rng.chance(5) ? (words - 4 + rng.below(8)) % words : 1000 + rng.below(24);
}

// One reader as the reference sees it: what it must show, word by word, until the next read.
template <int kLanes>
struct Reader {
  uint32_t addr = 0, count = 0;
  std::vector<uint32_t> want;
  void take(const std::vector<uint32_t>& memory, uint32_t at, uint32_t words) {
    addr = at, count = words, want.clear();
    const uint32_t depth = uint32_t(memory.size() / kLanes);
    for (uint32_t i = 0; i < words * kLanes; i++) want.push_back(memory[(at + i / kLanes) % depth * kLanes + i % kLanes]);
  }
  int check(const uint32_t* got, const char* who) const {
    if (count == 0 || std::memcmp(got, want.data(), want.size() * 4) == 0) return 0;
    std::printf("%s: words %u.. differ\n", who, addr);
    return 1;
  }
};

template <class Model>
void clock(Model& m) {
  m.clk_i = 0, m.eval();
  m.clk_i = 1, m.eval();
}

// Drives a random write and applies it to the reference memory.
template <int kLanes, class Model>
void write(Model& m, std::vector<uint32_t>& memory) {
  m.we_i = rng.chance(70);
  m.waddr_i = address(uint32_t(memory.size() / kLanes));
  m.wmask_i = rng.below(1u << kW);
  for (uint32_t i = 0; i < kW * kLanes; i++) m.wdata_i[i] = uint32_t(rng.next());
  for (uint32_t i = 0; i < kW * kLanes; i++)
    if (m.we_i && (m.wmask_i >> (i / kLanes) & 1))
      memory[(m.waddr_i * kLanes + i) % memory.size()] = m.wdata_i[i];
}

// Puts `value` at bit `at` of a port of one or more words.
void put(uint32_t* port, uint32_t at, uint32_t value) {
  const uint64_t shifted = uint64_t(value) << (at % 32);
  port[at / 32] |= uint32_t(shifted);
  if (shifted >> 32) port[at / 32 + 1] |= uint32_t(shifted >> 32);
}

int spad() {
  Vspad m;
  std::vector<uint32_t> memory(kSpad * 16);
  Reader<16> vx[3], st;
  int errors = 0;
  m.init_i = 1, m.st_re_i = m.vx_re_i = 0;
  for (uint32_t r = 0; r < kSpad / kW; r++) m.init_row_i = r, clock(m);
  m.init_i = 0;
  for (int t = 0; t < kCycles && errors < 4; t++) {
    uint32_t ports[4] = {};
    m.vx_re_i = rng.below(8);
    for (int r = 0; r < 3; r++) {
      const uint32_t at = address(kSpad);
      put(ports, uint32_t(r) * bits(kSpad), at);
      if (m.vx_re_i >> r & 1) vx[r].take(memory, at, kW);
    }
    std::memcpy(&m.vx_addr_i, ports, sizeof m.vx_addr_i);
    m.st_re_i = rng.chance(50), m.st_addr_i = address(kSpad);
    if (m.st_re_i) st.take(memory, m.st_addr_i, 1);
    write<16>(m, memory);  // after the reads were taken: they see the old words
    clock(m);
    for (int r = 0; r < 3; r++) errors += vx[r].check(&m.vx_rdata_o[r * kW * 16], "SPAD run");
    errors += st.check(&m.st_rdata_o[0], "SPAD word");
  }
  return errors;
}

int abuf() {
  Vabuf m;
  std::vector<uint32_t> memory(kAbuf * 4);
  Reader<4> mm[2], st;
  int errors = 0;
  m.init_i = 1, m.st_re_i = m.mm_re_i = 0;
  for (uint32_t r = 0; r < kAbuf / 8; r++) m.init_row_i = r, clock(m);
  m.init_i = 0;
  for (int t = 0; t < kCycles && errors < 4; t++) {
    uint32_t ports[4] = {};
    m.mm_re_i = rng.below(4);
    for (int r = 0; r < 2; r++) {
      const uint32_t window = 1u << rng.below(4), at = address(kAbuf) / window * window;
      put(ports, uint32_t(r) * bits(kAbuf), at);
      if (m.mm_re_i >> r & 1) mm[r].take(memory, at, window);
    }
    std::memcpy(&m.mm_addr_i, ports, sizeof m.mm_addr_i);
    m.st_re_i = rng.chance(50), m.st_addr_i = address(kAbuf);
    if (m.st_re_i) st.take(memory, m.st_addr_i, 1);
    write<4>(m, memory);
    clock(m);
    for (int r = 0; r < 2; r++) errors += mm[r].check(&m.mm_rdata_o[r * 32], "ABUF window");
    errors += st.check(&m.st_rdata_o[0], "ABUF word");
  }
  return errors;
}

}  // namespace

int main() {
  const int errors = spad() + abuf();
  std::printf("%d cycles each, %d errors\n", kCycles, errors);
  return errors != 0;
}
