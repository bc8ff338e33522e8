/* The system's clocks: reading them, and how finely CLOCK_REALTIME can be read. */
#include "addon.h"
#include "clock-difference.h"

#include <time.h>

enum { PRECISION_READS = 20000 };

/* readClocks(Float64Array(3)): CLOCK_REALTIME seconds and nanoseconds, CLOCK_MONOTONIC seconds, of one moment. */
static napi_value read_clocks(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  struct clock_reading reading;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  double *out = typed_array(env, argument, napi_float64_array, 3);
  if (out == NULL) return throw_type(env, "readClocks expects a Float64Array of at least 3");
  clock_reading_take(&reading);
  int64_t seconds = reading.realtime / 1000000000 - (reading.realtime % 1000000000 < 0);
  out[0] = (double)seconds;
  out[1] = (double)(reading.realtime - seconds * 1000000000);
  out[2] = (double)reading.monotonic / 1e9;
  return NULL;
}

/* smallestClockStep(): the smallest forward step between neighbouring readings of CLOCK_REALTIME, in seconds. */
static napi_value smallest_clock_step(napi_env env, napi_callback_info info) {
  struct timespec before, after;
  double smallest = 1.0;
  napi_value result;
  (void)info;
  clock_gettime(CLOCK_REALTIME, &before);
  for (int reading = 0; reading < PRECISION_READS; reading++) {
    clock_gettime(CLOCK_REALTIME, &after);
    double step = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    if (step > 0 && step < smallest) smallest = step;
    before = after;
  }
  return napi_create_double(env, smallest, &result) == napi_ok ? result : NULL;
}

void register_clock(napi_env env, napi_value exports) {
  export_function(env, exports, "readClocks", read_clocks);
  export_function(env, exports, "smallestClockStep", smallest_clock_step);
}
