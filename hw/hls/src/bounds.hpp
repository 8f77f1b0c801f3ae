// Address checks: made when a unit accepts a command, before any effect.
#ifndef FLIGHTVLM_HLS_BOUNDS_HPP
#define FLIGHTVLM_HLS_BOUNDS_HPP

#include "../gen/isa.hpp"

namespace fvlm {

constexpr uint32_t kNoFault = 0;

// Do `rows` x `words` with row step `stride` from `base` stay below `limit`? Empty always fits.
inline bool fits(uint32_t base, uint32_t rows, uint32_t stride, uint64_t words, uint64_t limit) {
#pragma HLS INLINE
    if (rows == 0 || words == 0)
        return true;
    const uint64_t last = uint64_t(base) + uint64_t(rows - 1) * uint64_t(stride) + words - 1;
    return last < limit;
}

inline uint32_t ceil_div(uint32_t a, uint32_t b) {
#pragma HLS INLINE
    return (a + b - 1) / b;
}

} // namespace fvlm

#endif
