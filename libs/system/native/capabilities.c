/*
 * Capabilities of this thread (capabilities(7)). Children are started from the main thread, so its sets are what they
 * inherit. Numbers of capabilities and sets of them travel as plain numbers: a set is the sum of 2^number.
 */
#include "addon.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool numbers(napi_env env, napi_callback_info info, size_t wanted, double *values) {
  size_t count = wanted;
  napi_value arguments[3];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return false;
  for (size_t at = 0; at < wanted; at++)
    if (napi_get_value_double(env, arguments[at], &values[at]) != napi_ok || !(values[at] >= 0 && values[at] < 9e15)) {
      throw_type(env, "expected numbers that are not negative");
      return false;
    }
  return true;
}

static napi_value done(napi_env env, const char *what, long result) {
  if (result < 0) throw_errno(env, what, errno);
  return NULL;
}

/* setCapabilities(effective, permitted, inheritable) */
static napi_value set_capabilities(napi_env env, napi_callback_info info) {
  double values[3];
  if (!numbers(env, info, 3, values)) return NULL;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)((uint64_t)values[0] >> (32 * half));
    data[half].permitted = (uint32_t)((uint64_t)values[1] >> (32 * half));
    data[half].inheritable = (uint32_t)((uint64_t)values[2] >> (32 * half));
  }
  return done(env, "capset", syscall(SYS_capset, &header, data));
}

/* keepCapabilities(0 or 1): whether the permitted ones survive a setuid from root to somebody else. */
static napi_value keep_capabilities(napi_env env, napi_callback_info info) {
  double keep;
  if (!numbers(env, info, 1, &keep)) return NULL;
  return done(env, "PR_SET_KEEPCAPS", prctl(PR_SET_KEEPCAPS, (unsigned long)keep, 0, 0, 0));
}

/* dropBoundingCapability(number): nothing started from here on can have it by being root or by its file. */
static napi_value drop_bounding(napi_env env, napi_callback_info info) {
  double number;
  if (!numbers(env, info, 1, &number)) return NULL;
  return done(env, "PR_CAPBSET_DROP", prctl(PR_CAPBSET_DROP, (unsigned long)number, 0, 0, 0));
}

/* setAmbientCapability(number, 0 or 1): whether children inherit it, whoever they are. */
static napi_value set_ambient(napi_env env, napi_callback_info info) {
  double values[2];
  if (!numbers(env, info, 2, values)) return NULL;
  const unsigned long how = values[1] == 0 ? PR_CAP_AMBIENT_LOWER : PR_CAP_AMBIENT_RAISE;
  return done(env, "PR_CAP_AMBIENT", prctl(PR_CAP_AMBIENT, how, (unsigned long)values[0], 0, 0));
}

void register_capabilities(napi_env env, napi_value exports) {
  export_function(env, exports, "setCapabilities", set_capabilities);
  export_function(env, exports, "keepCapabilities", keep_capabilities);
  export_function(env, exports, "dropBoundingCapability", drop_bounding);
  export_function(env, exports, "setAmbientCapability", set_ambient);
}
