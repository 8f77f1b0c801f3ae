// C interface of the Verilated model: construction, evaluation, pointers to the pins and to the
// on-chip memories. The clocking and the memory model are in Rust.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "Vfvlm.h"
#include "Vfvlm___024root.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

namespace {
thread_local char stop_message[256];
}

// Called by Verilator for $stop, $error and failed assertions.
void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    const char* name = std::strrchr(file, '/');
    if (!stop_message[0]) {
        std::snprintf(stop_message, sizeof stop_message, "%s:%d", name ? name + 1 : file, line);
    }
}

struct Machine {
    VerilatedContext context;
    Vfvlm top{&context, "fvlm_top"};
#if VM_TRACE_FST
    VerilatedFstC trace;
#endif
};

// Order and types as in src/model.rs.
struct Pins {
    uint8_t *clk, *rst_n;
    uint16_t* s_awaddr;
    uint8_t *s_awvalid, *s_awready;
    uint32_t* s_wdata;
    uint8_t *s_wstrb, *s_wvalid, *s_wready, *s_bvalid, *s_bready;
    uint16_t* s_araddr;
    uint8_t *s_arvalid, *s_arready;
    uint32_t* s_rdata;
    uint8_t *s_rvalid, *s_rready;
    uint64_t* araddr;
    uint8_t *arlen, *arvalid, *arready;
    uint32_t* rdata;
    uint8_t *rresp, *rlast, *rvalid, *rready;
    uint64_t* awaddr;
    uint8_t *awlen, *awvalid, *awready;
    uint32_t* wdata;
    uint64_t* wstrb;
    uint8_t *wlast, *wvalid, *wready, *bresp, *bvalid, *bready;
    uint8_t *active, *retire_valid;
    uint64_t* retire_pc;
    const uint32_t *spad, *abuf, *s, *r;
};

extern "C" {

Machine* fvlm_new() {
    stop_message[0] = 0;
    auto* m = new Machine;
#if VM_TRACE_FST
    m->context.traceEverOn(true);
#endif
    return m;
}

void fvlm_free(Machine* m) {
#if VM_TRACE_FST
    m->trace.close();
#endif
    m->top.final();
    delete m;
}

void fvlm_eval(Machine* m) { m->top.eval(); }

// Where the first assertion failed since the last clear on this thread, or null.
const char* fvlm_stop_message() { return stop_message[0] ? stop_message : nullptr; }
void fvlm_clear_stop() { stop_message[0] = 0; }

int fvlm_trace_open(Machine* m, const char* path, int depth) {
#if VM_TRACE_FST
    m->top.trace(&m->trace, depth);
    m->trace.open(path);
    return m->trace.isOpen();
#else
    (void)m, (void)path, (void)depth;
    return 0;
#endif
}

void fvlm_trace_dump(Machine* m, uint64_t time) {
#if VM_TRACE_FST
    m->trace.dump(time);
#else
    (void)m, (void)time;
#endif
}

void fvlm_pins(Machine* m, Pins* p) {
    auto& t = m->top;
    auto* root = t.rootp;
    *p = Pins{
        &t.clk_i, &t.rst_ni,
        &t.s_axil_awaddr_i, &t.s_axil_awvalid_i, &t.s_axil_awready_o,
        &t.s_axil_wdata_i, &t.s_axil_wstrb_i, &t.s_axil_wvalid_i, &t.s_axil_wready_o,
        &t.s_axil_bvalid_o, &t.s_axil_bready_i,
        &t.s_axil_araddr_i, &t.s_axil_arvalid_i, &t.s_axil_arready_o,
        &t.s_axil_rdata_o, &t.s_axil_rvalid_o, &t.s_axil_rready_i,
        &t.m_axi_araddr_o, &t.m_axi_arlen_o, &t.m_axi_arvalid_o, &t.m_axi_arready_i,
        t.m_axi_rdata_i.data(), &t.m_axi_rresp_i, &t.m_axi_rlast_i, &t.m_axi_rvalid_i,
        &t.m_axi_rready_o,
        &t.m_axi_awaddr_o, &t.m_axi_awlen_o, &t.m_axi_awvalid_o, &t.m_axi_awready_i,
        t.m_axi_wdata_o.data(), &t.m_axi_wstrb_o, &t.m_axi_wlast_o, &t.m_axi_wvalid_o,
        &t.m_axi_wready_i, &t.m_axi_bresp_i, &t.m_axi_bvalid_i, &t.m_axi_bready_o,
        &t.active_o, &t.retire_valid_o, &t.retire_pc_o,
        &root->fvlm_top__DOT__u_compute__DOT__u_spad__DOT__gen_replica__BRA__0__KET____DOT__u_ram__DOT__mem_q[0][0],
        &root->fvlm_top__DOT__u_compute__DOT__u_abuf__DOT__gen_replica__BRA__0__KET____DOT__u_ram__DOT__mem_q[0][0],
        &root->fvlm_top__DOT__u_compute__DOT__u_s__DOT__gen_replica__BRA__0__KET____DOT__u_ram__DOT__mem_q[0],
        &root->fvlm_top__DOT__u_dispatch__DOT__u_scalars__DOT__r_q[0],
    };
}

}  // extern "C"
