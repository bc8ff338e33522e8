/* AES on the ARMv8 cryptographic extension (aarch64): the block primitives; the modes are those of aes-x86.c. */
#include "aead-engine.h"

#if defined(__aarch64__) && defined(__linux__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("aes"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("+crypto")
#endif

#include <arm_neon.h>
#include <sys/auxv.h>

#define INLINE static inline __attribute__((always_inline))

typedef uint8x16_t block;

INLINE block load(const uint8_t *from) { return vld1q_u8(from); }
INLINE void store(uint8_t *to, block a) { vst1q_u8(to, a); }
INLINE block zero(void) { return vdupq_n_u8(0); }
INLINE block xor(block a, block b) { return veorq_u8(a, b); }
INLINE block and(block a, block b) { return vandq_u8(a, b); }
INLINE block or(block a, block b) { return vorrq_u8(a, b); }

/* Without a branch that depends on where they differ. */
INLINE int equal(block a, block b) { return vmaxvq_u8(veorq_u8(a, b)) == 0; }

/* Bytes 0-3 and 12-15 replaced, least significant byte first. */
INLINE block with_first_word(block a, uint32_t word) {
  return vreinterpretq_u8_u32(vsetq_lane_u32(word, vreinterpretq_u32_u8(a), 0));
}
INLINE block with_last_word(block a, uint32_t word) {
  return vreinterpretq_u8_u32(vsetq_lane_u32(word, vreinterpretq_u32_u8(a), 3));
}

INLINE uint32_t first_word(block a) { return vgetq_lane_u32(vreinterpretq_u32_u8(a), 0); }
INLINE uint32_t last_word(block a) { return vgetq_lane_u32(vreinterpretq_u32_u8(a), 3); }

/* Byte i of the result is byte indices[i] of a, 0 where that is 128. */
INLINE block shuffled(block a, block indices) { return vqtbl1q_u8(a, indices); }

/*
 * Round 0, rounds 1 … last-1, and the last round of AES, given all round keys. AESE adds its key before SubBytes, not at
 * the end of the round as x86 does, so each round adds the key of the round before it and the last adds two.
 */
INLINE block aes_begin(block a, const block *keys) {
  (void)keys;
  return a;
}
INLINE block aes_middle(block a, const block *keys, int round) { return vaesmcq_u8(vaeseq_u8(a, keys[round - 1])); }
INLINE block aes_end(block a, const block *keys, int last) { return xor(vaeseq_u8(a, keys[last - 1]), keys[last]); }

/* With four equal columns ShiftRows moves nothing, so AESE with no key is SubBytes alone. */
INLINE uint32_t sub_word(uint32_t word) {
  return vgetq_lane_u32(vreinterpretq_u32_u8(vaeseq_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), zero())), 0);
}

/* One step of the AES-128 key schedule (FIPS 197 section 5.2) on whole round keys. */
INLINE block next_key128(block key, uint32_t rcon) {
  const block rotate_last = vreinterpretq_u8_u32(vdupq_n_u32(0x0c0f0e0d));
  block word = vaeseq_u8(vqtbl1q_u8(key, rotate_last), zero());
  key = xor(key, vextq_u8(zero(), key, 12));
  key = xor(key, vextq_u8(zero(), key, 8));
  return xor(key, xor(word, vreinterpretq_u8_u32(vdupq_n_u32(rcon))));
}

/* Multiplication by x in the field of CMAC and SIV (RFC 4493 section 2.3, RFC 5297 section 2.3): big-endian bits. */
INLINE block reversed(block a) {
  a = vrev64q_u8(a);
  return vextq_u8(a, a, 8);
}
INLINE block doubled(block a) {
  const uint32_t polynomial[4] = {0x87, 1, 1, 1};
  a = reversed(a);
  block signs = vreinterpretq_u8_s32(vshrq_n_s32(vreinterpretq_s32_u8(a), 31));
  block carries = vandq_u8(vextq_u8(signs, signs, 12), vreinterpretq_u8_u32(vld1q_u32(polynomial)));
  return reversed(xor(vreinterpretq_u8_u32(vshlq_n_u32(vreinterpretq_u32_u8(a), 1)), carries));
}

/* Carry-less products of 64-bit halves, named low or high for the first and second factor. */
INLINE poly64_t low_half(block a) { return vgetq_lane_p64(vreinterpretq_p64_u8(a), 0); }
INLINE poly64_t high_half(block a) { return vgetq_lane_p64(vreinterpretq_p64_u8(a), 1); }
INLINE block product_low_low(block a, block b) { return vreinterpretq_u8_p128(vmull_p64(low_half(a), low_half(b))); }
INLINE block product_high_high(block a, block b) {
  return vreinterpretq_u8_p128(vmull_high_p64(vreinterpretq_p64_u8(a), vreinterpretq_p64_u8(b)));
}
INLINE block product_low_high(block a, block b) { return vreinterpretq_u8_p128(vmull_p64(low_half(a), high_half(b))); }
INLINE block product_high_low(block a, block b) { return vreinterpretq_u8_p128(vmull_p64(high_half(a), low_half(b))); }
INLINE block halves_swapped(block a) { return vextq_u8(a, a, 8); }
INLINE block low_to_high(block a) { return vextq_u8(zero(), a, 8); }
INLINE block high_to_low(block a) { return vextq_u8(a, zero(), 8); }
INLINE uint64_t low_half_of(block a) { return vgetq_lane_u64(vreinterpretq_u64_u8(a), 0); }
INLINE block both_low(block low, block high) {
  return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(low), vreinterpretq_u64_u8(high)));
}
INLINE block of_halves(uint64_t low, uint64_t high) {
  return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
}

#include "aes-modes.h"
#include "siv.h"
#include "gcm-siv.h"

static const aead_engine engine = AEAD_ENGINE("ARMv8");

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* The kernel's names for these bits of AT_HWCAP (asm/hwcap.h) are HWCAP_AES and HWCAP_PMULL. */
enum { HAS_AES = 1 << 3, HAS_PMULL = 1 << 4 };

const aead_engine *aead_engine_armv8(void) {
  unsigned long has = getauxval(AT_HWCAP);
  return (has & HAS_AES) != 0 && (has & HAS_PMULL) != 0 ? &engine : NULL;
}

#else

const aead_engine *aead_engine_armv8(void) { return NULL; }

#endif
