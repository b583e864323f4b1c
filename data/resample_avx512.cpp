// SPDX-License-Identifier: Apache-2.0
// As resample_avx2.cpp, with vpdpwssd, which adds two taps to a sum at once, and vpermb, which brings the
// bytes of five neighbouring output pixels into place at once.
#include "data/resample.hpp"

#if defined(__x86_64__)
#include <cstring>
#include <immintrin.h>

#define PETNET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))

namespace petnet::data::detail {
namespace {

PETNET_AVX512 __m512i pair_of(const std::int16_t* weights) {
    std::int32_t pair;
    std::memcpy(&pair, weights, sizeof pair);
    return _mm512_set1_epi32(pair);
}

// No sum is negative: saturation clamps it at 255.
PETNET_AVX512 __m128i joined(__m512i high, __m512i low) {
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high, 11), low);
    const __m512i rounded = _mm512_add_epi32(sum, _mm512_set1_epi32(1 << (weight_bits - 1)));
    return _mm512_cvtusepi32_epi8(_mm512_srli_epi32(rounded, weight_bits));
}

} // namespace

PETNET_AVX512 void resample_rows_avx512(const resample_weights& weights, const std::uint8_t* source,
                                        std::uint8_t* target, std::size_t row_bytes) {
    constexpr std::size_t vector = 32;
    for (std::size_t i = 0; i < weights.out; ++i) {
        const std::int16_t* high = weights.high.data() + i * weights.taps;
        const std::int16_t* low = weights.low.data() + i * weights.taps;
        const std::size_t count = weights.count[i];
        std::uint8_t* out = target + i * row_bytes;
        for (std::size_t x = 0; x < row_bytes; x += vector) {
            __m512i high_0 = _mm512_setzero_si512(), high_1 = high_0, low_0 = high_0, low_1 = high_0;
            const std::uint8_t* row = source + weights.first[i] * row_bytes + x;
            _mm_prefetch(reinterpret_cast<const char*>(row + (count + rows_ahead) * row_bytes), _MM_HINT_T0);
            for (std::size_t j = 0; j < count; j += 2, row += 2 * row_bytes) {
                // An odd last tap pairs with weight 0.
                const std::uint8_t* next = j + 1 < count ? row + row_bytes : row;
                const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
                const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(next));
                const __m512i pairs_0 = _mm512_cvtepu8_epi16(_mm256_unpacklo_epi8(a, b));
                const __m512i pairs_1 = _mm512_cvtepu8_epi16(_mm256_unpackhi_epi8(a, b));
                const __m512i high_pair = pair_of(high + j), low_pair = pair_of(low + j);
                high_0 = _mm512_dpwssd_epi32(high_0, pairs_0, high_pair);
                high_1 = _mm512_dpwssd_epi32(high_1, pairs_1, high_pair);
                low_0 = _mm512_dpwssd_epi32(low_0, pairs_0, low_pair);
                low_1 = _mm512_dpwssd_epi32(low_1, pairs_1, low_pair);
            }
            // Bytes 0-7 and 16-23, and those between and behind them.
            const __m128i even = joined(high_0, low_0), odd = joined(high_1, low_1);
            const __m256i bytes =
                _mm256_set_m128i(_mm_unpackhi_epi64(even, odd), _mm_unpacklo_epi64(even, odd));
            const std::size_t left = row_bytes - x;
            const __mmask32 wanted = left >= vector ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
            _mm256_mask_storeu_epi8(out + x, wanted, bytes);
        }
    }
}

PETNET_AVX512 void resample_columns_avx512(const resample_weights& weights, const std::uint8_t* source,
                                           std::size_t source_stride, std::uint8_t* target,
                                           std::size_t rows) {
    const column_groups& groups = weights.groups;
    constexpr __mmask64 low_bytes = 0x5555555555555555; // of 16-bit values: the high ones are zero
    for (std::size_t y = 0; y < rows; ++y) {
        const std::uint8_t* row = source + y * source_stride;
        const column_groups::step* step = groups.steps.data();
        std::size_t left = weights.out * 3;
        for (const column_groups::window& window : groups.windows) {
            _mm_prefetch(reinterpret_cast<const char*>(row + rows_ahead * source_stride + window.first_byte),
                         _MM_HINT_T0);
            const __m512i pixels =
                _mm512_maskz_loadu_epi8(~__mmask64{0} >> (64 - window.bytes), row + window.first_byte);
            __m512i high = _mm512_setzero_si512(), low = high;
            for (std::size_t j = 0; j < groups.steps_of_window; ++j, ++step) {
                const __m512i pairs =
                    _mm512_maskz_permutexvar_epi8(low_bytes, _mm512_load_si512(step->from.data()), pixels);
                high = _mm512_dpwssd_epi32(high, pairs, _mm512_load_si512(step->high.data()));
                low = _mm512_dpwssd_epi32(low, pairs, _mm512_load_si512(step->low.data()));
            }
            const __m128i bytes = joined(high, low);
            const std::size_t count = left < column_groups::bytes ? left : column_groups::bytes;
            _mm_mask_storeu_epi8(target, static_cast<__mmask16>((1U << count) - 1), bytes);
            target += count;
            left -= count;
        }
    }
}

} // namespace petnet::data::detail

#else

namespace petnet::data::detail {

void resample_rows_avx512(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                          std::size_t row_bytes) {
    resample_rows_portable(weights, source, target, row_bytes);
}

void resample_columns_avx512(const resample_weights& weights, const std::uint8_t* source,
                             std::size_t source_stride, std::uint8_t* target, std::size_t rows) {
    resample_columns_portable(weights, source, source_stride, target, rows);
}

} // namespace petnet::data::detail
#endif
