#include "turn-timer.h"

#include <time.h>

/* A timer may come so much early. */
enum { ROUNDING_MS = 2 };

/* Milliseconds to the next whole multiple. The system's clock says where those are, so that processes agree without a word. */
static uint64_t until_turn(const struct turn_timer *timer) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t interval = (int64_t)timer->milliseconds;
  int64_t since = (now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)timer->after) % interval;
  int64_t left = interval - (since < 0 ? since + interval : since);
  return (uint64_t)(left <= ROUNDING_MS ? left + interval : left);
}

static void drop(struct turn_timer *timer) {
  if (--timer->holders == 0) timer->release(timer);
}

static void drop_references(struct turn_timer *timer) {
  if (timer->callback != NULL) napi_delete_reference(timer->env, timer->callback);
  if (timer->context != NULL) napi_async_destroy(timer->env, timer->context);
  timer->callback = NULL;
  timer->context = NULL;
}

static void on_closed(uv_handle_t *handle) {
  struct turn_timer *timer = handle->data;
  if (timer->cleanup != NULL) napi_remove_async_cleanup_hook(timer->cleanup);
  drop(timer);
}

void turn_timer_close(struct turn_timer *timer) {
  if (!timer->is_open) return;
  timer->is_open = false;
  uv_close((uv_handle_t *)&timer->timer, on_closed);
  if (!timer->in_callback) drop_references(timer);
}

void turn_timer_let_go(napi_env env, void *timer, void *hint) {
  (void)env;
  (void)hint;
  turn_timer_close(timer);
  drop(timer);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  turn_timer_close(data);
}

static void call(struct turn_timer *timer, double number) {
  napi_env env = timer->env;
  napi_handle_scope scope;
  napi_value callback, global, argument, error;
  if (timer->callback == NULL || napi_open_handle_scope(env, &scope) != napi_ok) return;
  timer->holders++; /* the callback may close it and lose its last reference */
  if (napi_get_reference_value(env, timer->callback, &callback) == napi_ok &&
      napi_get_global(env, &global) == napi_ok && napi_create_double(env, number, &argument) == napi_ok) {
    timer->in_callback = true;
    napi_status called = napi_make_callback(env, timer->context, global, callback, 1, &argument, NULL);
    timer->in_callback = false;
    if (!timer->is_open) drop_references(timer);
    if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
  drop(timer);
}

static void on_timer(uv_timer_t *handle) {
  struct turn_timer *timer = handle->data;
  double number = 0;
  /* What ran before it in this turn of libuv may have taken long. */
  uv_update_time(handle->loop);
  uv_timer_start(handle, on_timer, until_turn(timer), 0);
  if (timer->on_turn(timer, &number)) call(timer, number);
}

int turn_timer_start(struct turn_timer *timer, napi_env env, napi_value self, napi_value callback, const char *name) {
  napi_value text;
  uv_loop_t *loop;
  timer->env = env;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return UV_EINVAL;
  if (callback != NULL && (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text) != napi_ok ||
                           napi_async_init(env, self, text, &timer->context) != napi_ok ||
                           napi_create_reference(env, callback, 1, &timer->callback) != napi_ok))
    return drop_references(timer), UV_EINVAL;
  uv_timer_init(loop, &timer->timer);
  timer->timer.data = timer;
  uv_unref((uv_handle_t *)&timer->timer);
  timer->is_open = true;
  timer->holders = 2;
  napi_add_async_cleanup_hook(env, on_environment_end, timer, &timer->cleanup);
  uv_update_time(loop);
  return uv_timer_start(&timer->timer, on_timer, until_turn(timer), 0);
}
