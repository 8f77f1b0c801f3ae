// The MAC array: each cycle a word of every slice against the windows of two rows.
//
// Two rows share a multiplier: x1 * 2^19 + x0 times a weight holds both products, and a chain of 16 adds
// them without either running into the other, because activations are within +-127 (q8) and
// 16 * 127 * 128 < 2^18. That is the RTL's packing (hw/proof has the proofs).
#ifndef FLIGHTVLM_HLS_ARRAY_HPP
#define FLIGHTVLM_HLS_ARRAY_HPP

#include "command.hpp"
#include "memory.hpp"
#include "weights.hpp"

namespace fvlm {

constexpr unsigned kPackShift = 19;
constexpr unsigned kWindowBytes = 128; // the widest window: 8 words

// One round of a matrix command: a tile in each active slice.
template <class C> struct Round {
    bool compute; // or only weights are moved
    MmCommand command;
    bool active[C::slices];
    uint32_t first_column; // of slice 0; wraps below zero where the first slot is a later slice's
};

// Integer sums of a scale group for a pair of rows.
struct Sums {
    int32_t row[2][kTile];
};

// Which word of the window a stored input selects from.
inline unsigned window_word(uint32_t nm, unsigned k) {
#pragma HLS INLINE
    switch (nm) {
    case FVLM_LD_NM_S2OF4:
    case FVLM_LD_NM_S8OF16: return k / 8;
    case FVLM_LD_NM_S4OF16: return k / 4;
    case FVLM_LD_NM_S2OF16: return k / 2;
    default: return 0;
    }
}

// 16 packed products in a cascade: one output, two rows.
inline void mac_chain(const WeightWord& w, unsigned n, const int8_t (&x0)[kWindowBytes],
                      const int8_t (&x1)[kWindowBytes], const uint8_t (&base)[kTile], uint32_t mask, int32_t& acc0,
                      int32_t& acc1) {
#pragma HLS INLINE
    int_bits<48> p = 0;
    for (unsigned k = 0; k < kTile; ++k) {
#pragma HLS UNROLL
        const unsigned e = n * kTile + k;
        // The multiplexer: one of 16 places of the stored input's window word. Selectors of a tile that
        // was loaded with a wider sparsity wrap.
        const unsigned at = (base[k] + static_cast<unsigned>(w.selector[e])) & mask;
        const int_bits<27> packed = int64_t(x1[at]) * (1 << kPackShift) + x0[at];
        const int_bits<8> weight = w.value[e];
        const int_bits<35> product = packed * weight;
// Pre-adder, multiplier and cascade adder are one DSP48E2; latency 3 uses all its registers.
#pragma HLS BIND_OP variable=product op=mul impl=dsp latency=3
        p += product;
    }
    // A negative low sum borrowed one from the high field.
    const int_bits<19> low(p);
    const int_bits<29> high((p >> kPackShift) + ((p >> (kPackShift - 1)) & 1));
    acc0 += static_cast<int32_t>(static_cast<int64_t>(low));
    acc1 += static_cast<int32_t>(static_cast<int64_t>(high));
}

template <class C>
void multiply(const Round<C>& r, const Abuf<C>& abuf, WeightWord (&wfifo)[C::slices][C::wfifo_words],
              const Ring (&rings)[C::slices], stream<WordItem> (&words)[C::slices],
              stream<Sums> (&sums)[C::slices]) {
    const MmCommand& c = r.command;
    const uint32_t window = nm_window_words(c.nm), group = group_words(c.kb, c.kbg);
    const uint32_t beats = r.compute ? ceil_div(c.rows, 2) * c.kb : 0;
    Sums acc[C::slices] = {};
#pragma HLS ARRAY_PARTITION variable=acc complete
    uint32_t taken[C::slices] = {};
#pragma HLS ARRAY_PARTITION variable=taken complete
    bool ended[C::slices] = {};
#pragma HLS ARRAY_PARTITION variable=ended complete
    uint8_t base[kTile];
    for (unsigned k = 0; k < kTile; ++k) {
#pragma HLS UNROLL
        base[k] = static_cast<uint8_t>(16 * window_word(c.nm, k));
    }
    bool open = true;
    uint32_t beat = 0, row = 0, word = 0, in_group = 0;
    while (open || beat < beats) {
// A beat a cycle, and beside it a word a slice into the FIFO, for the next rounds. Places that are written
// lie behind those that are read (the move was given that much room): no dependence.
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=wfifo type=inter false
        open = false;
        for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
            WordItem x;
            if (!ended[s] && words[s].read_nb(x)) {
                ended[s] = x.end;
                if (!x.end)
                    wfifo[s][(rings[s].head + rings[s].count + taken[s]) % C::wfifo_words] = x.word;
                taken[s] += x.end ? 0 : 1;
            }
            open = open || !ended[s];
        }
        if (beat < beats) {
            int8_t x0[kWindowBytes], x1[kWindowBytes];
            const uint32_t at0 = c.act + row * c.act_stride + word * window;
            const bool pair = row + 1 < c.rows;
            for (unsigned j = 0; j < kAbufBanks; ++j) {
#pragma HLS UNROLL
                const bool inside = j < window;
                const Bytes a = inside ? abuf.window(at0, j) : Bytes{};
                const Bytes b = inside && pair ? abuf.window(at0 + c.act_stride, j) : Bytes{};
                for (unsigned i = 0; i < 16; ++i) {
#pragma HLS UNROLL
                    x0[16 * j + i] = a[i];
                    x1[16 * j + i] = b[i];
                }
            }
            in_group += 1;
            word += 1;
            const bool row_ends = word == c.kb, group_ends = row_ends || in_group == group;
            for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
                const WeightWord& w = wfifo[s][(rings[s].head + word - 1) % C::wfifo_words];
                for (unsigned n = 0; n < kTile; ++n) {
#pragma HLS UNROLL
                    mac_chain(w, n, x0, x1, base, 16 * window - 1, acc[s].row[0][n], acc[s].row[1][n]);
                }
                if (group_ends) {
                    if (r.active[s])
                        sums[s].write(acc[s]);
                    acc[s] = Sums{};
                }
            }
            in_group = group_ends ? 0 : in_group;
            row += row_ends ? 2 : 0;
            word = row_ends ? 0 : word;
            beat += 1;
        }
    }
}

} // namespace fvlm

#endif
