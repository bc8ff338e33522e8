/*
 * UdpHandle: a udp_batch in JavaScript's hands. Its memory is one ArrayBuffer, and readiness comes from the event loop.
 *
 * Its lifetime is watched-socket.h's; besides the JavaScript object and libuv, the ArrayBuffer holds it.
 */
#include "addon.h"
#include "clock-page-map.h"
#include "udp-batch.h"
#include "udp-handle.h"
#include "watched-socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct udp_handle {
  struct udp_batch batch;
  struct watched_socket socket;
};

static void free_handle(void *owner) {
  struct udp_handle *handle = owner;
  clock_page_unmap((struct clock_page *)handle->batch.page);
  free(handle);
}

static void before_close(void *owner) {
  struct udp_handle *handle = owner;
  udp_overflows(&handle->batch); /* the last count outlives the descriptor */
  handle->batch.descriptor = -1;
}

static void clear_error(void *owner) {
  struct udp_handle *handle = owner;
  udp_clear_errors(&handle->batch);
  handle->batch.receive_errors++;
}

static void finalize_block(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  watched_let_go(hint);
}

/* Maps the page to serve by where one is given (-1: none). Returns 0 or an errno. */
static int map_page(struct udp_handle *handle, int32_t descriptor) {
  if (descriptor < 0) return 0;
  handle->batch.page = clock_page_map(descriptor, false);
  return handle->batch.page == NULL ? errno : 0;
}

/*
 * new UdpHandle(descriptor, page): takes over a bound descriptor, to serve by the clock page behind the other (-1: none),
 * which stays the caller's. On failure it throws and the descriptor stays open.
 */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self, block;
  int32_t descriptor, page;
  struct udp_handle *handle;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_int32(env, arguments[1], &page) != napi_ok)
    return throw_type(env, "UdpHandle expects a descriptor and that of a clock page, or -1");
  if (posix_memalign((void **)&handle, 4096, sizeof *handle) != 0) return throw_errno(env, "UDP buffer", ENOMEM), NULL;
  memset(handle, 0, sizeof *handle);
  handle->batch.descriptor = -1;
  watched_begin(&handle->socket, env, UV_READABLE, handle, free_handle);
  handle->socket.before_close = before_close;
  handle->socket.clear_error = clear_error;
  int error = map_page(handle, page);
  if (error != 0) return free_handle(handle), throw_errno(env, "cannot map the clock page", error), NULL;
  int failure = udp_adopt(&handle->batch, descriptor);
  if (failure != 0) return free_handle(handle), throw_errno(env, "cannot use the descriptor as a UDP socket", -failure), NULL;
  if (napi_wrap(env, self, handle, watched_finalize, &handle->socket, NULL) != napi_ok) return free_handle(handle), NULL;
  watched_hold(&handle->socket);
  if (napi_create_external_arraybuffer(env, &handle->batch.block, sizeof handle->batch.block, finalize_block,
                                       &handle->socket, &block) != napi_ok) {
    watched_let_go(&handle->socket);
    handle->batch.descriptor = -1;
    return throw_errno(env, "UDP buffer", ENOMEM), NULL;
  }
  handle->socket.descriptor = descriptor;
  napi_set_named_property(env, self, "block", block);
  set_number(env, self, "family", handle->batch.family == AF_INET ? 4 : 6);
  set_number(env, self, "port", handle->batch.port);
  return self;
}

struct udp_batch *udp_handle_batch(napi_env env, napi_value object) {
  void *wrapped = NULL;
  return napi_unwrap(env, object, &wrapped) == napi_ok ? &((struct udp_handle *)wrapped)->batch : NULL;
}

static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value result;
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  if (handle == NULL) return NULL;
  return napi_create_int32(env, udp_receive(&handle->batch), &result) == napi_ok ? result : NULL;
}

static napi_value send_replies(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  int32_t count, stamp_at;
  struct udp_handle *handle = unwrap_call(env, info, 2, arguments, NULL);
  if (handle == NULL) return NULL;
  if (napi_get_value_int32(env, arguments[0], &count) != napi_ok) return throw_type(env, "send expects a count");
  if (napi_get_value_int32(env, arguments[1], &stamp_at) != napi_ok) stamp_at = -1;
  return napi_create_int32(env, udp_send(&handle->batch, count, stamp_at), &result) == napi_ok ? result : NULL;
}

static napi_value counter(napi_env env, uint64_t value) {
  napi_value result;
  return napi_create_double(env, (double)value, &result) == napi_ok ? result : NULL;
}

static napi_value sent(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  return handle == NULL ? NULL : counter(env, handle->batch.sent);
}

/* latencies(): the bins, and behind them the sum in nanoseconds. */
static napi_value latencies(napi_env env, napi_callback_info info) {
  napi_value result;
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  if (handle == NULL || napi_create_array_with_length(env, LATENCY_BINS + 1, &result) != napi_ok) return NULL;
  for (uint32_t bin = 0; bin <= LATENCY_BINS; bin++) {
    napi_value number = counter(env, bin < LATENCY_BINS ? handle->batch.latencies[bin] : handle->batch.latency_ns);
    if (number == NULL || napi_set_element(env, result, bin, number) != napi_ok) return NULL;
  }
  return result;
}

static napi_value overflows(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  return handle == NULL ? NULL : counter(env, udp_overflows(&handle->batch));
}

static napi_value send_errors(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  return handle == NULL ? NULL : counter(env, handle->batch.send_errors);
}

static napi_value receive_errors(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  return handle == NULL ? NULL : counter(env, handle->batch.receive_errors);
}

/* shed(whether): see udp_set_shedding. */
static napi_value shed(napi_env env, napi_callback_info info) {
  napi_value whether;
  bool sheds;
  struct udp_handle *handle = unwrap_call(env, info, 1, &whether, NULL);
  if (handle == NULL) return NULL;
  if (napi_get_value_bool(env, whether, &sheds) != napi_ok) return throw_type(env, "shed expects a boolean");
  udp_set_shedding(&handle->batch, sheds);
  return NULL;
}

/* onReadable(callback): calls back, on the event loop, whenever datagrams wait. A second call replaces the callback. */
static napi_value on_readable_method(napi_env env, napi_callback_info info) {
  napi_value callback, self;
  struct udp_handle *handle = unwrap_call(env, info, 1, &callback, &self);
  if (handle != NULL) watched_on_readable(&handle->socket, self, callback, "meridian:udp");
  return NULL;
}

static napi_value pause_polling(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  if (handle != NULL) watched_pause(&handle->socket);
  return NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct udp_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  if (handle != NULL) watched_close(&handle->socket);
  return NULL;
}

/* "192.0.2.1", "2001:db8::1", "fe80::1%eth0" or "fe80::1%2", with a port in host order. Returns 0 or an errno. */
static int parse_address(const char *text, uint16_t port, struct udp_bind *options) {
  struct sockaddr_in *four = (struct sockaddr_in *)&options->address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&options->address;
  char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    options->address_length = sizeof *four;
    return 0;
  }
  strncpy(host, text, sizeof host - 1);
  host[sizeof host - 1] = 0;
  char *zone = strchr(host, '%');
  if (zone != NULL) *zone++ = 0;
  if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1) return EINVAL;
  if (zone != NULL) {
    six->sin6_scope_id = if_nametoindex(zone);
    if (six->sin6_scope_id == 0) six->sin6_scope_id = (uint32_t)strtoul(zone, NULL, 10);
    if (six->sin6_scope_id == 0) return ENODEV;
  }
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  options->address_length = sizeof *six;
  return 0;
}

/* udpBind(address, port, exclusive, receiveBufferBytes, beforehand): the descriptor of a bound socket. */
static napi_value udp_bind_function(napi_env env, napi_callback_info info) {
  size_t count = 5, length;
  napi_value arguments[5];
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  uint32_t port;
  struct udp_bind options = {0};
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_utf8(env, arguments[0], text, sizeof text, &length) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &port) != napi_ok || port > UINT16_MAX ||
      napi_get_value_bool(env, arguments[2], &options.exclusive) != napi_ok ||
      napi_get_value_int32(env, arguments[3], &options.receive_buffer_bytes) != napi_ok ||
      napi_get_value_bool(env, arguments[4], &options.beforehand) != napi_ok)
    return throw_type(env, "udpBind expects (address, port, exclusive, receiveBufferBytes, beforehand)");
  int error = parse_address(text, (uint16_t)port, &options);
  if (error != 0) return throw_errno(env, "address", error), NULL;
  int descriptor = udp_open(&options);
  if (descriptor < 0) return throw_errno(env, "bind", -descriptor), NULL;
  return give_descriptor(env, descriptor);
}

/* duplicateDescriptor(descriptor): a second descriptor of the same socket, closed on exec. */
static napi_value duplicate_descriptor(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok)
    return throw_type(env, "duplicateDescriptor expects a descriptor");
  int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (duplicate < 0) return throw_errno(env, "duplicate", errno), NULL;
  return give_descriptor(env, duplicate);
}

static void export_layout(napi_env env, napi_value exports) {
  napi_value layout;
  if (napi_create_object(env, &layout) != napi_ok) return;
  set_number(env, layout, "slotBytes", SLOT_BYTES);
  set_number(env, layout, "slotStride", SLOT_STRIDE);
  set_number(env, layout, "batchCapacity", BATCH_CAPACITY);
  set_number(env, layout, "addressStride", ADDRESS_STRIDE);
  set_number(env, layout, "localAddressStride", LOCAL_ADDRESS_STRIDE);
  set_number(env, layout, "bytes", offsetof(struct udp_block, bytes));
  set_number(env, layout, "arrivalSeconds", offsetof(struct udp_block, arrival_seconds));
  set_number(env, layout, "arrivalFractions", offsetof(struct udp_block, arrival_fractions));
  set_number(env, layout, "served", offsetof(struct udp_block, served));
  set_number(env, layout, "now", offsetof(struct udp_block, now));
  set_number(env, layout, "requestLengths", offsetof(struct udp_block, request_lengths));
  set_number(env, layout, "replyLengths", offsetof(struct udp_block, reply_lengths));
  set_number(env, layout, "addresses", offsetof(struct udp_block, addresses));
  set_number(env, layout, "localAddresses", offsetof(struct udp_block, local_addresses));
  napi_set_named_property(env, exports, "udpLayout", layout);
}

void register_udp(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"receive", NULL, receive, NULL, NULL, NULL, napi_default_method, NULL},
      {"send", NULL, send_replies, NULL, NULL, NULL, napi_default_method, NULL},
      {"sent", NULL, sent, NULL, NULL, NULL, napi_default_method, NULL},
      {"latencies", NULL, latencies, NULL, NULL, NULL, napi_default_method, NULL},
      {"overflows", NULL, overflows, NULL, NULL, NULL, napi_default_method, NULL},
      {"sendErrors", NULL, send_errors, NULL, NULL, NULL, napi_default_method, NULL},
      {"shed", NULL, shed, NULL, NULL, NULL, napi_default_method, NULL},
      {"receiveErrors", NULL, receive_errors, NULL, NULL, NULL, napi_default_method, NULL},
      {"onReadable", NULL, on_readable_method, NULL, NULL, NULL, napi_default_method, NULL},
      {"pause", NULL, pause_polling, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "UdpHandle", construct, sizeof methods / sizeof *methods, methods);
  export_function(env, exports, "udpBind", udp_bind_function);
  export_function(env, exports, "duplicateDescriptor", duplicate_descriptor);
  export_layout(env, exports);
}
