/*
 * A unix datagram socket that a reference clock's program sends to (the SOCK protocol of chrony and gpsd). Node has none.
 * Descriptors are the caller's to close.
 */
#include "addon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool path_argument(napi_env env, napi_value argument, struct sockaddr_un *address) {
  size_t length, taken;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  return napi_get_value_string_utf8(env, argument, NULL, 0, &length) == napi_ok && length > 0 &&
         length < sizeof address->sun_path &&
         napi_get_value_string_utf8(env, argument, address->sun_path, sizeof address->sun_path, &taken) == napi_ok;
}

static int datagram_socket(void) { return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

/* unixDatagramBind(path, permissions): a descriptor. The path must be free; its file never has more than the permissions. */
static napi_value bind_datagram(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  struct sockaddr_un address;
  uint32_t permissions;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (!path_argument(env, arguments[0], &address)) return throw_errno(env, "a socket's path", ENAMETOOLONG), NULL;
  if (napi_get_value_uint32(env, arguments[1], &permissions) != napi_ok || permissions > 0777)
    return throw_type(env, "unixDatagramBind expects a path and permissions");
  int descriptor = datagram_socket();
  if (descriptor < 0) return throw_errno(env, "socket", errno), NULL;
  /*
   * Linux gives the file the permissions that the socket has at bind, less the umask. A chmod of the path afterwards could
   * be led astray by whoever may write the folder.
   */
  mode_t mask = umask(0);
  int error = fchmod(descriptor, permissions) != 0 || bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ? errno : 0;
  umask(mask);
  if (error != 0) return close(descriptor), throw_errno(env, "bind", error), NULL;
  return give_descriptor(env, descriptor);
}

/* unixDatagramHasReceiver(path): whether some socket is bound to it now. */
static napi_value has_receiver(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  struct sockaddr_un address;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!path_argument(env, argument, &address)) return throw_errno(env, "a socket's path", ENAMETOOLONG), NULL;
  int descriptor = datagram_socket();
  if (descriptor < 0) return throw_errno(env, "socket", errno), NULL;
  /* A stream socket that listens is somebody's as well. */
  bool found = connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 || errno == EPROTOTYPE || errno == EACCES;
  close(descriptor);
  return napi_get_boolean(env, found, &result) == napi_ok ? result : NULL;
}

/* datagramReceive(descriptor, Uint8Array): the length of the datagram, also where it is longer than the array; -1: none. */
static napi_value receive(napi_env env, napi_callback_info info) {
  size_t count = 2, length;
  napi_value arguments[2], result;
  int32_t descriptor;
  napi_typedarray_type type;
  void *bytes;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok || typed_array(env, arguments[1], napi_uint8_array, 1) == NULL ||
      napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, NULL, NULL) != napi_ok)
    return throw_type(env, "datagramReceive expects a descriptor and a Uint8Array");
  ssize_t received = recv(descriptor, bytes, length, MSG_DONTWAIT | MSG_TRUNC);
  if (received < 0 && errno != EAGAIN && errno != EINTR) return throw_errno(env, "recv", errno), NULL;
  return napi_create_double(env, received < 0 ? -1.0 : (double)received, &result) == napi_ok ? result : NULL;
}

void register_clock_socket(napi_env env, napi_value exports) {
  export_function(env, exports, "unixDatagramBind", bind_datagram);
  export_function(env, exports, "unixDatagramHasReceiver", has_receiver);
  export_function(env, exports, "datagramReceive", receive);
}
