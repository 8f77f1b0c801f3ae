// Reference arithmetic for the unit tests: hw/doc/microarchitecture.md section 2 on host floats.
// Compile without fast-math and with -ffp-contract=off.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace ref {

inline float f(uint32_t b) { float x; std::memcpy(&x, &b, 4); return x; }
inline uint32_t b(float x) { uint32_t r; std::memcpy(&r, &x, 4); return r; }

constexpr uint32_t kMax = 0x7f7fffff;

inline uint32_t canon(uint32_t x) {
  uint32_t e = x >> 23 & 0xff;
  if (e <= 1) return 0;
  if (e == 255) return (x & 0x80000000u) | kMax;
  return x;
}
inline uint32_t add(uint32_t x, uint32_t y) { return canon(b(f(x) + f(y))); }
inline uint32_t sub(uint32_t x, uint32_t y) { return canon(b(f(x) - f(y))); }
inline uint32_t mul(uint32_t x, uint32_t y) { return canon(b(f(x) * f(y))); }
inline uint32_t max(uint32_t x, uint32_t y) { return f(y) > f(x) ? y : x; }
inline uint32_t from_int(int32_t x) { return b(static_cast<float>(x)); }
inline int8_t to_int8(uint32_t x) {
  double r = std::nearbyint(static_cast<double>(f(x)));
  return static_cast<int8_t>(r > 127 ? 127 : r < -127 ? -127 : r);
}

struct Segment { uint32_t base; int32_t slope; };

inline const std::vector<Segment>& rom() {
  static std::vector<Segment> table = [] {
    std::vector<Segment> t;
    FILE* file = std::fopen("sfu.hex", "r");
    unsigned long long v;
    while (file && std::fscanf(file, "%llx", &v) == 1)
      t.push_back({uint32_t(v >> 20), int32_t(uint32_t(v & 0xfffff) << 12) >> 12});
    if (file) std::fclose(file);
    if (t.size() != 2560) { std::printf("sfu.hex not found or short\n"); std::exit(2); }
    return t;
  }();
  return table;
}
inline int32_t segment(int index, int32_t frac15, int32_t lo, int32_t hi) {
  const Segment& s = rom()[index];
  int64_t y = int64_t(s.base) + ((int64_t(s.slope) * frac15) >> 15);
  return int32_t(y < lo ? lo : y > hi ? hi : y);
}

enum Func { kNone, kExp2, kRecip, kRsqrt, kGelu, kGeluTanh, kSilu };

inline uint32_t bump(uint32_t x, int base, double limit, double scale) {
  double mag = std::fabs(static_cast<double>(f(x)));
  int32_t y = 0;
  if (mag < limit) {
    uint32_t u = static_cast<uint32_t>(std::floor(mag * scale));
    y = segment(base + int(u >> 14), int32_t(u & 0x3fff) << 1, 0, (1 << 24) - 1);
  }
  uint32_t g = b(static_cast<float>(std::ldexp(static_cast<double>(y), -24)));
  return sub(max(x, 0), g);
}

inline uint32_t func(int which, uint32_t x) {
  const int32_t kOne = 1 << 24;
  uint32_t sign = x & 0x80000000u, m = x & 0x7fffff;
  int e = int(x >> 23 & 0xff);
  switch (which) {
    case kExp2: {
      if (f(x) < -125.0f) return 0;
      if (f(x) >= 127.0f) return kMax;
      int64_t t = static_cast<int64_t>(std::floor(static_cast<double>(f(x)) * 65536.0));
      int n = int(t >> 16);
      uint32_t fr = uint32_t(t & 0xffff);
      int32_t y = segment(int(fr >> 8), int32_t(fr & 0xff) << 7, kOne, 2 * kOne - 1);
      return canon(uint32_t(n + 127) << 23 | (uint32_t(y >> 1) & 0x7fffff));
    }
    case kRecip: {
      if (x == 0) return kMax;
      int32_t y = segment(256 + int(m >> 15), int32_t(m & 0x7fff), kOne / 2, kOne);
      int er = y == kOne ? 254 - e : 253 - e;
      uint32_t mr = y == kOne ? 0 : uint32_t(y) & 0x7fffff;
      return er <= 1 ? 0 : sign | uint32_t(er) << 23 | mr;
    }
    case kRsqrt: {
      if (x == 0 || sign) return kMax;
      int ex = e - 127, odd = ex & 1, k = (ex - odd) / 2;
      int32_t y = segment(512 + odd * 256 + int(m >> 15), int32_t(m & 0x7fff), kOne / 2, kOne);
      int er = y == kOne ? 127 - k : 126 - k;
      uint32_t mr = y == kOne ? 0 : uint32_t(y) & 0x7fffff;
      return uint32_t(er) << 23 | mr;
    }
    case kGelu: return bump(x, 1024, 8.0, 1048576.0);
    case kGeluTanh: return bump(x, 1536, 8.0, 1048576.0);
    case kSilu: return bump(x, 2048, 16.0, 524288.0);
    default: return x;
  }
}

// Random numbers: splitmix64.
struct Rng {
  uint64_t s;
  explicit Rng(uint64_t seed) : s(seed) {}
  uint64_t next() {
    uint64_t z = (s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t n) { return uint32_t(next() % n); }
  int range(int lo, int hi) { return lo + int(below(uint32_t(hi - lo + 1))); }
  bool chance(int percent) { return int(below(100)) < percent; }
  // A raw float: mostly near 1, some anywhere, some corner patterns (also non-canonical).
  uint32_t raw() {
    static const uint32_t corner[] = {0, 0x80000000u, 1, 0x007fffff, 0x00800000, 0x00ffffff,
      0x01000000, 0x81000000u, 0x01000001, 0x7f7fffff, 0xff7fffffu, 0x7f800000, 0xff800000u,
      0x7fc00000, 0x3f800000, 0xbf800000u, 0x3f7fffff, 0x3f800001, 0x7f000000, 0x42fe0000,
      0xc2fa0000u, 0xc2fa0001u, 0x42fdffff, 0x41000000, 0x40ffffff, 0x41800000, 0x417fffff,
      0x3f000000, 0x42fd0000, 0x42ff0000, 0x4b000000};
    uint32_t r = uint32_t(next());
    switch (below(8)) {
      case 0: return corner[below(sizeof corner / 4)];
      case 1: return r;
      case 2: return (r & 0x80000000u) | uint32_t(range(1, 3)) << 23 | (r & 0x7fffff);
      case 3: return (r & 0x80000000u) | uint32_t(range(252, 254)) << 23 | (r & 0x7fffff);
      case 4: return (r & 0x807fe000u) | uint32_t(range(120, 134)) << 23;  // short: ties
      default: return (r & 0x80000000u) | uint32_t(range(112, 135)) << 23 | (r & 0x7fffff);
    }
  }
  uint32_t value() { return canon(raw()); }
};

}  // namespace ref
