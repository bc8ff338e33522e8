/*
 * Key schedule, CMAC and counter mode over the block primitives of the file that includes this one (aes-x86.c,
 * aes-armv8.c). Nothing here is specific to a processor.
 */
#ifndef MERIDIAN_AES_MODES_H
#define MERIDIAN_AES_MODES_H

enum { BLOCK_BYTES = 16, MAXIMUM_ROUNDS = 14, LANES = 4 };

typedef struct __attribute__((may_alias)) {
  block keys[MAXIMUM_ROUNDS + 1];
  int rounds;
} schedule;

static void expand_words(schedule *key, const uint8_t *bytes, int key_words) {
  uint32_t words[4 * (MAXIMUM_ROUNDS + 1)];
  uint32_t rcon = 1;
  __builtin_memcpy(words, bytes, 4 * (size_t)key_words);
  for (int index = key_words; index < 4 * (key->rounds + 1); index += 1) {
    uint32_t word = words[index - 1];
    if (index % key_words == 0) {
      word = sub_word(word >> 8 | word << 24) ^ rcon;
      rcon <<= 1;
    } else if (key_words > 6 && index % key_words == 4) {
      word = sub_word(word);
    }
    words[index] = words[index - key_words] ^ word;
  }
  for (int round = 0; round <= key->rounds; round += 1) key->keys[round] = load((const uint8_t *)(words + 4 * round));
  aead_wipe(words, sizeof words);
}

/* The round constants of AES-128. */
static const uint32_t rcons[10] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};

/*
 * The key schedules (FIPS 197 section 5.2) of two keys of `length` bytes, 16, 24 or 32, one behind the other. NTS has new
 * keys in each packet, so both are expanded side by side: each hides the other's waiting.
 */
INLINE void expand_two(schedule *one, schedule *other, const uint8_t *bytes, size_t length) {
  one->rounds = other->rounds = (int)(length / 4) + 6;
  if (length == 16) {
    one->keys[0] = load(bytes);
    other->keys[0] = load(bytes + 16);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round += 1) {
      one->keys[round + 1] = next_key128(one->keys[round], rcons[round]);
      other->keys[round + 1] = next_key128(other->keys[round], rcons[round]);
    }
  } else {
    expand_words(one, bytes, (int)(length / 4));
    expand_words(other, bytes + length, (int)(length / 4));
  }
}

/* One key schedule. */
INLINE void expand(schedule *key, const uint8_t *bytes, size_t length) {
  key->rounds = (int)(length / 4) + 6;
  if (length != 16) {
    expand_words(key, bytes, (int)(length / 4));
    return;
  }
  key->keys[0] = load(bytes);
#pragma GCC unroll 10
  for (int round = 0; round < 10; round += 1) key->keys[round + 1] = next_key128(key->keys[round], rcons[round]);
}

/*
 * `count` blocks in place, a constant where it is called. Each AES instruction waits for the one before it on the same
 * block, so a few blocks cost hardly more than one.
 */
INLINE void encrypt_together(const schedule *key, block *blocks, int count) {
#pragma GCC unroll 4
  for (int lane = 0; lane < count; lane += 1) blocks[lane] = aes_begin(blocks[lane], key->keys);
#pragma GCC unroll 9
  for (int round = 1; round < 10; round += 1)
#pragma GCC unroll 4
    for (int lane = 0; lane < count; lane += 1) blocks[lane] = aes_middle(blocks[lane], key->keys, round);
  for (int round = 10; round < key->rounds; round += 1)
#pragma GCC unroll 4
    for (int lane = 0; lane < count; lane += 1) blocks[lane] = aes_middle(blocks[lane], key->keys, round);
#pragma GCC unroll 4
  for (int lane = 0; lane < count; lane += 1) blocks[lane] = aes_end(blocks[lane], key->keys, key->rounds);
}

INLINE block encrypt(const schedule *key, block a) {
  encrypt_together(key, &a, 1);
  return a;
}

/* ---- parts of blocks: read and written as overlapping words, never past their end */

INLINE uint64_t load_word(const uint8_t *from, size_t bytes) {
  uint64_t word = 0;
  __builtin_memcpy(&word, from, bytes);
  return word;
}

/* Up to 15 bytes and then the byte `after`, rest zeros. */
INLINE block load_part_then(const uint8_t *from, size_t length, uint64_t after) {
  if (length >= 8) {
    size_t over = length - 8;
    uint64_t high = over == 0 ? 0 : load_word(from + over, 8) >> (64 - 8 * over);
    return of_halves(load_word(from, 8), high | after << 8 * over);
  }
  uint64_t low = 0;
  if (length >= 4) low = load_word(from, 4) | load_word(from + length - 4, 4) << 8 * (length - 4);
  else if (length > 0) {
    size_t middle = length / 2, last = length - 1;
    low = (uint64_t)from[0] | (uint64_t)from[middle] << 8 * middle | (uint64_t)from[last] << 8 * last;
  }
  return of_halves(low | after << 8 * length, 0);
}

/* Padded with zeros: POLYVAL. */
INLINE block load_part(const uint8_t *from, size_t length) { return load_part_then(from, length, 0); }

/* Padded with the bits 1 0 0 …: CMAC and S2V. */
INLINE block load_padded(const uint8_t *from, size_t length) { return load_part_then(from, length, 0x80); }

INLINE void store_part(uint8_t *to, block a, size_t length) {
  uint64_t low = low_half_of(a);
  if (length >= 8) {
    size_t over = length - 8;
    uint64_t end = over == 0 ? low : low >> 8 * over | low_half_of(halves_swapped(a)) << (64 - 8 * over);
    __builtin_memcpy(to, &low, 8);
    __builtin_memcpy(to + over, &end, 8);
    return;
  }
  for (size_t index = 0; index < length; index += 1) to[index] = (uint8_t)(low >> 8 * index);
}

/* 16 bytes from `start` of: 16 zeros, the block, 16 zeros. */
INLINE block window(block a, size_t start) {
  static const uint8_t indices[48] = {
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  15,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
  };
  return shuffled(a, load(indices + start));
}

/* A key of AES-CMAC with its subkeys: k1 for a whole last block, k2 for a padded one (RFC 4493 section 2.3). */
typedef struct __attribute__((may_alias)) {
  schedule aes;
  block k1;
  block k2;
} cmac_key;

INLINE void derive_subkeys(cmac_key *key) {
  key->k1 = doubled(encrypt(&key->aes, zero()));
  key->k2 = doubled(key->k1);
}

/* CBC-MAC of whole blocks, from a state. */
INLINE block absorb(const schedule *key, block state, const uint8_t *bytes, size_t blocks) {
  for (; blocks > 0; blocks -= 1, bytes += BLOCK_BYTES) state = encrypt(key, xor(state, load(bytes)));
  return state;
}

/* Two of them from nothing, side by side: an encryption waits for the one before it, so two cost hardly more than one. */
INLINE void absorb_two(const schedule *key, block states[2], const uint8_t *one, size_t one_blocks,
                       const uint8_t *other, size_t other_blocks) {
  size_t common = one_blocks < other_blocks ? one_blocks : other_blocks;
  block both[2] = {zero(), zero()};
  for (size_t at = 0; at < common * BLOCK_BYTES; at += BLOCK_BYTES) {
    both[0] = xor(both[0], load(one + at));
    both[1] = xor(both[1], load(other + at));
    encrypt_together(key, both, 2);
  }
  states[0] = absorb(key, both[0], one + common * BLOCK_BYTES, one_blocks - common);
  states[1] = absorb(key, both[1], other + common * BLOCK_BYTES, other_blocks - common);
}

/* How many blocks of a message come before the last one, which CMAC treats apart. */
INLINE size_t blocks_before_last(size_t length) { return length == 0 ? 0 : (length - 1) / BLOCK_BYTES; }

/* The end of AES-CMAC (RFC 4493 section 2.4): `state` has absorbed all but the last block. */
INLINE block cmac_end(const cmac_key *key, block state, const uint8_t *last, size_t length) {
  block end = length == BLOCK_BYTES ? xor(load(last), key->k1) : xor(load_padded(last, length), key->k2);
  return encrypt(&key->aes, xor(state, end));
}

INLINE block cmac_of(const cmac_key *key, const uint8_t *message, size_t length) {
  size_t before = blocks_before_last(length);
  block state = absorb(&key->aes, zero(), message, before);
  return cmac_end(key, state, message + before * BLOCK_BYTES, length - before * BLOCK_BYTES);
}

/*
 * Counter mode. `counter(start, n)` is the n-th counter block after start: the modes of this folder count in different
 * places. In place is allowed.
 */
typedef block (*counter_block)(block start, uint32_t n);

INLINE void count_through(const schedule *key, counter_block counter, block start, const uint8_t *from, uint8_t *to,
                          size_t length) {
  uint32_t n = 0;
  block lanes[LANES];
  for (; length > 0; n += LANES) {
#pragma GCC unroll 4
    for (int lane = 0; lane < LANES; lane += 1) lanes[lane] = counter(start, n + (uint32_t)lane);
    encrypt_together(key, lanes, LANES);
#pragma GCC unroll 4
    for (int lane = 0; lane < LANES; lane += 1) {
      if (length < BLOCK_BYTES) {
        store_part(to, xor(load_part(from, length), lanes[lane]), length);
        return;
      }
      store(to, xor(load(from), lanes[lane]));
      from += BLOCK_BYTES;
      to += BLOCK_BYTES;
      length -= BLOCK_BYTES;
    }
  }
}

static void cmac_expand(aead_key *key, const uint8_t *bytes, size_t length) {
  _Static_assert(sizeof(cmac_key) <= sizeof(aead_key), "an aead_key holds a cmac_key");
  cmac_key *prepared = (cmac_key *)key->state;
  expand(&prepared->aes, bytes, length);
  derive_subkeys(prepared);
}

static void cmac(const aead_key *key, const uint8_t *message, size_t length, uint8_t mac[BLOCK_BYTES]) {
  store(mac, cmac_of((const cmac_key *)key->state, message, length));
}

#define AEAD_ENGINE(engine_name) \
  { engine_name, siv_expand, siv_seal, siv_open, gcm_siv_expand, gcm_siv_seal, gcm_siv_open, cmac_expand, cmac }

#endif
