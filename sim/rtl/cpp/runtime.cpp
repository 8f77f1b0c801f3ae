// What all Verilated models of the process share: where the first assertion failed.
#include <cstdio>
#include <cstring>

#include "verilated.h"

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

extern "C" {
// Where the first assertion failed since the last clear on this thread, or null.
const char* fvlm_stop_message() { return stop_message[0] ? stop_message : nullptr; }
void fvlm_clear_stop() { stop_message[0] = 0; }
}
