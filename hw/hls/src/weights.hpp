// Weight streams: which tiles each slice still has to fetch, and how much of them fits its FIFOs.
#ifndef FLIGHTVLM_HLS_WEIGHTS_HPP
#define FLIGHTVLM_HLS_WEIGHTS_HPP

#include "expand.hpp"

namespace fvlm {

// Posted loads a slice keeps: one that streams and four that wait.
constexpr unsigned kShares = 5;

// A slice's share of a weight load.
struct Share {
    TileShape shape;
    uint32_t unit; // first unit of the next tile
    uint32_t stride;
    uint32_t units; // of a tile
    uint32_t tiles; // that are not moved completely
};

// Read and write position of a FIFO that lies in a RAM.
struct Ring {
    uint32_t head;
    uint32_t count;
};

struct Slice {
    Queue<Share, kShares> shares;
    Progress progress; // of the first share's next tile
    Ring words;
    Ring scales;
};

template <class C> void clear_slices(Slice (&slices)[C::slices]) {
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        slices[s].shares.clear();
        slices[s].words = Ring{0, 0};
        slices[s].scales = Ring{0, 0};
        begin_tile(slices[s].progress);
    }
}

// Distance from slot `first` to the first slot of slice `s`.
template <class C> uint32_t distance(uint32_t first, uint32_t s) {
#pragma HLS INLINE
    return (s - first) % C::slices; // a power of two: wrapping is right
}
// Slots of first .. first + count - 1 that belong to slice `s`.
template <class C> uint32_t slots_of(uint32_t first, uint32_t count, uint32_t s) {
#pragma HLS INLINE
    return (count + C::slices - 1 - distance<C>(first, s)) / C::slices;
}

template <class C> uint32_t check_weights(const LdCommand& c, uint32_t channel_units) {
    if (c.rows == 0)
        return kNoFault;
    const TileShape& t = c.shape;
    if (c.len == 0 || c.len > C::wfifo_words || scale_words(t.kb, t.kbg, t.wscale, t.bias) > C::sfifo_words)
        return FVLM_FAULT_WFIFO;
    const uint64_t round = (c.first + c.rows - 1) / C::slices;
    const uint64_t end = uint64_t(c.src) + round * c.src_stride + tile_units(t, c.src_stride);
    return end <= channel_units ? kNoFault : FVLM_FAULT_DRAM;
}

// Has every slice that the load concerns a place for its share?
template <class C> bool can_post(const LdCommand& c, const Slice (&slices)[C::slices]) {
    bool room = true;
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        room = room && (slots_of<C>(c.first, c.rows, s) == 0 || !slices[s].shares.full());
    }
    return room;
}

template <class C> void post(const LdCommand& c, Slice (&slices)[C::slices]) {
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        Share x;
        x.shape = c.shape;
        x.unit = c.src + (c.first + distance<C>(c.first, s)) / C::slices * c.src_stride;
        x.stride = c.src_stride;
        x.units = tile_units(c.shape, c.src_stride);
        x.tiles = slots_of<C>(c.first, c.rows, s);
        if (x.tiles != 0)
            slices[s].shares.push(x);
    }
}

template <class C> bool streams_idle(const Slice (&slices)[C::slices]) {
    bool idle = true;
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        idle = idle && slices[s].shares.empty();
    }
    return idle;
}

// What a region can move of each slice's next tile; false if nothing fits anywhere.
template <class C>
bool plan_moves(const Slice (&slices)[C::slices], uint32_t channel_units, Move (&moves)[C::slices]) {
    bool any = false;
    for (unsigned s = 0; s < C::slices; ++s) {
#pragma HLS UNROLL
        const Slice& x = slices[s];
        const Share& share = x.shares.front();
        Move m = {};
        m.word_room = C::wfifo_words - x.words.count;
        m.scale_room = C::sfifo_words - x.scales.count;
        if (!x.shares.empty()) {
            const Item i = next_item(share.shape, x.progress);
            m.active = i.words <= m.word_room && i.scales <= m.scale_room;
            m.shape = share.shape;
            m.progress = x.progress;
            m.unit = uint64_t(s % C::channels_per_port) * channel_units + share.unit + x.progress.unit;
            // A tile of format mixed may end before its last word. No more than what the room can take:
            // an item has at most six units for each word.
            const uint32_t left = share.units > x.progress.unit ? share.units - x.progress.unit : 0;
            const uint32_t most = 6 * m.word_room + m.scale_room;
            m.available = !m.active ? 0 : (left < most ? left : most);
        }
        any = any || m.active;
        moves[s] = m;
    }
    return any;
}

// Books what was moved.
template <class C>
void book_moves(const Move (&moves)[C::slices], const Moved (&moved)[C::slices], Slice (&slices)[C::slices],
                uint64_t& beats) {
    for (unsigned s = 0; s < C::slices; ++s) {
        Slice& x = slices[s];
        if (!moves[s].active)
            continue;
        x.words.count += moved[s].words;
        x.scales.count += moved[s].scales;
        x.progress = moved[s].progress;
        Share& share = x.shares.items[x.shares.head];
        if (x.progress.word == share.shape.kb) {
            beats += share.units; // padding is read too
            share.unit += share.stride;
            share.tiles -= 1;
            begin_tile(x.progress);
            if (share.tiles == 0)
                x.shares.pop();
        }
    }
}

} // namespace fvlm

#endif
