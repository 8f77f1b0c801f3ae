// ST: rows and scalars to main memory, keys, values and their scales to the channels.
#ifndef FLIGHTVLM_HLS_STORE_HPP
#define FLIGHTVLM_HLS_STORE_HPP

#include "bounds.hpp"
#include "command.hpp"
#include "memory.hpp"

namespace fvlm {

// A write within a unit: up to 16 words of 32 bits to main memory; to a channel up to 16 bytes, each in
// its own place.
struct Beat {
    bool to_main;
    uint32_t channel;
    uint64_t unit;
    uint32_t count;
    uint32_t first_word; // main memory
    Lanes words;
    Bytes bytes; // channels
    uint_bits<6> place[16];
};

inline bool from_s(uint32_t mode) { return mode == FVLM_ST_MODE_SCALAR || mode == FVLM_ST_MODE_KV_SCALE; }
inline bool to_main(uint32_t mode) { return mode == FVLM_ST_MODE_ROWS || mode == FVLM_ST_MODE_SCALAR; }
inline bool four_bits(uint32_t mode) { return mode == FVLM_ST_MODE_KV_K4 || mode == FVLM_ST_MODE_KV_V4; }
inline bool by_chunk(uint32_t mode) { return mode == FVLM_ST_MODE_KV_V || mode == FVLM_ST_MODE_KV_V4; }

inline uint32_t chunks(const StCommand& c) { return from_s(c.mode) ? 1 : c.len; }
inline uint32_t repeats(const StCommand& c) { return c.mode == FVLM_ST_MODE_ROWS ? 1 : c.heads; }
inline bool is_empty(const StCommand& c) { return c.rows == 0 || chunks(c) == 0 || repeats(c) == 0; }

// Unit of position `p` of head `h`, chunk `w`; `slot` is its slot.
template <class C>
uint64_t target_unit(const StCommand& c, uint32_t h, uint32_t r, uint32_t p, uint32_t w, uint64_t& slot) {
#pragma HLS INLINE
    const uint64_t head = uint64_t(h) * c.head_step, block = p >> 4;
    slot = 0;
    if (c.mode == FVLM_ST_MODE_ROWS)
        return uint64_t(c.dst) + uint64_t(r) * c.dst_stride + w;
    if (c.mode == FVLM_ST_MODE_SCALAR)
        return uint64_t(c.dst) + head + block * c.dst_stride;
    slot = c.first + head + (by_chunk(c.mode) ? w : block);
    const uint64_t round = slot / C::slices;
    if (by_chunk(c.mode))
        return uint64_t(c.dst) + round * c.chunk_stride + block * c.dst_stride;
    if (c.mode == FVLM_ST_MODE_KV_SCALE)
        return uint64_t(c.dst) + round * c.dst_stride;
    return uint64_t(c.dst) + round * c.dst_stride + uint64_t(w) * c.chunk_stride;
}

// Units that a position's block spans in a K or V tile.
inline uint32_t block_units(uint32_t mode) {
    return from_s(mode) || mode == FVLM_ST_MODE_ROWS ? 1 : (four_bits(mode) ? 2 : 4);
}

template <class C> uint32_t check_st(const StCommand& c, uint32_t mem_units, uint32_t channel_units) {
    if (is_empty(c))
        return kNoFault;
    const uint64_t words = uint64_t(repeats(c) - 1) * c.head_stride + chunks(c);
    if (c.mode == FVLM_ST_MODE_ROWS) {
        if (!fits(c.src, c.rows, c.src_stride, words, C::spad_words))
            return FVLM_FAULT_SPAD;
    } else if (from_s(c.mode)) {
        if (!fits(c.src, c.rows, c.src_stride, words, C::s_words))
            return FVLM_FAULT_SMEM;
    } else if (!fits(c.src, c.rows, c.src_stride, words, C::abuf_words)) {
        return FVLM_FAULT_ABUF;
    }
    uint64_t slot;
    const uint64_t last = target_unit<C>(c, repeats(c) - 1, c.rows - 1, c.pos + c.rows - 1, chunks(c) - 1, slot);
    const uint64_t end = last + block_units(c.mode);
    return end <= (to_main(c.mode) ? mem_units : channel_units) ? kNoFault : FVLM_FAULT_DRAM;
}

// 8 bits to 4: the nearest of steps of 2048/113.
inline uint32_t to_four_bits(int8_t x) {
#pragma HLS INLINE
    return static_cast<uint32_t>((113 * int32_t(x) + 1024) >> 11) & 15;
}

// Bytes of an ABUF word and their places in the unit of position `lane` (microarchitecture.md 3.1, 4): the
// position is an output of the tile (keys), or a stored input (values), the element the other. Elements
// of 4 bits share a byte with those of the block beside theirs: the pairs e, e + 4 of each eight.
inline void scatter(uint32_t mode, uint32_t lane, const Bytes& x, Beat& b) {
#pragma HLS INLINE
    const bool narrow = four_bits(mode), by_input = by_chunk(mode);
    b.count = narrow ? 8 : 16;
    for (unsigned i = 0; i < 16; ++i) {
#pragma HLS UNROLL
        const unsigned e = narrow ? 8 * (i / 4 % 2) + i % 4 : i;
        const unsigned in_block = by_input ? 4 * (e % 4) + lane % 4 : 4 * (lane % 4) + e % 4;
        const unsigned chunk = narrow ? 2 * (lane / 8 ^ e / 8) + lane / 4 % 2 : lane / 4 ^ e / 4;
        const uint32_t low = to_four_bits(x[e]), high = to_four_bits(x[(e + 4) % 16]);
        b.bytes[i] = narrow ? static_cast<int8_t>(low | high << 4) : x[e];
        b.place[i] = uint_bits<6>(16 * chunk + in_block);
    }
}

template <class C>
void read_sources(const StCommand& c, const Spad<C>& spad, const Abuf<C>& abuf,
                  const uint32_t (&s)[C::s_words], stream<Beat>& beats) {
    for (uint32_t h = 0; h < repeats(c); ++h) {
        for (uint32_t r = 0; r < c.rows; ++r) {
            for (uint32_t w = 0; w < chunks(c); ++w) {
#pragma HLS PIPELINE II=1
                const uint32_t src = c.src + h * c.head_stride + r * c.src_stride + w;
                const uint32_t p = c.pos + r, lane = p & 15;
                uint64_t slot;
                Beat b = {};
                b.to_main = to_main(c.mode);
                b.unit = target_unit<C>(c, h, r, p, w, slot);
                b.channel = static_cast<uint32_t>(slot % C::slices);
                b.first_word = lane;
                if (c.mode == FVLM_ST_MODE_ROWS) {
                    b.first_word = 0;
                    b.count = 16;
                    b.words = spad.word(src);
                } else if (c.mode == FVLM_ST_MODE_SCALAR) {
                    b.count = 1;
                    b.words[0] = s[src];
                } else if (c.mode == FVLM_ST_MODE_KV_SCALE) {
                    b.count = 4;
                    for (unsigned i = 0; i < 4; ++i) {
#pragma HLS UNROLL
                        b.bytes[i] = static_cast<int8_t>(s[src] >> (8 * i));
                        b.place[i] = uint_bits<6>(4 * lane + i);
                    }
                } else {
                    b.unit += four_bits(c.mode) ? lane / 8 : lane / 4;
                    scatter(c.mode, lane, abuf.word(src), b);
                }
                beats.write(b);
            }
        }
    }
}

// A word a cycle to main memory, a byte a cycle to the channels: through ports as narrow as what is
// written, whose strobes keep the other bytes of a beat. What is stored is a thousandth of what is read (keys
// and values of the new rows, logits, tokens): no need to be faster.
template <class C>
void write_beats(const StCommand& c, stream<Beat>& beats, uint32_t* main, uint8_t* const (&channel)[C::ports],
                 uint32_t channel_units, uint64_t& written) {
    const uint64_t n = uint64_t(repeats(c)) * c.rows * chunks(c);
    for (uint64_t i = 0; i < n; ++i) {
        const Beat b = beats.read();
        const unsigned port = b.channel / C::channels_per_port;
        const uint64_t base = b.to_main ? 0 : uint64_t(b.channel % C::channels_per_port) * channel_units;
        const uint64_t unit = base + b.unit;
        for (uint32_t w = 0; w < b.count; ++w) {
#pragma HLS PIPELINE II=1
            if (b.to_main) {
                main[unit * 16 + b.first_word + w] = b.words[w];
            } else {
                for (unsigned k = 0; k < C::ports; ++k) {
#pragma HLS UNROLL
                    if (k == port)
                        channel[k][unit * kUnitBytes + b.place[w]] = static_cast<uint8_t>(b.bytes[w]);
                }
            }
        }
    }
    written = n;
}

// Executes a checked command. The region ends when all write responses are there.
template <class C>
void store(const StCommand& c, const Spad<C>& spad, const Abuf<C>& abuf,
           const uint32_t (&s)[C::s_words], uint32_t* main, uint8_t* const (&channel)[C::ports],
           uint32_t channel_units, uint64_t& written) {
#pragma HLS DATAFLOW
    stream<Beat> beats;
#pragma HLS STREAM variable=beats depth=16
    read_sources<C>(c, spad, abuf, s, beats);
    write_beats<C>(c, beats, main, channel, channel_units, written);
}

} // namespace fvlm

#endif
