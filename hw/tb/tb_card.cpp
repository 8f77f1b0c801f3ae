// Random register accesses with gaps and back-pressure against plain maps, and random requests through an address
// channel: each comes out once, in order, with the base added.
#include "Vtb_card.h"
#include "flightvlm_isa.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <utility>

static constexpr uint32_t kPortBase = 0x180;
static constexpr uint32_t kPorts = 5;
static constexpr int kCycles = 400000;

static std::mt19937_64 rng(7);
static uint64_t pick(uint64_t n) { return rng() % n; }

#define CHECK(what, ...)                                  \
  do {                                                    \
    if (!(what)) {                                        \
      std::printf("cycle %d: %s: ", cycle, #what);        \
      std::printf(__VA_ARGS__);                           \
      std::printf("\n");                                  \
      std::exit(1);                                       \
    }                                                     \
  } while (0)

int main() {
  Vtb_card d;
  // Registers that can be written and read back, own and the accelerator's.
  std::map<uint32_t, uint32_t> regs;
  for (uint32_t i = 0; i < 2 * kPorts; i++) regs[kPortBase + 4 * i] = 0;
  for (uint32_t at : {FVLM_CSR_MEM_UNITS, FVLM_CSR_CODE_BASE, FVLM_CSR_ENTRY, FVLM_CSR_CHANNEL_UNITS, FVLM_CSR_ARG1})
    regs[at] = 0;
  const uint32_t outside[] = {kPortBase - 4, kPortBase + 8 * kPorts};  // read as zero
  auto any = [&] {
    auto it = regs.begin();
    std::advance(it, pick(regs.size()));
    return it->first;
  };

  std::deque<std::pair<uint64_t, uint32_t>> requests;
  bool writing = false;
  std::deque<uint32_t> expected;  // values of reads on their way, oldest first
  int writes = 0, reads = 0, passed = 0, idle_reads = 0;
  d.rst_ni = 0;
  for (int cycle = 0; cycle < kCycles; cycle++) {
    if (cycle == 4) d.rst_ni = 1;
    const bool on = cycle > 8;
    // A write at a time, its data sometimes later than its address, and up to two reads, but not both: the
    // values would depend on the order.
    if (on && !writing && expected.empty() && pick(4) == 0) {
      writing = true;
      d.s_awvalid_i = 1;
      d.s_wvalid_i = pick(2);
      d.s_awaddr_i = any();
      d.s_wdata_i = rng();
      d.s_wstrb_i = pick(4) ? 0xf : pick(16);
    } else if (writing && d.s_awvalid_i && pick(3) == 0) {
      d.s_wvalid_i = 1;
    }
    if (on && !writing && !d.s_arvalid_i && expected.size() < 2 && pick(4) == 0) {
      d.s_arvalid_i = 1;
      const bool out = pick(8) == 0;
      d.s_araddr_i = out ? outside[pick(2)] : any();
      expected.push_back(out ? 0 : regs[d.s_araddr_i]);
      idle_reads += out;
    }
    d.s_bready_i = pick(2);
    d.s_rready_i = pick(2);
    if (!d.valid_i && on && pick(2)) {
      d.valid_i = 1;
      d.addr_i = rng();
      d.rest_i = rng() & 0x1ffff;
    }
    d.ready_i = pick(3) != 0;
    d.clk_i = 0;
    d.eval();

    if (d.s_awvalid_i && d.s_awready_o) {
      CHECK(d.s_wvalid_i && d.s_wready_o, "address without data");
      uint32_t mask = 0;
      for (int b = 0; b < 4; b++) mask |= d.s_wstrb_i >> b & 1 ? 0xffu << 8 * b : 0;
      uint32_t& r = regs[d.s_awaddr_i];
      r = (r & ~mask) | (d.s_wdata_i & mask);
    }
    const bool write_taken = d.s_awvalid_i && d.s_awready_o;
    const bool answered = d.s_bvalid_o && d.s_bready_i;
    if (answered) writes++, writing = false;
    const bool read_taken = d.s_arvalid_i && d.s_arready_o;
    if (d.s_rvalid_o) {
      CHECK(expected.size() > d.s_arvalid_i, "a value that nobody asked for");
      CHECK(d.s_rdata_o == expected.front(), "%#x, expected %#x", d.s_rdata_o, expected.front());
      if (d.s_rready_i) reads++, expected.pop_front();
    }
    // The base that counts is the one at the edge that takes the request.
    const uint64_t base = regs[kPortBase + 24] | uint64_t(regs[kPortBase + 28]) << 32;
    const bool sent = d.valid_i && d.ready_o;
    const bool base_moves = write_taken && (d.s_awaddr_i == kPortBase + 24 || d.s_awaddr_i == kPortBase + 28);
    if (d.valid_o && d.ready_i) {
      CHECK(!requests.empty(), "a request that nobody made");
      CHECK(d.addr_o == requests.front().first && d.rest_o == requests.front().second, "%#lx, expected %#lx",
            (unsigned long)d.addr_o, (unsigned long)requests.front().first);
      requests.pop_front();
      passed++;
    }
    if (sent && base_moves) {
      // A base moves only between launches: take the request back in this cycle.
      d.valid_i = 0;
      d.eval();
    } else if (sent) {
      requests.emplace_back(d.addr_i + base, d.rest_i);
    }
    d.clk_i = 1;
    d.eval();
    if (write_taken) d.s_awvalid_i = d.s_wvalid_i = 0;
    if (read_taken) d.s_arvalid_i = 0;
    if (sent) d.valid_i = 0;
  }
  const int cycle = kCycles;
  CHECK(writes > 10000 && reads > 10000 && idle_reads > 1000 && passed > 50000, "%d %d %d %d", writes, reads, idle_reads, passed);
  std::printf("%d writes, %d reads, %d requests\n", writes, reads, passed);
}
