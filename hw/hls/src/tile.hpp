// What a weight tile looks like in its channel (microarchitecture.md 3.1): the items of which it consists,
// one after the other. An item is expanded as a whole: all its units, then what they hold.
#ifndef FLIGHTVLM_HLS_TILE_HPP
#define FLIGHTVLM_HLS_TILE_HPP

#include "bounds.hpp"
#include "command.hpp"
#include "types.hpp"

namespace fvlm {

constexpr unsigned kItemUnits = 9; // two 5-bit words with two index units each and the unit that they share

// Extra bits lie in units of their own: one for two words of 3 or 5 bits, one for each of 6.
inline bool shares_extra(uint32_t bits) { return bits == 3 || bits == 5; }
inline uint32_t extra_units(uint32_t bits) { return shares_extra(bits) || bits == 6 ? 1 : 0; }
inline uint32_t value_units(uint32_t bits) { return bits == 8 ? 4 : (bits <= 3 ? 1 : 2); }
inline bool layout_n(uint32_t fmt) { return fmt == FVLM_LD_FMT_W8N || fmt == FVLM_LD_FMT_W4N; }

inline uint32_t group_words(uint32_t kb, uint32_t kbg) { return kbg == 0 || kbg > kb ? kb : kbg; }
inline uint32_t groups(uint32_t kb, uint32_t kbg) {
    const uint32_t g = group_words(kb, kbg);
    return g == 0 ? 0 : ceil_div(kb, g);
}
// SFIFO words of a tile.
inline uint32_t scale_words(uint32_t kb, uint32_t kbg, bool wscale, bool bias) {
    return (bias ? 1 : 0) + (wscale ? groups(kb, kbg) : 0);
}

// Units of a tile; a tile of format mixed is as long as the load's stride.
inline uint32_t tile_units(const TileShape& t, uint32_t src_stride) {
    if (t.fmt == FVLM_LD_FMT_MIXED)
        return src_stride;
    const uint32_t values = t.fmt == FVLM_LD_FMT_W8K || t.fmt == FVLM_LD_FMT_W8N ? 4 : 2;
    return scale_words(t.kb, t.kbg, t.wscale, t.bias) + t.kb * (values + nm_index_units(t.nm));
}

// How far the expansion of a tile has come.
struct Progress {
    uint32_t unit;       // units used
    uint32_t word;       // words given
    uint32_t group_left; // words left of the current group
    uint32_t bits;       // width of the current group
    uint32_t next_bits;  // mixed: widths of the groups behind it whose scales are in
    uint32_t last_bits;
    uint32_t scaled; // groups behind the current one whose scales are in
    bool bias_done;
};

inline void begin_tile(Progress& p) {
#pragma HLS INLINE
    p = Progress{0, 0, 0, 8, 8, 8, 0, false};
}

struct Item {
    uint32_t units;
    uint32_t words;  // room it needs in the word FIFO
    uint32_t scales; // room it needs in the scale FIFO
    uint32_t bits;   // width of the words
};

// The next item of an unfinished tile.
inline Item next_item(const TileShape& t, const Progress& p) {
#pragma HLS INLINE
    const bool mixed = t.fmt == FVLM_LD_FMT_MIXED;
    const bool at_group = p.group_left == 0;
    const uint32_t group = group_words(t.kb, t.kbg);
    const uint32_t left = t.kb - p.word;
    if (t.bias && !p.bias_done)
        return Item{1, 0, 1, 0};
    if (at_group && t.wscale && p.scaled == 0) // a unit of format mixed has the scales of two groups
        return Item{1, 0, mixed && left > group ? 2u : 1u, 0};
    const bool four = t.fmt == FVLM_LD_FMT_W4K || t.fmt == FVLM_LD_FMT_W4N;
    const uint32_t bits = mixed ? (at_group ? p.next_bits : p.bits) : (four ? 4 : 8);
    const uint32_t words_left = at_group ? (left < group ? left : group) : p.group_left;
    const uint32_t words = shares_extra(bits) && words_left >= 2 ? 2 : 1;
    return Item{extra_units(bits) + words * (nm_index_units(t.nm) + value_units(bits)), words, 0, bits};
}

// An item of words is done.
inline void take_words(const TileShape& t, Progress& p, const Item& item) {
#pragma HLS INLINE
    if (p.group_left == 0) {
        const uint32_t group = group_words(t.kb, t.kbg), left = t.kb - p.word;
        p.group_left = left < group ? left : group;
        p.bits = item.bits;
        p.next_bits = p.last_bits;
        p.scaled = p.scaled == 0 ? 0 : p.scaled - 1;
    }
    p.group_left -= item.words;
    p.word += item.words;
}

// An item of scales is done; `code` are the width codes of format mixed.
inline void take_scales(Progress& p, const Item& item, uint32_t code, uint32_t second_code) {
#pragma HLS INLINE
    p.scaled = item.scales;
    p.next_bits = mixed_bits(code);
    p.last_bits = mixed_bits(second_code);
}

} // namespace fvlm

#endif
