// Tokens, queues and counters: what orders the units.
#ifndef FLIGHTVLM_HLS_CONTROL_HPP
#define FLIGHTVLM_HLS_CONTROL_HPP

#include "dispatch.hpp"
#include "matrix.hpp"

namespace fvlm {

constexpr unsigned kUnits = 4;
constexpr uint32_t kMaxTokens = 63;

struct Fault {
    uint32_t code; // 0: none
    uint32_t unit;
    uint32_t pc;
};

// Everything that a launch starts with afresh.
template <class C> struct Control {
    Front front;
    Queue<LdCommand, C::queue_depth> ld;
    Queue<StCommand, C::queue_depth> st;
    Queue<MmCommand, C::queue_depth> mm;
    Queue<VxCommand, C::queue_depth> vx;
    uint32_t tokens[kUnits][kUnits]; // from, to
    MatrixRun matrix;
    LdCommand posting; // a weight load that waits for room in a stream queue
    bool posts;
    Fault fault;
    uint64_t dispatched;
    uint64_t retired[kUnits];
    uint64_t read_beats, write_beats, mac_beats;
    uint64_t channel_read_beats, channel_write_beats;
};

template <class C> void clear(Control<C>& k) {
    k.ld.clear();
    k.st.clear();
    k.mm.clear();
    k.vx.clear();
    for (unsigned p = 0; p < kUnits; ++p) {
        for (unsigned u = 0; u < kUnits; ++u)
            k.tokens[p][u] = 0;
        k.retired[p] = 0;
    }
    k.matrix = MatrixRun{};
    k.posts = false;
    k.fault = Fault{kNoFault, 0, 0};
    k.dispatched = 0;
    k.read_beats = 0;
    k.write_beats = 0;
    k.mac_beats = 0;
    k.channel_read_beats = 0;
    k.channel_write_beats = 0;
}

// The first fault wins.
template <class C> void raise(Control<C>& k, uint32_t code, uint32_t unit, uint32_t pc) {
    if (code != kNoFault && k.fault.code == kNoFault)
        k.fault = Fault{code, unit, pc};
}

// Takes the tokens that a command waits for; false if one is missing.
template <class C> bool take_tokens(Control<C>& k, uint32_t unit, const Header& h) {
    bool there = true;
    for (unsigned p = 0; p < kUnits; ++p) {
#pragma HLS UNROLL
        there = there && (((h.wait >> p) & 1) == 0 || k.tokens[p][unit] != 0);
    }
    for (unsigned p = 0; p < kUnits && there; ++p) {
#pragma HLS UNROLL
        k.tokens[p][unit] -= (h.wait >> p) & 1;
    }
    return there;
}

// A command is complete: all its effects are visible.
template <class C, class Observer> void complete(Control<C>& k, uint32_t unit, const Header& h, Observer& observer) {
    k.retired[unit] += 1;
    observer.retired(unit, h.pc);
    for (unsigned u = 0; u < kUnits; ++u) {
#pragma HLS UNROLL
        k.tokens[unit][u] += (h.release >> u) & 1;
        if (k.tokens[unit][u] > kMaxTokens)
            raise(k, FVLM_FAULT_TOKEN, unit, h.pc);
    }
}

// Nothing can go on: the oldest command of the first unit that has one, else the dispatcher.
template <class C> void deadlock(Control<C>& k) {
    uint32_t unit = kUnitSys, pc = k.front.pc;
    if (k.posts || !k.ld.empty()) {
        unit = kUnitLd;
        pc = k.posts ? k.posting.header.pc : k.ld.front().header.pc;
    } else if (!k.st.empty()) {
        unit = kUnitSt;
        pc = k.st.front().header.pc;
    } else if (k.matrix.running || !k.mm.empty()) {
        unit = kUnitMm;
        pc = k.matrix.running ? k.matrix.command.header.pc : k.mm.front().header.pc;
    } else if (!k.vx.empty()) {
        unit = kUnitVx;
        pc = k.vx.front().header.pc;
    }
    raise(k, FVLM_FAULT_DEADLOCK, unit, pc);
}

template <class C> bool units_idle(const Control<C>& k) {
    return k.ld.empty() && k.st.empty() && k.mm.empty() && k.vx.empty() && !k.posts && !k.matrix.running;
}

} // namespace fvlm

#endif
