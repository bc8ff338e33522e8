/*
 * A socket that JavaScript is called back for whenever it can be read: what UdpHandle, UdpClientHandle and UnixDatagram have
 * in common.
 *
 * Lifetime: what holds it is freed when the last has let go: the JavaScript object, libuv, and whoever else took hold.
 * References into JavaScript are dropped when the socket closes, so that nothing of V8 is touched after that.
 */
#ifndef MERIDIAN_WATCHED_SOCKET_H
#define MERIDIAN_WATCHED_SOCKET_H

#include "addon.h"

#include <uv.h>

struct watched_socket {
  int descriptor; /* -1 once closed, and before there is one */
  napi_env env;
  void *owner; /* what holds this */
  /* Frees the owner. */
  void (*free_owner)(void *owner);
  /* Told before the descriptor is closed; NULL where nobody wants to know. */
  void (*before_close)(void *owner);
  /* Clears an error of the socket, after which libuv would not watch it any more; NULL where that takes nothing. */
  void (*clear_error)(void *owner);
  /* For watched_socket.c alone. */
  uv_poll_t poll;
  int events;
  bool polling;     /* the poll handle exists */
  bool in_callback; /* JavaScript is running below it */
  int holders;
  napi_ref self;     /* keeps the object alive while it is being watched */
  napi_ref callback; /* NULL when not watched */
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
};

/* Makes it ready, held once and without a descriptor. `events` as uv_poll_start takes them. */
void watched_begin(struct watched_socket *socket, napi_env env, int events, void *owner, void (*free_owner)(void *));

void watched_hold(struct watched_socket *socket);
void watched_let_go(struct watched_socket *socket);

/* Closes the descriptor. Safe to call any number of times, also from inside the callback. */
void watched_close(struct watched_socket *socket);

/* A finalizer for napi_wrap, with the watched socket as its hint. */
void watched_finalize(napi_env env, void *data, void *hint);

/*
 * Calls the function `callback` back, on the event loop, whenever the socket can be read; another call replaces it.
 * Throws where it cannot, and where it is closed. `name` is for async hooks.
 */
void watched_on_readable(struct watched_socket *socket, napi_value self, napi_value callback, const char *name);

/* Calls nobody back until watched_on_readable is called again. */
void watched_pause(struct watched_socket *socket);

#endif
