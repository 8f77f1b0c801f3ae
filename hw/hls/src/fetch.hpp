// Fetch: code from main memory into instruction memory.
#ifndef FLIGHTVLM_HLS_FETCH_HPP
#define FLIGHTVLM_HLS_FETCH_HPP

#include "bounds.hpp"
#include "types.hpp"

namespace fvlm {

// Quarters of a unit: the granule of stored instructions.
constexpr unsigned kQuarters = 4;

inline void read_code(const Unit* main, uint64_t base, uint32_t units, stream<Unit>& code) {
    for (uint32_t i = 0; i < units; ++i) {
#pragma HLS PIPELINE II=1
        // Consecutive units: bursts.
        code.write(main[base + i]);
    }
}

// A quarter a cycle. A dispatcher's own instruction is one quarter, the others are two; what follows
// the last instruction is ignored.
template <unsigned Words>
void expand_code(uint32_t units, uint32_t code_len, stream<Unit>& code, Insn (&imem)[Words], uint32_t& found) {
    uint32_t n = 0;
    bool half = false;
    Insn w = {};
    Unit u = {};
    for (uint32_t q = 0; q < units * kQuarters; ++q) {
#pragma HLS PIPELINE II=1
        if (q % kQuarters == 0)
            u = code.read();
        for (unsigned i = 0; i < 4; ++i) {
#pragma HLS UNROLL
            const unsigned at = 16 * (q % kQuarters) + 4 * i;
            const uint32_t v = uint32_t(u[at]) | uint32_t(u[at + 1]) << 8 | uint32_t(u[at + 2]) << 16 |
                               uint32_t(u[at + 3]) << 24;
            w.w[(half ? 4 : 0) + i] = v;
            if (!half)
                w.w[4 + i] = 0;
        }
        const bool is_long = bits<0, 8>(w) >= kFirstLongOpcode;
        const bool complete = half || !is_long;
        if (complete && n < code_len) {
            imem[n] = w;
            n += 1;
        }
        half = !complete;
    }
    found = n;
}

template <unsigned Words>
void fetch_region(const Unit* main, uint64_t base, uint32_t units, uint32_t code_len, Insn (&imem)[Words],
                  uint32_t& found) {
#pragma HLS DATAFLOW
    stream<Unit> code;
#pragma HLS STREAM variable=code depth=32
    read_code(main, base, units, code);
    expand_code(units, code_len, code, imem, found);
}

// Gives a fault code.
template <class C>
uint32_t fetch(const Unit* main, uint32_t base, uint32_t units, uint32_t code_len, uint32_t mem_units,
               Insn (&imem)[C::imem_words]) {
    if (code_len > C::imem_words || (code_len > 0 && units == 0))
        return FVLM_FAULT_PC;
    if (uint64_t(base) + units > mem_units)
        return FVLM_FAULT_DRAM;
    uint32_t found = 0;
    fetch_region(main, base, units, code_len, imem, found);
    return found < code_len ? FVLM_FAULT_PC : kNoFault;
}

} // namespace fvlm

#endif
