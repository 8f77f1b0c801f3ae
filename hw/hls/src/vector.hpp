// VX: rows of words through two operations, a table function, a destination and a reduction.
//
// One pipelined loop and no dataflow region: operands and destination may be the same words, and a
// region's memories have one reader or one writer. W words a step are unrolled.
#ifndef FLIGHTVLM_HLS_VECTOR_HPP
#define FLIGHTVLM_HLS_VECTOR_HPP

#include "bounds.hpp"
#include "command.hpp"
#include "memory.hpp"
#include "reduce.hpp"
#include "sfu.hpp"

namespace fvlm {

// Rows of an operand that `rows` rows of a command touch.
inline uint32_t operand_rows(const VxOperand& x, uint32_t rows, uint32_t rmod) {
    if (x.row == FVLM_VX_B_ROW_ROW)
        return rows;
    if (x.row == FVLM_VX_B_ROW_MOD)
        return rmod == 0 || rows < rmod ? rows : rmod;
    return rmod == 0 ? 1 : (rows - 1) / rmod + 1;
}

template <class C> uint32_t check_operand(const VxOperand& x, const VxCommand& c, uint64_t words) {
    const uint32_t rows = operand_rows(x, c.rows, c.rmod);
    if (x.kind == FVLM_VX_B_KIND_SPAD)
        return fits(x.value, rows, x.stride, words, C::spad_words) ? kNoFault : FVLM_FAULT_SPAD;
    if (x.kind == FVLM_VX_B_KIND_S)
        return fits(x.value, rows, x.stride, 1, C::s_words) ? kNoFault : FVLM_FAULT_SMEM;
    return kNoFault;
}

template <class C> uint32_t check_destination(const VxCommand& c, uint64_t words) {
    switch (c.d_kind) {
    case FVLM_VX_D_KIND_SPAD:
        return fits(c.d, c.rows, c.d_stride, words, C::spad_words) ? kNoFault : FVLM_FAULT_SPAD;
    case FVLM_VX_D_KIND_ABUF:
        return fits(c.d, c.rows, c.d_stride, words, C::abuf_words) ? kNoFault : FVLM_FAULT_ABUF;
    case FVLM_VX_D_KIND_S:
        if (c.len > 16)
            return FVLM_FAULT_OPERAND;
        return fits(c.d, c.rows, c.d_stride, 1, C::s_words) ? kNoFault : FVLM_FAULT_SMEM;
    default:
        return kNoFault;
    }
}

template <class C> uint32_t check_vx(const VxCommand& c) {
    if (c.rows == 0 || c.len == 0)
        return kNoFault;
    const uint64_t words = ceil_div(c.len, kLanes);
    uint32_t fault = check_operand<C>(c.a, c, words);
    if (fault == kNoFault)
        fault = check_operand<C>(c.b, c, words);
    if (fault == kNoFault)
        fault = check_operand<C>(c.c, c, words);
    if (fault == kNoFault)
        fault = check_destination<C>(c, words);
    if (fault == kNoFault && c.red != FVLM_VX_RED_NONE && !fits(c.sred, c.rows, 1, 1, C::s_words))
        fault = FVLM_FAULT_SMEM;
    return fault;
}

inline float operation(uint32_t op, float x, float y) {
#pragma HLS INLINE
    switch (op) {
    case FVLM_VX_OP1_ADD: return fadd(x, y);
    case FVLM_VX_OP1_SUB: return fsub(x, y);
    case FVLM_VX_OP1_MUL: return fmul(x, y);
    case FVLM_VX_OP1_MAX: return fmax(x, y);
    default: return x;
    }
}

// What an operand is the same for all elements of a row with: S or an immediate, else zero.
inline float row_scalar(const VxOperand& x, uint32_t s_value) {
#pragma HLS INLINE
    if (x.kind == FVLM_VX_B_KIND_S)
        return as_float(canon_bits(s_value));
    return x.kind == FVLM_VX_B_KIND_IMM ? as_float(canon_bits(x.value)) : 0.0f;
}

// Index of the row among the operand's rows.
inline uint32_t row_index(const VxOperand& x, uint32_t r, uint32_t mod, uint32_t div) {
#pragma HLS INLINE
    return x.row == FVLM_VX_B_ROW_ROW ? r : (x.row == FVLM_VX_B_ROW_MOD ? mod : div);
}

template <class C>
void run_vx(const VxCommand& c, Spad<C>& spad, Abuf<C>& abuf, uint32_t (&s)[C::s_words]) {
    constexpr unsigned W = C::vx_words;
    const uint32_t words = ceil_div(c.len, kLanes);
    const bool vector_a = c.a.kind == FVLM_VX_B_KIND_SPAD;
    const bool vector_b = c.b.kind == FVLM_VX_B_KIND_SPAD;
    const bool vector_c = c.c.kind == FVLM_VX_B_KIND_SPAD;
    // r mod rmod and r div rmod, counted: no divider.
    uint32_t mod = 0, div = 0;
    Reduction<W> red;
    // Registers: all lanes at once.
#pragma HLS ARRAY_PARTITION variable=red.sum complete dim=0
#pragma HLS ARRAY_PARTITION variable=red.best complete dim=0
#pragma HLS ARRAY_PARTITION variable=red.best_index complete dim=0
    for (uint32_t r = 0; r < c.rows && c.len != 0; ++r) {
        const uint32_t limit = c.vbase + mod;
        const uint32_t valid = c.causal && limit < c.len ? limit : c.len;
        const uint32_t a_at = c.a.value + r * c.a.stride;
        const uint32_t b_at = c.b.value + row_index(c.b, r, mod, div) * c.b.stride;
        const uint32_t c_at = c.c.value + row_index(c.c, r, mod, div) * c.c.stride;
        const float a_scalar = row_scalar(c.a, c.a.kind == FVLM_VX_B_KIND_S ? s[a_at] : 0);
        const float b_scalar = row_scalar(c.b, c.b.kind == FVLM_VX_B_KIND_S ? s[b_at] : 0);
        const float c_scalar = row_scalar(c.c, c.c.kind == FVLM_VX_B_KIND_S ? s[c_at] : 0);
        const uint32_t d_at = c.d + r * c.d_stride;
        begin(red, c.red);
        for (uint32_t first = 0; first < words; first += W) {
// A step a cycle. A destination word may be an operand's at the same place and no other (the contract of
// section 6), so no iteration reads what another one writes; a partial sum is read four steps later.
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=spad.bank type=inter false
#pragma HLS DEPENDENCE variable=red.sum type=inter distance=4 true
            Lanes a_words[W], b_words[W], c_words[W], y_words[W];
            bool write[W];
            spad.read_run(a_at + first, vector_a, a_words);
            spad.read_run(b_at + first, vector_b, b_words);
            spad.read_run(c_at + first, vector_c, c_words);
            for (unsigned j = 0; j < W; ++j) {
#pragma HLS UNROLL
                const uint32_t w = first + j;
                const bool in_row = w < words;
                Bytes q_word;
                for (unsigned l = 0; l < kLanes; ++l) {
#pragma HLS UNROLL
                    const uint32_t e = kLanes * w + l;
                    const bool active = e < valid;
                    float y = vector_a ? as_float(canon_bits(a_words[j][l])) : a_scalar;
                    y = operation(c.op1, y, vector_b ? as_float(canon_bits(b_words[j][l])) : b_scalar);
                    y = operation(c.op2, y, vector_c ? as_float(canon_bits(c_words[j][l])) : c_scalar);
                    y = table_function(c.func, y);
                    y = active ? y : 0.0f;
                    y_words[j][l] = as_bits(y);
                    q_word[l] = q8(y);
                    add(red, c.red, j, l, e, active, y);
                }
                write[j] = in_row && c.d_kind == FVLM_VX_D_KIND_SPAD;
                if (in_row && c.d_kind == FVLM_VX_D_KIND_ABUF)
                    abuf.write(d_at + w, q_word);
                if (in_row && c.d_kind == FVLM_VX_D_KIND_S)
                    s[d_at] = y_words[j][0];
            }
            spad.write_run(d_at + first, write, y_words);
            red.steps += 1;
        }
        if (c.red != FVLM_VX_RED_NONE)
            s[c.sred + r] = result(red, c.red);
        mod += 1;
        if (c.rmod != 0 && mod == c.rmod) {
            mod = 0;
            div += 1;
        }
    }
}

} // namespace fvlm

#endif
