// Stand-ins for the vendor's types: just what the kernel uses, with the vendor's results.
#ifndef FLIGHTVLM_HLS_SIM_TYPES_HPP
#define FLIGHTVLM_HLS_SIM_TYPES_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

namespace fvlm {

// Signed integer of W bits: what does not fit wraps.
template <int W> class int_bits {
    static_assert(W > 0 && W < 64, "held in 64 bits");
    int64_t value_;

  public:
    int_bits(int64_t x = 0)
        : value_(static_cast<int64_t>(static_cast<uint64_t>(x) << (64 - W)) >> (64 - W)) {}
    operator int64_t() const { return value_; }
    int_bits& operator+=(int64_t x) { return *this = int_bits(value_ + x); }
};

// Unsigned integer of at most 8 bits.
template <int W> class uint_bits {
    static_assert(W > 0 && W <= 8, "held in a byte");
    uint8_t value_;

  public:
    uint_bits(unsigned x = 0) : value_(static_cast<uint8_t>(x & ((1u << W) - 1))) {}
    operator unsigned() const { return value_; }
};

template <class T, std::size_t N> struct vec {
    T v[N];
    T& operator[](std::size_t i) { return v[i]; }
    const T& operator[](std::size_t i) const { return v[i]; }
};

// A FIFO without end: processes of a dataflow region run one after the other here, so a stream holds
// all that its producer gives.
template <class T> class stream {
    std::vector<T> items_;
    std::size_t next_ = 0;

  public:
    bool empty() const { return next_ == items_.size(); }
    void write(const T& x) { items_.push_back(x); }
    T read() {
        if (empty()) {
            std::fputs("flightvlm-hls: a process reads from an empty stream: its region would hang\n", stderr);
            std::abort();
        }
        T x = std::move(items_[next_++]);
        if (empty()) {
            items_.clear();
            next_ = 0;
        }
        return x;
    }
    bool read_nb(T& x) {
        if (empty())
            return false;
        x = read();
        return true;
    }
};

} // namespace fvlm

#endif
