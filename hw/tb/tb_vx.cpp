// vx_unit against a scalar reference: random commands over random memory, with and without SPAD
// write collisions, faults, and the documented durations and write cycles. A build per
// configuration: VX_WORDS, SPAD_WORDS, ABUF_WORDS and S_WORDS come from its package.
#include <algorithm>

#include "Vvx_unit.h"
#include "flightvlm_isa.h"
#include "reference.h"
#include "verilated.h"

namespace {

constexpr int kCommandWords = 10;  // ceil($bits(vx_cmd_t) / 32)
constexpr uint32_t kW = VX_WORDS, kSpad = SPAD_WORDS, kAbuf = ABUF_WORDS, kS = S_WORDS;
constexpr int kLogW = kW == 4 ? 2 : kW == 2 ? 1 : 0;

struct Cmd {
  uint32_t rows, len, a_kind, a_addr, a_stride, b_kind, b_val, b_stride, c_kind, c_val, c_stride;
  uint32_t op1, op2, func, red, d_kind, d_addr, d_stride, sred_addr, causal, b_row, c_row, vbase, rmod;
};

struct Memory {
  std::vector<uint32_t> spad = std::vector<uint32_t>(kSpad * 16), s = std::vector<uint32_t>(kS);
  std::vector<int8_t> abuf = std::vector<int8_t>(kAbuf * 16);
  bool operator==(const Memory& o) const { return spad == o.spad && s == o.s && abuf == o.abuf; }
};

uint32_t operation(uint32_t op, uint32_t x, uint32_t y) {
  switch (op) {
    case 1: return ref::add(x, y);
    case 2: return ref::sub(x, y);
    case 3: return ref::mul(x, y);
    case 4: return ref::max(x, y);
    default: return x;
  }
}

// The fault code, or 0 after executing.
int execute(const Cmd& c, Memory& m) {
  if (c.rows == 0 || c.len == 0) return 0;
  const uint32_t words = (c.len + 15) / 16;
  auto row_index = [&](uint32_t mode, uint32_t r) {
    return mode == 1 ? (c.rmod ? r % c.rmod : r) : mode == 2 ? (c.rmod ? r / c.rmod : 0) : r;
  };
  auto outside = [&](uint32_t base, uint32_t stride, uint32_t n, uint32_t limit, uint32_t mode = 0) {
    uint32_t top = 0;
    for (uint32_t r = 0; r < c.rows; r++) top = row_index(mode, r) > top ? row_index(mode, r) : top;
    return uint64_t(base) + uint64_t(top) * stride + n - 1 >= limit;
  };
  struct { uint32_t kind, addr, stride, row; } x[3] = {{c.a_kind + 1, c.a_addr, c.a_stride, 0},
    {c.b_kind, c.b_val, c.b_stride, c.b_row}, {c.c_kind, c.c_val, c.c_stride, c.c_row}};
  for (auto& o : x) {
    if (o.kind == 1 && outside(o.addr, o.stride, words, kSpad, o.row)) return FVLM_FAULT_SPAD;
    if (o.kind == 2 && outside(o.addr, o.stride, 1, kS, o.row)) return FVLM_FAULT_SMEM;
  }
  if (c.d_kind == 1 && outside(c.d_addr, c.d_stride, words, kSpad)) return FVLM_FAULT_SPAD;
  if (c.d_kind == 2 && outside(c.d_addr, c.d_stride, words, kAbuf)) return FVLM_FAULT_ABUF;
  if (c.d_kind == 3 && c.len > 16) return FVLM_FAULT_OPERAND;
  if (c.d_kind == 3 && outside(c.d_addr, c.d_stride, 1, kS)) return FVLM_FAULT_SMEM;
  if (c.red && outside(c.sred_addr, 1, 1, kS)) return FVLM_FAULT_SMEM;

  for (uint32_t r = 0; r < c.rows; r++) {
    uint32_t valid = c.causal ? c.vbase + (c.rmod ? r % c.rmod : r) : c.len;
    if (valid > c.len) valid = c.len;
    const uint32_t steps = (words + kW - 1) / kW;
    constexpr uint32_t kStep = 16 * kW;  // elements
    std::vector<uint32_t> acc(steps * kStep);
    uint32_t best = c.red == 4 ? 0 : 0xff7fffffu, index = 0;
    for (uint32_t e = 0; e < words * 16; e++) {
      auto operand = [&](int i) -> uint32_t {
        uint32_t at = x[i].addr + row_index(x[i].row, r) * x[i].stride;
        if (x[i].kind == 1) return ref::canon(m.spad[at * 16 + e]);
        if (x[i].kind == 2) return ref::canon(m.s[at]);
        return x[i].kind == 3 ? ref::canon(x[i].addr) : 0;
      };
      uint32_t y = operation(c.op1, operand(0), operand(1));
      y = ref::func(int(c.func), operation(c.op2, y, operand(2)));
      if (e >= valid) y = 0;
      const uint32_t d = c.d_addr + r * c.d_stride;
      if (c.d_kind == 1) m.spad[d * 16 + e] = y;
      if (c.d_kind == 2) m.abuf[d * 16 + e] = ref::to_int8(y);
      if (c.d_kind == 3 && e == 0) m.s[d] = y;
      uint32_t z = c.red == 2 ? ref::mul(y, y) : c.red == 4 ? y & 0x7fffffff : y;
      acc[e] = ref::add(z, e >= 4 * kStep ? acc[e - 4 * kStep] : 0);
      if (e < valid && ref::f(z) > ref::f(best)) best = z, index = e;
    }
    if (c.red == 1 || c.red == 2) {
      for (uint32_t e = words * 16; e < steps * kStep; e++) acc[e] = e >= 4 * kStep ? acc[e - 4 * kStep] : 0;
      uint32_t t[kStep];
      for (uint32_t l = 0; l < kStep; l++) {
        uint32_t q[4];
        for (uint32_t i = 0; i < 4; i++) q[i] = steps + i >= 4 ? acc[(steps - 4 + i) * kStep + l] : 0;
        t[l] = ref::add(ref::add(q[0], q[1]), ref::add(q[2], q[3]));
      }
      for (uint32_t n = kW; n > 1; n /= 2)  // over words, adjacent pairs
        for (uint32_t j = 0; j < n / 2; j++)
          for (uint32_t l = 0; l < 16; l++) t[j * 16 + l] = ref::add(t[2 * j * 16 + l], t[(2 * j + 1) * 16 + l]);
      for (int half = 8; half >= 1; half /= 2)
        for (int l = 0; l < half; l++) t[l] = ref::add(t[l], t[l + half]);
      m.s[c.sred_addr + r] = t[0];
    } else if (c.red) {
      m.s[c.sred_addr + r] = c.red == 5 ? index : best;
    }
  }
  return 0;
}

struct Bench {
  Vvx_unit dut;
  Memory mem;
  ref::Rng rng{11};
  int stall_percent = 0;
  long cycles = 0;
  std::vector<long> written;  // cycles of writes of the command

  // Appends fields to the packed command, first field at the top.
  void drive(const Cmd& c) {
    struct { uint32_t v; int w; } list[] = {{c.rows, 16}, {c.len, 16}, {c.a_kind, 1}, {c.a_addr, 32},
      {c.a_stride, 12}, {c.b_kind, 2}, {c.b_val, 32}, {c.b_stride, 12}, {c.c_kind, 2}, {c.c_val, 32},
      {c.c_stride, 12}, {c.op1, 3}, {c.op2, 3}, {c.func, 4}, {c.red, 3}, {c.d_kind, 2},
      {c.d_addr, 32}, {c.d_stride, 12}, {c.sred_addr, 32}, {c.causal, 1}, {c.b_row, 2},
      {c.c_row, 2}, {c.vbase, 16}, {c.rmod, 16}, {0, 16}};
    int total = 0;
    for (auto& x : list) total += x.w;
    static_assert(sizeof dut.cmd_i == 4 * kCommandWords, "vx_cmd_t changed: fix this list");
    for (int i = 0; i <= (total - 1) / 32; i++) dut.cmd_i[i] = 0;
    for (auto& x : list) {
      total -= x.w;
      for (int i = 0; i < x.w; i++)
        if (x.v >> i & 1) dut.cmd_i[(total + i) / 32] |= 1u << ((total + i) % 32);
    }
  }

  void cycle() {
    dut.spad_wready_i = !rng.chance(stall_percent);
    dut.clk_i = 0, dut.eval();
    struct { bool re; uint32_t addr; uint32_t* to; } wide[] = {
      {bool(dut.spad_a_re_o), dut.spad_a_addr_o, &dut.spad_a_rdata_i[0]},
      {bool(dut.spad_b_re_o), dut.spad_b_addr_o, &dut.spad_b_rdata_i[0]},
      {bool(dut.spad_c_re_o), dut.spad_c_addr_o, &dut.spad_c_rdata_i[0]}};
    struct { bool re; uint32_t addr; IData* to; } scalar[] = {
      {bool(dut.s_a_re_o), dut.s_a_addr_o, &dut.s_a_rdata_i},
      {bool(dut.s_b_re_o), dut.s_b_addr_o, &dut.s_b_rdata_i},
      {bool(dut.s_c_re_o), dut.s_c_addr_o, &dut.s_c_rdata_i}};
    uint32_t data[3][kW * 16], sdata[3] = {};
    for (int i = 0; i < 3; i++) {
      if (wide[i].re)
        for (uint32_t j = 0; j < kW; j++) std::memcpy(&data[i][16 * j], &mem.spad[(wide[i].addr + j) % kSpad * 16], 64);
      if (scalar[i].re) sdata[i] = mem.s[scalar[i].addr];
    }
    const bool to_spad = dut.spad_we_o && dut.spad_wready_i;
    for (uint32_t j = 0; j < kW; j++) {
      if (to_spad && (dut.spad_wmask_o >> j & 1))
        std::memcpy(&mem.spad[(dut.spad_waddr_o + j) % kSpad * 16], &dut.spad_wdata_o[16 * j], 64);
      if (dut.abuf_we_o && (dut.abuf_wmask_o >> j & 1))
        std::memcpy(&mem.abuf[(dut.abuf_waddr_o + j) % kAbuf * 16], &dut.abuf_wdata_o[4 * j], 16);
    }
    if (dut.s_we_o) mem.s[dut.s_waddr_o] = dut.s_wdata_o;
    for (int i = 0; i < to_spad + dut.abuf_we_o + dut.s_we_o; i++) written.push_back(cycles);
    dut.clk_i = 1, dut.eval();
    for (int i = 0; i < 3; i++) {
      if (wide[i].re) std::memcpy(wide[i].to, data[i], sizeof data[i]);
      if (scalar[i].re) *scalar[i].to = sdata[i];
    }
    cycles++;
  }
};

// Cycles from start to each write and, last, to done: hw/doc/timing.md, section VX.
std::vector<long> documented(const Cmd& c) {
  constexpr long kOp[5] = {0, 4, 4, 3, 1}, kFunc[7] = {0, 7, 7, 7, 12, 12, 12};
  constexpr long kSum = kW == 4 ? 43 : kW == 2 ? 35 : 30, kPeriod = kW == 4 ? 8 : 4;
  std::vector<long> at;
  const long n = (c.len + 16 * kW - 1) / (16 * kW), first = 2 + (c.b_row == 2 || c.c_row == 2 ? 8 : 0);
  const bool sums = c.red == 1 || c.red == 2, slow = c.func >= 4 && (c.op2 == 1 || c.op2 == 2);
  const long pace = slow ? 16 : 1, row = sums && n < kPeriod ? kPeriod : n;
  const long y = 2 + kOp[c.op1] + kOp[c.op2] + kFunc[c.func];
  const long write = y + (c.d_kind == 2 ? 3 : 1);
  const long reduced = sums ? y + 1 + (c.red == 2 ? 3 : 0) + pace * kSum : y + 2 + 4 + kLogW;
  long last = 0;
  for (long r = 0; r < c.rows; r++) {
    for (long i = 0; i < n; i++) {
      last = first + pace * (r * row + i);
      if (c.d_kind) at.push_back(last + write);
    }
    if (c.red) at.push_back(last + reduced);
  }
  std::sort(at.begin(), at.end());
  at.push_back(last + (c.red ? reduced : write) + 1);
  return at;
}

Cmd random_command(ref::Rng& rng) {
  Cmd c{};
  const int size = rng.below(10);
  c.rows = size == 0 ? rng.below(2) * rng.range(1, 40) : rng.range(1, 6);
  c.len = size == 1 ? rng.range(100, 400 * int(kW)) : size == 2 ? rng.range(0, 3) : rng.range(1, 100);
  const uint32_t words = (c.len + 15) / 16;
  auto operand = [&](uint32_t kind, uint32_t& value, uint32_t& stride) {
    stride = rng.chance(20) ? 0 : words + rng.below(4);
    if (kind == 1) value = rng.below(2000);
    if (kind == 2) value = rng.below(1000), stride = rng.below(4);
    if (kind == 3) value = rng.raw();
  };
  c.a_kind = rng.chance(15);
  c.b_kind = rng.below(4), c.c_kind = rng.below(4);
  operand(c.a_kind + 1, c.a_addr, c.a_stride);
  operand(c.b_kind, c.b_val, c.b_stride);
  operand(c.c_kind, c.c_val, c.c_stride);
  c.op1 = c.b_kind ? rng.below(5) : 0;
  c.op2 = c.c_kind ? rng.below(5) : 0;
  c.func = rng.chance(50) ? 0 : rng.range(1, 6);
  c.d_kind = rng.below(4);
  c.red = c.d_kind == 3 ? 0 : rng.below(6);
  if (c.d_kind == 3 && !rng.chance(10)) c.len = rng.range(1, 16);
  c.d_addr = rng.range(4000, c.d_kind == 3 ? 4040 : 5000);
  if (c.d_kind == 3) c.d_addr = rng.range(2000, 3000);
  c.d_stride = words + rng.below(4);
  if (c.d_kind == 1 && c.a_kind == 0 && rng.chance(30)) {  // in place
    c.a_stride = c.d_stride, c.d_addr = c.a_addr = rng.below(500);
    c.b_kind = c.c_kind = 3;
  }
  c.sred_addr = rng.range(3100, 3900);
  c.causal = rng.chance(30);
  c.vbase = c.causal ? rng.below(c.len + 20) : 0;
  c.b_row = rng.chance(30) ? rng.below(3) : 0, c.c_row = rng.chance(30) ? rng.below(3) : 0;
  c.rmod = (c.causal || c.b_row || c.c_row) && rng.chance(70) ? rng.range(1, 7) : 0;
  if (rng.chance(4)) {  // out of range, by a little or wildly
    uint32_t* victim[] = {&c.a_addr, &c.d_addr, &c.sred_addr, c.b_kind == 3 ? &c.a_addr : &c.b_val,
                          c.c_kind == 3 ? &c.d_addr : &c.c_val};
    const uint32_t limit[] = {c.a_kind ? kS : kSpad, c.d_kind == 1 ? kSpad : c.d_kind == 2 ? kAbuf : kS,
                              kS, c.b_kind == 2 ? kS : kSpad, c.c_kind == 2 ? kS : kSpad};
    const int i = rng.below(5);
    *victim[i] = rng.chance(30) ? uint32_t(-int32_t(rng.below(9))) : limit[i] - rng.below(60);
  }
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  const int commands = argc > 1 ? std::atoi(argv[1]) : 3000;
  static Bench t;
  Memory want;
  for (auto& x : t.mem.spad) x = t.rng.raw();
  for (auto& x : t.mem.s) x = t.rng.raw();
  want = t.mem;
  t.dut.rst_ni = 0, t.cycle(), t.cycle(), t.dut.rst_ni = 1, t.cycle();
  int errors = 0, faults = 0;
  for (int i = 0; i < commands && errors < 5; i++) {
    t.stall_percent = i % 3 == 0 ? 40 : 0;
    Cmd c = random_command(t.rng);
    if (i % 50 == 49) {  // abandoned by reset at any point: idle, and nothing of it comes later
      t.drive(c);
      t.dut.start_i = 1, t.cycle(), t.dut.start_i = 0;
      for (int k = t.rng.below(90); k > 0; k--) t.cycle();
      t.dut.rst_ni = 0, t.cycle(), t.dut.rst_ni = 1;
      want = t.mem;
      continue;
    }
    int code = execute(c, want);
    t.drive(c);
    t.dut.start_i = 1;
    int took = 0;
    const long start = t.cycles;
    t.written.clear();
    long limit = 2000 + 30 * long(c.rows) * (c.len / 16 + 8);
    int got_fault = 0;
    for (;; took++) {
      t.dut.clk_i = 0, t.dut.eval();
      bool end = t.dut.done_o || t.dut.fault_o;
      if (t.dut.fault_o) got_fault = t.dut.fault_code_o;
      if (end || took > limit) break;
      t.cycle();
      t.dut.start_i = 0;
      for (size_t k = 0; k < sizeof t.dut.cmd_i / 4; k++) t.dut.cmd_i[k] = uint32_t(t.rng.next());  // the unit latched it
    }
    // Another unit may read from the cycle of done on: compare before any further edge.
    if (code == 0 && c.rows && c.len && t.stall_percent == 0) {
      std::vector<long> got, expected = documented(c);
      for (long at : t.written) got.push_back(at - start);
      got.push_back(took);
      if (got != expected)
        std::printf("command %d: took %d want %ld, or a write in another cycle\n", i, took, expected.back()), errors++;
    }
    if (got_fault != code) std::printf("command %d: fault %d want %d\n", i, got_fault, code), errors++;
    if (!(t.mem == want)) {
      errors++;
      int shown = 0;
      for (size_t k = 0; k < want.spad.size() && shown < 4; k++)
        if (t.mem.spad[k] != want.spad[k]) shown++, std::printf("  spad %zu.%zu %08x want %08x\n", k / 16, k % 16, t.mem.spad[k], want.spad[k]);
      for (size_t k = 0; k < want.s.size() && shown < 8; k++)
        if (t.mem.s[k] != want.s[k]) shown++, std::printf("  s %zu %08x want %08x\n", k, t.mem.s[k], want.s[k]);
      for (size_t k = 0; k < want.abuf.size() && shown < 12; k++)
        if (t.mem.abuf[k] != want.abuf[k]) shown++, std::printf("  abuf %zu.%zu %d want %d\n", k / 16, k % 16, t.mem.abuf[k], want.abuf[k]);
      std::printf("command %d: memory differs (rows %u len %u ops %u %u func %u red %u d %u causal %u vbase %u rmod %u kinds %u %u %u rows %u %u stall %d)\n",
                  i, c.rows, c.len, c.op1, c.op2, c.func, c.red, c.d_kind, c.causal, c.vbase, c.rmod, c.a_kind, c.b_kind, c.c_kind, c.b_row, c.c_row, t.stall_percent);
      want = t.mem;
    }
    faults += code != 0;
    t.cycle();
  }
  std::printf("%d commands, %d faults, %ld cycles, %d errors\n", commands, faults, t.cycles, errors);
  return errors != 0;
}
