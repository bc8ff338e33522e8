/* See md5.h. */
#include "md5.h"

#include <endian.h>
#include <string.h>

enum { BLOCK_WORDS = 16, STATE_WORDS = 4, LENGTH_BYTES = 8 };

/* Fewer texts are done one by one: most lanes would work for nothing. */
enum { FEWEST_IN_LANES = 3 };

/* The sines of RFC 1321 section 3.4: step i has floor(2^32 · |sin(i + 1)|). */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static const uint32_t initial[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

static const uint8_t rotations[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

/* One 32-bit word of each of eight texts. The compiler spreads it over the registers that the processor has. */
typedef uint32_t lanes __attribute__((vector_size(4 * MD5_LANES)));

/* One block into the state: written once, for a word of one text and for a word of each of eight. */
#define DEFINE_COMPRESS(name, word)                                              \
  static void name(word state[STATE_WORDS], const word block[BLOCK_WORDS]) {     \
    word a = state[0], b = state[1], c = state[2], d = state[3];                 \
    _Pragma("GCC unroll 64") for (int step = 0; step < 64; step++) {             \
      int round = step / 16, rotation = rotations[round][step % 4];              \
      int place = round == 0   ? step                                            \
                  : round == 1 ? (5 * step + 1) % 16                             \
                  : round == 2 ? (3 * step + 5) % 16                             \
                               : (7 * step) % 16;                                \
      word mixed = round == 0   ? (d ^ (b & (c ^ d)))                            \
                   : round == 1 ? (c ^ (d & (b ^ c)))                            \
                   : round == 2 ? (b ^ c ^ d)                                    \
                                : (c ^ (b | ~d));                                \
      word sum = a + mixed + block[place] + sines[step];                         \
      a = d, d = c, c = b;                                                       \
      b += (sum << rotation) | (sum >> (32 - rotation));                         \
    }                                                                            \
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;                  \
  }

DEFINE_COMPRESS(compress_one, uint32_t)
DEFINE_COMPRESS(compress_lanes, lanes)

void md5_add(md5_group *group, const uint8_t *key, size_t key_length, const uint8_t *message, size_t length) {
  size_t lane = group->count++, end = key_length + length;
  size_t blocks = (end + 1 + LENGTH_BYTES + MD5_BLOCK_BYTES - 1) / MD5_BLOCK_BYTES;
  uint8_t *text = group->texts[lane];
  uint64_t bits = htole64(8 * (uint64_t)end);
  group->blocks[lane] = blocks;
  memcpy(text, key, MD5_LONGEST_KEY);
  memcpy(text + key_length, message, length);
  memset(text + end, 0, blocks * MD5_BLOCK_BYTES - end);
  text[end] = 0x80;
  memcpy(text + blocks * MD5_BLOCK_BYTES - LENGTH_BYTES, &bits, LENGTH_BYTES);
}

static uint32_t word_at(const md5_group *group, size_t lane, size_t block, size_t place) {
  uint32_t word;
  memcpy(&word, group->texts[lane] + block * MD5_BLOCK_BYTES + place * sizeof word, sizeof word);
  return le32toh(word);
}

static void store_digest(md5_group *group, size_t lane, const uint32_t state[STATE_WORDS]) {
  for (size_t place = 0; place < STATE_WORDS; place++) {
    uint32_t word = htole32(state[place]);
    memcpy(group->digests[lane] + place * sizeof word, &word, sizeof word);
  }
}

static void run_one(md5_group *group, size_t lane) {
  uint32_t state[STATE_WORDS], words[BLOCK_WORDS];
  memcpy(state, initial, sizeof state);
  for (size_t block = 0; block < group->blocks[lane]; block++) {
    for (size_t place = 0; place < BLOCK_WORDS; place++) words[place] = word_at(group, lane, block, place);
    compress_one(state, words);
  }
  store_digest(group, lane, state);
}

/* All lanes go on until the longest text is done; a shorter one's digest is taken when its own last block is in. */
static void run_lanes(md5_group *group) {
  lanes state[STATE_WORDS], words[BLOCK_WORDS];
  size_t longest = 0;
  for (size_t place = 0; place < STATE_WORDS; place++) state[place] = (lanes){0} + initial[place];
  for (size_t lane = 0; lane < group->count; lane++)
    if (group->blocks[lane] > longest) longest = group->blocks[lane];
  for (size_t block = 0; block < longest; block++) {
    for (size_t place = 0; place < BLOCK_WORDS; place++)
      for (size_t lane = 0; lane < MD5_LANES; lane++)
        words[place][lane] = word_at(group, lane < group->count ? lane : 0, block, place);
    compress_lanes(state, words);
    for (size_t lane = 0; lane < group->count; lane++) {
      if (group->blocks[lane] != block + 1) continue;
      uint32_t own[STATE_WORDS];
      for (size_t place = 0; place < STATE_WORDS; place++) own[place] = state[place][lane];
      store_digest(group, lane, own);
    }
  }
}

void md5_run(md5_group *group) {
  if (group->count >= FEWEST_IN_LANES) run_lanes(group);
  else
    for (size_t lane = 0; lane < group->count; lane++) run_one(group, lane);
}
