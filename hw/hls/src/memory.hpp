// On-chip memories: the banks of the RTL, written out, because a tool cannot see from an address alone
// that consecutive words never meet in one bank.
#ifndef FLIGHTVLM_HLS_MEMORY_HPP
#define FLIGHTVLM_HLS_MEMORY_HPP

#include "types.hpp"

namespace fvlm {

// Vector scratchpad: word a in bank a mod W. One write and three reads a cycle.
template <class C> struct Spad {
    static constexpr unsigned W = C::vx_words;
    Lanes bank[W][C::spad_words / W];

    const Lanes& word(uint32_t a) const { return bank[a % W][a / W]; }
    void write(uint32_t a, const Lanes& x) { bank[a % W][a / W] = x; }

    // W consecutive words from any address: each bank gives one, then they are rotated. What lies past
    // the end, or is not wanted, reads as zero.
    void read_run(uint32_t a, bool wanted, Lanes (&out)[W]) const {
#pragma HLS INLINE
        Lanes of_bank[W];
        for (unsigned b = 0; b < W; ++b) {
#pragma HLS UNROLL
            const uint32_t at = a + (b - a) % W;
            of_bank[b] = Lanes{};
            if (wanted && at < C::spad_words)
                of_bank[b] = bank[b][at / W];
        }
        for (unsigned j = 0; j < W; ++j) {
#pragma HLS UNROLL
            out[j] = of_bank[(a + j) % W];
        }
    }
    // The same for writing, word by word as `write` says.
    void write_run(uint32_t a, const bool (&write)[W], const Lanes (&in)[W]) {
#pragma HLS INLINE
        for (unsigned b = 0; b < W; ++b) {
#pragma HLS UNROLL
            const uint32_t j = (b - a) % W;
            if (write[j])
                bank[b][(a + j) / W] = in[j];
        }
    }
};

// Activation buffer: word a in bank a mod 8. The matrix unit reads aligned windows, within a row.
constexpr unsigned kAbufBanks = 8;

template <class C> struct Abuf {
    Bytes bank[C::abuf_words / kAbufBanks][kAbufBanks];

    const Bytes& word(uint32_t a) const { return bank[a / kAbufBanks][a % kAbufBanks]; }
    void write(uint32_t a, const Bytes& x) { bank[a / kAbufBanks][a % kAbufBanks] = x; }

    // Word `j` of the window at `a`, a multiple of the window's words.
    const Bytes& window(uint32_t a, unsigned j) const { return bank[a / kAbufBanks][(a + j) % kAbufBanks]; }
};

} // namespace fvlm

#endif
