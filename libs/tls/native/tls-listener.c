/*
 * TlsListener: a tls_server in JavaScript's hands, woken by Node's event loop. JavaScript is asked whether to admit an
 * address, which certificate a name gets, and how to answer a request; and told how each connection ended.
 *
 * Lifetime: the struct is freed when the JavaScript object and both libuv handles have let go of it. References into
 * JavaScript are dropped when the listener closes, which waits for the end of a run.
 */
#include "addon.h"
#include "nts-ke-message.h"
#include "tls-arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

enum { ADMIT, SERVER_NAME, REQUEST, ENDED, HANDLERS };
static const char *const handler_names[HANDLERS] = {"admit", "serverName", "request", "ended"};

enum { MOST_EXPORTED = 255 };

struct tls_listener {
  struct tls_server *server; /* NULL once closed */
  struct tls_listener_settings settings;
  struct tls_connection *asking; /* whose request JavaScript is answering */
  uv_poll_t poll;
  uv_timer_t timer;
  uint64_t timer_due;
  bool running; /* below tls_server_run */
  bool closing; /* as soon as it no longer runs */
  int holders;
  napi_env env;
  napi_ref self;
  napi_ref handlers[HANDLERS];
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
};

/* --- The end. --- */

static void let_go(struct tls_listener *listener) {
  if (--listener->holders > 0) return;
  tls_free_settings(&listener->settings);
  free(listener);
}

static void drop_references(struct tls_listener *listener) {
  for (int at = 0; at < HANDLERS; at++) {
    if (listener->handlers[at] != NULL) napi_delete_reference(listener->env, listener->handlers[at]);
    listener->handlers[at] = NULL;
  }
  if (listener->self != NULL) napi_delete_reference(listener->env, listener->self);
  if (listener->context != NULL) napi_async_destroy(listener->env, listener->context);
  listener->self = NULL;
  listener->context = NULL;
}

static void on_poll_closed(uv_handle_t *handle) { let_go(handle->data); }

static void on_timer_closed(uv_handle_t *handle) {
  struct tls_listener *listener = handle->data;
  if (listener->cleanup != NULL) napi_remove_async_cleanup_hook(listener->cleanup);
  let_go(listener);
}

/* Safe to call any number of times, also while it runs. JavaScript hears nothing more. */
static void close_listener(struct tls_listener *listener) {
  if (listener->server == NULL) return;
  listener->closing = true;
  if (listener->running) return;
  uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
  uv_close((uv_handle_t *)&listener->timer, on_timer_closed);
  tls_server_free(listener->server);
  listener->server = NULL;
  drop_references(listener);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_listener(data);
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  close_listener(data);
  let_go(data);
}

/* --- Asking and telling JavaScript. --- */

/* NULL when the handler threw, which is then an uncaught exception, or cannot be called any more. */
static napi_value call(struct tls_listener *listener, int handler, size_t count, const napi_value *arguments) {
  napi_env env = listener->env;
  napi_value self, function, result, error;
  if (listener->closing || napi_get_reference_value(env, listener->self, &self) != napi_ok ||
      napi_get_reference_value(env, listener->handlers[handler], &function) != napi_ok)
    return NULL;
  napi_status status = napi_call_function(env, self, function, count, arguments, &result);
  if (status == napi_ok) return result;
  if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  return NULL;
}

static bool admit(void *owner, const char *address) {
  struct tls_listener *listener = owner;
  napi_handle_scope scope;
  napi_value argument, result;
  bool admitted = false;
  if (napi_open_handle_scope(listener->env, &scope) != napi_ok) return false;
  if (napi_create_string_latin1(listener->env, address, NAPI_AUTO_LENGTH, &argument) == napi_ok) {
    result = call(listener, ADMIT, 1, &argument);
    if (result != NULL && napi_get_value_bool(listener->env, result, &admitted) != napi_ok) admitted = false;
  }
  napi_close_handle_scope(listener->env, scope);
  return admitted;
}

static int server_name(void *owner, const char *name) {
  struct tls_listener *listener = owner;
  napi_handle_scope scope;
  napi_value argument, result;
  int32_t index = -1;
  if (napi_open_handle_scope(listener->env, &scope) != napi_ok) return -1;
  if (napi_create_string_latin1(listener->env, name, NAPI_AUTO_LENGTH, &argument) == napi_ok) {
    result = call(listener, SERVER_NAME, 1, &argument);
    if (result != NULL && napi_get_value_int32(listener->env, result, &index) != napi_ok) index = -1;
  }
  napi_close_handle_scope(listener->env, scope);
  return index;
}

static void answer_with(struct tls_connection *connection, napi_env env, napi_value reply) {
  size_t length;
  void *bytes;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, reply, &type, &length, &bytes, NULL, NULL) != napi_ok) return;
  if (type == napi_uint8_array) tls_server_reply(connection, bytes, length);
}

static void request(void *owner, struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  struct tls_listener *listener = owner;
  napi_handle_scope scope;
  napi_value argument, reply;
  void *copy;
  if (napi_open_handle_scope(listener->env, &scope) != napi_ok) return;
  if (napi_create_buffer_copy(listener->env, length, bytes, &copy, &argument) == napi_ok) {
    listener->asking = connection;
    reply = call(listener, REQUEST, 1, &argument);
    listener->asking = NULL;
    if (reply != NULL) answer_with(connection, listener->env, reply);
  }
  napi_close_handle_scope(listener->env, scope);
}

static void ended(void *owner, const char *address, const char *why, bool unknown_name) {
  struct tls_listener *listener = owner;
  napi_env env = listener->env;
  napi_handle_scope scope;
  napi_value arguments[3];
  if (listener->closing || napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_create_string_latin1(env, address, NAPI_AUTO_LENGTH, &arguments[0]) == napi_ok &&
      (why == NULL ? napi_get_undefined(env, &arguments[1])
                   : napi_create_string_latin1(env, why, NAPI_AUTO_LENGTH, &arguments[1])) == napi_ok &&
      napi_get_boolean(env, unknown_name, &arguments[2]) == napi_ok)
    call(listener, ENDED, 3, arguments);
  napi_close_handle_scope(env, scope);
}

/* --- The event loop. --- */

static void run(struct tls_listener *listener);

static void on_timer(uv_timer_t *timer) { run(timer->data); }

/* libuv stops watching a descriptor that fails; an epoll does not, but nothing would wake the listener again. */
static void on_ready(uv_poll_t *poll, int status, int events) {
  (void)events;
  if (status < 0 && uv_poll_start(poll, UV_READABLE, on_ready) != 0) return;
  run(poll->data);
}

/* The timer may go off early, when the connection it was for has ended; it is then set anew. */
static void set_timer(struct tls_listener *listener) {
  int64_t wait = tls_server_wait(listener->server);
  if (wait < 0) return;
  uint64_t due = uv_now(listener->timer.loop) + (uint64_t)wait;
  if (uv_is_active((uv_handle_t *)&listener->timer) && listener->timer_due <= due) return;
  listener->timer_due = due;
  uv_timer_start(&listener->timer, on_timer, (uint64_t)wait + 1, 0);
}

static void run_in_scope(struct tls_listener *listener) {
  napi_callback_scope scope;
  napi_value self;
  if (napi_get_reference_value(listener->env, listener->self, &self) != napi_ok) return;
  if (napi_open_callback_scope(listener->env, self, listener->context, &scope) != napi_ok) return;
  listener->running = true;
  tls_server_run(listener->server);
  listener->running = false;
  napi_close_callback_scope(listener->env, scope);
}

static void run(struct tls_listener *listener) {
  napi_handle_scope scope;
  if (listener->server == NULL || napi_open_handle_scope(listener->env, &scope) != napi_ok) return;
  listener->holders++;
  run_in_scope(listener);
  if (listener->closing) close_listener(listener);
  if (listener->server != NULL) set_timer(listener);
  napi_close_handle_scope(listener->env, scope);
  let_go(listener);
}

/* --- Construction. --- */

static bool read_handlers(struct tls_listener *listener, napi_value handlers) {
  napi_value value;
  napi_valuetype type;
  for (int at = 0; at < HANDLERS; at++)
    if (napi_get_named_property(listener->env, handlers, handler_names[at], &value) != napi_ok ||
        napi_typeof(listener->env, value, &type) != napi_ok || type != napi_function ||
        napi_create_reference(listener->env, value, 1, &listener->handlers[at]) != napi_ok)
      return false;
  return true;
}

/* Puts the server into the event loop. From here on only close_listener undoes it. */
static bool start(struct tls_listener *listener, napi_value self) {
  uv_loop_t *loop;
  napi_value name;
  if (napi_get_uv_event_loop(listener->env, &loop) != napi_ok ||
      napi_create_string_utf8(listener->env, "meridian:tls", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(listener->env, self, name, &listener->context) != napi_ok ||
      napi_create_reference(listener->env, self, 1, &listener->self) != napi_ok ||
      uv_poll_init(loop, &listener->poll, tls_server_descriptor(listener->server)) != 0)
    return false;
  uv_timer_init(loop, &listener->timer);
  listener->poll.data = listener->timer.data = listener;
  listener->holders += 2;
  napi_add_async_cleanup_hook(listener->env, on_environment_end, listener, &listener->cleanup);
  uv_poll_start(&listener->poll, UV_READABLE, on_ready);
  return true;
}

static napi_value abandon(struct tls_listener *listener) {
  drop_references(listener);
  if (listener->server != NULL) tls_server_free(listener->server);
  let_go(listener);
  return NULL;
}

/* new TlsListener(settings, handlers): see src/tls-listener.ts. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self;
  struct tls_listener *listener;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  listener = calloc(1, sizeof *listener);
  if (listener == NULL) return throw_errno(env, "TLS listener", ENOMEM), NULL;
  listener->env = env;
  listener->holders = 1;
  if (!tls_read_settings(env, arguments[0], &listener->settings) || !read_handlers(listener, arguments[1]))
    return abandon(listener), throw_type(env, "TlsListener expects (settings, handlers)");
  const struct tls_events events = {listener, admit, server_name, request, ended};
  listener->server = tls_server_new(&listener->settings.limits, &events);
  if (listener->server == NULL) return throw_errno(env, "TLS listener", errno), abandon(listener);
  if (!start(listener, self)) return throw_errno(env, "TLS listener", EINVAL), abandon(listener);
  if (napi_wrap(env, self, listener, finalize, NULL, NULL) == napi_ok) return self;
  return finalize(env, listener, NULL), NULL;
}

/* --- Methods. --- */

/* The listener of a call, with up to two arguments; NULL after it has thrown, also when it is closed. */
static struct tls_listener *called(napi_env env, napi_callback_info info, napi_value *arguments) {
  struct tls_listener *listener = unwrap_call(env, info, 2, arguments, NULL);
  if (listener == NULL) return (void)throw_type(env, "expected a TlsListener"), NULL;
  if (listener->server != NULL && !listener->closing) return listener;
  return throw_errno(env, "the TLS listener is closed", EBADF), NULL;
}

/* useCertificates([{ chain, key }, …]): for connections from now on. Throws, and changes nothing then. */
static napi_value use_certificates(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  SSL_CTX *contexts[TLS_MOST_CERTIFICATES];
  struct tls_listener *listener = called(env, info, arguments);
  if (listener == NULL) return NULL;
  size_t count = tls_read_certificates(env, arguments[0], &listener->settings.tls, contexts);
  if (count == 0 || tls_server_use(listener->server, contexts, count)) return NULL;
  while (count-- > 0) SSL_CTX_free(contexts[count]);
  return throw_errno(env, "certificates", ENOMEM), NULL;
}

/* listen(descriptor): takes over a listening socket. When it throws, the descriptor stays the caller's. */
static napi_value listen_on(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int32_t descriptor;
  struct tls_listener *listener = called(env, info, arguments);
  if (listener == NULL) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok)
    return throw_type(env, "listen expects a descriptor");
  int error = tls_server_listen(listener->server, descriptor);
  if (error != 0) throw_errno(env, "listen", error);
  return NULL;
}

static napi_value stop_listening(napi_env env, napi_callback_info info) {
  struct tls_listener *listener = unwrap_call(env, info, 0, NULL, NULL);
  if (listener != NULL && listener->server != NULL) tls_server_stop_listening(listener->server);
  return NULL;
}

/* exportKeys(context, out): key material of the connection whose request is being answered. False when there is none. */
static napi_value export_keys(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  napi_typedarray_type types[2];
  size_t lengths[2];
  void *bytes[2];
  struct tls_listener *listener = called(env, info, arguments);
  if (listener == NULL) return NULL;
  for (int at = 0; at < 2; at++)
    if (napi_get_typedarray_info(env, arguments[at], &types[at], &lengths[at], &bytes[at], NULL, NULL) != napi_ok ||
        types[at] != napi_uint8_array || lengths[at] > MOST_EXPORTED)
      return throw_type(env, "exportKeys expects two Uint8Arrays of at most 255 bytes");
  bool done = listener->asking != NULL &&
              tls_server_export(listener->asking, listener->settings.exporter_label, bytes[0], lengths[0], bytes[1],
                                lengths[1]);
  return napi_get_boolean(env, done, &result) == napi_ok ? result : NULL;
}

/* endOldest(address): whether a connection from there made way for others. */
static napi_value end_oldest(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  char address[64] = "";
  struct tls_listener *listener = unwrap_call(env, info, 2, arguments, NULL);
  bool ended_one = false;
  if (listener != NULL && listener->server != NULL && !listener->closing && !listener->running &&
      napi_get_value_string_latin1(env, arguments[0], address, sizeof address, NULL) == napi_ok)
    ended_one = tls_server_end_oldest(listener->server, address);
  return napi_get_boolean(env, ended_one, &result) == napi_ok ? result : NULL;
}

static napi_value open_connections(napi_env env, napi_callback_info info) {
  napi_value result;
  struct tls_listener *listener = unwrap_call(env, info, 0, NULL, NULL);
  size_t open = listener == NULL || listener->server == NULL ? 0 : tls_server_open(listener->server);
  return napi_create_double(env, (double)open, &result) == napi_ok ? result : NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct tls_listener *listener = unwrap_call(env, info, 0, NULL, NULL);
  if (listener != NULL) close_listener(listener);
  return NULL;
}

/* ntsKeMessageEnds(bytes): what the walk over a message's records says, for a test to compare with RecordDecoder. */
static napi_value message_ends(napi_env env, napi_callback_info info) {
  size_t count = 1, length;
  napi_value argument, result;
  napi_typedarray_type type;
  void *bytes;
  struct nts_ke_walk walk = {0};
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_typedarray_info(env, argument, &type, &length, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array)
    return throw_type(env, "ntsKeMessageEnds expects a Uint8Array");
  return napi_get_boolean(env, nts_ke_message_ends(&walk, bytes, length), &result) == napi_ok ? result : NULL;
}

/* Without an OpenSSL that fits there is no class, only the reason. */
void register_tls(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"useCertificates", NULL, use_certificates, NULL, NULL, NULL, napi_default_method, NULL},
      {"listen", NULL, listen_on, NULL, NULL, NULL, napi_default_method, NULL},
      {"stopListening", NULL, stop_listening, NULL, NULL, NULL, napi_default_method, NULL},
      {"exportKeys", NULL, export_keys, NULL, NULL, NULL, napi_default_method, NULL},
      {"endOldest", NULL, end_oldest, NULL, NULL, NULL, napi_default_method, NULL},
      {"open", NULL, open_connections, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  const char *problem = tls_openssl_problem();
  napi_value text;
  export_function(env, exports, "ntsKeMessageEnds", message_ends);
  if (problem == NULL)
    export_class(env, exports, "TlsListener", construct, sizeof methods / sizeof *methods, methods);
  else if (napi_create_string_utf8(env, problem, NAPI_AUTO_LENGTH, &text) == napi_ok)
    napi_set_named_property(env, exports, "tlsProblem", text);
}
