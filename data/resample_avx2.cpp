// SPDX-License-Identifier: Apache-2.0
// A 22-bit weight does not fit vpmaddwd's 16 bits and vpmulld takes two slow multiplications, so a weight is
// split into 11-bit halves: two vpmaddwd add two taps each, and the sums are joined at the end, exactly.
#include "data/resample.hpp"

#if defined(__x86_64__)
#include <cstring>
#include <immintrin.h>

#define PETNET_AVX2 __attribute__((target("avx2")))

namespace petnet::data::detail {
namespace {

// Two 16-bit weights side by side, as the 32-bit lane that vpmaddwd multiplies with a pair of values.
std::int32_t pair_at(const std::int16_t* weights) {
    std::int32_t pair;
    std::memcpy(&pair, weights, sizeof pair);
    return pair;
}

PETNET_AVX2 __m256i joined(__m256i high, __m256i low) {
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 11), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (weight_bits - 1))), weight_bits);
}

// 16 bytes of one output row, from `count` input rows.
PETNET_AVX2 __m128i weighted_bytes(const std::uint8_t* source, std::size_t row_bytes, std::size_t count,
                                   const std::int16_t* high, const std::int16_t* low) {
    __m256i high_0 = _mm256_setzero_si256();
    __m256i high_1 = high_0;
    __m256i low_0 = high_0;
    __m256i low_1 = high_0;
    _mm_prefetch(reinterpret_cast<const char*>(source + (count + rows_ahead) * row_bytes), _MM_HINT_T0);
    for (std::size_t j = 0; j < count; j += 2) {
        const std::uint8_t* row = source + j * row_bytes;
        const std::uint8_t* next =
            j + 1 < count ? row + row_bytes : row; // an odd last tap pairs with weight 0
        const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(next));
        const __m256i pairs_0 = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
        const __m256i pairs_1 = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
        const __m256i high_weights = _mm256_set1_epi32(pair_at(high + j));
        const __m256i low_weights = _mm256_set1_epi32(pair_at(low + j));
        high_0 = _mm256_add_epi32(high_0, _mm256_madd_epi16(pairs_0, high_weights));
        high_1 = _mm256_add_epi32(high_1, _mm256_madd_epi16(pairs_1, high_weights));
        low_0 = _mm256_add_epi32(low_0, _mm256_madd_epi16(pairs_0, low_weights));
        low_1 = _mm256_add_epi32(low_1, _mm256_madd_epi16(pairs_1, low_weights));
    }
    const __m256i words = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(joined(high_0, low_0), joined(high_1, low_1)), _MM_SHUFFLE(3, 1, 2, 0));
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// One output pixel from `count` neighbouring RGB pixels, in the low three bytes.
PETNET_AVX2 std::int32_t weighted_pixel(const std::uint8_t* pixels, std::size_t count,
                                        const std::int16_t* high, const std::int16_t* low) {
    // From four pixels: lane 0 the pairs (r0 r1) (g0 g1) (b0 b1), lane 1 those of pixels 2 and 3, 16 bits
    // each.
    const __m256i to_pairs = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
                                              6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i to_lanes = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m256i high_sum = _mm256_setzero_si256();
    __m256i low_sum = high_sum;
    for (std::size_t j = 0; j < count; j += 4) {
        const __m256i four =
            _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels + 3 * j)));
        const __m256i pairs = _mm256_shuffle_epi8(four, to_pairs);
        const __m256i high_weights = _mm256_permutevar8x32_epi32(
            _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(high + j))), to_lanes);
        const __m256i low_weights = _mm256_permutevar8x32_epi32(
            _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low + j))), to_lanes);
        high_sum = _mm256_add_epi32(high_sum, _mm256_madd_epi16(pairs, high_weights));
        low_sum = _mm256_add_epi32(low_sum, _mm256_madd_epi16(pairs, low_weights));
    }
    const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high_sum, 11), low_sum);
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    const __m128i values =
        _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << (weight_bits - 1))), weight_bits);
    const __m128i words = _mm_packs_epi32(values, values);
    return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

} // namespace

PETNET_AVX2 void resample_rows_avx2(const resample_weights& weights, const std::uint8_t* source,
                                    std::uint8_t* target, std::size_t row_bytes) {
    constexpr std::size_t vector = 16;
    for (std::size_t i = 0; i < weights.out; ++i) {
        const std::uint8_t* rows = source + weights.first[i] * row_bytes;
        const std::int16_t* high = weights.high.data() + i * weights.taps;
        const std::int16_t* low = weights.low.data() + i * weights.taps;
        std::uint8_t* row = target + i * row_bytes;
        std::size_t x = 0;
        for (; x + vector <= row_bytes; x += vector)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row + x),
                             weighted_bytes(rows + x, row_bytes, weights.count[i], high, low));
        if (x == row_bytes) continue;
        alignas(16) std::uint8_t last[vector];
        _mm_store_si128(reinterpret_cast<__m128i*>(last),
                        weighted_bytes(rows + x, row_bytes, weights.count[i], high, low));
        std::memcpy(row + x, last, row_bytes - x);
    }
}

PETNET_AVX2 void resample_columns_avx2(const resample_weights& weights, const std::uint8_t* source,
                                       std::size_t source_stride, std::uint8_t* target, std::size_t rows) {
    for (std::size_t y = 0; y < rows; ++y) {
        const std::uint8_t* row = source + y * source_stride;
        for (std::size_t i = 0; i < weights.out; ++i, target += 3) {
            const std::uint8_t* pixels = row + std::size_t{weights.first[i]} * 3;
            _mm_prefetch(reinterpret_cast<const char*>(pixels + rows_ahead * source_stride), _MM_HINT_T0);
            const std::size_t weights_at = i * weights.taps;
            const std::int32_t pixel = weighted_pixel(
                pixels, weights.count[i], weights.high.data() + weights_at, weights.low.data() + weights_at);
            // The fourth byte falls on the next pixel, which comes later, but not past the end of the row.
            std::memcpy(target, &pixel, i + 1 < weights.out ? 4 : 3);
        }
    }
}

} // namespace petnet::data::detail

#else

namespace petnet::data::detail {

void resample_rows_avx2(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                        std::size_t row_bytes) {
    resample_rows_portable(weights, source, target, row_bytes);
}

void resample_columns_avx2(const resample_weights& weights, const std::uint8_t* source,
                           std::size_t source_stride, std::uint8_t* target, std::size_t rows) {
    resample_columns_portable(weights, source, source_stride, target, rows);
}

} // namespace petnet::data::detail
#endif
