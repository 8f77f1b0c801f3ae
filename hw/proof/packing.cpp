// Exhaustive: the packed product of dsp48_mac, (x1 * 2^19 + x0) * w through the 27-bit pre-adder, splits
// into x0 * w and x1 * w for all of int8 but x1 = -128; and how many products the low field takes.
#include <cstdint>
#include <cstdio>
#include <initializer_list>

namespace {

int64_t sign_extend(int64_t v, int bits) { return int64_t(uint64_t(v) << (64 - bits)) >> (64 - bits); }
int64_t packed(int x1, int x0) { return sign_extend((int64_t(x1) << 19) + x0, 27); }
int64_t low(int64_t p) { return sign_extend(p, 19); }
int64_t high(int64_t p) { return (p >> 19) + (p >> 18 & 1); }

// n equal products: does the split still give both sums?
bool fits(int n, int x1, int x0, int w) {
  const int64_t p = sign_extend(n * packed(x1, x0) * w, 48);
  return low(p) == int64_t(n) * x0 * w && high(p) == int64_t(n) * x1 * w;
}

int check(const char* what, bool ok) {
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", what);
  return !ok;
}

}  // namespace

int main() {
  long wrong = 0, wrong_edge = 0, outside = 0;
  for (int x1 = -128; x1 < 128; x1++)
    for (int x0 = -128; x0 < 128; x0++)
      for (int w = -128; w < 128; w++) {
        const int64_t p = packed(x1, x0) * w;
        const bool bad = low(p) != x0 * w || high(p) != x1 * w;
        if (x1 == -128) wrong_edge += bad, outside += bad && x0 >= 0;
        else wrong += bad;
      }
  int failed = check("all 2^24 - 2^16 products with x1 >= -127 split exactly", wrong == 0);
  // The exclusion is needed: the pre-adder overflows for x1 = -128 and x0 < 0 (and w = 0 hides it).
  failed += check("x1 = -128 breaks 32640 products, all with x0 < 0", wrong_edge == 128 * 255 && outside == 0);

  // 16 products are the bound for activations in [-127, 127] and any weight.
  bool all = true;
  for (int x1 : {-127, 127})
    for (int x0 = -127; x0 <= 127; x0++)
      for (int w = -128; w < 128; w++) all = all && fits(16, x1, x0, w);
  failed += check("16 equal products with x0 >= -127 fit for every x0, w", all);
  failed += check("17 do not (x0 = -127, w = -128)", !fits(17, 127, -127, -128));
  failed += check("16 with x0 = -128 do not (w = -128); 15 do", !fits(16, 127, -128, -128) && fits(15, 127, -128, -128));
  return failed != 0;
}
