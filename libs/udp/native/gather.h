/*
 * How long to let requests gather before they are received together. Each batch costs a wake-up and a few system calls, however
 * many requests it has; a request that waits loses nothing, as it says when it arrived and when its reply leaves.
 *
 * The rate of the last window decides. Where requests are rare none waits: to wait pays only if another is to be expected
 * meanwhile. Where they are fast the wait is shorter, so that a batch holds what one receive can take.
 */
#ifndef MERIDIAN_GATHER_H
#define MERIDIAN_GATHER_H

#include <stdint.h>

enum {
  GATHER_WINDOW_NS = 10000000, /* a window ends after this, */
  GATHER_WINDOW_REQUESTS = 128,
  GATHER_SHORTEST_WINDOW_NS = 500000, /* or with so many requests, but not before this */
  GATHER_FEWEST = 2,                  /* requests to be expected: a timer's wake-up costs as much as two of a packet's */
  GATHER_ENOUGH = 24                  /* requests to a batch, where the rate allows it */
};

struct gather {
  uint64_t most_ns; /* 0: never */
  uint64_t window_from, window_requests;
  double per_ns; /* requests, in the last window that ended */
  uint64_t received_at;
};

/* Notes that `count` requests were received at a reading of CLOCK_MONOTONIC, ns. */
static inline void gather_note(struct gather *gather, int count, uint64_t now) {
  uint64_t elapsed = now - gather->window_from;
  gather->received_at = now;
  gather->window_requests += (uint64_t)count;
  if (elapsed < GATHER_SHORTEST_WINDOW_NS) return;
  if (elapsed < GATHER_WINDOW_NS && gather->window_requests < GATHER_WINDOW_REQUESTS) return;
  gather->per_ns = (double)gather->window_requests / (double)elapsed;
  gather->window_from = now;
  gather->window_requests = 0;
}

/* How long to wait from `now` on before the next receive, ns; 0 for not at all. */
static inline uint64_t gather_wait(const struct gather *gather, uint64_t now) {
  double expected = gather->per_ns * (double)gather->most_ns;
  if (expected < GATHER_FEWEST) return 0;
  double whole = expected > GATHER_ENOUGH ? GATHER_ENOUGH / gather->per_ns : (double)gather->most_ns;
  uint64_t spent = now - gather->received_at;
  return spent + 5000 < (uint64_t)whole ? (uint64_t)whole - spent : 0; /* the kernel's timer is no finer than some µs */
}

#endif
