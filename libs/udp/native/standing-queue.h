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
 * long for the moments in which somebody else has the processor. It need not wait for two seconds: where a queue is half full and becomes no emptier,
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
  HALF_FULL = 512,   /* of 1,024 */
  FILLED_SLACK = 16, /* a full queue has room for what was taken out of it just now */
  FILLING_NS = 100000000,
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
  uint64_t filled_at;  /* from when on it is looked how full it becomes; 0: it was less than half full */
  uint32_t filled;     /* the most since then */
};

enum queue_change { QUEUE_STAYS, QUEUE_STANDS, QUEUE_CALMS };

/* What a receive tells. */
struct queue_sight {
  bool emptied;    /* nothing is left behind */
  bool lost;       /* the kernel has dropped what did not fit, since the receive before */
  uint32_t filled; /* how full the queue is, of 1,024; 0 where that was not asked */
  uint64_t waited; /* the time that the oldest of what was received stood there, ns */
};

/* Whether the queue is half full at least, and as full as it was at any time in a tenth of a second. */
static inline bool standing_queue_fills(struct standing_queue *queue, uint32_t filled, uint64_t now) {
  bool begins = queue->filled_at == 0, is_due = !begins && now - queue->filled_at >= FILLING_NS;
  if (filled < HALF_FULL) return queue->filled_at = 0, false;
  bool fills = is_due && filled + FILLED_SLACK >= queue->filled;
  if (begins || is_due) queue->filled_at = now;
  if (begins || is_due || filled > queue->filled) queue->filled = filled;
  return fills;
}

/* Notes a receive, at a reading of CLOCK_MONOTONIC, ns. */
static inline enum queue_change standing_queue_note(struct standing_queue *queue, struct queue_sight sight, uint64_t now) {
  bool emptied = sight.emptied, lost = sight.lost;
  /* What stands there after a pause of this process, or before the first receive, is no flood: of each pause little counts. */
  uint64_t away = now - queue->noted_at;
  if (away > PAUSE_NS) queue->emptied_at = queue->stands ? now : queue->emptied_at + away - PAUSE_NS;
  if (lost && away < AT_WORK_NS && queue->overrun_at == 0) queue->overrun_at = now;
  if (emptied) {
    queue->emptied_at = now;
    queue->overrun_at = 0;
  }
  if (lost) queue->lost_at = now;
  queue->noted_at = now;
  if (!queue->stands) {
    /* Where the system allows no long queue, requests are lost before they have waited for long. */
    bool loses = queue->sheds && now - queue->lost_at < LOST_NS;
    bool overruns = lost && away < AT_WORK_NS && now - queue->overrun_at >= OVERRUN_NS;
    bool fills = standing_queue_fills(queue, sight.filled, now);
    if (sight.waited < LONG_WAIT_NS && !loses) queue->emptied_at = now;
    if (now - queue->emptied_at < STANDING_NS && !(queue->sheds && (overruns || fills))) return QUEUE_STAYS;
    queue->stands = true;
    queue->filled_at = 0;
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
