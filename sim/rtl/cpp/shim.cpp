// C interface of a Verilated model: construction, evaluation, pointers to the pins and to the on-chip
// memories. Compiled once for each configuration with MODEL (class, also header name), API (name of the
// only symbol it exports) and VX_WORDS (banks of SPAD). The clocking and the memory model are in Rust.
#include <cstdint>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define JOIN_OF(a, b) a##b
#define JOIN(a, b) JOIN_OF(a, b)
#include TEXT(MODEL.h)
#include TEXT(JOIN(MODEL, ___024root.h))
#include "verilated.h"
#include "verilated_fst_c.h"

namespace {

struct Machine {
    VerilatedContext context;
    MODEL top{&context, "fvlm_top"};
    VerilatedFstC trace;
};

// Order and types as in src/pins.rs. Vectors are found by their first byte.
struct PortPins {
    uint8_t *araddr, *arlen, *arvalid, *arready, *rdata, *rresp, *rlast, *rvalid, *rready;
    uint8_t *awaddr, *awlen, *awvalid, *awready, *wdata, *wstrb, *wlast, *wvalid, *wready;
    uint8_t *bresp, *bvalid, *bready;
};
struct Pins {
    uint8_t *clk, *clk2x, *rst_n;
    uint16_t* s_awaddr;
    uint8_t *s_awvalid, *s_awready;
    uint32_t* s_wdata;
    uint8_t *s_wstrb, *s_wvalid, *s_wready, *s_bvalid, *s_bready;
    uint16_t* s_araddr;
    uint8_t *s_arvalid, *s_arready;
    uint32_t* s_rdata;
    uint8_t *s_rvalid, *s_rready;
    PortPins main, channels;
    uint8_t *active, *retire_valid;
    uint64_t* retire_pc;
    const uint32_t* spad[8];
    const uint32_t* abuf[8];
    const uint32_t *s, *r;
};

template <typename T>
uint8_t* bytes(T& x) {
    return reinterpret_cast<uint8_t*>(&x);
}
template <typename T>
const uint32_t* words(const T& x) {
    return reinterpret_cast<const uint32_t*>(&x);
}

void* make() {
    auto* m = new Machine;
    m->context.traceEverOn(true);
    return m;
}

void destroy(void* raw) {
    auto* m = static_cast<Machine*>(raw);
    m->trace.close();
    m->top.final();
    delete m;
}

void evaluate(void* m) { static_cast<Machine*>(m)->top.eval(); }

int trace_open(void* raw, const char* path, int depth) {
    auto* m = static_cast<Machine*>(raw);
    m->top.trace(&m->trace, depth);
    m->trace.open(path);
    return m->trace.isOpen();
}

void trace_dump(void* raw, uint64_t time) { static_cast<Machine*>(raw)->trace.dump(time); }

#define PORT(p)                                                                                      \
    PortPins {                                                                                       \
        bytes(t.p##araddr_o), bytes(t.p##arlen_o), bytes(t.p##arvalid_o), bytes(t.p##arready_i),     \
            bytes(t.p##rdata_i), bytes(t.p##rresp_i), bytes(t.p##rlast_i), bytes(t.p##rvalid_i),     \
            bytes(t.p##rready_o), bytes(t.p##awaddr_o), bytes(t.p##awlen_o), bytes(t.p##awvalid_o),  \
            bytes(t.p##awready_i), bytes(t.p##wdata_o), bytes(t.p##wstrb_o), bytes(t.p##wlast_o),    \
            bytes(t.p##wvalid_o), bytes(t.p##wready_i), bytes(t.p##bresp_i), bytes(t.p##bvalid_i),   \
            bytes(t.p##bready_o)                                                                     \
    }

// The replica of the first reader stands for all: they are written alike.
#define REPLICA __DOT__gen_replica__BRA__0__KET____DOT__u_ram__DOT__mem_q
#define BANK(ram, bank) \
    words(JOIN(root->fvlm_top__DOT__u_compute__DOT__##ram##__DOT__gen_bank__BRA__##bank##__KET____DOT__u_bank, REPLICA))

void pins(void* raw, Pins* p) {
    auto& t = static_cast<Machine*>(raw)->top;
    auto* root = t.rootp;
    *p = Pins{
        &t.clk_i, &t.clk2x_i, &t.rst_ni,
        &t.s_axil_awaddr_i, &t.s_axil_awvalid_i, &t.s_axil_awready_o,
        &t.s_axil_wdata_i, &t.s_axil_wstrb_i, &t.s_axil_wvalid_i, &t.s_axil_wready_o,
        &t.s_axil_bvalid_o, &t.s_axil_bready_i,
        &t.s_axil_araddr_i, &t.s_axil_arvalid_i, &t.s_axil_arready_o,
        &t.s_axil_rdata_o, &t.s_axil_rvalid_o, &t.s_axil_rready_i,
        PORT(m_axi_), PORT(m_ch_),
        &t.active_o, &t.retire_valid_o, &t.retire_pc_o,
        {
            BANK(u_spad, 0),
#if VX_WORDS > 1
            BANK(u_spad, 1),
#endif
#if VX_WORDS > 2
            BANK(u_spad, 2), BANK(u_spad, 3),
#endif
        },
        {
            BANK(u_abuf, 0), BANK(u_abuf, 1), BANK(u_abuf, 2), BANK(u_abuf, 3),
            BANK(u_abuf, 4), BANK(u_abuf, 5), BANK(u_abuf, 6), BANK(u_abuf, 7),
        },
        words(JOIN(root->fvlm_top__DOT__u_compute__DOT__u_s, REPLICA)),
        words(root->fvlm_top__DOT__u_dispatch__DOT__u_scalars__DOT__r_q),
    };
}

struct Api {
    void* (*make)();
    void (*destroy)(void*);
    void (*evaluate)(void*);
    int (*trace_open)(void*, const char*, int);
    void (*trace_dump)(void*, uint64_t);
    void (*pins)(void*, Pins*);
};

}  // namespace

extern "C" const Api API;
extern "C" const Api API = {make, destroy, evaluate, trace_open, trace_dump, pins};
