/*
 * The AEADs of NTS and AES-CMAC, as an engine: one table of functions for each set of processor instructions that has
 * AES and carry-less multiplication. There is no engine in plain C on purpose: AES by tables leaks its key through
 * the cache, and where the instructions are missing the caller has node:crypto to fall back on.
 *
 * Every length is public. No branch and no address depends on a key, on a plaintext or on a tag, save on the one bit
 * that tells whether a tag verified. Key schedules live in an aead_key that the caller owns and wipes.
 */
#ifndef MERIDIAN_AEAD_ENGINE_H
#define MERIDIAN_AEAD_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* Numbers of the IANA AEAD registry. */
enum { AEAD_SIV_CMAC_256 = 15, AEAD_SIV_CMAC_384 = 16, AEAD_SIV_CMAC_512 = 17, AEAD_AES_128_GCM_SIV = 30 };

enum { AEAD_TAG_BYTES = 16, AEAD_GCM_SIV_NONCE_BYTES = 12, AEAD_MAXIMUM_KEY_BYTES = 64 };

/* Room for two AES-256 schedules and four blocks, opaque outside the engine that filled it. */
typedef struct {
  _Alignas(16) uint8_t state[2 * 16 * 16 + 4 * 16];
} aead_key;

typedef struct {
  const uint8_t *bytes;
  size_t length;
} aead_string;

/*
 * One text. `associated` are the strings that SIV's S2V is fed before the plaintext, one or more, of which the nonce is
 * the last (RFC 5297 section 3); GCM-SIV takes exactly two, the associated data and the nonce. The ciphertext has
 * AEAD_TAG_BYTES more than the plaintext: in front for SIV, behind for GCM-SIV.
 */
typedef struct {
  const aead_string *associated;
  size_t associated_count;
  uint8_t *plaintext;
  size_t plaintext_length;
  uint8_t *ciphertext;
} aead_text;

typedef struct {
  const char *name;
  /* key_length: 32, 48 or 64 (RFC 5297 section 6). */
  void (*siv_expand)(aead_key *key, const uint8_t *bytes, size_t key_length);
  void (*siv_seal)(const aead_key *key, const aead_text *text);
  /* 1 when the tag verifies; else 0, and the plaintext holds zeros. */
  int (*siv_open)(const aead_key *key, const aead_text *text);
  /* key_length: 16 (RFC 8452 has 32 as well; NTS does not use it). */
  void (*gcm_siv_expand)(aead_key *key, const uint8_t *bytes);
  void (*gcm_siv_seal)(const aead_key *key, const aead_text *text);
  int (*gcm_siv_open)(const aead_key *key, const aead_text *text);
  /* AES-CMAC (RFC 4493); key_length: 16, 24 or 32. */
  void (*cmac_expand)(aead_key *key, const uint8_t *bytes, size_t key_length);
  void (*cmac)(const aead_key *key, const uint8_t *message, size_t length, uint8_t mac[16]);
} aead_engine;

/* Each gives null where it was not compiled in or the processor lacks the instructions. */
const aead_engine *aead_engine_x86(void);
const aead_engine *aead_engine_armv8(void);

/* The engine of this machine, null when there is none. */
static inline const aead_engine *aead_engine_here(void) {
  const aead_engine *engine = aead_engine_x86();
  return engine != NULL ? engine : aead_engine_armv8();
}

/* memset that the compiler may not drop. */
static inline void aead_wipe(void *memory, size_t length) {
  __builtin_memset(memory, 0, length);
  __asm__ volatile("" : : "r"(memory) : "memory");
}

#endif
