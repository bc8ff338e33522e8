/* AES-128-GCM-SIV (RFC 8452) over aes-modes.h. */
#ifndef MERIDIAN_GCM_SIV_H
#define MERIDIAN_GCM_SIV_H

/* The keys of one nonce (RFC 8452 section 4). */
typedef struct {
  /* Powers 1 … LANES of the authentication key, in the sense of POLYVAL's product. */
  block powers[LANES];
  schedule encryption;
} message_keys;

static void gcm_siv_expand(aead_key *opaque, const uint8_t *bytes) {
  _Static_assert(sizeof(schedule) <= sizeof(aead_key), "an aead_key holds a schedule");
  expand((schedule *)opaque->state, bytes, 16);
}

/* A sum of 256-bit products, each in three parts: low · low, both mixed, high · high. */
typedef struct {
  block low;
  block middle;
  block high;
} products;

INLINE void add_product(products *sum, block a, block b) {
  sum->low = xor(sum->low, product_low_low(a, b));
  sum->middle = xor(sum->middle, xor(product_low_high(a, b), product_high_low(a, b)));
  sum->high = xor(sum->high, product_high_high(a, b));
}

/*
 * Such a sum times x^-128 in the field of POLYVAL (RFC 8452 section 3): its low half is folded upwards twice, 64 bits
 * each, by the polynomial x^128 + x^127 + x^126 + x^121 + 1.
 */
INLINE block reduced(const products *sum) {
  const block polynomial = of_halves(1, 0xc200000000000000u);
  block low = xor(sum->low, low_to_high(sum->middle)), high = xor(sum->high, high_to_low(sum->middle));
  low = xor(halves_swapped(low), product_low_high(low, polynomial));
  low = xor(halves_swapped(low), product_low_high(low, polynomial));
  return xor(high, low);
}

INLINE block polyval_product(block a, block b) {
  products sum = {zero(), zero(), zero()};
  add_product(&sum, a, b);
  return reduced(&sum);
}

INLINE void derive_message_keys(const aead_key *opaque, const uint8_t *nonce, message_keys *keys) {
  block lanes[LANES], input = window(load_part(nonce, AEAD_GCM_SIV_NONCE_BYTES), BLOCK_BYTES - 4);
#pragma GCC unroll 4
  for (int lane = 0; lane < LANES; lane += 1) lanes[lane] = with_first_word(input, (uint32_t)lane);
  encrypt_together((const schedule *)opaque->state, lanes, LANES);
  keys->powers[0] = both_low(lanes[0], lanes[1]);
#pragma GCC unroll 4
  for (int power = 1; power < LANES; power += 1)
    keys->powers[power] = polyval_product(keys->powers[power - 1], keys->powers[0]);
  uint8_t key[BLOCK_BYTES];
  store(key, both_low(lanes[2], lanes[3]));
  expand(&keys->encryption, key, sizeof key);
  aead_wipe(key, sizeof key);
}

/* POLYVAL over bytes padded with zeros, LANES blocks to a reduction: ((s + b0)·H + b1)·H … as a sum of powers of H. */
INLINE block polyval(const block *powers, block state, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    size_t blocks = (length + BLOCK_BYTES - 1) / BLOCK_BYTES;
    products sum = {zero(), zero(), zero()};
    if (blocks > LANES) blocks = LANES;
    for (size_t power = blocks; power > 0; power -= 1) {
      size_t taken = length < BLOCK_BYTES ? length : BLOCK_BYTES;
      block next = taken == BLOCK_BYTES ? load(bytes) : load_part(bytes, taken);
      add_product(&sum, power == blocks ? xor(state, next) : next, powers[power - 1]);
      bytes += taken;
      length -= taken;
    }
    state = reduced(&sum);
  }
  return state;
}

INLINE block gcm_siv_tag(const message_keys *keys, const aead_text *text) {
  static const uint8_t top_bit_off[BLOCK_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                   255, 255, 255, 255, 255, 255, 255, 127};
  const aead_string *ad = &text->associated[0], *nonce = &text->associated[1];
  block state = polyval(keys->powers, zero(), ad->bytes, ad->length);
  state = polyval(keys->powers, state, text->plaintext, text->plaintext_length);
  block lengths = of_halves((uint64_t)ad->length * 8, (uint64_t)text->plaintext_length * 8);
  state = polyval_product(xor(state, lengths), keys->powers[0]);
  state = xor(state, load_part(nonce->bytes, AEAD_GCM_SIV_NONCE_BYTES));
  return encrypt(&keys->encryption, and(state, load(top_bit_off)));
}

/* A little-endian counter in the first four bytes, which wraps within them (RFC 8452 section 4). */
INLINE block gcm_siv_counter_block(block start, uint32_t n) {
  return with_first_word(start, first_word(start) + n);
}

INLINE void gcm_siv_count(const message_keys *keys, block tag, const uint8_t *from, uint8_t *to, size_t length) {
  static const uint8_t top_bit[BLOCK_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128};
  count_through(&keys->encryption, gcm_siv_counter_block, or(tag, load(top_bit)), from, to, length);
}

static void gcm_siv_seal(const aead_key *key, const aead_text *text) {
  message_keys keys;
  derive_message_keys(key, text->associated[1].bytes, &keys);
  block tag = gcm_siv_tag(&keys, text);
  gcm_siv_count(&keys, tag, text->plaintext, text->ciphertext, text->plaintext_length);
  store(text->ciphertext + text->plaintext_length, tag);
  aead_wipe(&keys, sizeof keys);
}

static int gcm_siv_open(const aead_key *key, const aead_text *text) {
  message_keys keys;
  derive_message_keys(key, text->associated[1].bytes, &keys);
  block tag = load(text->ciphertext + text->plaintext_length);
  gcm_siv_count(&keys, tag, text->ciphertext, text->plaintext, text->plaintext_length);
  int verified = equal(tag, gcm_siv_tag(&keys, text));
  aead_wipe(&keys, sizeof keys);
  if (!verified) aead_wipe(text->plaintext, text->plaintext_length);
  return verified;
}

#endif
