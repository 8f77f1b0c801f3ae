// MM, and all movement of weights: regions in which load, expansion, array, dequantiser and write-back run
// at the same time. A region computes one round from what the FIFOs hold and moves at most one tile of each
// slice into them, for the rounds behind it.
#ifndef FLIGHTVLM_HLS_MATRIX_HPP
#define FLIGHTVLM_HLS_MATRIX_HPP

#include "dequant.hpp"

namespace fvlm {

// Reads one port's moves, channel after channel: consecutive units, bursts.
template <class C>
void read_port(const Unit* channel, const Move (&moves)[C::slices], unsigned port,
               stream<Unit> (&units)[C::slices]) {
    for (unsigned i = 0; i < C::channels_per_port; ++i) {
        const unsigned s = port * C::channels_per_port + i;
        for (uint32_t n = 0; n < moves[s].available; ++n) {
#pragma HLS PIPELINE II=1
            units[s].write(channel[moves[s].unit + n]);
        }
    }
}

template <class C>
void matrix_region(const Round<C>& round, const Move (&moves)[C::slices], Moved (&moved)[C::slices],
                   const Unit* const (&channel)[C::ports], const Ring (&word_rings)[C::slices],
                   const Ring (&scale_rings)[C::slices], WeightWord (&wfifo)[C::slices][C::wfifo_words],
                   Lanes (&sfifo)[C::slices][C::sfifo_words], const uint32_t (&s_mem)[C::s_words],
                   const Abuf<C>& abuf, Spad<C>& spad) {
#pragma HLS DATAFLOW
    stream<Unit> units[C::slices];
    stream<WordItem> words[C::slices];
    stream<ScaleItem> scales[C::slices];
    stream<Sums> sums[C::slices];
    stream<Outputs> outputs[C::slices];
// Units: four bursts, so that reading goes on while a word waits. Scales: all that the FIFO could take,
// because the dequantiser looks at them last. The others only decouple.
#pragma HLS STREAM variable=units depth=64
#pragma HLS STREAM variable=words depth=4
#pragma HLS STREAM variable=scales depth=160
#pragma HLS STREAM variable=sums depth=4
#pragma HLS STREAM variable=outputs depth=4
    for (unsigned p = 0; p < C::ports; ++p) {
#pragma HLS UNROLL
        read_port<C>(channel[p], moves, p, units);
    }
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        expand_move(moves[s], units[s], words[s], scales[s], moved[s]);
    }
    multiply<C>(round, abuf, wfifo, word_rings, words, sums);
    dequantise<C>(round, s_mem, sfifo, scale_rings, sums, scales, outputs);
    write_outputs<C>(round, outputs, spad);
}

template <class C> uint32_t check_mm(const MmCommand& c) {
    if (c.rows == 0 || c.tiles == 0)
        return kNoFault;
    const uint32_t window = nm_window_words(c.nm);
    if (c.act % window != 0 || (c.rows > 1 && c.act_stride % window != 0))
        return FVLM_FAULT_OPERAND;
    if (c.kb == 0 || c.kb > C::wfifo_words || scale_words(c.kb, c.kbg, c.wscale, c.bias) > C::sfifo_words)
        return FVLM_FAULT_WFIFO;
    if (!fits(c.act, c.rows, c.act_stride, uint64_t(c.kb) * window, C::abuf_words))
        return FVLM_FAULT_ABUF;
    if (!fits(c.out, c.rows, c.out_stride, c.tiles, C::spad_words))
        return FVLM_FAULT_SPAD;
    return fits(c.sa, c.rows, c.sa_stride, 1, C::s_words) ? kNoFault : FVLM_FAULT_SMEM;
}

// A started command: which round comes next.
struct MatrixRun {
    bool running;
    uint32_t round;
    MmCommand command;
};

// The memories of the matrix unit and its weights.
template <class C> struct MatrixMemory {
    WeightWord wfifo[C::slices][C::wfifo_words];
    Lanes sfifo[C::slices][C::sfifo_words];
    Slice slices[C::slices];
};

// One region: the next round of `run`, if its weights are there, and moves. False if there is neither.
template <class C>
bool matrix_step(MatrixRun& run, MatrixMemory<C>& m, const Unit* const (&channel)[C::ports],
                 uint32_t channel_units, const uint32_t (&s_mem)[C::s_words], const Abuf<C>& abuf, Spad<C>& spad,
                 uint64_t& read_beats) {
    const MmCommand& c = run.command;
    const uint32_t n_scales = scale_words(c.kb, c.kbg, c.wscale, c.bias);
    Round<C> round;
    Move moves[C::slices];
    Moved moved[C::slices] = {};
    Ring word_rings[C::slices], scale_rings[C::slices];
#pragma HLS ARRAY_PARTITION variable=round.active complete
#pragma HLS ARRAY_PARTITION variable=moves complete
#pragma HLS ARRAY_PARTITION variable=moved complete
#pragma HLS ARRAY_PARTITION variable=word_rings complete
#pragma HLS ARRAY_PARTITION variable=scale_rings complete
    round.command = c;
    round.compute = run.running;
    round.first_column = run.round * C::slices - c.first;
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        const uint32_t slot = run.round * C::slices + s;
        word_rings[s] = m.slices[s].words;
        scale_rings[s] = m.slices[s].scales;
        round.active[s] = run.running && slot >= c.first && slot < c.first + c.tiles;
        const bool ready = word_rings[s].count >= c.kb && scale_rings[s].count >= n_scales;
        round.compute = round.compute && (!round.active[s] || ready);
    }
    const bool any = plan_moves<C>(m.slices, channel_units, moves);
    if (!any && !round.compute)
        return false;
    matrix_region<C>(round, moves, moved, channel, word_rings, scale_rings, m.wfifo, m.sfifo, s_mem, abuf, spad);
    book_moves<C>(moves, moved, m.slices, read_beats);
    if (round.compute) {
        for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
            if (round.active[s]) { // the tile leaves
                Ring &w = m.slices[s].words, &f = m.slices[s].scales;
                w = Ring{(w.head + c.kb) % C::wfifo_words, w.count - c.kb};
                f = Ring{(f.head + n_scales) % C::sfifo_words, f.count - n_scales};
            }
        }
        run.round += 1;
        run.running = run.round * C::slices < c.first + c.tiles;
    }
    return true;
}

} // namespace fvlm

#endif
