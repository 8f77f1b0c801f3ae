// Test bench of the top function: replays launches from case files and compares memories, faults and
// counters with what the instruction-level simulator gave. For csim, cosim and any C++ compiler.
//
//   replay CASE...      (built with -include flightvlm_hls_sim.hpp -DCONFIG=Sim)
//
// Cases run one after the other on one kernel, whose memories on the chip keep their contents.
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

using Config = fvlm::CONFIG;

constexpr uint32_t kMagic = 0x434c5646; // FVLC
constexpr unsigned kCounters = 10;

// One launch: tests/src/replay.rs writes it.
struct Case {
    fvlm::Arguments arguments;
    uint32_t status, fault_pc;
    uint64_t counters[kCounters];
    std::vector<uint8_t> main_before, main_after;
    std::vector<std::vector<uint8_t>> channels_before, channels_after; // by port
};

struct Reader {
    std::FILE* file;
    bool good;

    void bytes(void* to, size_t n) { good = good && std::fread(to, 1, n, file) == n; }
    uint32_t word() {
        uint32_t x = 0;
        bytes(&x, sizeof x);
        return x;
    }
    std::vector<uint8_t> memory(size_t units) {
        std::vector<uint8_t> out(good ? units * fvlm::kUnitBytes : 0);
        if (!out.empty())
            bytes(out.data(), out.size());
        return out;
    }
};

bool load(const char* path, Case& c) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) {
        std::fprintf(stderr, "%s: cannot be opened\n", path);
        return false;
    }
    Reader r = {file, true};
    const uint32_t magic = r.word(), hash = r.word();
    if (magic != kMagic || hash != Config::isa_hash) {
        std::fprintf(stderr, "%s: expected a case of ISA %#x, got one of %#x\n", path, Config::isa_hash, hash);
        std::fclose(file);
        return false;
    }
    fvlm::Arguments& a = c.arguments;
    a = fvlm::Arguments{};
    for (uint32_t* field : {&a.mem_units, &a.channel_units, &a.code_base, &a.code_len, &a.entry, &a.watchdog,
                            &a.code_units})
        *field = r.word();
    for (unsigned i = 0; i < 16; ++i)
        a.args[i] = r.word();
    c.status = r.word();
    c.fault_pc = r.word();
    r.bytes(c.counters, sizeof c.counters);
    for (auto* when : {&c.main_before, &c.main_after})
        *when = r.memory(a.mem_units);
    for (auto* when : {&c.channels_before, &c.channels_after}) {
        when->clear();
        for (unsigned p = 0; p < Config::ports; ++p)
            when->push_back(r.memory(size_t(a.channel_units) * Config::channels_per_port));
    }
    std::fclose(file);
    if (!r.good)
        std::fprintf(stderr, "%s: ends too early\n", path);
    return r.good;
}

bool same(const char* path, const char* what, unsigned index, const std::vector<uint8_t>& a,
          const std::vector<uint8_t>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i]) {
            std::fprintf(stderr, "%s: %s %u differs at %#zx: expected %#x, got %#x\n", path, what, index, i, b[i],
                         a[i]);
            return false;
        }
    }
    return true;
}

bool run(const char* path) {
    Case c;
    if (!load(path, c))
        return false;
    fvlm::Ports<Config> ports;
    // The port's memory is read as units and written as words.
    ports.main_in = reinterpret_cast<const fvlm::Unit*>(c.main_before.data());
    ports.main_out = reinterpret_cast<uint32_t*>(c.main_before.data());
    for (unsigned p = 0; p < Config::ports; ++p) {
        ports.channel_in[p] = reinterpret_cast<const fvlm::Unit*>(c.channels_before[p].data());
        ports.channel_out[p] = c.channels_before[p].data();
    }
    fvlm::Results r = {};
    fvlm::call_top(ports, c.arguments, r);
    bool good = r.isa_hash == Config::isa_hash && r.status == c.status && r.fault_pc == c.fault_pc;
    if (!good)
        std::fprintf(stderr, "%s: expected status %#x at %u, got %#x at %u\n", path, c.status, c.fault_pc, r.status,
                     r.fault_pc);
    const uint64_t counters[kCounters] = {r.cnt_dispatched,  r.cnt_retired_ld,         r.cnt_retired_st,
                                          r.cnt_retired_mm,  r.cnt_retired_vx,         r.cnt_read_beats,
                                          r.cnt_write_beats, r.cnt_channel_read_beats, r.cnt_channel_write_beats,
                                          r.cnt_mac_beats};
    // A fault ends a launch in the middle of work that executors count differently.
    for (unsigned i = 0; i < kCounters && c.status == 0; ++i) {
        if (counters[i] != c.counters[i]) {
            std::fprintf(stderr, "%s: counter %u: expected %llu, got %llu\n", path, i,
                         static_cast<unsigned long long>(c.counters[i]), static_cast<unsigned long long>(counters[i]));
            good = false;
        }
    }
    good = same(path, "main memory", 0, c.main_before, c.main_after) && good;
    for (unsigned p = 0; p < Config::ports; ++p)
        good = same(path, "memory of port", p, c.channels_before[p], c.channels_after[p]) && good;
    return good;
}

} // namespace

int main(int argc, char** argv) {
    int failed = 0;
    for (int i = 1; i < argc; ++i)
        failed += run(argv[i]) ? 0 : 1;
    std::printf("%d launches replayed, %d differ\n", argc - 1, failed);
    return argc > 1 && failed == 0 ? 0 : 1;
}
