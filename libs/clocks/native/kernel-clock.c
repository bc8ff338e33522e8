/* The kernel's own steering of CLOCK_REALTIME: clock_adjtime(2), its record taken in and given back as plain numbers. */
#include "addon.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

/* Where each member lies in the Float64Array; kernel-clock-record.ts has the same list. */
enum field { MODES, OFFSET, FREQUENCY, MAX_ERROR, ESTIMATED_ERROR, STATUS, CONSTANT, TICK, SECONDS, FRACTION, TAI, STATE, FIELDS };

/*
 * clockAdjtime(Float64Array(FIELDS)): hands the record to the kernel and writes back what the kernel says. Members and
 * units are those of struct timex; with `modes` 0 nothing is changed and no privilege is needed. Throws with the errno's name.
 */
static napi_value clock_adjtime_call(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  struct timex record;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  double *fields = typed_array(env, argument, napi_float64_array, FIELDS);
  if (fields == NULL) return throw_type(env, "clockAdjtime expects a Float64Array of at least 12");
  /* Beyond these no member has a meaning, and a conversion to an integer would be undefined. */
  for (int field = 0; field < FIELDS; field++)
    if (!(fields[field] > -9e15 && fields[field] < 9e15)) return throw_type(env, "clockAdjtime expects finite numbers");
  memset(&record, 0, sizeof record);
  record.modes = (unsigned)(int64_t)fields[MODES];
  record.offset = (long)fields[OFFSET];
  record.freq = (long)fields[FREQUENCY];
  record.maxerror = (long)fields[MAX_ERROR];
  record.esterror = (long)fields[ESTIMATED_ERROR];
  record.status = (int)(int64_t)fields[STATUS];
  record.constant = (long)fields[CONSTANT];
  record.tick = (long)fields[TICK];
  record.time.tv_sec = (time_t)fields[SECONDS];
  record.time.tv_usec = (suseconds_t)fields[FRACTION];
  int state = clock_adjtime(CLOCK_REALTIME, &record);
  if (state < 0) {
    throw_errno(env, "clock_adjtime", errno);
    return NULL;
  }
  fields[OFFSET] = (double)record.offset;
  fields[FREQUENCY] = (double)record.freq;
  fields[MAX_ERROR] = (double)record.maxerror;
  fields[ESTIMATED_ERROR] = (double)record.esterror;
  fields[STATUS] = (double)record.status;
  fields[CONSTANT] = (double)record.constant;
  fields[TICK] = (double)record.tick;
  fields[SECONDS] = (double)record.time.tv_sec;
  fields[FRACTION] = (double)record.time.tv_usec;
  fields[TAI] = (double)record.tai;
  fields[STATE] = (double)state;
  return NULL;
}

void register_kernel_clock(napi_env env, napi_value exports) {
  export_function(env, exports, "clockAdjtime", clock_adjtime_call);
}
