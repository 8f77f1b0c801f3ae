// Dequantisation: group sums times weight scales, added up; times the row's scale, plus bias.
#ifndef FLIGHTVLM_HLS_DEQUANT_HPP
#define FLIGHTVLM_HLS_DEQUANT_HPP

#include "array.hpp"
#include "floats.hpp"

namespace fvlm {

// A tile's outputs for a pair of rows.
struct Outputs {
    Lanes row[2];
};

// Takes scales that arrive, for the next rounds.
template <class C>
void take_scale_items(Lanes (&sfifo)[C::slices][C::sfifo_words], const Ring (&rings)[C::slices],
                      stream<ScaleItem> (&scales)[C::slices]) {
    uint32_t taken[C::slices] = {};
    bool ended[C::slices] = {};
    bool open = true;
    while (open) {
#pragma HLS PIPELINE II=1
        open = false;
        for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
            ScaleItem x;
            if (!ended[s] && scales[s].read_nb(x)) {
                ended[s] = x.end;
                if (!x.end)
                    sfifo[s][(rings[s].head + rings[s].count + taken[s]) % C::sfifo_words] = x.scale;
                taken[s] += x.end ? 0 : 1;
            }
            open = open || !ended[s];
        }
    }
}

template <class C>
void dequantise(const Round<C>& r, const uint32_t (&s_mem)[C::s_words],
                Lanes (&sfifo)[C::slices][C::sfifo_words], const Ring (&rings)[C::slices],
                stream<Sums> (&sums)[C::slices], stream<ScaleItem> (&scales)[C::slices],
                stream<Outputs> (&outputs)[C::slices]) {
    const MmCommand& c = r.command;
    const uint32_t n_groups = groups(c.kb, c.kbg), first_scale = c.bias ? 1 : 0;
    float p[C::slices][2][kTile];
#pragma HLS ARRAY_PARTITION variable=p complete dim=0
    for (uint32_t row = 0; r.compute && row < c.rows; row += 2) {
        const bool pair = row + 1 < c.rows;
        float row_scale[2];
        row_scale[0] = as_float(canon_bits(s_mem[c.sa + row * c.sa_stride]));
        row_scale[1] = pair ? as_float(canon_bits(s_mem[c.sa + (row + 1) * c.sa_stride])) : 0.0f;
        for (uint32_t g = 0; g < n_groups; ++g) {
// Eight cycles for a group: the addition to p is back before the next group's, and a slice's 32 outputs
// share four multipliers. The array waits where groups are shorter, as in the RTL.
#pragma HLS PIPELINE II=8
            for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
                if (r.active[s]) {
                    const Sums x = sums[s].read();
                    const Lanes scale = sfifo[s][(rings[s].head + first_scale + g) % C::sfifo_words];
                    const Lanes bias = sfifo[s][rings[s].head];
                    Outputs out;
                    for (unsigned m = 0; m < 2; ++m) {
#pragma HLS UNROLL
                        for (unsigned n = 0; n < kTile; ++n) {
#pragma HLS UNROLL
                            float v = i2f(x.row[m][n]);
                            v = c.wscale ? fmul(v, as_float(scale[n])) : v;
                            v = g == 0 ? v : fadd(p[s][m][n], v);
                            p[s][m][n] = v;
                            float y = fmul(v, row_scale[m]);
                            y = c.bias ? fadd(y, as_float(bias[n])) : y;
                            out.row[m][n] = as_bits(y);
                        }
                    }
                    if (g + 1 == n_groups)
                        outputs[s].write(out);
                }
            }
        }
    }
    take_scale_items<C>(sfifo, rings, scales);
}

// Writes the round's columns: as many slices at a time as SPAD has banks.
template <class C> void write_outputs(const Round<C>& r, stream<Outputs> (&outputs)[C::slices], Spad<C>& spad) {
    constexpr unsigned W = C::vx_words, G = W < C::slices ? W : C::slices;
    const MmCommand& c = r.command;
    for (uint32_t row = 0; r.compute && row < c.rows; row += 2) {
        for (unsigned first = 0; first < C::slices; first += G) {
            Lanes y[2][W] = {};
            bool write[2][W] = {};
            for (unsigned j = 0; j < G; ++j) {
#pragma HLS UNROLL
                if (r.active[first + j]) {
                    const Outputs x = outputs[first + j].read();
                    y[0][j] = x.row[0];
                    y[1][j] = x.row[1];
                    write[0][j] = true;
                    write[1][j] = row + 1 < c.rows;
                }
            }
            for (unsigned m = 0; m < 2; ++m) {
#pragma HLS PIPELINE II=1
                const uint32_t at = c.out + (row + m) * c.out_stride + r.first_column + first;
                spad.write_run(at, write[m], y[m]);
            }
        }
    }
}

} // namespace fvlm

#endif
