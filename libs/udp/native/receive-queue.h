/* A socket's receive queue, as long as standing-queue.h has it. */
#ifndef MERIDIAN_RECEIVE_QUEUE_H
#define MERIDIAN_RECEIVE_QUEUE_H

#include "socket-options.h"
#include "standing-queue.h"

enum { LONGEST_QUEUE_BYTES = 16 << 20 };

/* Whoever held the socket before may have shortened its queue. It is shortened here only where it can be lengthened again. */
static inline void receive_queue_take(struct standing_queue *queue, int descriptor) {
  int bytes = queue_bytes(descriptor);
  if (bytes == SHORT_QUEUE_BYTES) {
    set_queue_bytes(descriptor, LONGEST_QUEUE_BYTES);
    bytes = queue_bytes(descriptor);
  }
  bool may_lengthen = set_flag(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, bytes) == 0 || bytes <= most_queue_bytes();
  *queue = (struct standing_queue){.long_bytes = may_lengthen && bytes > SHORT_QUEUE_BYTES ? bytes : 0};
}

/* Gives it the length that its state asks for. */
static inline void receive_queue_fit(const struct standing_queue *queue, int descriptor) {
  if (queue->long_bytes == 0) return;
  set_queue_bytes(descriptor, queue->stands && !queue->sheds ? SHORT_QUEUE_BYTES : queue->long_bytes);
}

static inline void receive_queue_set_shedding(struct standing_queue *queue, int descriptor, bool sheds) {
  if (queue->sheds == sheds) return;
  queue->sheds = sheds;
  queue->is_crowded = false;
  if (queue->stands) receive_queue_fit(queue, descriptor);
}

#endif
