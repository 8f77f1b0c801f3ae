// The kernel: a launch from fetch to HALT or a fault.
//
// The dispatcher fills the units' queues; then each unit that can start its oldest command executes it,
// one unit at a time, because all of them share the memories on the chip. Inside a command the stages run
// at the same time (the dataflow regions of load.hpp, store.hpp, matrix.hpp). The order is a schedule like
// any other that tokens allow, so that results equal those of the RTL's overlapping units.
#ifndef FLIGHTVLM_HLS_KERNEL_HPP
#define FLIGHTVLM_HLS_KERNEL_HPP

#include "control.hpp"
#include "fetch.hpp"
#include "load.hpp"
#include "store.hpp"
#include "vector.hpp"

namespace fvlm {

// Memories that keep their contents from launch to launch; zero after configuration.
template <class C> struct State {
    Spad<C> spad;
    Abuf<C> abuf;
    uint32_t s[C::s_words];
    uint32_t r[32];
    Insn imem[C::imem_words];
    MatrixMemory<C> matrix;
};

// The registers that a launch reads, by name.
struct Arguments {
    uint32_t mem_units, code_base, code_len, entry, watchdog, code_units, channel_units;
    uint32_t args[16];
};

// The registers that it writes. Times mean nothing in C: those registers do not exist.
struct Results {
    uint32_t isa_hash, status, fault_pc;
    uint64_t cnt_dispatched, cnt_retired_ld, cnt_retired_st, cnt_retired_mm, cnt_retired_vx;
    uint64_t cnt_read_beats, cnt_write_beats, cnt_mac_beats;
    uint64_t cnt_channel_read_beats, cnt_channel_write_beats;
};

// Ports, as the top function has them.
template <class C> struct Ports {
    const Unit* main_in;
    uint32_t* main_out;
    const Unit* channel_in[C::ports];
    uint8_t* channel_out[C::ports];
};

// What a C simulation wants to see; the hardware has none.
struct NoObserver {
    void retired(uint32_t, uint32_t) {}
    bool stop() { return false; }
};

// Resolves the instruction at pc for a queue and pushes it there. False: the queue is full.
template <class C, class T, unsigned Depth> bool push(Control<C>& k, const Insn& w, Queue<T, Depth>& queue) {
    T command;
    if (!resolve(k.front, w, command)) {
        raise(k, FVLM_FAULT_OPERAND, kUnitSys, k.front.pc);
        return false;
    }
    if (queue.full())
        return false;
    queue.push(command);
    return true;
}

enum class Step { kGoOn, kStall, kHalt };

// An instruction of the dispatcher.
template <class C> Step dispatch(Control<C>& k, const State<C>& m) {
    Front& f = k.front;
    if (f.pc >= f.code_len) {
        raise(k, FVLM_FAULT_PC, kUnitSys, f.pc);
        return Step::kStall;
    }
    const Insn w = m.imem[f.pc];
    if (is_illegal(w)) {
        raise(k, FVLM_FAULT_ILLEGAL, kUnitSys, f.pc);
        return Step::kStall;
    }
    bool done = true;
    switch (bits<0, 8>(w)) {
    case FVLM_OP_NOP: break;
    case FVLM_OP_HALT:
    case FVLM_OP_FENCE: done = units_idle(k) && streams_idle<C>(m.matrix.slices); break;
    case FVLM_OP_LOOP: {
        const uint32_t fault = enter_loop(f, LoopFields(w));
        raise(k, fault, kUnitSys, f.pc);
        k.dispatched += fault == kNoFault ? 1 : 0;
        return fault == kNoFault ? Step::kGoOn : Step::kStall;
    }
    case FVLM_OP_ALU: alu(f, AluFields(w)); break;
    case FVLM_OP_SETA: seta(f, SetaFields(w)); break;
    case FVLM_OP_LD: done = push(k, w, k.ld); break;
    case FVLM_OP_ST: done = push(k, w, k.st); break;
    case FVLM_OP_MM: done = push(k, w, k.mm); break;
    default: done = push(k, w, k.vx); break;
    }
    if (!done)
        return Step::kStall;
    k.dispatched += 1;
    if (bits<0, 8>(w) == FVLM_OP_HALT)
        return Step::kHalt;
    advance(f);
    return Step::kGoOn;
}

// A load: rows and scalars at once; weights are posted to the streams.
template <class C, class Observer>
bool step_ld(Control<C>& k, State<C>& m, const Ports<C>& ports, const Arguments& a, Observer& observer) {
    bool progress = false;
    if (!k.posts && !k.ld.empty() && take_tokens(k, kUnitLd, k.ld.front().header)) {
        const LdCommand c = k.ld.front();
        k.ld.pop();
        progress = true;
        const bool weights = c.mode == FVLM_LD_MODE_WEIGHT;
        uint32_t fault = weights ? check_weights<C>(c, a.channel_units) : check_rows<C>(c, a.mem_units);
        if (fault == kNoFault && weights && c.rows != 0) {
            k.posting = c;
            k.posts = true;
        } else if (fault == kNoFault) {
            uint64_t beats = 0;
            if (!weights)
                fault = load_rows<C>(c, ports.main_in, a.mem_units, m.spad, m.s, beats);
            k.read_beats += beats;
            if (fault == kNoFault)
                complete(k, kUnitLd, c.header, observer);
        }
        raise(k, fault, kUnitLd, c.header.pc);
    }
    if (k.posts && can_post<C>(k.posting, m.matrix.slices)) {
        post<C>(k.posting, m.matrix.slices);
        k.posts = false;
        progress = true;
        complete(k, kUnitLd, k.posting.header, observer);
    }
    return progress;
}

template <class C, class Observer>
bool step_st(Control<C>& k, State<C>& m, const Ports<C>& ports, const Arguments& a, Observer& observer) {
    if (k.st.empty() || !take_tokens(k, kUnitSt, k.st.front().header))
        return false;
    const StCommand c = k.st.front();
    k.st.pop();
    const uint32_t fault = check_st<C>(c, a.mem_units, a.channel_units);
    raise(k, fault, kUnitSt, c.header.pc);
    if (fault != kNoFault)
        return true;
    if (!is_empty(c)) {
        uint64_t beats = 0;
        store<C>(c, m.spad, m.abuf, m.s, ports.main_out, ports.channel_out, a.channel_units, beats);
        (to_main(c.mode) ? k.write_beats : k.channel_write_beats) += beats;
    }
    complete(k, kUnitSt, c.header, observer);
    return true;
}

// Starts a matrix command, or goes on with one. Weights that are posted move along; without a command they
// move only when `drain` says that something waits for the streams.
template <class C, class Observer>
bool step_mm(Control<C>& k, State<C>& m, const Ports<C>& ports, const Arguments& a, bool drain,
             Observer& observer) {
    bool progress = false;
    if (!k.matrix.running && !k.mm.empty() && take_tokens(k, kUnitMm, k.mm.front().header)) {
        const MmCommand c = k.mm.front();
        k.mm.pop();
        progress = true;
        const uint32_t fault = check_mm<C>(c);
        raise(k, fault, kUnitMm, c.header.pc);
        if (fault != kNoFault)
            return true;
        k.matrix.command = c;
        k.matrix.round = c.first / C::slices;
        k.matrix.running = c.rows != 0 && c.tiles != 0;
        if (!k.matrix.running)
            complete(k, kUnitMm, c.header, observer);
    }
    if (!k.matrix.running && !drain)
        return progress;
    const bool running = k.matrix.running;
    progress = matrix_step(k.matrix, m.matrix, ports.channel_in, a.channel_units, m.s, m.abuf, m.spad,
                           k.channel_read_beats) ||
               progress;
    if (running && !k.matrix.running) {
        const MmCommand& c = k.matrix.command;
        k.mac_beats += uint64_t(c.tiles) * c.rows * c.kb;
        complete(k, kUnitMm, c.header, observer);
    }
    return progress;
}

template <class C, class Observer> bool step_vx(Control<C>& k, State<C>& m, Observer& observer) {
    if (k.vx.empty() || !take_tokens(k, kUnitVx, k.vx.front().header))
        return false;
    const VxCommand c = k.vx.front();
    k.vx.pop();
    const uint32_t fault = check_vx<C>(c);
    raise(k, fault, kUnitVx, c.header.pc);
    if (fault != kNoFault)
        return true;
    if (c.rows != 0)
        run_vx<C>(c, m.spad, m.abuf, m.s);
    complete(k, kUnitVx, c.header, observer);
    return true;
}

// Everything from the first instruction to the end.
template <class C, class Observer>
void run(Control<C>& k, State<C>& m, const Ports<C>& ports, const Arguments& a, Observer& observer) {
    bool halted = false;
    while (!halted && k.fault.code == kNoFault && !observer.stop()) {
        // As far as queues have room and nothing has to be waited for.
        bool progress = false, going = true;
        while (going) {
            const Step step = dispatch(k, m);
            halted = step == Step::kHalt;
            going = step == Step::kGoOn;
            progress = progress || step != Step::kStall;
        }
        if (!halted && k.fault.code == kNoFault)
            progress = step_ld(k, m, ports, a, observer) || progress;
        if (!halted && k.fault.code == kNoFault)
            progress = step_st(k, m, ports, a, observer) || progress;
        if (!halted && k.fault.code == kNoFault)
            progress = step_vx(k, m, observer) || progress;
        // Streams that nothing multiplies fill their FIFOs when a load waits for their queues, or a fence
        // for their end: as soon as everything else has come to rest.
        if (!halted && k.fault.code == kNoFault)
            progress = step_mm(k, m, ports, a, !progress, observer) || progress;
        if (!progress && k.fault.code == kNoFault)
            deadlock(k);
    }
}

template <class C, class Observer>
void launch(State<C>& m, const Ports<C>& ports, const Arguments& a, Results& out, Observer& observer) {
    Control<C> k;
    clear(k);
    clear_slices<C>(m.matrix.slices);
    reset(k.front, a.entry, a.code_len, a.args);
    const uint32_t fault =
        fetch<C>(ports.main_in, a.code_base, a.code_units, a.code_len, a.mem_units, m.imem);
    if (fault != kNoFault) {
        raise(k, fault, kUnitSys, a.entry);
    } else {
        k.read_beats = a.code_units;
        run(k, m, ports, a, observer);
    }
    for (unsigned i = 0; i < 32; ++i)
        m.r[i] = k.front.r[i];
    const bool faulted = k.fault.code != kNoFault;
    out.isa_hash = C::isa_hash;
    out.status = faulted ? (1 | k.fault.code << 8 | k.fault.unit << 16) : 0;
    out.fault_pc = faulted ? k.fault.pc : 0;
    out.cnt_dispatched = k.dispatched;
    out.cnt_retired_ld = k.retired[kUnitLd];
    out.cnt_retired_st = k.retired[kUnitSt];
    out.cnt_retired_mm = k.retired[kUnitMm];
    out.cnt_retired_vx = k.retired[kUnitVx];
    out.cnt_read_beats = k.read_beats;
    out.cnt_write_beats = k.write_beats;
    out.cnt_mac_beats = k.mac_beats;
    out.cnt_channel_read_beats = k.channel_read_beats;
    out.cnt_channel_write_beats = k.channel_write_beats;
}

} // namespace fvlm

#endif
