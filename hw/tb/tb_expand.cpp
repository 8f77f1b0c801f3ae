// Weight stream of a slice (queue, requests, expander, FIFOs) against a reference that reads the
// specification's section 3.1 unit by unit: random commands of every format, sparsity, group size
// and tile length, short and surplus mixed tiles, erratic memory, back-pressure; then the promised
// rate of one unit a cycle.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include "Vstream.h"
#include "verilated.h"

#ifndef SLICES
#error "SLICES: slices of the configuration"
#endif

namespace {

constexpr uint32_t kUnits = 1 << 16;
std::vector<uint8_t> memory(kUnits * 64);

uint64_t rng_state = 88172645463325252ull;
uint32_t rnd(uint32_t limit) {
  rng_state ^= rng_state << 7;
  rng_state ^= rng_state >> 9;
  return uint32_t((rng_state >> 16) % limit);
}

struct Command {
  uint32_t first, rows, src, stride, kb, kbg, wscale, bias, fmt, nm;
};
enum { W8K, W8N, W4K, W4N, Mixed };

struct Word {
  int8_t value[256];
  uint8_t sel[256];
};
using Scales = std::array<uint32_t, 16>;

// ---- Reference.
struct Reader {
  uint32_t unit, left;  // of the tile
  uint32_t used = 0;
  std::array<uint8_t, 64> next() {
    std::array<uint8_t, 64> u{};
    ++used;
    if (left == 0) return u;
    std::memcpy(u.data(), &memory[size_t(unit) * 64], 64);
    ++unit;
    --left;
    return u;
  }
};
int bit(const std::array<uint8_t, 64>& u, int i) { return u[i / 8] >> (i % 8) & 1; }

void selectors(Reader& r, uint32_t nm, Word& w) {
  std::vector<std::array<uint8_t, 64>> u;
  const int count[] = {0, 1, 1, 2, 2};
  for (int i = 0; i < count[nm]; ++i) u.push_back(r.next());
  for (int n = 0; n < 16; ++n) {
    for (int k = 0; k < 16; ++k) {
      int s = k;
      if (nm == 1) {
        int at = 4 * (n % 8 * 16 + k) + 2 * (n / 8);
        s = 4 * (k / 2 % 4) + bit(u[0], at) + 2 * bit(u[0], at + 1);
      } else if (nm == 2) {
        int block = k / 8, rank = k % 8;
        s = 15;
        for (int p = 0, seen = 0; p < 16; ++p)
          if (bit(u[0], 32 * n + 16 * block + p) && seen++ == rank) s = p;
      } else if (nm >= 3) {
        int at = 4 * (n * 16 + k);
        s = u[at / 512][at % 512 / 8] >> (at % 8) & 15;
      }
      w.sel[n * 16 + k] = uint8_t(s);
    }
  }
}

int sign_extend(int x, int bits) { return (x ^ 1 << (bits - 1)) - (1 << (bits - 1)); }

using Unit = std::array<uint8_t, 64>;

// Two bits of the value of output n, stored input k, where a unit has two of each.
int crumb(const Unit& u, int n, int k) {
  return u[16 * (n / 4 ^ k / 4) + 4 * (n % 4) + k % 4] >> (2 * (n / 4)) & 3;
}

// The value units of a word; `above` holds the bits above theirs, of the word's own place.
void values(Reader& r, bool layout_n, int bits, const Unit& above, int place, Word& w) {
  std::vector<Unit> u;
  for (int i = 0; i < (bits == 8 ? 4 : bits <= 3 ? 1 : 2); ++i) u.push_back(r.next());
  for (int n = 0; n < 16; ++n) {
    for (int k = 0; k < 16; ++k) {
      int row = n / 4, col = k / 4, byte = 4 * (n % 4) + k % 4, extra = crumb(above, n, k), v;
      if (bits == 8) {
        v = int8_t(u[layout_n ? col : row][16 * (row ^ col) + byte]);
      } else if (bits <= 3) {
        int q = crumb(u[0], n, k);
        v = 2 * sign_extend(bits == 2 ? q : q | (extra >> place & 1) << 2, bits) + 1;
      } else {
        int chunk = 2 * (row / 2 ^ col / 2) + (layout_n ? col : row) % 2, high = (layout_n ? row : col) % 2;
        int q = u[(layout_n ? col : row) / 2][16 * chunk + byte] >> (4 * high) & 15;
        if (bits == 5) q |= (extra >> place & 1) << 4;
        if (bits == 6) q |= (extra & 1) << 5 | (extra >> 1) << 4;
        v = sign_extend(q, bits);
      }
      w.value[n * 16 + k] = int8_t(v);
    }
  }
}

// One tile; returns the units it uses.
uint32_t expand(const Command& c, uint32_t unit, uint32_t units, std::vector<Word>* words, std::vector<Scales>* scales) {
  Reader r{unit, units};
  auto f32_unit = [&] {
    auto u = r.next();
    Scales s;
    std::memcpy(s.data(), u.data(), 64);
    scales->push_back(s);
  };
  if (c.bias) f32_unit();
  const int kBits[] = {8, 4, 2, 3, 5, 6, 8, 8};
  std::array<uint8_t, 64> pair{};
  uint32_t group = 0;
  for (uint32_t done = 0; done < c.kb; ++group) {
    uint32_t w = c.kbg ? std::min(c.kbg, c.kb - done) : c.kb;
    int bits = c.fmt <= W8N ? 8 : 4;
    if (c.fmt == Mixed) {
      if (group % 2 == 0) pair = r.next();
      Scales s;
      int code = 0;
      for (int n = 0; n < 16; ++n) {
        const uint8_t* p = &pair[4 * n + (group % 2 ? 0 : 2)];
        uint32_t half = p[0] | p[1] << 8;
        s[n] = (half & 0x7fff) << 16;
        if (n < 3) code |= (half >> 15) << n;
      }
      scales->push_back(s);
      bits = kBits[code];
    } else if (c.wscale) {
      f32_unit();
    }
    Unit above{};
    for (uint32_t i = 0; i < w; ++i) {
      Word word;
      if (bits == 6 || (bits % 2 && i % 2 == 0)) above = r.next();
      selectors(r, c.nm, word);
      values(r, c.fmt == W8N || c.fmt == W4N, bits, above, i % 2, word);
      words->push_back(word);
    }
    done += w;
  }
  return r.used;
}

uint32_t plain_units(const Command& c) {
  const uint32_t index[] = {0, 1, 1, 2, 2};
  uint32_t groups = c.wscale ? (c.kbg ? (c.kb + c.kbg - 1) / c.kbg : 1) : 0;
  return c.bias + groups + c.kb * (index[c.nm] + (c.fmt <= W8N ? 4 : 2));
}

// ---- Device.
VerilatedContext context;
Vstream* top;
uint64_t now = 0;
uint32_t slice = 0;

void put(WData* w, int& at, uint32_t value, int width) {
  for (int i = 0; i < width; ++i, ++at) {
    w[at / 32] = (w[at / 32] & ~(1u << at % 32)) | (value >> i & 1) << at % 32;
  }
}

void offer(const Command& c) {
  WData* w = top->cmd_i.data();
  int at = 0;
  uint32_t units = c.fmt == Mixed ? c.stride : plain_units(c);
  put(w, at, 77, 16);
  put(w, at, c.nm, 3);
  put(w, at, c.fmt, 3);
  put(w, at, c.bias, 1);
  put(w, at, c.wscale, 1);
  put(w, at, c.kbg && c.kbg < c.kb ? c.kbg : c.kb, 10);
  put(w, at, c.kb, 10);
  put(w, at, units * ((c.rows + SLICES - 1) / SLICES), 32);
  put(w, at, units == c.stride, 1);
  put(w, at, units, 32);
  put(w, at, c.stride, 32);
  put(w, at, c.src + c.first / SLICES * c.stride, 32);
  put(w, at, c.rows, 16);
  put(w, at, c.first, 16);
}

struct Burst {
  uint32_t unit, beats;
  uint64_t ready;
};

int fail(const char* what, size_t index) {
  std::printf("cycle %llu: %s %zu differs\n", (unsigned long long)now, what, index);
  return 1;
}

// Runs the commands; returns 0 when all words are as expected. erratic: random memory and reader.
int run(const std::vector<Command>& commands, bool erratic, uint64_t* cycles, uint64_t* beats_out) {
  std::vector<Word> words;
  std::vector<Scales> scales;
  uint64_t units = 0;
  for (const auto& c : commands) {
    for (uint32_t j = 0; j < c.rows; ++j) {
      uint32_t slot = c.first + j;
      if (slot % SLICES != slice) continue;
      uint32_t n = c.fmt == Mixed ? c.stride : plain_units(c);
      expand(c, c.src + slot / SLICES * c.stride, n, &words, &scales);
      units += n;
    }
  }
  size_t next = 0, seen = 0, popped = 0, s_seen = 0, s_popped = 0;
  bool offering = false;
  uint64_t beats = 0, begin = 0, last_beat = 0;
  std::deque<Burst> bursts;
  int reader_rate = 100;
  size_t avail = 0, s_avail = 0;
  for (uint64_t start = now; next < commands.size() || popped < words.size() || s_popped < scales.size() || !top->idle_o;) {
    if (now - start > 4000000) return fail("no end; popped", popped);
    if (erratic && now % 512 == 0) reader_rate = int(rnd(4)) * 33;
    // Memory.
    if (!offering) {
      offering = !bursts.empty() && bursts[0].ready <= now && (!erratic || rnd(8));
      if (offering) std::memcpy(top->m_rdata_i.data(), &memory[size_t(bursts[0].unit) * 64], 64);
    }
    top->m_rvalid_i = offering;
    top->m_rlast_i = offering && bursts[0].beats == 1;
    top->m_arready_i = !erratic || rnd(4);
    // Commands.
    bool want = next < commands.size() && (!erratic || rnd(3) == 0);
    if (next < commands.size()) offer(commands[next]);
    top->push_i = 0;
    top->clk_i = 0;
    top->eval();
    top->push_i = want && top->ready_o;
    if (top->push_i && !begin) begin = now;
    next += top->push_i;
    // Reader.
    size_t shown = popped + top->wf_avail_o, s_shown = s_popped + top->sf_avail_o;
    if (shown > words.size() || s_shown > scales.size()) return fail("number of words", shown);
    bool read = seen < avail && (!erratic || int(rnd(100)) < reader_rate);
    bool s_read = s_seen < s_avail && (!erratic || int(rnd(100)) < reader_rate);
    top->wf_re_i = read;
    top->wf_rd_off_i = seen - popped;
    top->wf_pop_i = popped < seen && (!erratic || rnd(4));
    top->sf_re_i = s_read;
    top->sf_rd_off_i = s_seen - s_popped;
    uint32_t s_ready = uint32_t(s_seen - s_popped);
    top->sf_pop_num_i = s_ready ? 1 + rnd(s_ready) : 1;
    top->sf_pop_i = s_ready > 0 && (!erratic || rnd(4) == 0);
    top->eval();
    if (top->fault_o) return fail("unexpected fault, word", popped);
    bool taken = top->m_rvalid_i && top->m_rready_o;
    if (taken) {
      offering = false;
      ++bursts[0].unit;
      ++beats;
      last_beat = now;
      if (--bursts[0].beats == 0) bursts.pop_front();
    }
    if (top->m_arvalid_o && top->m_arready_i) {
      uint32_t unit = uint32_t(top->m_araddr_o >> 6), n = top->m_arlen_o + 1u;
      if (n > 16 || unit % 64 + n > 64) return fail("burst shape at unit", unit);
      bursts.push_back({unit, n, now + 1 + (erratic ? rnd(60) : 40)});
      if (bursts.size() > 8) return fail("bursts in flight", bursts.size());
    }
    popped += top->wf_pop_i;
    if (top->sf_pop_i) s_popped += top->sf_pop_num_i;
    top->clk_i = 1;
    top->eval();
    ++now;
    // What was shown can be read from now on.
    avail = shown;
    s_avail = s_shown;
    // Data of the reads.
    if (read) {
      for (int e = 0; e < 256; ++e) {
        int8_t v = int8_t(top->wf_rdata_o[e / 4] >> (8 * (e % 4)));
        uint8_t s = top->wf_rdata_o[64 + e / 8] >> (4 * (e % 8)) & 15;
        if (v != words[seen].value[e] || s != words[seen].sel[e]) {
          std::printf("output %d input %d: value %d, expected %d; selector %d, expected %d\n", e / 16, e % 16, v,
                      words[seen].value[e], s, words[seen].sel[e]);
          return fail("word", seen);
        }
      }
      ++seen;
    }
    if (s_read) {
      for (int n = 0; n < 16; ++n)
        if (top->sf_rdata_o[n] != scales[s_seen][n]) return fail("scale word", s_seen);
      ++s_seen;
    }
  }
  if (beats != units) {
    std::printf("%llu beats read, expected %llu\n", (unsigned long long)beats, (unsigned long long)units);
    return 1;
  }
  if (cycles) *cycles = last_beat - begin;
  if (beats_out) *beats_out = beats;
  return 0;
}

void reset() {
  top->rst_ni = 0;
  for (int i = 0; i < 4; ++i) {
    top->clk_i = 0;
    top->eval();
    top->clk_i = 1;
    top->eval();
  }
  top->rst_ni = 1;
}

Command random_command() {
  Command c{};
  c.first = rnd(3 * SLICES);
  c.rows = rnd(5) ? 1 + rnd(3 * SLICES) : rnd(2);
  c.fmt = rnd(3) ? Mixed : rnd(4);
  c.nm = rnd(5);
  c.kb = rnd(30) ? 1 + rnd(rnd(3) ? 12 : 80) : 512;
  c.kbg = rnd(3) ? rnd(9) : 0;
  if (c.kb > 80 && c.kbg) c.kbg += 8;
  c.wscale = c.fmt == Mixed || rnd(2);
  c.bias = rnd(2);
  if (c.kbg && c.kb / c.kbg >= 100) c.kbg = 0;
  uint32_t span = c.kb * 8 + 8;
  c.stride = plain_units(c) + (rnd(2) ? rnd(20) : 0);
  if (c.fmt == Mixed) {
    // About what the first tile needs; sometimes short, surplus or nothing.
    std::vector<Word> w;
    std::vector<Scales> s;
    c.src = rnd(kUnits / 2);
    c.stride = expand(c, c.src, span, &w, &s);
    if (rnd(3) == 0) c.stride = c.stride + rnd(7);
    else if (rnd(3) == 0) c.stride = rnd(4) ? c.stride - rnd(std::min(c.stride, 9u)) : 0;
  } else {
    c.src = rnd(kUnits / 2);
  }
  if ((c.first + c.rows) / SLICES * c.stride + span >= kUnits / 2) c.rows = 1, c.first = rnd(SLICES);
  return c;
}

// All codes of the scales in a tile of mixed groups: keeps the rate test to one width.
void set_codes(const Command& c, uint32_t unit, int code, int bits) {
  const uint32_t index[] = {0, 1, 1, 2, 2};
  uint32_t at = unit + c.bias;
  for (uint32_t done = 0, group = 0; done < c.kb; ++group) {
    uint32_t w = c.kbg ? std::min(c.kbg, c.kb - done) : c.kb;
    if (group % 2 == 0) {
      uint8_t* u = &memory[size_t(at++) * 64];
      for (int h = 0; h < 2; ++h)
        for (int n = 0; n < 3; ++n) u[4 * n + 2 * h + 1] = uint8_t((u[4 * n + 2 * h + 1] & 0x7f) | (code >> n & 1) << 7);
    }
    const uint32_t each = bits == 8 ? 4 : bits <= 3 ? 1 : 2;
    at += w * (index[c.nm] + each) + (bits == 6 ? w : bits % 2 ? (w + 1) / 2 : 0);
    done += w;
  }
}

}  // namespace

int main() {
  top = new Vstream(&context);
  for (auto& b : memory) b = uint8_t(rnd(256));
  reset();
  uint64_t words = 0;
  for (int round = 0; round < 150; ++round) {
    slice = rnd(SLICES);
    top->index_i = slice;
    std::vector<Command> list;
    for (uint32_t i = 0, n = 1 + rnd(14); i < n; ++i) list.push_back(random_command());
    uint64_t beats;
    if (run(list, round % 4 != 0, nullptr, &beats)) {
      std::printf("round %d\n", round);
      for (const auto& c : list)
        std::printf("first %u rows %u src %u stride %u kb %u kbg %u wscale %u bias %u fmt %u nm %u\n", c.first, c.rows, c.src,
                    c.stride, c.kb, c.kbg, c.wscale, c.bias, c.fmt, c.nm);
      return 1;
    }
    words += beats;
  }
  // Rate: several commands of one format; every cycle between the first and the last beat has one.
  const int kBits[] = {8, 4, 2, 3, 5, 6};
  int rates = 0;
  slice = 0;
  top->index_i = 0;
  for (uint32_t fmt = 0; fmt <= Mixed; ++fmt) {
    for (uint32_t nm = 0; nm < 5; ++nm) {
      for (int code = 0; code < (fmt == Mixed ? 6 : 1); ++code) {
        std::vector<Command> list;
        uint32_t src = 1000;
        for (int i = 0; i < 6; ++i) {
          Command c{};
          c.rows = 4 * SLICES;
          c.fmt = fmt;
          c.nm = nm;
          c.kb = 24;
          c.kbg = 7;
          c.wscale = 1;
          c.bias = 1;
          c.src = src;
          c.stride = plain_units(c);
          for (int t = 0; fmt == Mixed && t < 4; ++t) {
            std::vector<Word> w;
            std::vector<Scales> s;
            set_codes(c, src, code, kBits[code]);
            c.stride = expand(c, src, 1000, &w, &s);
            src += c.stride;
          }
          if (fmt != Mixed) src += 4 * c.stride;
          list.push_back(c);
        }
        uint64_t cycles, beats;
        if (run(list, false, &cycles, &beats)) return 1;
        if (cycles != beats + 3 + 41 - 1) {
          std::printf("fmt %u nm %u code %d: last of %llu beats after %llu cycles, expected %llu\n", fmt, nm, code,
                      (unsigned long long)beats, (unsigned long long)cycles, (unsigned long long)(beats + 43));
          return 1;
        }
        ++rates;
      }
    }
  }
  std::printf("%llu units expanded as the reference; %d formats at one unit a cycle\n", (unsigned long long)words, rates);
  delete top;
  return 0;
}
