// Table functions of the vector unit: one ROM of line segments, one interpolator.
#ifndef FLIGHTVLM_HLS_SFU_HPP
#define FLIGHTVLM_HLS_SFU_HPP

#include "../gen/isa.hpp"
#include "floats.hpp"

namespace fvlm {

struct Segment {
    uint32_t base; // value at the left end, 26 bits
    int32_t slope; // difference to the right end, signed 20 bits
};

// Two lanes share a copy of the table (a block RAM has two ports); the tool makes the copies when the
// lanes are unrolled.
static const Segment kSfuRom[] = {
#include "../gen/sfu_rom.inc"
};

constexpr int32_t kOne = 1 << 24;

inline uint32_t interpolate(unsigned index, uint32_t frac15, int32_t low, int32_t high) {
#pragma HLS INLINE
    const Segment s = kSfuRom[index];
    const int64_t product = static_cast<int64_t>(s.slope) * static_cast<int64_t>(frac15);
#pragma HLS BIND_OP variable=product op=mul impl=dsp
    const int32_t y = static_cast<int32_t>(s.base) + static_cast<int32_t>(product >> 15);
    return static_cast<uint32_t>(y < low ? low : (y > high ? high : y));
}

inline float exp2_of(float x) {
    if (x < -125.0f)
        return 0.0f;
    if (x >= 127.0f)
        return as_float(kMaxBits);
    const float scaled = x * 65536.0f; // exact: a power of two
    int32_t t = static_cast<int32_t>(scaled);
    if (static_cast<float>(t) > scaled) // truncated upwards: floor
        t -= 1;
    const int32_t n = t >> 16;
    const uint32_t f = static_cast<uint32_t>(t) & 0xffff;
    const uint32_t y = interpolate(kRomExp2 + (f >> 8), (f & 0xff) << 7, kOne, 2 * kOne - 1);
    return as_float(canon_bits((static_cast<uint32_t>(n + 127) << 23) | ((y >> 1) & 0x7fffff)));
}

inline float recip_of(float x) {
    const uint32_t b = as_bits(x);
    if ((b << 1) == 0)
        return as_float(kMaxBits);
    const int32_t e = static_cast<int32_t>((b >> 23) & 0xff);
    const uint32_t m = b & 0x7fffff;
    const uint32_t y = interpolate(kRomRecip + (m >> 15), m & 0x7fff, kOne / 2, kOne);
    const bool whole = y == static_cast<uint32_t>(kOne);
    const int32_t exponent = whole ? 254 - e : 253 - e;
    const uint32_t mantissa = whole ? 0 : (y & 0x7fffff);
    if (exponent <= 1)
        return 0.0f;
    return as_float((b & 0x80000000) | (static_cast<uint32_t>(exponent) << 23) | mantissa);
}

inline float rsqrt_of(float x) {
    if (x <= 0.0f)
        return as_float(kMaxBits);
    const uint32_t b = as_bits(x);
    const int32_t e = static_cast<int32_t>(b >> 23) - 127;
    const uint32_t m = b & 0x7fffff;
    const int32_t odd = e & 1;
    const int32_t k = (e - odd) / 2;
    const unsigned index = kRomRsqrt + static_cast<unsigned>(odd) * 256 + (m >> 15);
    const uint32_t y = interpolate(index, m & 0x7fff, kOne / 2, kOne);
    const bool whole = y == static_cast<uint32_t>(kOne);
    const uint32_t exponent = static_cast<uint32_t>(whole ? 127 - k : 126 - k);
    return as_float((exponent << 23) | (whole ? 0 : (y & 0x7fffff)));
}

// relu(x) - g(|x|), g tabulated over [0, limit).
inline float bump(float x, unsigned rom, float limit, float scale) {
#pragma HLS INLINE
    const float magnitude = x < 0.0f ? -x : x;
    uint32_t g = 0;
    if (magnitude < limit) {
        const uint32_t u = static_cast<uint32_t>(magnitude * scale);
        g = interpolate(rom + (u >> 14), (u & 0x3fff) << 1, 0, kOne - 1);
    }
    const float table = canon(static_cast<float>(g) * (1.0f / 16777216.0f));
    return fsub(fmax(x, 0.0f), table);
}

inline float table_function(uint32_t func, float x) {
#pragma HLS INLINE
    switch (func) {
    case FVLM_VX_FUNC_EXP2:
        return exp2_of(x);
    case FVLM_VX_FUNC_RECIP:
        return recip_of(x);
    case FVLM_VX_FUNC_RSQRT:
        return rsqrt_of(x);
    case FVLM_VX_FUNC_GELU:
        return bump(x, kRomGelu, 8.0f, 1048576.0f);
    case FVLM_VX_FUNC_GELU_TANH:
        return bump(x, kRomGeluTanh, 8.0f, 1048576.0f);
    case FVLM_VX_FUNC_SILU:
        return bump(x, kRomSilu, 16.0f, 524288.0f);
    default:
        return x;
    }
}

} // namespace fvlm

#endif
