// The 256-bit instruction word and its bit fields; gen/isa.hpp decodes with them.
#ifndef FLIGHTVLM_HLS_INSN_HPP
#define FLIGHTVLM_HLS_INSN_HPP

#include <cstdint>

namespace fvlm {

struct Insn {
    uint32_t w[8];
};

// Bits Lsb .. Lsb + Width, at most 32: wires, no logic.
template <unsigned Lsb, unsigned Width> inline uint32_t bits(const Insn& x) {
#pragma HLS INLINE
    static_assert(Width >= 1 && Width <= 32 && Lsb + Width <= 256, "field within the word");
    constexpr unsigned i = Lsb / 32, shift = Lsb % 32;
    uint32_t v = x.w[i] >> shift;
    if (shift + Width > 32)
        v |= x.w[i < 7 ? i + 1 : 7] << ((32 - shift) % 32);
    return Width == 32 ? v : v & ((1u << (Width % 32)) - 1);
}

// Is any bit from First on set?
template <unsigned First> inline bool any_from(const Insn& x) {
#pragma HLS INLINE
    bool any = (x.w[First / 32] >> (First % 32)) != 0;
    for (unsigned i = First / 32 + 1; i < 8; ++i) {
#pragma HLS UNROLL
        any = any || x.w[i] != 0;
    }
    return any;
}

} // namespace fvlm

#endif
