/*
 * What a process needs and Node has not that becomes another program, or that starts beside one: descriptors that stay open, children that it
 * inherits, and a way back to the priority that it had.
 */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static napi_value set_on_exec(napi_env env, napi_callback_info info, int flags) {
  size_t count = 1;
  napi_value argument;
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok) return throw_type(env, "expected a descriptor");
  if (fcntl(descriptor, F_SETFD, flags) != 0) throw_errno(env, "mark a descriptor", errno);
  return NULL;
}

/* keepOnExec(descriptor): stays open in the program that this process becomes. */
static napi_value keep_on_exec(napi_env env, napi_callback_info info) { return set_on_exec(env, info, 0); }

/* closeOnExec(descriptor): the other way round, for descriptors that came so. */
static napi_value close_on_exec(napi_env env, napi_callback_info info) { return set_on_exec(env, info, FD_CLOEXEC); }

/* reapChild(pid): whether it is gone; libuv waits for children that it started alone. */
static napi_value reap_child(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  int32_t pid;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &pid) != napi_ok || pid <= 0)
    return throw_type(env, "reapChild expects a process id");
  bool is_gone = waitpid(pid, NULL, WNOHANG) != 0;
  return napi_get_boolean(env, is_gone, &result) == napi_ok ? result : NULL;
}

/*
 * permitPriority(nice): lets this process and its children come back to that priority (setpriority(2)) from a lower one, and to none above.
 * Whether they may; RLIMIT_NICE counts from 20 downwards.
 */
static napi_value permit_priority(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  int32_t nice;
  struct rlimit limit;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &nice) != napi_ok || nice < -20 || nice > 19)
    return throw_type(env, "permitPriority expects a nice value from -20 to 19");
  const rlim_t wanted = (rlim_t)(20 - nice);
  bool may = getrlimit(RLIMIT_NICE, &limit) == 0;
  if (may && limit.rlim_cur < wanted) {
    if (limit.rlim_max < wanted) limit.rlim_max = wanted;
    limit.rlim_cur = wanted;
    may = setrlimit(RLIMIT_NICE, &limit) == 0;
  }
  return napi_get_boolean(env, may, &result) == napi_ok ? result : NULL;
}

void register_process_image(napi_env env, napi_value exports) {
  export_function(env, exports, "keepOnExec", keep_on_exec);
  export_function(env, exports, "closeOnExec", close_on_exec);
  export_function(env, exports, "reapChild", reap_child);
  export_function(env, exports, "permitPriority", permit_priority);
}
