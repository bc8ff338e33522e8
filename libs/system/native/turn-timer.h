/*
 * A timer of libuv at the whole multiples of an interval, as src/turns.ts of libs/ipc has them, so that a process wakes once for all that
 * comes round. It is in C because a process at rest finds its JavaScript cold: a turn that calls none costs a fifth of one that does.
 *
 * It keeps no process alive. Lifetime as NetworkWatch's: freed when whoever made it and libuv have both let go.
 */
#ifndef MERIDIAN_TURN_TIMER_H
#define MERIDIAN_TURN_TIMER_H

#include "addon.h"

#include <uv.h>

struct turn_timer {
  uv_timer_t timer;
  uint64_t milliseconds, after;
  /* What there is to do. Returns whether JavaScript is to be called, with `number`. */
  bool (*on_turn)(struct turn_timer *timer, double *number);
  /* Frees it, and all that it is part of. */
  void (*release)(struct turn_timer *timer);
  bool is_open, in_callback;
  int holders;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
};

/*
 * Begins: the caller has set `milliseconds`, `after`, `on_turn` and `release`, and all else to zero. `callback` is NULL where none is ever called.
 * Returns 0 or a uv error, after which the caller frees it.
 */
int turn_timer_start(struct turn_timer *timer, napi_env env, napi_value self, napi_value callback, const char *name);

/* No turn comes any more. Safe to call any number of times, also from inside the callback. */
void turn_timer_close(struct turn_timer *timer);

/* Whoever made it has no use for it any more; a finalizer of Node-API's. */
void turn_timer_let_go(napi_env env, void *timer, void *hint);

#endif
