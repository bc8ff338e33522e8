/*
 * PacketLoop: waits for datagrams on several sockets, receives them, has JavaScript answer a batch in one call, sends the replies.
 *
 * While nothing else is to be done, it waits in libuv's place: its own epoll holds the sockets, and libuv's epoll as one more
 * descriptor. So a request costs one epoll_wait, one recvmmsg, one call of JavaScript and one sendmmsg, and no turn of libuv.
 * libuv has its turn when one of its descriptors is ready or a timer is due.
 *
 * It waits in a check handle, which comes after libuv polled, and an idle handle keeps libuv from blocking in that poll. What
 * libuv's callbacks begin to watch is known to the kernel only after its next poll: after a turn in which any ran, another
 * turn comes before the wait.
 */
#include "gather.h"
#include "udp-handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
  MOST_SOCKETS = 4096, /* as many as a plan may name */
  BATCHES_PER_TURN = 8, /* of one socket, before the others and libuv have their turn */
  EVENTS_AT_ONCE = 65,
  UV_SOCKET = MOST_SOCKETS, /* number of libuv's epoll among the events */
  CALLS_IN_A_SCOPE = 1000,  /* each leaves a handle behind; V8 has room for so many in a block */
  GATHER_SLACK_NS = 1000
};

/* What JavaScript and C tell each other of a batch: memory in place of arguments, which cost a lone request a tenth of its JavaScript. */
enum { TOLD_SOCKET, TOLD_COUNT, TOLD_REPLIES, TOLD_NUMBERS };

struct packet_loop {
  napi_env env;
  napi_ref self, callback, told_array, sockets[MOST_SOCKETS];
  int32_t *told;
  /* While it waits in libuv's place: what each call of JavaScript needs. */
  napi_handle_scope scope;
  napi_value self_value, callback_value;
  int calls;
  napi_async_cleanup_hook_handle cleanup;
  struct udp_batch *batches[MOST_SOCKETS];
  int socket_count;
  int stamp_at;
  int descriptor; /* of its epoll, -1 when stopped */
  struct gather gather;
  uint64_t events_seen; /* libuv's count of events, at the last check */
  uv_loop_t *loop;
  uv_check_t check;
  uv_idle_t idle;
  int open_handles;
  bool in_check; /* JavaScript may be running below on_check */
  bool collected; /* the JavaScript object is gone */
};

static uint64_t monotonic_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void on_handle_closed(uv_handle_t *handle) {
  struct packet_loop *loop = handle->data;
  if (--loop->open_handles > 0) return;
  if (loop->cleanup != NULL) napi_remove_async_cleanup_hook(loop->cleanup);
  loop->cleanup = NULL;
  if (loop->collected) free(loop);
}

/* Safe to call any number of times, also while JavaScript answers. The sockets and what waits in them stay as they are. */
static void stop_loop(struct packet_loop *loop) {
  if (loop->descriptor < 0) return;
  close(loop->descriptor);
  loop->descriptor = -1;
  uv_close((uv_handle_t *)&loop->check, on_handle_closed);
  uv_close((uv_handle_t *)&loop->idle, on_handle_closed);
}

static void drop_references(struct packet_loop *loop) {
  napi_env env = loop->env;
  if (loop->callback != NULL) napi_delete_reference(env, loop->callback);
  if (loop->self != NULL) napi_delete_reference(env, loop->self);
  if (loop->told_array != NULL) napi_delete_reference(env, loop->told_array);
  for (int index = 0; index < loop->socket_count; index++) napi_delete_reference(env, loop->sockets[index]);
  loop->callback = loop->self = loop->told_array = NULL;
  loop->socket_count = 0;
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  stop_loop(data);
}

static void finalize(napi_env env, void *data, void *hint) {
  struct packet_loop *loop = data;
  (void)env;
  (void)hint;
  loop->collected = true;
  if (loop->descriptor >= 0) stop_loop(loop);
  else if (loop->open_handles == 0) free(loop);
}

static bool open_scope(struct packet_loop *loop) {
  loop->calls = 0;
  if (napi_open_handle_scope(loop->env, &loop->scope) != napi_ok) return false;
  napi_get_reference_value(loop->env, loop->callback, &loop->callback_value);
  napi_get_reference_value(loop->env, loop->self, &loop->self_value);
  return true;
}

/* Has JavaScript answer `count` datagrams of a socket. Returns how many replies it wrote; 0 where it threw. */
static int answer(struct packet_loop *loop, int index, int count) {
  napi_env env = loop->env;
  napi_value error;
  if (++loop->calls > CALLS_IN_A_SCOPE) {
    napi_close_handle_scope(env, loop->scope);
    if (!open_scope(loop)) return stop_loop(loop), 0;
  }
  loop->told[TOLD_SOCKET] = index;
  loop->told[TOLD_COUNT] = count;
  loop->told[TOLD_REPLIES] = 0;
  udp_begin_answer(loop->batches[index], count, loop->stamp_at);
  napi_status called = napi_call_function(env, loop->self_value, loop->callback_value, 0, NULL, NULL);
  udp_end_answer();
  /* As if any other event's listener had thrown: uncaughtException, and if nobody listens the process ends. */
  if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  return called == napi_ok ? loop->told[TOLD_REPLIES] : 0;
}

/* Answers what waits on a socket. Returns how many datagrams it took. What is there behind a full batch was not waited for. */
static int serve_socket(struct packet_loop *loop, int index, bool gathered) {
  struct udp_batch *batch = loop->batches[index];
  int total = 0;
  for (int turn = 0; turn < BATCHES_PER_TURN && loop->descriptor >= 0; turn++) {
    int count = udp_receive(batch);
    if (count == 0) break;
    batch->gathered = gathered && turn == 0;
    total += count;
    if (answer(loop, index, count) > 0) udp_send(batch, count, loop->stamp_at);
    if (count < BATCH_CAPACITY) break;
  }
  return total;
}

/* Milliseconds until libuv has something to do by itself, -1 for never. The idle handle is left out of account. */
static int until_timer(struct packet_loop *loop) {
  uv_update_time(loop->loop);
  uv_idle_stop(&loop->idle);
  int timeout = uv_backend_timeout(loop->loop);
  return timeout;
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

/* Serves what is ready. Returns whether libuv has something to do, or nothing is to be waited for any more. */
static bool serve_ready(struct packet_loop *loop, const struct epoll_event *events, int ready, bool gathered) {
  bool leave = false;
  int count = 0;
  for (int event = 0; event < ready && loop->descriptor >= 0; event++) {
    if (events[event].data.u32 == UV_SOCKET) {
      leave = true;
      continue;
    }
    int index = (int)events[event].data.u32;
    if ((events[event].events & EPOLLERR) != 0) {
      udp_clear_errors(loop->batches[index]);
      loop->batches[index]->receive_errors++;
    }
    count += serve_socket(loop, index, gathered);
  }
  gather_note(&loop->gather, count, monotonic_now());
  return leave || loop->descriptor < 0;
}

static void wait_and_serve(struct packet_loop *loop, int timeout) {
  struct epoll_event events[EVENTS_AT_ONCE];
  uint64_t begun = monotonic_now(), now = begun;
  for (;; now = loop->gather.received_at) {
    int left = timeout;
    if (timeout > 0) {
      uint64_t spent = (now - begun) / 1000000u;
      if (spent >= (uint64_t)timeout) return;
      left = timeout - (int)spent;
    }
    uint64_t wait = timeout == 0 ? 0 : gather_wait(&loop->gather, now);
    if (wait > 0) {
      struct timespec pause = {.tv_nsec = (long)wait};
      nanosleep(&pause, NULL);
      int ready = epoll_wait(loop->descriptor, events, EVENTS_AT_ONCE, 0);
      if (ready > 0) {
        if (serve_ready(loop, events, ready, true)) return;
        continue;
      }
      gather_note(&loop->gather, 0, monotonic_now());
    }
    int ready = epoll_wait(loop->descriptor, events, EVENTS_AT_ONCE, left);
    if (ready < 0 && errno == EINTR) {
      gather_note(&loop->gather, 0, monotonic_now());
      continue;
    }
    if (ready <= 0) return;
    if (serve_ready(loop, events, ready, false) || timeout == 0) return;
  }
}

static void on_check(uv_check_t *check) {
  struct packet_loop *loop = check->data;
  uv_metrics_t metrics;
  uv_metrics_info(loop->loop, &metrics);
  bool is_quiet = metrics.events == loop->events_seen;
  loop->events_seen = metrics.events;
  int timeout = until_timer(loop);
  loop->in_check = true;
  if (open_scope(loop)) {
    wait_and_serve(loop, is_quiet ? timeout : 0);
    napi_close_handle_scope(loop->env, loop->scope);
  }
  loop->in_check = false;
  if (loop->descriptor >= 0) uv_idle_start(&loop->idle, on_idle);
  else drop_references(loop);
  uv_update_time(loop->loop);
}

static int watch(struct packet_loop *loop, int descriptor, uint32_t number) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
  return epoll_ctl(loop->descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno;
}

/* Takes up the sockets of a JavaScript array. Returns 0 or an errno. */
static int take_sockets(struct packet_loop *loop, napi_value array) {
  uint32_t length;
  if (napi_get_array_length(loop->env, array, &length) != napi_ok || length == 0 || length > MOST_SOCKETS) return EINVAL;
  for (uint32_t index = 0; index < length; index++) {
    napi_value object;
    if (napi_get_element(loop->env, array, index, &object) != napi_ok) return EINVAL;
    struct udp_batch *batch = udp_handle_batch(loop->env, object);
    if (batch == NULL) return EINVAL;
    if (batch->descriptor < 0) return EBADF;
    int error = watch(loop, batch->descriptor, index);
    if (error != 0) return error;
    if (napi_create_reference(loop->env, object, 1, &loop->sockets[index]) != napi_ok) return ENOMEM;
    loop->batches[index] = batch;
    loop->socket_count = (int)index + 1;
  }
  return 0;
}

static int start_handles(struct packet_loop *loop) {
  if (napi_get_uv_event_loop(loop->env, &loop->loop) != napi_ok) return EINVAL;
  int error = watch(loop, uv_backend_fd(loop->loop), UV_SOCKET);
  if (error != 0) return error;
  uv_check_init(loop->loop, &loop->check);
  uv_idle_init(loop->loop, &loop->idle);
  loop->check.data = loop->idle.data = loop;
  loop->open_handles = 2;
  uv_check_start(&loop->check, on_check);
  uv_idle_start(&loop->idle, on_idle);
  return 0;
}

/*
 * new PacketLoop(handles, answer, told, stampAt, gatherNanoseconds): serves the UdpHandles until stopped. `answer()` finds the number of
 * a socket and how many datagrams that has in the first two numbers of `told`, an Int32Array, and writes how many replies it wrote
 * into the third; they are sent by UdpHandle.send's rules.
 */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 5, numbers;
  napi_value arguments[5], self;
  napi_valuetype type;
  napi_typedarray_type numbers_type;
  int64_t gather;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  struct packet_loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL) return throw_errno(env, "packet loop", ENOMEM), NULL;
  loop->env = env;
  if (napi_typeof(env, arguments[1], &type) != napi_ok || type != napi_function ||
      napi_get_typedarray_info(env, arguments[2], &numbers_type, &numbers, (void **)&loop->told, NULL, NULL) != napi_ok ||
      numbers_type != napi_int32_array || numbers < TOLD_NUMBERS ||
      napi_get_value_int32(env, arguments[3], &loop->stamp_at) != napi_ok ||
      napi_get_value_int64(env, arguments[4], &gather) != napi_ok || gather < 0 || gather >= 1000000000)
    return free(loop), throw_type(env, "PacketLoop expects (handles, function, Int32Array, stampAt, gatherNanoseconds)");
  loop->gather = (struct gather){.most_ns = (uint64_t)gather, .window_from = monotonic_now()};
  loop->descriptor = epoll_create1(EPOLL_CLOEXEC);
  int error = loop->descriptor < 0 ? errno : take_sockets(loop, arguments[0]);
  if (error == 0) error = start_handles(loop);
  if (error == 0 && napi_wrap(env, self, loop, finalize, NULL, NULL) != napi_ok) error = ENOMEM;
  if (error != 0) {
    drop_references(loop);
    loop->collected = true;
    if (loop->open_handles > 0) stop_loop(loop);
    else {
      if (loop->descriptor >= 0) close(loop->descriptor);
      free(loop);
    }
    return throw_errno(env, "packet loop", error), NULL;
  }
  napi_create_reference(env, self, 1, &loop->self);
  napi_create_reference(env, arguments[1], 1, &loop->callback);
  napi_create_reference(env, arguments[2], 1, &loop->told_array);
  napi_add_async_cleanup_hook(env, on_environment_end, loop, &loop->cleanup);
  if (gather > 0) prctl(PR_SET_TIMERSLACK, GATHER_SLACK_NS); /* of this thread: 50 µs by default, as much as is to be gathered */
  return self;
}

static napi_value stop_method(napi_env env, napi_callback_info info) {
  struct packet_loop *loop = unwrap_call(env, info, 0, NULL, NULL);
  if (loop == NULL || loop->descriptor < 0) return NULL;
  stop_loop(loop);
  if (!loop->in_check) drop_references(loop);
  return NULL;
}

void register_packet_loop(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"stop", NULL, stop_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "PacketLoop", construct, sizeof methods / sizeof *methods, methods);
}
