// Canonical binary32 arithmetic: hw/src/numerics.rs, operation for operation. Nothing may be fused or
// reassociated: compile with -ffp-contract=off; csynth must run without unsafe math optimisations.
#ifndef FLIGHTVLM_HLS_FLOATS_HPP
#define FLIGHTVLM_HLS_FLOATS_HPP

#include <cstdint>

namespace fvlm {

constexpr uint32_t kMaxBits = 0x7f7fffff; // largest finite magnitude

// The tools' idiom for a change of type without logic.
union FloatBits {
    uint32_t u;
    float f;
};
inline float as_float(uint32_t u) {
#pragma HLS INLINE
    FloatBits x;
    x.u = u;
    return x.f;
}
inline uint32_t as_bits(float f) {
#pragma HLS INLINE
    FloatBits x;
    x.f = f;
    return x.u;
}

inline uint32_t canon_bits(uint32_t b) {
#pragma HLS INLINE
    const uint32_t magnitude = b & 0x7fffffff;
    const uint32_t saturated = magnitude >= 0x7f800000 ? ((b & 0x80000000) | kMaxBits) : b;
    return magnitude < 0x01000000 ? 0 : saturated;
}
inline float canon(float x) {
#pragma HLS INLINE
    return as_float(canon_bits(as_bits(x)));
}

inline float fadd(float a, float b) {
#pragma HLS INLINE
    const float sum = a + b;
    return canon(sum);
}
inline float fsub(float a, float b) {
#pragma HLS INLINE
    const float difference = a - b;
    return canon(difference);
}
inline float fmul(float a, float b) {
#pragma HLS INLINE
    const float product = a * b;
    return canon(product);
}
inline float fmax(float a, float b) {
#pragma HLS INLINE
    return b > a ? b : a;
}
// int32 to float, nearest even.
inline float i2f(int32_t x) {
#pragma HLS INLINE
    return static_cast<float>(x);
}
// Float to int8, nearest even, within [-127, 127]: added to 1.5 * 2^23, the sum's last bit counts ones.
inline int8_t q8(float x) {
#pragma HLS INLINE
    const float clamped = x > 127.0f ? 127.0f : (x < -127.0f ? -127.0f : x);
    const float shifted = clamped + 12582912.0f;
    return static_cast<int8_t>(static_cast<int32_t>(as_bits(shifted)) - static_cast<int32_t>(0x4b400000));
}

} // namespace fvlm

#endif
