/* What sd_notify(3) sends: one datagram to a unix socket of the service manager's. Node has no unix datagrams. */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LONGEST_TEXT = 2048 };

/* notifyServiceManager(path, text): a path that begins with @ is of the abstract namespace. */
static napi_value notify(napi_env env, napi_callback_info info) {
  size_t count = 2, path_length, text_length;
  napi_value arguments[2];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char text[LONGEST_TEXT];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_utf8(env, arguments[0], NULL, 0, &path_length) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[1], text, sizeof text, &text_length) != napi_ok)
    return throw_type(env, "notifyServiceManager expects a path and a text");
  if (path_length == 0 || path_length >= sizeof address.sun_path)
    return throw_errno(env, "the service manager's socket", ENAMETOOLONG), NULL;
  if (napi_get_value_string_utf8(env, arguments[0], address.sun_path, sizeof address.sun_path, &path_length) != napi_ok)
    return NULL;
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return throw_errno(env, "socket", errno), NULL;
  ssize_t sent = sendto(descriptor, text, text_length, MSG_NOSIGNAL, (struct sockaddr *)&address, length);
  int error = errno;
  close(descriptor);
  return sent < 0 ? (throw_errno(env, "notify", error), NULL) : NULL;
}

void register_service_manager(napi_env env, napi_value exports) {
  export_function(env, exports, "notifyServiceManager", notify);
}
