// The kernel of configuration CONFIG behind a C interface whose names begin with API. Registers go by
// their offsets in the register map.
#include "gen/configs.hpp"
#include "src/kernel.hpp"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(x) JOIN(API, x)

using Config = fvlm::CONFIG;
using State = fvlm::State<Config>;

namespace {

// Reports to the caller of the launch.
struct Observer {
    void* caller;
    void (*on_retired)(void*, uint32_t, uint32_t);
    bool (*on_stop)(void*);

    void retired(uint32_t unit, uint32_t pc) { on_retired(caller, unit, pc); }
    bool stop() { return on_stop(caller); }
};

fvlm::Arguments arguments(const uint32_t* csr) {
    fvlm::Arguments a = {};
    a.mem_units = csr[FVLM_CSR_MEM_UNITS / 4];
    a.code_base = csr[FVLM_CSR_CODE_BASE / 4];
    a.code_len = csr[FVLM_CSR_CODE_LEN / 4];
    a.entry = csr[FVLM_CSR_ENTRY / 4];
    a.watchdog = csr[FVLM_CSR_WATCHDOG / 4];
    a.code_units = csr[FVLM_CSR_CODE_UNITS / 4];
    a.channel_units = csr[FVLM_CSR_CHANNEL_UNITS / 4];
    for (unsigned i = 1; i < 16; ++i)
        a.args[i] = csr[FVLM_CSR_ARG1 / 4 + i - 1];
    return a;
}

void put(uint32_t* csr, uint32_t offset, uint64_t value) {
    csr[offset / 4] = static_cast<uint32_t>(value);
    csr[offset / 4 + 1] = static_cast<uint32_t>(value >> 32);
}

} // namespace

extern "C" {

uint32_t NAME(_isa_hash)() { return Config::isa_hash; }

uint32_t NAME(_ports)() { return Config::ports; }

State* NAME(_new)() { return new State(); }

void NAME(_free)(State* state) { delete state; }

void NAME(_launch)(State* state, const uint8_t* main_in, uint32_t* main_out, const uint8_t* const* channel_in,
                   uint8_t* const* channel_out, uint32_t* csr, void* caller,
                   void (*on_retired)(void*, uint32_t, uint32_t), bool (*on_stop)(void*)) {
    fvlm::Ports<Config> ports;
    ports.main_in = reinterpret_cast<const fvlm::Unit*>(main_in);
    ports.main_out = main_out;
    for (unsigned p = 0; p < Config::ports; ++p) {
        ports.channel_in[p] = reinterpret_cast<const fvlm::Unit*>(channel_in[p]);
        ports.channel_out[p] = channel_out[p];
    }
    fvlm::Results r = {};
    Observer observer = {caller, on_retired, on_stop};
    fvlm::launch(*state, ports, arguments(csr), r, observer);
    csr[FVLM_CSR_STATUS / 4] = r.status;
    csr[FVLM_CSR_FAULT_PC / 4] = r.fault_pc;
    put(csr, FVLM_CSR_CNT_DISPATCHED, r.cnt_dispatched);
    put(csr, FVLM_CSR_CNT_RETIRED_LD, r.cnt_retired_ld);
    put(csr, FVLM_CSR_CNT_RETIRED_ST, r.cnt_retired_st);
    put(csr, FVLM_CSR_CNT_RETIRED_MM, r.cnt_retired_mm);
    put(csr, FVLM_CSR_CNT_RETIRED_VX, r.cnt_retired_vx);
    put(csr, FVLM_CSR_CNT_READ_BEATS, r.cnt_read_beats);
    put(csr, FVLM_CSR_CNT_WRITE_BEATS, r.cnt_write_beats);
    put(csr, FVLM_CSR_CNT_MAC_BEATS, r.cnt_mac_beats);
    put(csr, FVLM_CSR_CNT_CHANNEL_READ_BEATS, r.cnt_channel_read_beats);
    put(csr, FVLM_CSR_CNT_CHANNEL_WRITE_BEATS, r.cnt_channel_write_beats);
}

// Memories on the chip, for comparisons.
void NAME(_on_chip)(const State* state, uint32_t* spad, int8_t* abuf, uint32_t* s, uint32_t* r) {
    for (unsigned a = 0; a < Config::spad_words; ++a) {
        for (unsigned l = 0; l < 16; ++l)
            spad[16 * a + l] = state->spad.word(a)[l];
    }
    for (unsigned a = 0; a < Config::abuf_words; ++a) {
        for (unsigned l = 0; l < 16; ++l)
            abuf[16 * a + l] = state->abuf.word(a)[l];
    }
    for (unsigned a = 0; a < Config::s_words; ++a)
        s[a] = state->s[a];
    for (unsigned a = 0; a < 32; ++a)
        r[a] = state->r[a];
}

} // extern "C"
