/* What a process that becomes another program needs and Node has not: descriptors that stay open, and children that it inherits. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

/* keepOnExec(descriptor): stays open in the program that this process becomes. */
static napi_value keep_on_exec(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok)
    return throw_type(env, "keepOnExec expects a descriptor");
  if (fcntl(descriptor, F_SETFD, 0) != 0) throw_errno(env, "keep a descriptor", errno);
  return NULL;
}

/* closeOnExec(descriptor): the other way round, for descriptors that came so. */
static napi_value close_on_exec(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok)
    return throw_type(env, "closeOnExec expects a descriptor");
  if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) throw_errno(env, "mark a descriptor", errno);
  return NULL;
}

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

void register_process_image(napi_env env, napi_value exports) {
  export_function(env, exports, "keepOnExec", keep_on_exec);
  export_function(env, exports, "closeOnExec", close_on_exec);
  export_function(env, exports, "reapChild", reap_child);
}
