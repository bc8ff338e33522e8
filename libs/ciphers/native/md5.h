/*
 * MD5 (RFC 1321) of up to eight short texts at once. Each of its 64 steps waits for the one before, so a processor does
 * eight texts in the lanes of its vector registers in little more than the time of two; OpenSSL takes one at a time. A text
 * is a key and a packet, and nothing here branches on what either holds.
 */
#ifndef MERIDIAN_MD5_H
#define MERIDIAN_MD5_H

#include <stddef.h>
#include <stdint.h>

enum {
  MD5_DIGEST_BYTES = 16,
  MD5_BLOCK_BYTES = 64,
  MD5_LANES = 8,
  MD5_LONGEST_BLOCKS = 4,
  MD5_LONGEST_KEY = 32,
  /* An end mark of one byte and a length of eight follow the text. */
  MD5_LONGEST_MESSAGE = MD5_LONGEST_BLOCKS * MD5_BLOCK_BYTES - 9 - MD5_LONGEST_KEY
};

typedef struct {
  size_t count;
  size_t blocks[MD5_LANES];
  uint8_t texts[MD5_LANES][MD5_LONGEST_BLOCKS * MD5_BLOCK_BYTES];
  uint8_t digests[MD5_LANES][MD5_DIGEST_BYTES];
} md5_group;

/*
 * Adds key ‖ message to a group that has a lane left. The key lies in an array of MD5_LONGEST_KEY bytes, all of which are
 * read, and the message has at most MD5_LONGEST_MESSAGE.
 */
void md5_add(md5_group *group, const uint8_t *key, size_t key_length, const uint8_t *message, size_t length);

/* Fills in the digests. The texts, and with them the keys, stay in the group until its owner wipes them. */
void md5_run(md5_group *group);

#endif
