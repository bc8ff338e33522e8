#include "watched-socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void watched_begin(struct watched_socket *socket, napi_env env, int events, void *owner, void (*free_owner)(void *)) {
  memset(socket, 0, sizeof *socket);
  socket->descriptor = -1;
  socket->env = env;
  socket->events = events;
  socket->owner = owner;
  socket->free_owner = free_owner;
  socket->holders = 1;
}

void watched_hold(struct watched_socket *socket) { socket->holders++; }

void watched_let_go(struct watched_socket *socket) {
  if (--socket->holders == 0) socket->free_owner(socket->owner);
}

static void drop_references(struct watched_socket *socket) {
  if (socket->callback != NULL) napi_delete_reference(socket->env, socket->callback);
  if (socket->self != NULL) napi_delete_reference(socket->env, socket->self);
  if (socket->context != NULL) napi_async_destroy(socket->env, socket->context);
  socket->callback = NULL;
  socket->self = NULL;
  socket->context = NULL;
}

static void on_closed(uv_handle_t *poll) {
  struct watched_socket *socket = poll->data;
  if (socket->cleanup != NULL) napi_remove_async_cleanup_hook(socket->cleanup);
  watched_let_go(socket);
}

void watched_close(struct watched_socket *socket) {
  if (socket->descriptor < 0) return;
  if (socket->before_close != NULL) socket->before_close(socket->owner);
  if (socket->polling) uv_close((uv_handle_t *)&socket->poll, on_closed);
  close(socket->descriptor);
  socket->descriptor = -1;
  if (!socket->in_callback) drop_references(socket);
}

/* The environment is going away (process end or worker thread end): it waits for on_closed. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  watched_close(data);
}

void watched_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  watched_close(hint);
  watched_let_go(hint);
}

static void call_back(struct watched_socket *socket) {
  napi_env env = socket->env;
  napi_value self, callback, error;
  if (napi_get_reference_value(env, socket->self, &self) != napi_ok) return;
  if (napi_get_reference_value(env, socket->callback, &callback) != napi_ok) return;
  socket->in_callback = true;
  napi_status called = napi_make_callback(env, socket->context, self, callback, 0, NULL, NULL);
  socket->in_callback = false;
  if (socket->descriptor < 0) drop_references(socket);
  /* As if it had been thrown by any other event's listener: uncaughtException, and if nobody listens the process ends. */
  if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
}

static void on_events(uv_poll_t *poll, int status, int events);

/* libuv stops watching a descriptor with an error (POLLERR). */
static bool watch_again(struct watched_socket *socket) {
  if (socket->clear_error != NULL) socket->clear_error(socket->owner);
  return uv_poll_start(&socket->poll, socket->events, on_events) == 0;
}

static void on_events(uv_poll_t *poll, int status, int events) {
  struct watched_socket *socket = poll->data;
  napi_handle_scope scope;
  (void)events;
  if (status < 0 && !watch_again(socket)) return;
  if (socket->callback == NULL || napi_open_handle_scope(socket->env, &scope) != napi_ok) return;
  watched_hold(socket); /* the callback may close the socket and lose its last reference */
  call_back(socket);
  napi_close_handle_scope(socket->env, scope);
  watched_let_go(socket);
}

/* Makes the poll handle on first use, with a hook that closes it when the environment ends. Returns 0 or a uv error. */
static int start_polling(struct watched_socket *socket) {
  uv_loop_t *loop;
  if (!socket->polling) {
    if (napi_get_uv_event_loop(socket->env, &loop) != napi_ok) return UV_EINVAL;
    int failure = uv_poll_init(loop, &socket->poll, socket->descriptor);
    if (failure != 0) return failure;
    socket->poll.data = socket;
    socket->polling = true;
    watched_hold(socket);
    napi_add_async_cleanup_hook(socket->env, on_environment_end, socket, &socket->cleanup);
  }
  return uv_poll_start(&socket->poll, socket->events, on_events);
}

void watched_on_readable(struct watched_socket *socket, napi_value self, napi_value callback, const char *name) {
  napi_env env = socket->env;
  napi_value resource;
  napi_valuetype type;
  if (napi_typeof(env, callback, &type) != napi_ok || type != napi_function) {
    throw_type(env, "onReadable expects a function");
    return;
  }
  if (socket->descriptor < 0) {
    throw_errno(env, "the socket is closed", EBADF);
    return;
  }
  if (socket->context == NULL && (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &resource) != napi_ok ||
                                  napi_async_init(env, self, resource, &socket->context) != napi_ok))
    return;
  if (socket->self == NULL && napi_create_reference(env, self, 1, &socket->self) != napi_ok) return;
  if (socket->callback != NULL) napi_delete_reference(env, socket->callback);
  socket->callback = NULL;
  if (napi_create_reference(env, callback, 1, &socket->callback) != napi_ok) return;
  int failure = start_polling(socket);
  if (failure != 0) throw_errno(env, "cannot watch the socket", -failure);
}

void watched_pause(struct watched_socket *socket) {
  if (socket->descriptor >= 0 && socket->polling) uv_poll_stop(&socket->poll);
}
