// Sums of the fast matrix array (mpe_array.sv beside this file). Portable C++; with AVX2 it uses
// byte shuffles and the pairwise multiply-add. Little-endian machines.
#include <cstdint>
#include <cstring>
#include <vector>

#include "svdpi.h"
#if defined(__AVX2__) && !defined(MPE_MODEL_PORTABLE)
#include <immintrin.h>
#define MPE_MODEL_AVX2 1
#endif

namespace {

constexpr int kOutputs = 16, kInputs = 16;
#ifdef MPE_MODEL_AVX2
constexpr int kLanes = 8;
#else
constexpr int kLanes = 1;
#endif
constexpr int kValueBytes = kOutputs * kInputs, kSelectorBytes = kValueBytes / 2;
constexpr int kQueue = 32;  // more groups than the array's latency can hold

// A sum is kept as kLanes parts (with AVX2 inputs 2i and 2i + 1 in part i) until its group ends.
struct Sum { int32_t part[kLanes]; };
struct Slice { Sum sum[2][kOutputs]; };

struct Model {
  explicit Model(unsigned n) : slices(n), done(kQueue * 2 * n * kOutputs) {}
  std::vector<Slice> slices;
  std::vector<int32_t> done;  // queue entry, row, slice, output
  unsigned head = 0, tail = 0;
  int32_t* entry(unsigned i) { return &done[(i % kQueue) * 2 * slices.size() * kOutputs]; }
};

// Stored inputs that share a block of 16 window bytes, by N:M mode (dense, 2:4, 8:16, 4:16, 2:16).
int inputs_per_block(unsigned nm) {
  static const int inputs[] = {16, 8, 8, 4, 2};
  return nm < 5 ? inputs[nm] : 2;
}

bool has_minus_128(const int8_t* x, int n) {
  int found = 0;
  for (int i = 0; i < n; i++) found |= x[i] == -128;
  return found != 0;
}

#ifdef MPE_MODEL_AVX2

// Window bytes that 16 selectors (4 bits each, in input order) take.
template <int kPerBlock>
inline __m128i gather(const int8_t* window, __m128i selectors) {
  if constexpr (kPerBlock == kInputs) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(window)), selectors);
  }
  const __m128i input = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m128i x = _mm_setzero_si128();
  for (int b = 0; b < kInputs / kPerBlock; b++) {
    // A selector with bit 7 set gives 0: the inputs of other blocks.
    const __m128i mine = _mm_cmpeq_epi8(_mm_and_si128(input, _mm_set1_epi8(char(~(kPerBlock - 1)))),
                                        _mm_set1_epi8(char(b * kPerBlock)));
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(window + 16 * b));
    const __m128i at = _mm_or_si128(selectors, _mm_andnot_si128(mine, _mm_set1_epi8(char(0x80))));
    x = _mm_or_si128(x, _mm_shuffle_epi8(block, at));
  }
  return x;
}

inline __m128i unpack_selectors(const uint8_t* z) {
  const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(z));
  const __m128i nibble = _mm_set1_epi8(15);
  return _mm_unpacklo_epi8(_mm_and_si128(packed, nibble),
                           _mm_and_si128(_mm_srli_epi16(packed, 4), nibble));
}

inline void add(Sum& sum, bool first, __m256i x, __m256i w) {
  auto* at = reinterpret_cast<__m256i*>(&sum);
  const __m256i products = _mm256_madd_epi16(x, w);
  _mm256_storeu_si256(at, first ? products : _mm256_add_epi32(_mm256_loadu_si256(at), products));
}

// Selectors 0, 1, .. 15 for every output: a window in its own order.
inline bool in_order(const uint8_t* z) {
  const __m256i order = _mm256_set1_epi64x(int64_t(0xfedcba9876543210ull));
  __m256i same = _mm256_set1_epi8(-1);
  for (int i = 0; i < kSelectorBytes; i += 32) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(z + i));
    same = _mm256_and_si256(same, _mm256_cmpeq_epi8(v, order));
  }
  return _mm256_movemask_epi8(same) == -1;
}

inline __m256i widen(const void* bytes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(bytes)));
}

template <int kPerBlock, bool kFirst>
void beat(Slice& s, const int8_t* w, const uint8_t* z, const int8_t* const act[2]) {
  if (kPerBlock == kInputs && in_order(z)) {
    const __m256i x0 = widen(act[0]), x1 = widen(act[1]);
    for (int n = 0; n < kOutputs; n++) {
      const __m256i weights = widen(w + n * kInputs);
      add(s.sum[0][n], kFirst, x0, weights);
      add(s.sum[1][n], kFirst, x1, weights);
    }
    return;
  }
  for (int n = 0; n < kOutputs; n++) {
    const __m256i weights = widen(w + n * kInputs);
    const __m128i selectors = unpack_selectors(z + n * kInputs / 2);
    for (int row = 0; row < 2; row++) {
      add(s.sum[row][n], kFirst, _mm256_cvtepi8_epi16(gather<kPerBlock>(act[row], selectors)), weights);
    }
  }
}

#else

// Selectors 0, 1, .. 15 for every output: a window in its own order.
inline bool in_order(const uint8_t* z) {
  uint64_t differs = 0;
  for (int n = 0; n < kOutputs; n++) {
    uint64_t selectors;
    std::memcpy(&selectors, z + n * kInputs / 2, sizeof selectors);
    differs |= selectors ^ 0xfedcba9876543210ull;
  }
  return differs == 0;
}

// Products of 16-bit numbers, in a form that compilers turn into pairwise multiply-adds.
template <bool kFirst>
inline void add(Sum& sum, const int16_t* x, const int8_t* w) {
  int16_t weights[kInputs];
  for (int k = 0; k < kInputs; k++) weights[k] = w[k];
  int32_t products = 0;
  for (int k = 0; k < kInputs; k++) products += x[k] * weights[k];
  sum.part[0] = kFirst ? products : sum.part[0] + products;
}

template <int kPerBlock, bool kFirst>
void beat(Slice& s, const int8_t* w, const uint8_t* z, const int8_t* const act[2]) {
  int16_t x[2][kInputs];
  const bool once = kPerBlock == kInputs && in_order(z);
  for (int row = 0; once && row < 2; row++) {
    for (int k = 0; k < kInputs; k++) x[row][k] = act[row][k];
  }
  for (int n = 0; n < kOutputs; n++) {
    for (int k = 0; !once && k < kInputs; k++) {
      const int selector = z[(n * kInputs + k) / 2] >> (4 * (k & 1)) & 15;
      for (int row = 0; row < 2; row++) x[row][k] = act[row][16 * (k / kPerBlock) + selector];
    }
    for (int row = 0; row < 2; row++) add<kFirst>(s.sum[row][n], x[row], w + n * kInputs);
  }
}

#endif

using Beat = void (*)(Slice&, const int8_t*, const uint8_t*, const int8_t* const[2]);

template <bool kFirst>
Beat beat_of(int per_block) {
  switch (per_block) {
    case 16: return beat<16, kFirst>;
    case 8: return beat<8, kFirst>;
    case 4: return beat<4, kFirst>;
    default: return beat<2, kFirst>;
  }
}

int32_t total(const Sum& sum) {
  uint32_t t = 0;  // wraps like the array's accumulators
  for (int32_t part : sum.part) t += uint32_t(part);
  return int32_t(t);
}

}  // namespace

extern "C" {

void* mpe_model_new(unsigned int slices) { return new Model(slices); }
void mpe_model_free(void* model) { delete static_cast<Model*>(model); }

void mpe_model_reset(void* model) {
  auto& m = *static_cast<Model*>(model);
  m.head = m.tail = 0;
}

svBit mpe_model_beat(void* model, svBit first, svBit last, unsigned char nm, const svBitVecVal* act0,
                     const svBitVecVal* act1, const svBitVecVal* w, const svBitVecVal* sel, unsigned int active) {
  auto& m = *static_cast<Model*>(model);
  const int8_t* const act[2] = {reinterpret_cast<const int8_t*>(act0), reinterpret_cast<const int8_t*>(act1)};
  const auto* values = reinterpret_cast<const int8_t*>(w);
  const auto* selectors = reinterpret_cast<const uint8_t*>(sel);
  const int per_block = inputs_per_block(nm), window = 16 * kInputs / per_block;
  const Beat beat = first ? beat_of<true>(per_block) : beat_of<false>(per_block);
  const unsigned n = unsigned(m.slices.size());
  int32_t* done = last ? m.entry(m.tail++) : nullptr;
  for (unsigned s = 0; s < n; s++) {
    if (!(active >> s & 1)) continue;
    beat(m.slices[s], values + s * kValueBytes, selectors + s * kSelectorBytes, act);
    if (!last) continue;
    for (unsigned row = 0; row < 2; row++) {
      for (int o = 0; o < kOutputs; o++) done[(row * n + s) * kOutputs + o] = total(m.slices[s].sum[row][o]);
    }
  }
  return !has_minus_128(act[0], window) && !has_minus_128(act[1], window);
}

void mpe_model_take(void* model, svBitVecVal* acc0, svBitVecVal* acc1) {
  auto& m = *static_cast<Model*>(model);
  const size_t words = m.slices.size() * kOutputs;
  const int32_t* done = m.entry(m.head++);
  std::memcpy(acc0, done, words * sizeof *done);
  std::memcpy(acc1, done + words, words * sizeof *done);
}

}  // extern "C"
