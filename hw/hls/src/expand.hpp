// Weight expansion: packed units in, words of int8 values with selectors and words of float scales out.
#ifndef FLIGHTVLM_HLS_EXPAND_HPP
#define FLIGHTVLM_HLS_EXPAND_HPP

#include "floats.hpp"
#include "tile.hpp"

namespace fvlm {

constexpr unsigned kWordValues = kTile * kTile;

// 16 outputs x 16 stored inputs, output-major. A selector is the place of a stored input in its window.
struct WeightWord {
    int8_t value[kWordValues];
    uint_bits<4> selector[kWordValues];
};

// What a stream of words or scales carries; `end` closes a slice's share of a region.
struct WordItem {
    bool end;
    WeightWord word;
};
struct ScaleItem {
    bool end;
    Lanes scale;
};

// Part of a tile that a region moves.
struct Move {
    bool active;
    TileShape shape;
    uint64_t unit;       // first unit to read, within the port
    uint32_t available;  // units to read from there; what lies behind is zero
    uint32_t word_room;  // places in the FIFOs
    uint32_t scale_room;
    Progress progress;
};
// What came of it.
struct Moved {
    uint32_t words;
    uint32_t scales;
    Progress progress;
};

inline uint32_t byte_of(const Unit (&item)[kItemUnits], unsigned first, unsigned at) {
#pragma HLS INLINE
    return item[first + at / kUnitBytes][at % kUnitBytes];
}

// A place in a word as its units have it: blocks of 4 outputs by 4 stored inputs, and a byte in a block.
struct Place {
    unsigned row, column; // of the block
    unsigned byte;
};
inline Place place_of(unsigned n, unsigned k) {
#pragma HLS INLINE
    return Place{n / 4, k / 4, 4 * (n % 4) + k % 4};
}

// Two bits of a value in a unit that has two of each.
inline uint32_t crumb(const Unit& u, const Place& at) {
#pragma HLS INLINE
    return (uint32_t(u[16 * (at.row ^ at.column) + at.byte]) >> (2 * at.row)) & 3;
}

// Values of a word; `first` is its first value unit, `second` picks the second word of two that share the
// item's unit of extra bits, which is the first one.
inline void expand_values(const Unit (&item)[kItemUnits], unsigned first, uint32_t bits, bool by_input, bool second,
                          WeightWord& out) {
#pragma HLS INLINE
    for (unsigned n = 0; n < kTile; ++n) {
#pragma HLS UNROLL
        for (unsigned k = 0; k < kTile; ++k) {
#pragma HLS UNROLL
            const Place at = place_of(n, k);
            // The block's place in the units' order, then along a unit.
            const unsigned major = by_input ? at.column : at.row, minor = by_input ? at.row : at.column;
            const uint32_t whole = item[first + (bits == 8 ? major : 0)][16 * (at.row ^ at.column) + at.byte];
            const unsigned chunk = 2 * (at.row / 2 ^ at.column / 2) + major % 2;
            const uint32_t pair = item[first + (bits == 8 || bits <= 3 ? 0 : major / 2)][16 * chunk + at.byte];
            const uint32_t low = (pair >> (4 * (minor % 2))) & 15;
            const uint32_t above = crumb(item[0], at) >> (second ? 1 : 0);
            uint32_t code = crumb(item[first], at); // 2 bits
            if (bits == 8)
                code = whole;
            else if (bits == 4)
                code = low;
            else if (bits == 5)
                code = low | (above & 1) << 4;
            else if (bits == 6)
                code = low | (above & 1) << 5 | (above & 2) << 3;
            else if (bits == 3)
                code |= (above & 1) << 2;
            const int32_t sign = int32_t(1) << (bits - 1);
            const int32_t q = (static_cast<int32_t>(code) ^ sign) - sign;
            out.value[n * kTile + k] = static_cast<int8_t>(bits <= 3 ? 2 * q + 1 : q); // mid-rise
        }
    }
}

// Position of the set bit of rank `rank`, 15 if there is none.
inline unsigned nth_set(uint32_t mask, unsigned rank) {
#pragma HLS INLINE
    unsigned seen = 0, at = 15;
    for (unsigned p = 0; p < 16; ++p) {
#pragma HLS UNROLL
        const bool set = ((mask >> p) & 1) != 0;
        at = set && seen == rank ? p : at;
        seen += set ? 1 : 0;
    }
    return at;
}

// Selectors of the word whose index units begin at `first`.
inline void expand_selectors(const Unit (&item)[kItemUnits], unsigned first, uint32_t nm, WeightWord& out) {
#pragma HLS INLINE
    for (unsigned n = 0; n < kTile; ++n) {
#pragma HLS UNROLL
        for (unsigned k = 0; k < kTile; ++k) {
#pragma HLS UNROLL
            const unsigned e = n * kTile + k;
            unsigned z = k;
            if (nm == FVLM_LD_NM_S2OF4) {
                const uint32_t pair = byte_of(item, first, e % 128 / 2) >> (4 * (e % 2));
                z = 4 * ((k / 2) % 4) + ((pair >> (2 * (n / 8))) & 3);
            } else if (nm == FVLM_LD_NM_S8OF16) {
                const unsigned at = 4 * n + 2 * (k / 8);
                z = nth_set(byte_of(item, first, at) | byte_of(item, first, at + 1) << 8, k % 8);
            } else if (nm == FVLM_LD_NM_S4OF16 || nm == FVLM_LD_NM_S2OF16) {
                z = (byte_of(item, first, e / 2) >> (4 * (e % 2))) & 15;
            }
            out.selector[e] = uint_bits<4>(z);
        }
    }
}

// A word of an item: the first, or the second of two.
inline WeightWord expand_word(const Unit (&item)[kItemUnits], const TileShape& t, const Item& i, bool second) {
    const uint32_t index = nm_index_units(t.nm);
    const uint32_t first = extra_units(i.bits) + (second ? index + value_units(i.bits) : 0);
    WeightWord w;
    expand_values(item, first + index, i.bits, layout_n(t.fmt), second, w);
    expand_selectors(item, first, t.nm, w);
    return w;
}

inline Lanes float_scales(const Unit& u) {
#pragma HLS INLINE
    Lanes out;
    for (unsigned n = 0; n < 16; ++n) {
#pragma HLS UNROLL
        out[n] = canon_bits(uint32_t(u[4 * n]) | uint32_t(u[4 * n + 1]) << 8 | uint32_t(u[4 * n + 2]) << 16 |
                            uint32_t(u[4 * n + 3]) << 24);
    }
    return out;
}

// Format mixed: a bfloat16 of each 32-bit word, the upper one for even groups. Its sign is not its own.
inline Lanes half_scales(const Unit& u, bool odd) {
#pragma HLS INLINE
    Lanes out;
    for (unsigned n = 0; n < 16; ++n) {
#pragma HLS UNROLL
        const unsigned at = 4 * n + (odd ? 0 : 2);
        const uint32_t half = uint32_t(u[at]) | uint32_t(u[at + 1]) << 8;
        out[n] = canon_bits((half & 0x7fff) << 16);
    }
    return out;
}

// The signs of the first three: how wide the group's words are.
inline uint32_t width_code(const Unit& u, bool odd) {
#pragma HLS INLINE
    const unsigned at = odd ? 1 : 3;
    return uint32_t(u[at] >> 7) | uint32_t(u[at + 4] >> 7) << 1 | uint32_t(u[at + 8] >> 7) << 2;
}

// Expands a part of a tile, as far as its units and the room go: a unit a cycle into the item's
// registers; with the last one the word leaves, the second of two a cycle later.
inline void expand_move(const Move& m, stream<Unit>& units, stream<WordItem>& words, stream<ScaleItem>& scales,
                        Moved& moved) {
    Unit item[kItemUnits];
#pragma HLS ARRAY_PARTITION variable=item complete
    const TileShape t = m.shape;
    Progress p = m.progress;
    Item i = {};
    uint32_t taken = 0, held = 0, given_words = 0, given_scales = 0;
    bool second = false, running = m.active;
    while (running) {
#pragma HLS PIPELINE II=1
        if (second) {
            words.write(WordItem{false, expand_word(item, t, i, true)});
            second = false;
        } else {
            bool fit = true;
            if (held == 0) {
                fit = p.word < t.kb;
                if (fit) {
                    i = next_item(t, p);
                    fit = given_words + i.words <= m.word_room && given_scales + i.scales <= m.scale_room;
                }
            }
            running = fit;
            if (fit) {
                Unit u = {};
                if (taken < m.available)
                    u = units.read();
                taken += 1;
                item[held] = u;
                held += 1;
            }
            if (fit && held == i.units) {
                held = 0;
                p.unit += i.units;
                given_words += i.words;
                given_scales += i.scales;
                if (i.words != 0) {
                    words.write(WordItem{false, expand_word(item, t, i, false)});
                    second = i.words == 2;
                    take_words(t, p, i);
                } else if (t.bias && !p.bias_done) {
                    scales.write(ScaleItem{false, float_scales(item[0])});
                    p.bias_done = true;
                } else if (t.fmt == FVLM_LD_FMT_MIXED) {
                    scales.write(ScaleItem{false, half_scales(item[0], false)});
                    if (i.scales == 2)
                        scales.write(ScaleItem{false, half_scales(item[0], true)});
                    take_scales(p, i, width_code(item[0], false), width_code(item[0], true));
                } else {
                    scales.write(ScaleItem{false, float_scales(item[0])});
                    take_scales(p, i, 0, 0);
                }
            }
        }
    }
    // Units behind the last item: padding of the tile, or read again when there is room.
    for (uint32_t rest = taken; m.active && rest < m.available; ++rest) {
#pragma HLS PIPELINE II=1
        (void)units.read();
    }
    moved = Moved{given_words, given_scales, p};
    words.write(WordItem{true, WeightWord{}});
    scales.write(ScaleItem{true, Lanes{}});
}

} // namespace fvlm

#endif
