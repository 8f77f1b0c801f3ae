// mm_unit against a scalar reference, for one configuration: runs of random commands that overlap, over
// all N:M modes, partial rounds, weights that arrive late in some slices, commands without work,
// faults behind others in flight, and every memory access in the cycle that hw/doc/timing.md,
// section MM, names.
#include "Vmm_unit.h"
#include "flightvlm_isa.h"
#include "reference.h"
#include "verilated.h"
#include <algorithm>
#include <array>
#include <deque>
#include <map>

#ifndef SLICES
#error "define SLICES, VX_WORDS and the memory depths as the configuration has them"
#endif

namespace {

constexpr int kCommandWords = 8;  // ceil($bits(mm_cmd_t) / 32)
constexpr uint32_t kSpad = SPAD_WORDS, kAbuf = ABUF_WORDS, kS = S_WORDS, kWfifo = WFIFO_WORDS, kSfifo = SFIFO_WORDS;
constexpr uint32_t kSlices = SLICES, kW = VX_WORDS, kFlights = FLIGHTS;
constexpr uint32_t kWriteCycles = kSlices > kW ? kSlices / kW : 1;
constexpr uint32_t kPairCycles = std::max(2u, 2 * kWriteCycles);
constexpr uint32_t kRowSteps = std::min(8u, kPairCycles) / 2;
constexpr uint32_t kLate = kRowSteps == 4 ? 1 : 0;
constexpr uint32_t kWindow[] = {1, 2, 2, 4, 8};       // ABUF words, by nm
constexpr uint32_t kPerBlock[] = {16, 8, 8, 4, 2};    // stored inputs of a window section

struct Cmd {
  uint32_t rows, tiles, kb, kbg, act_addr, act_stride, out_addr, out_stride, sa_addr, sa_stride, wscale, bias, nm, first;
  uint32_t groups() const { return kbg == 0 ? 1 : (kb + kbg - 1) / kbg; }
  uint32_t group_words() const { return kbg == 0 ? kb : kbg; }
  uint32_t scales() const { return bias + (wscale ? groups() : 0); }
  bool is_nop() const { return rows == 0 || tiles == 0; }
  int code = 0;                                    // fault
  uint32_t words_base[kSlices], scales_base[kSlices];  // what the slices got for earlier commands
};

// One array beat as the walk meets it.
struct Beat {
  uint32_t active, pad, words_needed, scales_needed;  // needed: of the slice's tiles of this command
  uint32_t tiles_before[kSlices];
  uint32_t column0;                                   // tile of slice 0, may be below 0 (wraps)
  uint32_t row;
  bool odd, last_pair, group_last, first_group, last_group;
};

// What must happen in a cycle.
struct Event {
  bool scale = false, bias = false, s = false;
  uint32_t pop = 0, write = 0;
};

struct Word { int8_t value[256]; uint8_t sel[256]; };
using Scales = std::array<uint32_t, 16>;

template <class Port>
void put(Port& port, const std::vector<uint8_t>& bytes) { std::memcpy(&port, bytes.data(), sizeof port); }

void put_field(std::vector<uint8_t>& bytes, uint32_t at, uint32_t width, uint32_t value) {
  for (uint32_t i = 0; i < width; i++)
    if (value >> i & 1) bytes[(at + i) / 8] |= uint8_t(1u << ((at + i) % 8));
}

int width_of(uint32_t depth) { int w = 0; while ((1u << w) < depth) w++; return w + 1; }

// The stream of a slice and how it arrives.
struct Slice {
  std::deque<Word> wfifo, w_coming;
  std::deque<Scales> sfifo, s_coming;
  std::deque<int> order;  // 0: scale word, 1: weight word
  uint32_t words_seen = 0, scales_seen = 0;            // by now
  uint32_t words_before = 0, scales_before = 0;        // in the cycle before
  uint32_t words_made = 0, scales_made = 0;            // for all commands so far
  int supply_percent = 100;
  void clear() { *this = Slice{}; }
  void arrive(ref::Rng& rng) {
    if (order.empty() || !rng.chance(supply_percent)) return;
    if (order.front() ? wfifo.size() >= kWfifo : sfifo.size() >= kSfifo) return;
    if (order.front()) wfifo.push_back(w_coming.front()), w_coming.pop_front(), words_seen++;
    else sfifo.push_back(s_coming.front()), s_coming.pop_front(), scales_seen++;
    order.pop_front();
  }
};

struct Bench {
  Vmm_unit dut;
  ref::Rng rng{5};
  std::vector<uint32_t> spad = std::vector<uint32_t>(kSpad * 16), s = std::vector<uint32_t>(kS);
  std::vector<int8_t> abuf = std::vector<int8_t>(kAbuf * 16);
  std::array<Slice, kSlices> slices;
  long cycles = 0, starved = 0, commands = 0;
  uint32_t window = 1;

  void drive(const Cmd& c) {
    struct { uint32_t v; int w; } list[] = {{c.rows, 16}, {c.tiles, 16}, {c.kb, 16}, {c.kbg, 8},
      {c.act_addr, 32}, {c.act_stride, 16}, {c.out_addr, 32}, {c.out_stride, 16}, {c.sa_addr, 32},
      {c.sa_stride, 16}, {c.wscale, 1}, {c.bias, 1}, {c.nm, 3}, {c.first, 16}, {0, 16}};
    static_assert(sizeof dut.cmd_i == 4 * kCommandWords, "mm_cmd_t changed: fix this list");
    uint32_t total = 0;
    for (auto& x : list) total += x.w;
    std::vector<uint8_t> bytes(sizeof dut.cmd_i);
    for (auto& x : list) put_field(bytes, total -= x.w, x.w, x.v);
    put(dut.cmd_i, bytes);
  }

  void settle() {
    const int ww = width_of(kWfifo), sw = width_of(kSfifo);
    std::vector<uint8_t> wa(sizeof dut.wf_avail_i), sa(sizeof dut.sf_avail_i);
    for (uint32_t i = 0; i < kSlices; i++) {
      put_field(wa, i * ww, ww, uint32_t(slices[i].wfifo.size()));
      put_field(sa, i * sw, sw, uint32_t(slices[i].sfifo.size()));
    }
    put(dut.wf_avail_i, wa), put(dut.sf_avail_i, sa);
    dut.clk_i = 0, dut.eval();
  }

  // The clock edge; `active`: slices whose FIFOs are read for something.
  void edge() {
    starved += dut.starved_o;
    const bool a0 = dut.abuf0_re_o, a1 = dut.abuf1_re_o, w = dut.wf_re_o, sf = dut.sf_re_o, sc = dut.s_re_o;
    std::vector<uint8_t> act[2], words(sizeof dut.wf_rdata_i), scales(sizeof dut.sf_rdata_i);
    const uint32_t at[2] = {uint32_t(dut.abuf0_addr_o), uint32_t(dut.abuf1_addr_o)};
    for (int l = 0; l < 2; l++) {
      act[l].assign(128, 0x80);  // not part of the window: must not matter
      if ((l ? a1 : a0) && at[l] % window == 0 && at[l] + window <= kAbuf) std::memcpy(act[l].data(), &abuf[at[l] * 16], window * 16);
      else if (l) std::fill(act[l].begin(), act[l].end(), 0);
    }
    uint32_t row_scale = 0;
    if (sc) row_scale = s[dut.s_addr_o];
    for (uint32_t i = 0; i < kSlices; i++) {
      Slice& x = slices[i];
      for (int b = 0; b < 4; b++) words[384 * i + rng.below(384)] = uint8_t(rng.next());
      if (w && dut.wf_rd_off_o < x.wfifo.size()) {
        const Word& word = x.wfifo[dut.wf_rd_off_o];
        std::memcpy(&words[384 * i], word.value, 256);
        for (int k = 0; k < 128; k++) words[384 * i + 256 + k] = uint8_t(word.sel[2 * k] | word.sel[2 * k + 1] << 4);
      }
      if (sf && dut.sf_rd_off_o < x.sfifo.size()) std::memcpy(&scales[64 * i], x.sfifo[dut.sf_rd_off_o].data(), 64);
      if (dut.wf_pop_o >> i & 1) x.wfifo.at(0), x.wfifo.pop_front();
      if (dut.sf_pop_o >> i & 1) for (int n = dut.sf_pop_num_o; n > 0; n--) x.sfifo.at(0), x.sfifo.pop_front();
      x.words_before = x.words_seen, x.scales_before = x.scales_seen;
    }
    for (uint32_t i = 0; i < kW; i++)
      if (dut.spad_wmask_o >> i & 1)
        std::memcpy(&spad[(dut.spad_waddr_o + i) % kSpad * 16], reinterpret_cast<const char*>(&dut.spad_wdata_o) + 64 * i, 64);
    dut.clk_i = 1, dut.eval();
    if (a0) put(dut.abuf0_rdata_i, act[0]);
    if (a1 || a0) put(dut.abuf1_rdata_i, act[1]);
    if (w) put(dut.wf_rdata_i, words);
    if (sf) put(dut.sf_rdata_i, scales);
    if (sc) dut.s_rdata_i = row_scale;
    for (auto& x : slices) x.arrive(rng);
    cycles++;
  }
  void cycle() { settle(), edge(); }
};

bool outside(uint32_t base, uint32_t rows, uint32_t stride, uint32_t n, uint32_t limit) {
  return uint64_t(base) + uint64_t(rows - 1) * stride + n - 1 >= limit;
}

int fault_of(const Cmd& c) {
  if (c.is_nop()) return 0;
  const uint32_t v = kWindow[c.nm];
  if (c.act_addr % v || (c.rows > 1 && c.act_stride % v)) return FVLM_FAULT_OPERAND;
  if (c.kb == 0 || c.kb > kWfifo || c.scales() > kSfifo) return FVLM_FAULT_WFIFO;
  if (outside(c.act_addr, c.rows, c.act_stride, c.kb * v, kAbuf)) return FVLM_FAULT_ABUF;
  if (outside(c.out_addr, c.rows, c.out_stride, c.tiles, kSpad)) return FVLM_FAULT_SPAD;
  if (outside(c.sa_addr, c.rows, c.sa_stride, 1, kS)) return FVLM_FAULT_SMEM;
  return 0;
}

// Makes the command's weights, queues them, and applies the reference to `spad`.
void execute(Cmd& c, Bench& t, std::vector<uint32_t>& spad) {
  for (uint32_t s = 0; s < kSlices; s++) c.words_base[s] = t.slices[s].words_made, c.scales_base[s] = t.slices[s].scales_made;
  for (uint32_t j = 0; j < c.tiles; j++) {
    Slice& slice = t.slices[(c.first + j) % kSlices];
    Scales bias{};
    std::vector<Scales> scales;
    std::vector<Word> words;
    auto random_scales = [&] { Scales x; for (auto& v : x) v = t.rng.raw(); return x; };
    if (c.bias) bias = random_scales(), slice.s_coming.push_back(bias), slice.order.push_back(0), slice.scales_made++;
    const uint32_t per_group = c.group_words();
    for (uint32_t b = 0; b < c.kb; b++) {
      if (c.wscale && b % per_group == 0) {
        scales.push_back(random_scales());
        slice.s_coming.push_back(scales.back()), slice.order.push_back(0), slice.scales_made++;
      }
      Word w;
      const bool extreme = t.rng.chance(10);
      for (auto& x : w.value) x = extreme ? (t.rng.chance(50) ? 127 : -128) : int8_t(t.rng.range(-128, 127));
      for (int i = 0; i < 256; i++) {
        const uint32_t k = i % 16, z = t.rng.below(16);
        w.sel[i] = uint8_t(c.nm == FVLM_MM_NM_DENSE ? k : c.nm == FVLM_MM_NM_S2OF4 ? 4 * (k / 2 % 4) + z % 4 : z);
      }
      words.push_back(w), slice.w_coming.push_back(w), slice.order.push_back(1), slice.words_made++;
    }
    for (uint32_t r = 0; r < c.rows; r++)
      for (uint32_t n = 0; n < 16; n++) {
        uint32_t p = 0;
        for (uint32_t g = 0; g < c.groups(); g++) {
          int32_t acc = 0;
          for (uint32_t b = g * per_group; b < c.kb && b < (g + 1) * per_group; b++) {
            const int8_t* x = &t.abuf[(c.act_addr + r * c.act_stride + b * kWindow[c.nm]) * 16];
            for (uint32_t k = 0; k < 16; k++)
              acc += int32_t(x[16 * (k / kPerBlock[c.nm]) + words[b].sel[n * 16 + k]]) * words[b].value[n * 16 + k];
          }
          uint32_t x = ref::from_int(acc);
          if (c.wscale) x = ref::mul(x, ref::canon(scales[g][n]));
          p = g == 0 ? x : ref::add(p, x);
        }
        uint32_t y = ref::mul(p, ref::canon(t.s[c.sa_addr + r * c.sa_stride]));
        if (c.bias) y = ref::add(y, ref::canon(bias[n]));
        spad[(c.out_addr + r * c.out_stride + j) * 16 + n] = y;
      }
  }
}

// The walk of section 5, beat by beat.
std::vector<Beat> walk(const Cmd& c) {
  std::vector<Beat> beats;
  uint32_t tiles_before[kSlices] = {};
  for (uint32_t round = c.first / kSlices; round <= (c.first + c.tiles - 1) / kSlices; round++) {
    Beat b{};
    for (uint32_t s = 0; s < kSlices; s++) {
      const uint32_t slot = round * kSlices + s;
      if (slot >= c.first && slot < c.first + c.tiles) b.active |= 1u << s;
    }
    std::copy(tiles_before, tiles_before + kSlices, b.tiles_before);
    b.column0 = round * kSlices - c.first;
    for (uint32_t row = 0; row < c.rows; row += 2)
      for (uint32_t g = 0; g < c.groups(); g++) {
        const uint32_t from = g * c.group_words(), to = std::min(c.kb, from + c.group_words());
        const uint32_t least = c.groups() == 1 ? kPairCycles : 8;
        for (uint32_t k = from; k < to; k++) {
          b.pad = k == from && to - from < least ? least - (to - from) : 0;
          b.words_needed = k + 1, b.scales_needed = c.bias + (c.wscale ? g + 1 : 0);
          b.row = row, b.odd = row + 1 < c.rows, b.last_pair = row + 2 >= c.rows;
          b.group_last = k + 1 == to, b.first_group = g == 0, b.last_group = g + 1 == c.groups();
          beats.push_back(b);
        }
      }
    for (uint32_t s = 0; s < kSlices; s++) tiles_before[s] += b.active >> s & 1;
  }
  return beats;
}

bool covered(const Bench& t, const Cmd& c, const Beat& b) {
  for (uint32_t s = 0; s < kSlices; s++) {
    if (!(b.active >> s & 1)) continue;
    if (t.slices[s].words_before < c.words_base[s] + b.tiles_before[s] * c.kb + b.words_needed) return false;
    if (t.slices[s].scales_before < c.scales_base[s] + b.tiles_before[s] * c.scales() + b.scales_needed) return false;
  }
  return true;
}

// Accesses that follow the last beat of a group, issued at t.
void schedule(const Cmd& c, const Beat& b, long t, std::map<long, Event>& events) {
  if (c.wscale) events[t + 23].scale = true;
  if (!b.last_group) return;
  if (c.bias) events[t + 24].bias = true;
  if (b.last_pair && c.scales()) events[t + 24].pop = b.active;
  for (uint32_t r = 0; r < (b.odd ? 2u : 1u); r++) {
    events[t + 31 + r * kRowSteps].s = true;
    for (uint32_t k = 0; k < kWriteCycles; k++)
      events[t + 40 + kRowSteps + kLate + r * kWriteCycles + k].write = b.active >> (k * kW) & ((1u << kW) - 1);
  }
}

// kind 0: short commands, as attention has them.
Cmd random_command(ref::Rng& rng, int kind) {
  Cmd c{};
  const int size = kind == 0 ? 4 : int(rng.below(8));
  c.nm = rng.below(5);
  const uint32_t v = kWindow[c.nm];
  c.rows = rng.range(1, size == 0 ? 20 : 5);
  c.tiles = rng.range(1, size == 1 ? 12 + 2 * kSlices : 4);
  c.kb = rng.range(1, size == 2 ? 60 : 6);
  if (size == 3) c.kb = rng.range(8, 30);
  c.kbg = rng.chance(50) ? 0 : rng.range(1, 10);
  c.act_addr = rng.below(3000 / v) * v, c.act_stride = rng.chance(10) ? 0 : (c.kb + rng.below(3)) * v;
  c.out_addr = rng.chance(5) ? 0 : rng.below(3000), c.out_stride = c.tiles + rng.below(3);
  c.sa_addr = rng.below(kS - 96), c.sa_stride = rng.below(4);
  c.wscale = rng.chance(60), c.bias = rng.chance(50);
  c.first = rng.chance(70) ? rng.below(3 * kSlices) : rng.below(65536);
  if (kind == 0) c.rows = rng.range(1, 2), c.kb = rng.range(1, 4), c.act_stride = c.kb * v;
  if (rng.chance(8)) (rng.chance(50) ? c.rows : c.tiles) = 0;
  if (rng.chance(2)) {
    switch (rng.below(8)) {
      case 0: c.act_addr = kAbuf - rng.below(30) * v; break;
      case 1: c.out_addr = kSpad - rng.below(20); break;
      case 2: c.sa_addr = kS - rng.below(6); break;
      case 3: c.kb = rng.chance(50) ? 0 : kWfifo + 1; break;
      case 4: c.kb = rng.range(120, 140), c.kbg = 1, c.wscale = 1, c.act_stride = c.kb * v; break;
      case 5: c.act_addr++; break;
      case 6: c.act_stride++; c.rows = rng.range(1, 2); break;
      default: c.act_addr = ~7u;
    }
  }
  return c;
}

// A command in flight: at `end`, or as soon as those before it have ended.
struct Flight { size_t command; long end; };

// Runs commands, whose weights are queued, each as soon as the unit takes it after a pause; checks each
// cycle. Ends when all have ended, with a fault, or abandoned in cycle `abandon`. Returns the number of
// deviations.
int run(Bench& t, const std::vector<Cmd>& cmds, long abandon, int batch) {
  constexpr long kNever = 1L << 60;
  int errors = 0, got_fault = 0;
  long now = 0;
  auto wrong = [&](const char* what, long got, long want) {
    if (errors++ < 3) std::printf("batch %d, cycle %ld: %s %ld want %ld\n", batch, now, what, got, want);
  };
  std::map<long, Event> events;
  std::deque<Flight> flights;
  size_t next_command = 0, walking = 0, retired = 0;
  long pause = 0;
  long start = -1, loaded = kNever;     // of the command in front of the walk, which is next_command - 1
  bool in_front = false;
  std::vector<Beat> beats;              // of the walking command
  size_t next = 0;
  uint32_t pad = 0;
  long walk_from = kNever;
  for (;; now++) {
    t.settle();
    // The walk.
    bool beat = false, starve = false, walk_ends = false;
    if (now >= walk_from) {
      if (pad > 0) pad--;
      else if (covered(t, cmds[walking], beats[next])) beat = true;
      else starve = true;
    }
    const Beat* b = beat ? &beats[next] : nullptr;
    if (t.dut.wf_re_o != beat) wrong("word read", t.dut.wf_re_o, beat);
    if (t.dut.starved_o != starve) wrong("starved", t.dut.starved_o, starve);
    const uint32_t macs = b ? uint32_t(__builtin_popcount(b->active)) * (b->odd ? 2 : 1) : 0;
    if (t.dut.mac_beats_o != macs) wrong("mac beats", t.dut.mac_beats_o, macs);
    const uint32_t pop = b && b->last_pair ? b->active : 0;
    if (t.dut.wf_pop_o != pop) wrong("words popped", t.dut.wf_pop_o, pop);
    if (beat) {
      if (b->group_last) schedule(cmds[walking], *b, now, events);
      if (++next < beats.size()) {
        pad = beats[next].pad;
      } else {
        walk_ends = true, walk_from = kNever;
        for (auto& f : flights) if (f.command == walking) f.end = now + 40 + kRowSteps + kLate + kPairCycles;
      }
    }
    // The command in front of it.
    const uint32_t window_before = t.window;
    bool ready = !in_front;
    int fault = 0;
    if (in_front) {
      const Cmd& c = cmds[next_command - 1];
      const bool only = flights.size() == 1;
      if (c.is_nop()) {
        if (now == start + 1) flights.back().end = now + 1, in_front = false;
      } else if (c.code != 0) {
        if (now >= start + 4 && only) fault = c.code;
      } else {
        if (loaded == kNever && now >= start + 3 && (beats.empty() || walk_ends)) {
          loaded = now, walking = next_command - 1;
          beats = walk(c), next = 0, pad = beats[0].pad, walk_from = now + 2;
          t.window = kWindow[c.nm];
          walk_ends = false;
        }
        if (now >= start + 4 && loaded <= now) in_front = false;
      }
    }
    if (walk_ends) beats.clear();
    if (t.dut.ready_o != ready) wrong("ready", t.dut.ready_o, ready);
    if (t.dut.fault_o != (fault != 0)) wrong("fault", t.dut.fault_o, fault);
    if (t.dut.fault_o && t.dut.fault_code_o != fault) wrong("fault code", t.dut.fault_code_o, fault);
    if (t.dut.fault_o) got_fault = t.dut.fault_code_o;
    const bool done = !flights.empty() && flights.front().end <= now;
    if (t.dut.done_o != done) wrong("done", t.dut.done_o, done);
    if (done) flights.pop_front(), retired++;
    // Accesses that follow.
    Event e;
    if (auto found = events.find(now); found != events.end()) e = found->second, events.erase(found);
    if (t.dut.sf_re_o != (e.scale || e.bias)) wrong("scale read", t.dut.sf_re_o, e.scale || e.bias);
    if (t.dut.sf_pop_o != e.pop) wrong("scales popped", t.dut.sf_pop_o, e.pop);
    if (t.dut.s_re_o != e.s) wrong("S read", t.dut.s_re_o, e.s);
    if (t.dut.spad_wmask_o != e.write) wrong("SPAD mask", t.dut.spad_wmask_o, e.write);
    if (t.dut.spad_we_o != (e.write != 0)) wrong("SPAD write", t.dut.spad_we_o, e.write != 0);
    // The next command: as the queue does it, which keeps to the flights.
    for (int k = 0; k < kCommandWords; k++) t.dut.cmd_i[k] = uint32_t(t.rng.next());
    t.dut.start_i = ready && next_command < cmds.size() && flights.size() < kFlights && pause-- <= 0;
    if (t.dut.start_i) {
      t.drive(cmds[next_command]);
      flights.push_back({next_command++, kNever});
      start = now, loaded = kNever, in_front = true;
      pause = t.rng.chance(70) ? 0 : t.rng.below(100);
    }
    t.dut.eval();
    const uint32_t window_next = t.window;
    t.window = window_before;  // of the beat that is read in this cycle
    t.edge();
    t.window = window_next;
    if (got_fault || errors > 20 || now == abandon) break;
    if (flights.empty() && next_command == cmds.size()) break;
    if (now > 2000000) { wrong("hangs", now, 0); break; }
  }
  t.dut.start_i = 0;
  if (got_fault || now == abandon) {  // with the FIFOs: nothing of it comes later
    t.dut.rst_ni = 0, t.cycle(), t.dut.rst_ni = 1;
  } else {
    if (!events.empty()) wrong("accesses missing", long(events.size()), 0);
    for (auto& s : t.slices)
      if (!s.wfifo.empty() || !s.sfifo.empty() || !s.order.empty())
        wrong("words and scales left", long(s.wfifo.size() + s.sfifo.size() + s.order.size()), 0);
  }
  if (now != abandon && got_fault != cmds.back().code) wrong("fault", got_fault, cmds.back().code);
  t.commands += long(retired);
  for (auto& s : t.slices) s.clear();
  return errors;
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
  for (int i = 0, made = 0; made < commands && errors < 5; i++) {
    // A run of commands; a bad one is its last.
    std::vector<Cmd> cmds;
    const int length = t.rng.chance(20) ? 1 : t.rng.range(2, 24), kind = t.rng.below(4);
    for (int k = 0; k < length && (cmds.empty() || cmds.back().code == 0); k++, made++) {
      Cmd c = random_command(t.rng, kind);
      c.code = fault_of(c);
      if (c.code == 0 && !c.is_nop()) execute(c, t, want);
      cmds.push_back(c);
    }
    const int slow = t.rng.below(kSlices);  // all there in time, all late, or one slice
    for (uint32_t s = 0; s < kSlices; s++)
      t.slices[s].supply_percent = i % 3 == 0 || (i % 3 == 2 && int(s) != slow) ? 100 : t.rng.range(20, 100);
    if (t.rng.chance(70))  // as far as the FIFOs take it
      for (int k = 0; k < 2000; k++) for (auto& s : t.slices) s.arrive(t.rng);
    for (auto& s : t.slices) s.words_before = s.words_seen, s.scales_before = s.scales_seen;
    const long abandon = i % 20 == 19 ? long(t.rng.below(400)) : -1;
    errors += run(t, cmds, abandon, i);
    faults += cmds.back().code != 0;
    if (abandon >= 0) want = t.spad;
    if (t.spad != want) {
      errors++;
      int shown = 0;
      for (size_t k = 0; k < want.size() && shown < 6; k++)
        if (t.spad[k] != want[k]) shown++, std::printf("  spad %zu.%zu %08x want %08x\n", k / 16, k % 16, t.spad[k], want[k]);
      std::printf("batch %d of %zu commands: differs\n", i, cmds.size());
      for (auto& c : cmds)
        std::printf("  rows %u tiles %u first %u nm %u kb %u kbg %u out %u+%u wscale %u bias %u\n", c.rows, c.tiles, c.first, c.nm, c.kb, c.kbg, c.out_addr, c.out_stride, c.wscale, c.bias);
      want = t.spad;
    }
    t.cycle();
  }
  std::printf("%ld commands retired, %d faults, %ld cycles (%ld starved), %d errors\n", t.commands, faults, t.cycles, t.starved, errors);
  return errors != 0;
}
