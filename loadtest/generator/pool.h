/*
 * Requests made in advance, because making one costs more than answering it, and a sample of the replies for whoever
 * holds the keys. A pool file is big-endian: the number of requests (a power of two), the length of each, the requests.
 * The upper half of a request's transmit timestamp is its place in the pool, the lower half random.
 */
#ifndef POOL_H
#define POOL_H
#include "requests.h"
#include <stdio.h>
#include <stdlib.h>

enum { LARGEST_POOL = 1 << 18, LARGEST_REQUEST = LARGEST_REPLY, SAMPLED_REPLIES = 512, SAMPLE_EVERY = 509 };

struct pool {
  unsigned char *requests;
  uint32_t count;
  unsigned length;
};

/* Returns what is wrong with the file, NULL when nothing is. */
static inline const char *read_pool(const char *path, struct pool *pool) {
  unsigned char header[8];
  FILE *file = fopen(path, "rb");
  if (!file) return "the pool file cannot be opened";
  const char *problem = NULL;
  if (fread(header, 1, sizeof header, file) != sizeof header) problem = "the pool file has no header";
  else {
    pool->count = get32(header);
    pool->length = get32(header + 4);
    if (pool->count < 1 || pool->count > LARGEST_POOL || (pool->count & (pool->count - 1))) problem = "expected 1 to 2^18 requests in the pool file, a power of two";
    else if (pool->length < PACKET || pool->length > LARGEST_REQUEST) problem = "expected requests of 48 to 1024 bytes in the pool file";
    else if (!(pool->requests = malloc((size_t)pool->count * pool->length))) problem = "no memory for the pool file";
    else if (fread(pool->requests, pool->length, pool->count, file) != pool->count) problem = "the pool file is shorter than its header says";
  }
  fclose(file);
  return problem;
}

static inline unsigned char *pooled_request(const struct pool *pool, uint32_t number) {
  return pool->requests + (size_t)(number & (pool->count - 1)) * pool->length;
}

/* The replies that are kept, each with the place of its request. */
static struct {
  uint32_t index;
  unsigned length;
  unsigned char bytes[LARGEST_REPLY];
} sampled[SAMPLED_REPLIES];
static unsigned sampled_replies;

/* To be given each good reply; keeps the first and then each 509th, until there are enough. */
static inline void sample_reply(uint64_t answered, uint32_t index, const unsigned char *reply, unsigned length) {
  if (sampled_replies == SAMPLED_REPLIES || answered % SAMPLE_EVERY) return;
  sampled[sampled_replies].index = index;
  sampled[sampled_replies].length = length;
  memcpy(sampled[sampled_replies++].bytes, reply, length);
}

/* Writes them, each after its place and its length. Returns 0 on success. */
static inline int write_sample(const char *path) {
  FILE *file = fopen(path, "wb");
  if (!file) return -1;
  for (unsigned i = 0; i < sampled_replies; i++) {
    unsigned char header[8];
    put32(header, sampled[i].index);
    put32(header + 4, sampled[i].length);
    fwrite(header, 1, sizeof header, file);
    fwrite(sampled[i].bytes, 1, sampled[i].length, file);
  }
  int failed = ferror(file);
  return fclose(file) || failed ? -1 : 0;
}
#endif
