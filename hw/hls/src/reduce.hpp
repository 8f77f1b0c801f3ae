// Reductions of the vector unit: partial results by lane, combined at the end of a row in the order that
// microarchitecture.md section 6 gives.
#ifndef FLIGHTVLM_HLS_REDUCE_HPP
#define FLIGHTVLM_HLS_REDUCE_HPP

#include "../gen/isa.hpp"
#include "floats.hpp"

namespace fvlm {

constexpr unsigned kLanes = 16;
constexpr unsigned kSumDepth = 4; // steps between two additions to the same partial sum

// Running state of one row, for W words a step.
template <unsigned W> struct Reduction {
    float sum[kSumDepth][W][kLanes];
    float best[W][kLanes];
    uint32_t best_index[W][kLanes];
    uint32_t steps;
};

inline bool is_sum(uint32_t red) { return red == FVLM_VX_RED_SUM || red == FVLM_VX_RED_SUMSQ; }

template <unsigned W> void begin(Reduction<W>& r, uint32_t red) {
#pragma HLS INLINE
    r.steps = 0;
    for (unsigned j = 0; j < W; ++j) {
#pragma HLS UNROLL
        for (unsigned l = 0; l < kLanes; ++l) {
#pragma HLS UNROLL
            for (unsigned d = 0; d < kSumDepth; ++d) {
#pragma HLS UNROLL
                r.sum[d][j][l] = 0.0f;
            }
            r.best[j][l] = red == FVLM_VX_RED_ABSMAX ? 0.0f : as_float(0x80000000 | kMaxBits);
            r.best_index[j][l] = 0;
        }
    }
}

// A lane of word `j` of the current step, element `e` of the row. Each lane has its own accumulators, so
// that the only recurrence of a sum spans kSumDepth steps.
template <unsigned W>
void add(Reduction<W>& r, uint32_t red, unsigned j, unsigned l, uint32_t e, bool active, float y) {
#pragma HLS INLINE
    if (is_sum(red)) {
        const float z = red == FVLM_VX_RED_SUMSQ ? fmul(y, y) : y;
        float& sum = r.sum[r.steps % kSumDepth][j][l];
        sum = fadd(z, sum);
    } else if (active) {
        const float z = red == FVLM_VX_RED_ABSMAX && y < 0.0f ? -y : y;
        if (z > r.best[j][l]) {
            r.best[j][l] = z;
            r.best_index[j][l] = e;
        }
    }
}

template <unsigned W> uint32_t sum_of(const Reduction<W>& r) {
    float t[W][kLanes];
    for (unsigned j = 0; j < W; ++j) {
        for (unsigned l = 0; l < kLanes; ++l) {
            // q_i is the partial sum of step `steps` - 4 + i; it is zero where there was none.
            const float q0 = r.sum[r.steps % 4][j][l], q1 = r.sum[(r.steps + 1) % 4][j][l];
            const float q2 = r.sum[(r.steps + 2) % 4][j][l], q3 = r.sum[(r.steps + 3) % 4][j][l];
            t[j][l] = fadd(fadd(q0, q1), fadd(q2, q3));
        }
    }
    for (unsigned apart = 1; apart < W; apart *= 2) {
        for (unsigned j = 0; j + apart < W; j += 2 * apart) {
            for (unsigned l = 0; l < kLanes; ++l)
                t[j][l] = fadd(t[j][l], t[j + apart][l]);
        }
    }
    for (unsigned half = kLanes / 2; half > 0; half /= 2) {
        for (unsigned l = 0; l < half; ++l)
            t[0][l] = fadd(t[0][l], t[0][l + half]);
    }
    return as_bits(t[0][0]);
}

// The largest value, and of equal ones the first.
template <unsigned W> uint32_t best_of(const Reduction<W>& r, uint32_t red) {
    float best = r.best[0][0];
    uint32_t index = r.best_index[0][0];
    for (unsigned j = 0; j < W; ++j) {
        for (unsigned l = 0; l < kLanes; ++l) {
            const bool first = r.best[j][l] == best && r.best_index[j][l] < index;
            if (r.best[j][l] > best || first) {
                best = r.best[j][l];
                index = r.best_index[j][l];
            }
        }
    }
    return red == FVLM_VX_RED_ARGMAX ? index : as_bits(best);
}

template <unsigned W> uint32_t result(const Reduction<W>& r, uint32_t red) {
    return is_sum(red) ? sum_of(r) : best_of(r, red);
}

} // namespace fvlm

#endif
