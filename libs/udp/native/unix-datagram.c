/*
 * UnixDatagram: a bound unix datagram socket whose senders are answered, which Node has not. Binding is unixDatagramBind's.
 * Its lifetime is watched-socket.h's.
 */
#include "addon.h"
#include "watched-socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct unix_datagram {
  struct watched_socket socket;
  struct sockaddr_un sender; /* of the last datagram */
  socklen_t sender_length;
};

/* new UnixDatagram(descriptor): takes over a bound socket. On failure it throws and the descriptor stays open. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, self;
  int32_t descriptor;
  int family = 0, type = 0;
  socklen_t length = sizeof family;
  if (napi_get_cb_info(env, info, &count, &argument, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok) return throw_type(env, "UnixDatagram expects a descriptor");
  if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0 ||
      getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
    return throw_errno(env, "the descriptor", errno), NULL;
  if (family != AF_UNIX || type != SOCK_DGRAM) return throw_errno(env, "the descriptor", EPROTOTYPE), NULL;
  struct unix_datagram *own = calloc(1, sizeof *own);
  if (own == NULL) return throw_errno(env, "a socket", ENOMEM), NULL;
  watched_begin(&own->socket, env, UV_READABLE, own, free);
  if (napi_wrap(env, self, own, watched_finalize, &own->socket, NULL) != napi_ok) return free(own), NULL;
  own->socket.descriptor = descriptor;
  return self;
}

/* receive(Uint8Array): the length of a datagram, also where it is longer than the array; -1 for none. */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t length;
  void *bytes;
  struct unix_datagram *own = unwrap_call(env, info, 1, &argument, NULL);
  if (own == NULL) return NULL;
  if (typed_array(env, argument, napi_uint8_array, 1) == NULL ||
      napi_get_typedarray_info(env, argument, NULL, &length, &bytes, NULL, NULL) != napi_ok)
    return throw_type(env, "receive expects a Uint8Array");
  own->sender_length = sizeof own->sender;
  ssize_t received = own->socket.descriptor < 0 ? -1
                                         : recvfrom(own->socket.descriptor, bytes, length, MSG_DONTWAIT | MSG_TRUNC,
                                                    (struct sockaddr *)&own->sender, &own->sender_length);
  if (received < 0) own->sender_length = 0;
  return napi_create_double(env, received < 0 ? -1.0 : (double)received, &result) == napi_ok ? result : NULL;
}

/* sender(): the path of who sent the datagram that was received last; empty where it has none that can be answered. */
static napi_value sender(napi_env env, napi_callback_info info) {
  napi_value result;
  struct unix_datagram *own = unwrap_call(env, info, 0, NULL, NULL);
  if (own == NULL) return NULL;
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t length = own->sender_length > head ? strnlen(own->sender.sun_path, own->sender_length - head) : 0;
  return napi_create_string_utf8(env, own->sender.sun_path, length, &result) == napi_ok ? result : NULL;
}

/* send(path, Uint8Array): false where nobody is there, or whoever is does not read what was sent before. */
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  size_t length, taken;
  void *bytes;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  struct unix_datagram *own = unwrap_call(env, info, 2, arguments, NULL);
  if (own == NULL) return NULL;
  if (napi_get_value_string_utf8(env, arguments[0], to.sun_path, sizeof to.sun_path, &taken) != napi_ok ||
      typed_array(env, arguments[1], napi_uint8_array, 1) == NULL ||
      napi_get_typedarray_info(env, arguments[1], NULL, &length, &bytes, NULL, NULL) != napi_ok)
    return throw_type(env, "send expects a path and a Uint8Array");
  bool sent = own->socket.descriptor >= 0 && taken > 0 &&
              sendto(own->socket.descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) == (ssize_t)length;
  return napi_get_boolean(env, sent, &result) == napi_ok ? result : NULL;
}

/* onReadable(callback): calls back, on the event loop, whenever datagrams wait. */
static napi_value on_readable_method(napi_env env, napi_callback_info info) {
  napi_value callback, self;
  struct unix_datagram *own = unwrap_call(env, info, 1, &callback, &self);
  if (own != NULL) watched_on_readable(&own->socket, self, callback, "meridian:unix-datagram");
  return NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct unix_datagram *own = unwrap_call(env, info, 0, NULL, NULL);
  if (own != NULL) watched_close(&own->socket);
  return NULL;
}

void register_unix_datagram(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"receive", NULL, receive, NULL, NULL, NULL, napi_default_method, NULL},
      {"sender", NULL, sender, NULL, NULL, NULL, napi_default_method, NULL},
      {"send", NULL, send_datagram, NULL, NULL, NULL, napi_default_method, NULL},
      {"onReadable", NULL, on_readable_method, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "UnixDatagram", construct, sizeof methods / sizeof *methods, methods);
}
