// Fixed-width types, vectors and streams: the vendor's where its headers are on the include path, own
// thin ones with the same spelling elsewhere, so that the kernel compiles with any C++14 compiler.
#ifndef FLIGHTVLM_HLS_TYPES_HPP
#define FLIGHTVLM_HLS_TYPES_HPP

#include <cstddef>
#include <cstdint>

#if defined(__has_include)
#if __has_include(<ap_int.h>) && __has_include(<hls_stream.h>) && __has_include(<hls_vector.h>)
#define FVLM_VENDOR_TYPES 1
#endif
#endif

#ifdef FVLM_VENDOR_TYPES
#include <ap_int.h>
#include <hls_stream.h>
#include <hls_vector.h>

namespace fvlm {
template <int W> using int_bits = ap_int<W>;
template <int W> using uint_bits = ap_uint<W>;
template <class T, std::size_t N> using vec = hls::vector<T, N>;
template <class T> using stream = hls::stream<T>;
} // namespace fvlm
#else
#include "sim_types.hpp"
#endif

namespace fvlm {
using Unit = vec<uint8_t, 64>;   // a memory unit: one beat of a 512-bit port
using Lanes = vec<uint32_t, 16>; // a SPAD or SFIFO word: 16 float bit patterns
using Bytes = vec<int8_t, 16>;   // an ABUF word
} // namespace fvlm

#endif
