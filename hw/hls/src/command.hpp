// Resolved commands, as the dispatcher puts them in the queues: numbers in place of counts and addresses.
#ifndef FLIGHTVLM_HLS_COMMAND_HPP
#define FLIGHTVLM_HLS_COMMAND_HPP

#include <cstdint>

namespace fvlm {

// What every command carries: where it stands in the code, whose tokens it takes and gives.
struct Header {
    uint32_t pc;
    uint32_t wait;
    uint32_t release;
};

// How a weight tile is stored.
struct TileShape {
    uint32_t kb;  // stored words
    uint32_t kbg; // words a scale group, 0 = all
    uint32_t fmt;
    uint32_t nm;
    bool wscale;
    bool bias;
};

struct LdCommand {
    Header header;
    uint32_t mode, rows, len;
    uint32_t dst, dst_stride;
    uint32_t src, src_stride;
    uint32_t sidx;
    uint32_t first;
    TileShape shape;
};

struct StCommand {
    Header header;
    uint32_t mode, rows, len;
    uint32_t src, src_stride;
    uint32_t dst, dst_stride, chunk_stride;
    uint32_t pos, first;
    uint32_t heads, head_stride, head_step;
};

struct MmCommand {
    Header header;
    uint32_t rows, tiles, kb, kbg;
    uint32_t act, act_stride;
    uint32_t out, out_stride;
    uint32_t sa, sa_stride;
    uint32_t nm, first;
    bool wscale, bias;
};

struct VxOperand {
    uint32_t kind;
    uint32_t value; // address, or the bits of an immediate
    uint32_t stride;
    uint32_t row; // how its row index follows from the row
};

struct VxCommand {
    Header header;
    uint32_t rows, len;
    VxOperand a, b, c;
    uint32_t op1, op2, func, red;
    uint32_t d_kind, d, d_stride;
    uint32_t sred;
    uint32_t vbase, rmod;
    bool causal;
};

// An in-order queue of a unit: a small RAM.
template <class T, unsigned Depth> struct Queue {
    T items[Depth];
    uint32_t head;
    uint32_t count;

    void clear() {
#pragma HLS INLINE
        head = 0;
        count = 0;
    }
    bool full() const { return count == Depth; }
    bool empty() const { return count == 0; }
    const T& front() const { return items[head]; }
    void push(const T& x) {
#pragma HLS INLINE
        items[(head + count) % Depth] = x;
        ++count;
    }
    void pop() {
#pragma HLS INLINE
        head = (head + 1) % Depth;
        --count;
    }
};

} // namespace fvlm

#endif
