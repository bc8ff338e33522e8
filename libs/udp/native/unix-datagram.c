/*
 * UnixDatagram: a bound unix datagram socket whose senders are answered, which Node has not. Binding is unixDatagramBind's.
 *
 * Lifetime as UdpHandle's: freed when the JavaScript object and libuv have both let go; references into JavaScript are dropped
 * when it closes.
 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

struct unix_datagram {
  int descriptor;
  uv_poll_t poll;
  bool polling;
  bool in_callback;
  int holders;
  napi_env env;
  napi_ref self;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  struct sockaddr_un sender; /* of the last datagram */
  socklen_t sender_length;
};

static void let_go(struct unix_datagram *own) {
  if (--own->holders == 0) free(own);
}

static void drop_references(struct unix_datagram *own) {
  if (own->callback != NULL) napi_delete_reference(own->env, own->callback);
  if (own->self != NULL) napi_delete_reference(own->env, own->self);
  if (own->context != NULL) napi_async_destroy(own->env, own->context);
  own->callback = NULL;
  own->self = NULL;
  own->context = NULL;
}

static void on_closed(uv_handle_t *poll) {
  struct unix_datagram *own = poll->data;
  if (own->cleanup != NULL) napi_remove_async_cleanup_hook(own->cleanup);
  let_go(own);
}

/* Safe to call any number of times, also from inside the callback. */
static void close_socket(struct unix_datagram *own) {
  if (own->descriptor < 0) return;
  if (own->polling) uv_close((uv_handle_t *)&own->poll, on_closed);
  close(own->descriptor);
  own->descriptor = -1;
  if (!own->in_callback) drop_references(own);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_socket(data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  struct unix_datagram *own = poll->data;
  napi_env env = own->env;
  napi_handle_scope scope;
  napi_value self, callback, error;
  (void)events;
  /* libuv stops watching a descriptor with an error. */
  if (status < 0 && uv_poll_start(poll, UV_READABLE, on_readable) != 0) return;
  if (own->callback == NULL || napi_open_handle_scope(env, &scope) != napi_ok) return;
  own->holders++; /* the callback may close the socket and lose its last reference */
  if (napi_get_reference_value(env, own->self, &self) == napi_ok &&
      napi_get_reference_value(env, own->callback, &callback) == napi_ok) {
    own->in_callback = true;
    napi_status called = napi_make_callback(env, own->context, self, callback, 0, NULL, NULL);
    own->in_callback = false;
    if (own->descriptor < 0) drop_references(own);
    if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
  let_go(own);
}

static void finalize_object(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_socket(data);
  let_go(data);
}

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
  own->descriptor = -1;
  own->env = env;
  own->holders = 1;
  if (napi_wrap(env, self, own, finalize_object, NULL, NULL) != napi_ok) return free(own), NULL;
  own->descriptor = descriptor;
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
  ssize_t received = own->descriptor < 0 ? -1
                                         : recvfrom(own->descriptor, bytes, length, MSG_DONTWAIT | MSG_TRUNC,
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
  bool sent = own->descriptor >= 0 && taken > 0 &&
              sendto(own->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) == (ssize_t)length;
  return napi_get_boolean(env, sent, &result) == napi_ok ? result : NULL;
}

static int start_polling(struct unix_datagram *own) {
  uv_loop_t *loop;
  if (!own->polling) {
    if (napi_get_uv_event_loop(own->env, &loop) != napi_ok) return UV_EINVAL;
    int failure = uv_poll_init(loop, &own->poll, own->descriptor);
    if (failure != 0) return failure;
    own->poll.data = own;
    own->polling = true;
    own->holders++;
    napi_add_async_cleanup_hook(own->env, on_environment_end, own, &own->cleanup);
  }
  return uv_poll_start(&own->poll, UV_READABLE, on_readable);
}

/* onReadable(callback): calls back, on the event loop, whenever datagrams wait. To be called once. */
static napi_value on_readable_method(napi_env env, napi_callback_info info) {
  napi_value argument, self, name;
  napi_valuetype type;
  struct unix_datagram *own = unwrap_call(env, info, 1, &argument, &self);
  if (own == NULL) return NULL;
  if (napi_typeof(env, argument, &type) != napi_ok || type != napi_function)
    return throw_type(env, "onReadable expects a function");
  if (own->descriptor < 0 || own->callback != NULL) return throw_errno(env, "the socket", EBADF), NULL;
  if (napi_create_string_utf8(env, "meridian:unix-datagram", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, self, name, &own->context) != napi_ok ||
      napi_create_reference(env, self, 1, &own->self) != napi_ok ||
      napi_create_reference(env, argument, 1, &own->callback) != napi_ok)
    return NULL;
  int failure = start_polling(own);
  if (failure != 0) throw_errno(env, "cannot watch the socket", -failure);
  return NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct unix_datagram *own = unwrap_call(env, info, 0, NULL, NULL);
  if (own != NULL) close_socket(own);
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
