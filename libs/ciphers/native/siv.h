/* AES-SIV (RFC 5297) over aes-modes.h. */
#ifndef MERIDIAN_SIV_H
#define MERIDIAN_SIV_H

typedef struct __attribute__((may_alias)) {
  cmac_key mac;
  /* CMAC of a block of zeros, with which S2V starts. */
  block start;
  schedule counter;
} siv_key;

static void siv_expand(aead_key *opaque, const uint8_t *bytes, size_t key_length) {
  _Static_assert(sizeof(siv_key) <= sizeof(aead_key), "an aead_key holds a siv_key");
  siv_key *key = (siv_key *)opaque->state;
  expand_two(&key->mac.aes, &key->counter, bytes, key_length / 2);
  derive_subkeys(&key->mac);
  key->start = encrypt(&key->mac.aes, key->mac.k1);
}

/*
 * The end of CMAC of a plaintext with `sum` added to its last 16 bytes (xorend, RFC 5297 section 2.1). `state` has
 * absorbed all but the last 16 to 31 bytes, which are `end`.
 */
INLINE block cmac_end_with(const cmac_key *key, block state, const uint8_t *end, size_t length, block sum) {
  size_t over = length - BLOCK_BYTES;
  if (over == 0) return encrypt(&key->aes, xor(xor(state, load(end)), xor(sum, key->k1)));

  /* The last 16 bytes straddle a block boundary: sum belongs at `over`. */
  state = encrypt(&key->aes, xor(xor(state, load(end)), window(sum, BLOCK_BYTES - over)));
  block last = xor(load_padded(end + BLOCK_BYTES, over), window(sum, 2 * BLOCK_BYTES - over));
  return encrypt(&key->aes, xor(xor(state, last), key->k2));
}

/*
 * S2V (RFC 5297 section 2.4). The first string and the plaintext, the long ones, are absorbed side by side; what is
 * added to the plaintext touches its last 16 bytes only.
 */
INLINE block s2v(const siv_key *key, const aead_text *text) {
  const aead_string *first = &text->associated[0];
  size_t first_blocks = blocks_before_last(first->length);
  size_t text_blocks = text->plaintext_length < BLOCK_BYTES ? 0 : text->plaintext_length / BLOCK_BYTES - 1;
  const uint8_t *end = text->plaintext + text_blocks * BLOCK_BYTES;
  size_t end_length = text->plaintext_length - text_blocks * BLOCK_BYTES;
  block states[2], sum = key->start;

  absorb_two(&key->mac.aes, states, first->bytes, first_blocks, text->plaintext, text_blocks);
  for (size_t index = 0; index < text->associated_count; index += 1) {
    const aead_string *string = &text->associated[index];
    size_t before = first_blocks * BLOCK_BYTES;
    block mac = index == 0 ? cmac_end(&key->mac, states[0], string->bytes + before, string->length - before)
                           : cmac_of(&key->mac, string->bytes, string->length);
    sum = xor(doubled(sum), mac);
  }
  if (text->plaintext_length >= BLOCK_BYTES) return cmac_end_with(&key->mac, states[1], end, end_length, sum);
  sum = xor(doubled(sum), load_padded(end, end_length));
  return encrypt(&key->mac.aes, xor(sum, key->mac.k1));
}

/*
 * The counter is the whole block, big-endian, but bit 31 of it is cleared at the start (RFC 5297 section 2.5) and a text
 * of 2^31 blocks does not fit an ArrayBuffer's 32-bit offsets: nothing is ever carried out of the last word.
 */
INLINE block siv_counter_block(block start, uint32_t n) {
  return with_last_word(start, __builtin_bswap32(__builtin_bswap32(last_word(start)) + n));
}

INLINE void siv_count(const siv_key *key, block tag, const uint8_t *from, uint8_t *to, size_t length) {
  static const uint8_t mask[BLOCK_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255,
                                            127, 255, 255, 255, 127, 255, 255, 255};
  count_through(&key->counter, siv_counter_block, and(tag, load(mask)), from, to, length);
}

static void siv_seal(const aead_key *opaque, const aead_text *text) {
  const siv_key *key = (const siv_key *)opaque->state;
  block tag = s2v(key, text);
  siv_count(key, tag, text->plaintext, text->ciphertext + AEAD_TAG_BYTES, text->plaintext_length);
  store(text->ciphertext, tag);
}

static int siv_open(const aead_key *opaque, const aead_text *text) {
  const siv_key *key = (const siv_key *)opaque->state;
  block tag = load(text->ciphertext);
  siv_count(key, tag, text->ciphertext + AEAD_TAG_BYTES, text->plaintext, text->plaintext_length);
  if (equal(tag, s2v(key, text))) return 1;
  aead_wipe(text->plaintext, text->plaintext_length);
  return 0;
}

#endif
