/*
 * Marks keys and plaintexts as uninitialised for valgrind's memcheck, which then reports every branch and every address
 * that depends on them. Run by aead-engine.test.ts where valgrind is installed. Two reports are right: the branch on
 * whether a tag verified, in siv_open and in gcm_siv_open.
 */
#include "../../native/aead-engine.h"

#include <stdio.h>
#include <valgrind/memcheck.h>

enum { LONGEST = 200, STEP = 13 };

static const aead_engine *engine;
static uint8_t key_bytes[64], ad[LONGEST], nonce[12], plaintext[LONGEST], ciphertext[LONGEST + AEAD_TAG_BYTES];

static void expand(aead_key *key, size_t key_length) {
  VALGRIND_MAKE_MEM_UNDEFINED(key_bytes, sizeof key_bytes);
  VALGRIND_MAKE_MEM_UNDEFINED(plaintext, sizeof plaintext);
  if (key_length == 16) engine->gcm_siv_expand(key, key_bytes);
  else engine->siv_expand(key, key_bytes, key_length);
}

static int seal_and_open(size_t key_length, size_t length) {
  aead_string associated[2] = {{ad, length}, {nonce, sizeof nonce}};
  aead_text text = {associated, 2, plaintext, length, ciphertext};
  aead_key key;
  expand(&key, key_length);
  (key_length == 16 ? engine->gcm_siv_seal : engine->siv_seal)(&key, &text);
  /* What travels is public. */
  VALGRIND_MAKE_MEM_DEFINED(ciphertext, sizeof ciphertext);
  int opened = (key_length == 16 ? engine->gcm_siv_open : engine->siv_open)(&key, &text);
  VALGRIND_MAKE_MEM_DEFINED(&opened, sizeof opened);
  return opened;
}

static void authenticate(size_t key_length, size_t length) {
  aead_key key;
  uint8_t mac[AEAD_TAG_BYTES];
  VALGRIND_MAKE_MEM_UNDEFINED(key_bytes, sizeof key_bytes);
  engine->cmac_expand(&key, key_bytes, key_length);
  engine->cmac(&key, plaintext, length, mac);
}

int main(void) {
  static const size_t aead_keys[] = {16, 32, 48, 64}, cmac_keys[] = {16, 24, 32};
  engine = aead_engine_here();
  if (engine == NULL) return 2;
  for (size_t length = 0; length < LONGEST; length += STEP) {
    for (int index = 0; index < 4; index += 1)
      if (!seal_and_open(aead_keys[index], length)) return 1;
    for (int index = 0; index < 3; index += 1) authenticate(cmac_keys[index], length);
  }
  printf("done\n");
  return 0;
}
