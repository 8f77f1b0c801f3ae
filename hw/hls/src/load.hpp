// LD without weights: rows, gathered rows and scalars from main memory.
#ifndef FLIGHTVLM_HLS_LOAD_HPP
#define FLIGHTVLM_HLS_LOAD_HPP

#include "bounds.hpp"
#include "command.hpp"
#include "memory.hpp"

namespace fvlm {

template <class C> uint32_t check_rows(const LdCommand& c, uint32_t mem_units) {
    if (c.rows == 0 || c.len == 0)
        return kNoFault;
    if (c.mode == FVLM_LD_MODE_SCALARS) {
        if (!fits(c.dst, c.rows, c.dst_stride, 16 * uint64_t(c.len), C::s_words))
            return FVLM_FAULT_SMEM;
    } else if (!fits(c.dst, c.rows, c.dst_stride, c.len, C::spad_words)) {
        return FVLM_FAULT_SPAD;
    }
    if (c.mode == FVLM_LD_MODE_GATHER) // its source rows are checked as they come
        return fits(c.sidx, c.rows, 1, 1, C::s_words) ? kNoFault : FVLM_FAULT_SMEM;
    return fits(c.src, c.rows, c.src_stride, c.len, mem_units) ? kNoFault : FVLM_FAULT_DRAM;
}

// Rows in order, each a burst; `good` says before each row whether it can be read.
inline void read_rows(const LdCommand& c, const Unit* main, stream<Unit>& units, stream<bool>& good) {
    for (uint32_t r = 0; r < c.rows; ++r) {
        const uint64_t from = uint64_t(c.src) + uint64_t(r) * c.src_stride;
        good.write(true);
        for (uint32_t w = 0; w < c.len; ++w) {
#pragma HLS PIPELINE II=1
            units.write(main[from + w]);
        }
    }
}

// The same with row indices from S; ends at a row that lies past the memory.
template <class C>
void gather_rows(const LdCommand& c, const Unit* main, uint32_t mem_units, const uint32_t (&s)[C::s_words],
                 stream<Unit>& units, stream<bool>& good) {
    bool in_range = true;
    for (uint32_t r = 0; r < c.rows && in_range; ++r) {
        // At most (2^32 - 1)^2 + 2^32: no wrapping in 64 bits.
        const uint64_t from = uint64_t(c.src) + uint64_t(s[c.sidx + r]) * c.src_stride;
        in_range = from < mem_units && from + c.len <= mem_units;
        good.write(in_range);
        for (uint32_t w = 0; w < c.len && in_range; ++w) {
#pragma HLS PIPELINE II=1
            units.write(main[from + w]);
        }
    }
}

inline uint32_t word_of(const Unit& u, unsigned i) {
#pragma HLS INLINE
    return uint32_t(u[4 * i]) | uint32_t(u[4 * i + 1]) << 8 | uint32_t(u[4 * i + 2]) << 16 |
           uint32_t(u[4 * i + 3]) << 24;
}

template <class C>
void write_spad(const LdCommand& c, stream<Unit>& units, stream<bool>& good, Spad<C>& spad,
                uint64_t& beats, bool& complete) {
    complete = true;
    beats = 0;
    for (uint32_t r = 0; r < c.rows && complete; ++r) {
        complete = good.read();
        for (uint32_t w = 0; w < c.len && complete; ++w) {
#pragma HLS PIPELINE II=1
            const Unit u = units.read();
            Lanes x;
            for (unsigned i = 0; i < 16; ++i) {
#pragma HLS UNROLL
                x[i] = word_of(u, i);
            }
            spad.write(c.dst + r * c.dst_stride + w, x);
            beats += 1;
        }
    }
}

// S takes a scalar a cycle.
template <class C>
void write_s(const LdCommand& c, stream<Unit>& units, stream<bool>& good, uint32_t (&s)[C::s_words],
             uint64_t& beats) {
    beats = 0;
    for (uint32_t r = 0; r < c.rows; ++r) {
        (void)good.read();
        for (uint32_t w = 0; w < c.len; ++w) {
            const Unit u = units.read();
            beats += 1;
            for (unsigned i = 0; i < 16; ++i) {
#pragma HLS PIPELINE II=1
                s[c.dst + r * c.dst_stride + 16 * w + i] = word_of(u, i);
            }
        }
    }
}

// Three regions, so that no memory has a reader and a writer in one: reading runs ahead of writing by a
// stream of four bursts.
template <class C>
void load_region(const LdCommand& c, const Unit* main, Spad<C>& spad, uint64_t& beats) {
#pragma HLS DATAFLOW
    stream<Unit> units;
#pragma HLS STREAM variable=units depth=64
    stream<bool> good;
#pragma HLS STREAM variable=good depth=64
    bool complete;
    read_rows(c, main, units, good);
    write_spad<C>(c, units, good, spad, beats, complete);
}

template <class C>
void gather_region(const LdCommand& c, const Unit* main, uint32_t mem_units, const uint32_t (&s)[C::s_words],
                   Spad<C>& spad, uint64_t& beats, bool& complete) {
#pragma HLS DATAFLOW
    stream<Unit> units;
#pragma HLS STREAM variable=units depth=64
    stream<bool> good;
#pragma HLS STREAM variable=good depth=64
    gather_rows<C>(c, main, mem_units, s, units, good);
    write_spad<C>(c, units, good, spad, beats, complete);
}

template <class C>
void scalars_region(const LdCommand& c, const Unit* main, uint32_t (&s)[C::s_words], uint64_t& beats) {
#pragma HLS DATAFLOW
    stream<Unit> units;
#pragma HLS STREAM variable=units depth=64
    stream<bool> good;
#pragma HLS STREAM variable=good depth=64
    read_rows(c, main, units, good);
    write_s<C>(c, units, good, s, beats);
}

// Executes a checked command; gives a fault code.
template <class C>
uint32_t load_rows(const LdCommand& c, const Unit* main, uint32_t mem_units, Spad<C>& spad,
                   uint32_t (&s)[C::s_words], uint64_t& beats) {
    bool complete = true;
    beats = 0;
    if (c.rows == 0 || c.len == 0)
        return kNoFault;
    if (c.mode == FVLM_LD_MODE_SCALARS)
        scalars_region<C>(c, main, s, beats);
    else if (c.mode == FVLM_LD_MODE_GATHER)
        gather_region<C>(c, main, mem_units, s, spad, beats, complete);
    else
        load_region<C>(c, main, spad, beats);
    return complete ? kNoFault : FVLM_FAULT_DRAM;
}

} // namespace fvlm

#endif
