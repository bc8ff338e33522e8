/* AES on AES-NI and PCLMULQDQ (x86-64): the block primitives; siv.h and gcm-siv.h are written once over them. */
#include "aead-engine.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("aes,pclmul,ssse3,sse4.1"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("aes,pclmul,ssse3,sse4.1")
#endif

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m128i block;

INLINE block load(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)from); }
INLINE void store(uint8_t *to, block a) { _mm_storeu_si128((__m128i *)to, a); }
INLINE block zero(void) { return _mm_setzero_si128(); }
INLINE block xor(block a, block b) { return _mm_xor_si128(a, b); }
INLINE block and(block a, block b) { return _mm_and_si128(a, b); }
INLINE block or(block a, block b) { return _mm_or_si128(a, b); }

/* Without a branch that depends on where they differ. */
INLINE int equal(block a, block b) { return _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) == 0xffff; }

/* Bytes 0-3 and 12-15 replaced, least significant byte first. */
INLINE block with_first_word(block a, uint32_t word) { return _mm_insert_epi32(a, (int)word, 0); }
INLINE block with_last_word(block a, uint32_t word) { return _mm_insert_epi32(a, (int)word, 3); }

INLINE uint32_t first_word(block a) { return (uint32_t)_mm_cvtsi128_si32(a); }
INLINE uint32_t last_word(block a) { return (uint32_t)_mm_extract_epi32(a, 3); }

/* Byte i of the result is byte indices[i] of a, 0 where that is 128. */
INLINE block shuffled(block a, block indices) { return _mm_shuffle_epi8(a, indices); }

/* Round 0, rounds 1 … last-1, and the last round of AES, given all round keys. */
INLINE block aes_begin(block a, const block *keys) { return xor(a, keys[0]); }
INLINE block aes_middle(block a, const block *keys, int round) { return _mm_aesenc_si128(a, keys[round]); }
INLINE block aes_end(block a, const block *keys, int last) { return _mm_aesenclast_si128(a, keys[last]); }

/* With four equal columns ShiftRows moves nothing, so the last round is SubBytes alone. */
INLINE uint32_t sub_word(uint32_t word) {
  return (uint32_t)_mm_cvtsi128_si32(_mm_aesenclast_si128(_mm_set1_epi32((int)word), zero()));
}

/* One step of the AES-128 key schedule (FIPS 197 section 5.2) on whole round keys. */
INLINE block next_key128(block key, uint32_t rcon) {
  const block rotate_last = _mm_set1_epi32(0x0c0f0e0d);
  block word = _mm_aesenclast_si128(_mm_shuffle_epi8(key, rotate_last), _mm_set1_epi32((int)rcon));
  key = xor(key, _mm_slli_si128(key, 4));
  key = xor(key, _mm_slli_si128(key, 8));
  return xor(key, word);
}

/* Multiplication by x in the field of CMAC and SIV (RFC 4493 section 2.3, RFC 5297 section 2.3): big-endian bits. */
INLINE block doubled(block a) {
  const block reverse = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  a = _mm_shuffle_epi8(a, reverse);
  block carries = _mm_shuffle_epi32(_mm_srai_epi32(a, 31), 0x93);
  a = xor(_mm_slli_epi32(a, 1), and(carries, _mm_set_epi32(1, 1, 1, 0x87)));
  return _mm_shuffle_epi8(a, reverse);
}

/* Carry-less products of 64-bit halves, named low or high for the first and second factor. */
INLINE block product_low_low(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x00); }
INLINE block product_high_high(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x11); }
INLINE block product_low_high(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x10); }
INLINE block product_high_low(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x01); }
INLINE block halves_swapped(block a) { return _mm_shuffle_epi32(a, 0x4e); }
INLINE block low_to_high(block a) { return _mm_slli_si128(a, 8); }
INLINE block high_to_low(block a) { return _mm_srli_si128(a, 8); }
INLINE uint64_t low_half_of(block a) { return (uint64_t)_mm_cvtsi128_si64(a); }
INLINE block both_low(block low, block high) { return _mm_unpacklo_epi64(low, high); }
INLINE block of_halves(uint64_t low, uint64_t high) { return _mm_set_epi64x((long long)high, (long long)low); }

#include "aes-modes.h"
#include "siv.h"
#include "gcm-siv.h"

static const aead_engine engine = AEAD_ENGINE("AES-NI");

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const aead_engine *aead_engine_x86(void) {
  __builtin_cpu_init();
  int able = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  return able ? &engine : NULL;
}

#else

const aead_engine *aead_engine_x86(void) { return NULL; }

#endif
