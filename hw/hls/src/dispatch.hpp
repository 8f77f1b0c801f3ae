// Dispatcher: scalars, loops and address generators, and the resolution of the other instructions.
#ifndef FLIGHTVLM_HLS_DISPATCH_HPP
#define FLIGHTVLM_HLS_DISPATCH_HPP

#include "bounds.hpp"
#include "command.hpp"

namespace fvlm {

constexpr unsigned kLevels = 4; // nested loops

struct Generator {
    uint32_t base;
    uint32_t stride[kLevels];
    uint32_t off[kLevels];
};

struct LoopFrame {
    uint32_t first, last, left;
};

struct Front {
    uint32_t pc;
    uint32_t code_len;
    uint32_t depth;
    uint32_t r[32];
    Generator agu[16];
    LoopFrame loops[kLevels];
};

inline uint32_t address(const Front& f, uint32_t agu, uint32_t off) {
#pragma HLS INLINE
    const Generator& g = f.agu[agu];
    return g.base + g.off[0] + g.off[1] + g.off[2] + g.off[3] + off;
}

// Count operand as 32 bits.
inline uint32_t count32(const Front& f, uint32_t field) {
#pragma HLS INLINE
    return (field & 0x8000) != 0 ? f.r[field & 31] : field;
}

// Count operand; clears `ok` when it does not fit 16 bits.
inline uint32_t count(const Front& f, uint32_t field, bool& ok) {
#pragma HLS INLINE
    const uint32_t v = count32(f, field);
    ok = ok && v < 65536;
    return v & 0xffff;
}

inline void reset(Front& f, uint32_t entry, uint32_t code_len, const uint32_t args[16]) {
    f.pc = entry;
    f.code_len = code_len;
    f.depth = 0;
    for (unsigned i = 0; i < 32; ++i)
        f.r[i] = i >= 1 && i < 16 ? args[i] : 0;
    for (unsigned i = 0; i < 16; ++i) {
        f.agu[i].base = 0;
        for (unsigned l = 0; l < kLevels; ++l) {
            f.agu[i].stride[l] = 0;
            f.agu[i].off[l] = 0;
        }
    }
}

// Goes to the next instruction, around the innermost loop where its body ends.
inline void advance(Front& f) {
    if (f.depth == 0 || f.loops[f.depth - 1].last != f.pc) {
        f.pc += 1;
        return;
    }
    const unsigned level = f.depth - 1;
    LoopFrame& frame = f.loops[level];
    frame.left -= 1;
    const bool again = frame.left != 0;
    for (unsigned i = 0; i < 16; ++i) {
#pragma HLS UNROLL
        Generator& g = f.agu[i];
        g.off[level] = again ? g.off[level] + g.stride[level] : 0;
    }
    f.pc = again ? frame.first : f.pc + 1;
    f.depth = again ? f.depth : level;
}

// LOOP; gives a fault code.
inline uint32_t enter_loop(Front& f, const LoopFields& x) {
    const uint32_t last = f.pc + x.len;
    const bool inside = f.depth == 0 || last < f.loops[f.depth == 0 ? 0 : f.depth - 1].last;
    if (last >= f.code_len || !inside || f.depth == kLevels)
        return FVLM_FAULT_LOOP;
    const uint32_t left = count32(f, x.count);
    if (left == 0) {
        f.pc = last + 1;
        return kNoFault;
    }
    for (unsigned i = 0; i < 16; ++i) {
#pragma HLS UNROLL
        f.agu[i].off[f.depth] = 0;
    }
    f.loops[f.depth].first = f.pc + 1;
    f.loops[f.depth].last = last;
    f.loops[f.depth].left = left;
    f.depth += 1;
    f.pc += 1;
    return kNoFault;
}

inline void alu(Front& f, const AluFields& a) {
    const uint32_t x = f.r[a.rs];
    const uint32_t y = a.use_imm != 0 ? a.imm : f.r[a.rt];
    uint32_t v = 0;
    switch (a.func) {
    case FVLM_ALU_FUNC_ADD: v = x + y; break;
    case FVLM_ALU_FUNC_SUB: v = x - y; break;
    case FVLM_ALU_FUNC_MUL: v = x * y; break;
    case FVLM_ALU_FUNC_MIN: v = x < y ? x : y; break;
    case FVLM_ALU_FUNC_MAX: v = x > y ? x : y; break;
    case FVLM_ALU_FUNC_SHL: v = x << (y & 31); break;
    case FVLM_ALU_FUNC_SHR: v = x >> (y & 31); break;
    case FVLM_ALU_FUNC_LT: v = x < y ? 1 : 0; break;
    default: v = x == y ? 1 : 0; break;
    }
    if (a.rd != 0)
        f.r[a.rd] = v;
}

inline void seta(Front& f, const SetaFields& s) {
    const uint32_t v = f.r[s.rs] + s.imm;
    Generator& g = f.agu[s.agu];
    if (s.what == FVLM_SETA_WHAT_BASE)
        g.base = v;
    else if (s.what == FVLM_SETA_WHAT_ADVANCE)
        g.base += v;
    else
        g.stride[(s.what - FVLM_SETA_WHAT_STRIDE0) % kLevels] = v;
}

inline Header header(const Front& f, const Insn& w) {
#pragma HLS INLINE
    return Header{f.pc, bits<8, 4>(w), bits<12, 4>(w)};
}

// The resolutions give false when a count is out of range (fault OPERAND).
inline bool resolve(const Front& f, const Insn& w, LdCommand& c) {
    const LdFields x(w);
    bool ok = true;
    c.header = header(f, w);
    c.mode = x.mode;
    c.rows = count(f, x.rows, ok);
    c.len = count(f, x.len, ok);
    c.dst = address(f, x.dst_agu, x.dst_off);
    c.dst_stride = x.dst_stride;
    c.src = address(f, x.src_agu, x.src_off);
    c.src_stride = x.src_stride;
    c.sidx = address(f, x.sidx_agu, x.sidx_off);
    c.first = count(f, x.first, ok);
    c.shape.kb = c.len;
    c.shape.kbg = x.kbg;
    c.shape.fmt = x.fmt;
    c.shape.nm = x.nm;
    c.shape.wscale = x.wscale != 0;
    c.shape.bias = x.bias != 0;
    return ok;
}

inline bool resolve(const Front& f, const Insn& w, StCommand& c) {
    const StFields x(w);
    bool ok = true;
    c.header = header(f, w);
    c.mode = x.mode;
    c.rows = count(f, x.rows, ok);
    c.len = count(f, x.len, ok);
    c.src = address(f, x.src_agu, x.src_off);
    c.src_stride = x.src_stride;
    c.dst = address(f, x.dst_agu, x.dst_off);
    c.dst_stride = x.dst_stride;
    c.chunk_stride = x.chunk_stride;
    c.pos = count(f, x.pos, ok);
    c.first = count(f, x.first, ok);
    c.heads = count(f, x.heads, ok);
    c.head_stride = x.head_stride;
    c.head_step = x.head_step;
    return ok;
}

inline bool resolve(const Front& f, const Insn& w, MmCommand& c) {
    const MmFields x(w);
    bool ok = true;
    c.header = header(f, w);
    c.rows = count(f, x.rows, ok);
    c.tiles = count(f, x.tiles, ok);
    c.kb = count(f, x.kb, ok);
    c.kbg = x.kbg;
    c.act = address(f, x.act_agu, x.act_off);
    c.act_stride = count(f, x.act_stride, ok);
    c.out = address(f, x.out_agu, x.out_off);
    c.out_stride = count(f, x.out_stride, ok);
    c.sa = address(f, x.sa_agu, x.sa_off);
    c.sa_stride = count(f, x.sa_stride, ok);
    c.nm = x.nm;
    c.first = count(f, x.first, ok);
    c.wscale = x.wscale != 0;
    c.bias = x.bias != 0;
    return ok;
}

inline VxOperand vx_operand(const Front& f, uint32_t kind, uint32_t value, uint32_t stride, uint32_t row) {
#pragma HLS INLINE
    const uint32_t at = address(f, value >> 28, value & 0x3ffff);
    return VxOperand{kind, kind == FVLM_VX_B_KIND_IMM ? value : at, stride, row};
}

inline bool resolve(const Front& f, const Insn& w, VxCommand& c) {
    const VxFields x(w);
    bool ok = true;
    c.header = header(f, w);
    c.rows = count(f, x.rows, ok);
    c.len = count(f, x.len, ok);
    c.vbase = 0;
    c.rmod = 0;
    if ((x.causal | x.b_row | x.c_row) != 0) {
        c.vbase = count(f, 0x8000 | kRegVbase, ok);
        c.rmod = count(f, 0x8000 | kRegRmod, ok);
    }
    // Operand a has two kinds; in those of b and c it is never absent or immediate.
    c.a.kind = x.a_kind == FVLM_VX_A_KIND_S ? FVLM_VX_B_KIND_S : FVLM_VX_B_KIND_SPAD;
    c.a.value = address(f, x.a_agu, x.a_off);
    c.a.stride = x.a_stride;
    c.a.row = FVLM_VX_B_ROW_ROW;
    c.b = vx_operand(f, x.b_kind, x.b, x.b_stride, x.b_row);
    c.c = vx_operand(f, x.c_kind, x.c, x.c_stride, x.c_row);
    c.op1 = x.op1;
    c.op2 = x.op2;
    c.func = x.func;
    c.red = x.red;
    c.d_kind = x.d_kind;
    c.d = address(f, x.d_agu, x.d_off);
    c.d_stride = x.d_stride;
    c.sred = address(f, x.sred_agu, x.sred_off);
    c.causal = x.causal != 0;
    return ok;
}

} // namespace fvlm

#endif
