/*
 * ClockWatch: looks each second whether somebody has set CLOCK_REALTIME, and calls back where it moved against CLOCK_MONOTONIC; whoever is
 * called judges. So the clock's process of a node that follows nobody wakes its JavaScript seldom, and hears of such a step as soon.
 */
#include "clock-difference.h"
#include "turn-timer.h"

#include <errno.h>
#include <stdlib.h>

enum {
  INTERVAL_MS = 1000,
  NOISE_NS = 100000 /* of two readings, beside their widths */
};

struct clock_watch {
  struct turn_timer timer;
  int64_t difference; /* CLOCK_REALTIME - CLOCK_MONOTONIC at the look before, ns */
  uint64_t width;
};

/* Whether it has moved since the look before. */
static bool look(struct turn_timer *timer, double *number) {
  struct clock_watch *watch = (struct clock_watch *)timer;
  struct clock_reading reading;
  clock_reading_take(&reading);
  int64_t difference = reading.realtime - (int64_t)reading.monotonic;
  int64_t moved = difference - watch->difference;
  int64_t allowed = NOISE_NS + (int64_t)(watch->width + reading.width);
  watch->difference = difference;
  watch->width = reading.width;
  *number = (double)moved / 1e9;
  return moved > allowed || moved < -allowed;
}

static void release(struct turn_timer *timer) { free(timer); }

/* new ClockWatch(callback): calls back with about so many seconds as CLOCK_REALTIME was set forward by, until it is closed. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value callback, self;
  napi_valuetype type;
  double moved;
  if (napi_get_cb_info(env, info, &count, &callback, &self, NULL) != napi_ok) return NULL;
  if (napi_typeof(env, callback, &type) != napi_ok || type != napi_function)
    return throw_type(env, "ClockWatch expects a function");
  struct clock_watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL) return throw_errno(env, "a watch", ENOMEM), NULL;
  watch->timer.milliseconds = INTERVAL_MS;
  watch->timer.on_turn = look;
  watch->timer.release = release;
  look(&watch->timer, &moved);
  int failure = turn_timer_start(&watch->timer, env, self, callback, "meridian:clock-watch");
  if (failure != 0) return free(watch), throw_errno(env, "a timer", -failure), NULL;
  if (napi_wrap(env, self, watch, turn_timer_let_go, NULL, NULL) == napi_ok) return self;
  turn_timer_let_go(env, watch, NULL);
  return NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct clock_watch *watch = unwrap_call(env, info, 0, NULL, NULL);
  if (watch != NULL) turn_timer_close(&watch->timer);
  return NULL;
}

void register_clock_watch(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "ClockWatch", construct, sizeof methods / sizeof *methods, methods);
}
