/*
 * When a receive queue is to be short. A long one carries a server over a pause of its own: what came meanwhile is answered late, and
 * nothing is lost. Under more requests than can be answered it is full all the time instead: each request waits for all that stand before
 * it, as many are lost as with a short one, and as each has left the processor's caches by its turn, an answer costs a quarter more.
 *
 * So it is shortened when requests were waiting for two seconds on end, which is longer than a process takes to start beside this one or in its
 * place, and is long again when it was empty now and then for two seconds.
 *
 * A reader that sheds, which is to say leaves requests of its choice unanswered when it is told to, is told to first: from when requests have waited for
 * long, or were lost, until the queue is empty. To pass a request over takes a fraction of an answer's time, so its queue is empty again soon, and stays
 * long for the moments in which somebody else has the processor. It need not wait for two seconds: where as much comes as is read of a queue that is quite full,
 * or requests are lost while it works and go on being lost, more come than it can answer, and from then on it chooses who loses.
 */
#ifndef MERIDIAN_STANDING_QUEUE_H
#define MERIDIAN_STANDING_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum {
  SHORT_QUEUE_BYTES = 102400, /* as setsockopt wants it: some 260 requests, little less than Linux's usual default, so that it is told from that */
  LONG_WAIT_NS = 5000000,
  STANDING_NS = 2000000000,
  STILL_STANDING_NS = 20000000,
  CALM_NS = 2000000000, /* fits into 31 bits */
  CROWDED_NS = 2000000,
  LOST_NS = 20000000,
  OVERRUN_NS = 20000000,
  QUITE_FULL = 384, /* of 1,024, */
  TAKEN_OFF = 128,  /* as the others */
  FILLED_SLACK = 16,
  NEVER_FILLED = 1025,
  AT_WORK_NS = 5000000, /* a batch takes less, also of the dearest requests */
  PAUSE_NS = 50000000,
  DROWNING_NS = 1000000000
};

/* What a reader is told: nothing; requests stand in the queue; one that sheds is to do so; and some were lost lately all the same. */
enum crowd { CROWD_NONE, CROWD_STANDS, CROWD_SHEDS, CROWD_DROWNS };

struct standing_queue {
  int long_bytes;  /* what it has otherwise, as setsockopt wants it; 0: its length stays as it is */
  bool sheds;      /* its reader does */
  bool stands;     /* requests stand in it; it is short where its reader does not shed */
  bool is_crowded; /* a reader that sheds is to do so now */
  uint64_t emptied_at; /* when it was empty, or short of itself */
  uint64_t stood_at;   /* when it had not been for a while, or was crowded */
  uint64_t noted_at;
  uint64_t lost_at;
  uint64_t overrun_at; /* when requests were lost first since it was empty, while its reader was at work; 0: none were */
  uint32_t filled;     /* how full the kernel said it is */
  uint32_t filled_before; /* and how full it was when it took off last what was read; NEVER_FILLED: not since it was empty */
};

enum queue_change { QUEUE_STAYS, QUEUE_STANDS, QUEUE_CALMS };

/* What a receive tells. */
struct queue_sight {
  bool emptied;    /* nothing is left behind */
  bool lost;       /* the kernel has dropped what did not fit, since the receive before */
  uint32_t filled; /* how full the queue is, of 1,024; 0 where that was not asked */
  uint64_t waited; /* the time that the oldest of what was received stood there, ns */
};

/*
 * Whether the queue became no emptier while an eighth of it or more was read. The kernel counts what was read as still there until that is a quarter of its
 * bound, or all that it handed to the reader at once, and then takes it off in one go: only at that moment it says how full the queue is.
 */
static inline bool standing_queue_fills(struct standing_queue *queue, uint32_t filled) {
  bool is_exact = filled + TAKEN_OFF <= queue->filled;
  bool fills = is_exact && filled >= QUITE_FULL && filled + FILLED_SLACK >= queue->filled_before;
  if (is_exact) queue->filled_before = filled;
  queue->filled = filled;
  return fills;
}

/* Notes a receive, at a reading of CLOCK_MONOTONIC, ns. */
static inline enum queue_change standing_queue_note(struct standing_queue *queue, struct queue_sight sight, uint64_t now) {
  bool emptied = sight.emptied, lost = sight.lost;
  /* What stands there after a pause of this process, or before the first receive, is no flood: of each pause little counts. */
  uint64_t away = now - queue->noted_at;
  if (queue->noted_at == 0) queue->filled_before = NEVER_FILLED;
  if (away > PAUSE_NS) queue->emptied_at = queue->stands ? now : queue->emptied_at + away - PAUSE_NS;
  /* Where much is left of a pause, requests are lost for which there is room: until the kernel takes off what was read. */
  bool overflows = lost && away < AT_WORK_NS && sight.filled == 0;
  if (overflows && queue->overrun_at == 0) queue->overrun_at = now;
  if (emptied) {
    queue->emptied_at = now;
    queue->overrun_at = 0;
    queue->filled_before = NEVER_FILLED;
  }
  if (lost) queue->lost_at = now;
  queue->noted_at = now;
  if (!queue->stands) {
    /* Where the system allows no long queue, requests are lost before they have waited for long. */
    bool loses = queue->sheds && now - queue->lost_at < LOST_NS;
    bool overruns = overflows && now - queue->overrun_at >= OVERRUN_NS;
    bool fills = standing_queue_fills(queue, sight.filled);
    if (sight.waited < LONG_WAIT_NS && !loses) queue->emptied_at = now;
    if (now - queue->emptied_at < STANDING_NS && !(queue->sheds && (overruns || fills))) return QUEUE_STAYS;
    queue->stands = true;
    queue->filled_before = NEVER_FILLED;
    queue->stood_at = now;
    return QUEUE_STANDS;
  }
  if (emptied) queue->is_crowded = false;
  else if (sight.waited > CROWDED_NS || lost) queue->is_crowded = queue->sheds;
  if (queue->is_crowded || now - queue->emptied_at >= STILL_STANDING_NS) queue->stood_at = now;
  if (now - queue->stood_at < CALM_NS) return QUEUE_STAYS;
  queue->stands = queue->is_crowded = false;
  return QUEUE_CALMS;
}

/* How it is with what was received last. */
static inline enum crowd standing_queue_crowd(const struct standing_queue *queue) {
  if (!queue->is_crowded) return queue->stands ? CROWD_STANDS : CROWD_NONE;
  return queue->noted_at - queue->lost_at < DROWNING_NS ? CROWD_DROWNS : CROWD_SHEDS;
}

#endif
