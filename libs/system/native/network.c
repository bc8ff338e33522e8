/*
 * The machine's addresses, and word of their changes: networkAddresses() and NetworkWatch. The kernel's messages
 * (rtnetlink(7)) are taken as a sign that something changed and not read: whoever is told reads the addresses.
 *
 * Lifetime as UdpHandle's: freed when the JavaScript object and libuv have both let go; references into JavaScript are dropped
 * when it closes.
 */
#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct network_watch {
  int descriptor; /* -1 once closed */
  uv_poll_t poll;
  bool in_callback;
  int holders;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
};

static void let_go(struct network_watch *watch) {
  if (--watch->holders == 0) free(watch);
}

static void drop_references(struct network_watch *watch) {
  if (watch->callback != NULL) napi_delete_reference(watch->env, watch->callback);
  if (watch->context != NULL) napi_async_destroy(watch->env, watch->context);
  watch->callback = NULL;
  watch->context = NULL;
}

static void on_closed(uv_handle_t *poll) {
  struct network_watch *watch = poll->data;
  if (watch->cleanup != NULL) napi_remove_async_cleanup_hook(watch->cleanup);
  let_go(watch);
}

/* Safe to call any number of times, also from inside the callback. */
static void close_watch(struct network_watch *watch) {
  if (watch->descriptor < 0) return;
  uv_close((uv_handle_t *)&watch->poll, on_closed);
  close(watch->descriptor);
  watch->descriptor = -1;
  if (!watch->in_callback) drop_references(watch);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_watch(data);
}

/* Several changes come at once, and where there were too many the kernel says so (ENOBUFS): one call for all. */
static void discard_messages(int descriptor) {
  char bytes[8192];
  while (recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  struct network_watch *watch = poll->data;
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_value callback, global, error;
  (void)events;
  discard_messages(watch->descriptor);
  /* libuv stops watching a descriptor with an error. */
  if (status < 0) uv_poll_start(poll, UV_READABLE, on_readable);
  if (watch->callback == NULL || napi_open_handle_scope(env, &scope) != napi_ok) return;
  watch->holders++; /* the callback may close the watch and lose its last reference */
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok && napi_get_global(env, &global) == napi_ok) {
    watch->in_callback = true;
    napi_status called = napi_make_callback(env, watch->context, global, callback, 0, NULL, NULL);
    watch->in_callback = false;
    if (watch->descriptor < 0) drop_references(watch);
    if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
  let_go(watch);
}

static void finalize_object(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_watch(data);
  let_go(data);
}

/* A descriptor that becomes readable when an interface or address comes, goes or changes. Or an errno, negative. */
static int open_netlink(void) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (descriptor < 0) return -errno;
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
  int error = errno;
  close(descriptor);
  return -error;
}

/* Takes the callback and begins to watch. Returns 0 or a uv error. */
static int start_watch(struct network_watch *watch, napi_value self, napi_value callback, int descriptor) {
  napi_env env = watch->env;
  napi_value name;
  uv_loop_t *loop;
  if (napi_create_string_utf8(env, "meridian:network-watch", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, self, name, &watch->context) != napi_ok ||
      napi_create_reference(env, callback, 1, &watch->callback) != napi_ok ||
      napi_get_uv_event_loop(env, &loop) != napi_ok)
    return UV_EINVAL;
  int failure = uv_poll_init(loop, &watch->poll, descriptor);
  if (failure != 0) return failure;
  watch->descriptor = descriptor;
  watch->poll.data = watch;
  watch->holders++;
  /* Nobody is kept alive by waiting for a change. */
  uv_unref((uv_handle_t *)&watch->poll);
  napi_add_async_cleanup_hook(env, on_environment_end, watch, &watch->cleanup);
  return uv_poll_start(&watch->poll, UV_READABLE, on_readable);
}

/* new NetworkWatch(callback): calls back, on the event loop, after interfaces or addresses have changed, until it is closed. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value callback, self;
  napi_valuetype type;
  if (napi_get_cb_info(env, info, &count, &callback, &self, NULL) != napi_ok) return NULL;
  if (napi_typeof(env, callback, &type) != napi_ok || type != napi_function)
    return throw_type(env, "NetworkWatch expects a function");
  int descriptor = open_netlink();
  if (descriptor < 0) return throw_errno(env, "cannot watch the network's addresses", -descriptor), NULL;
  struct network_watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL) return close(descriptor), throw_errno(env, "a watch", ENOMEM), NULL;
  watch->descriptor = -1;
  watch->env = env;
  watch->holders = 1;
  if (napi_wrap(env, self, watch, finalize_object, NULL, NULL) != napi_ok) return close(descriptor), free(watch), NULL;
  int failure = start_watch(watch, self, callback, descriptor);
  if (failure == 0) return self;
  if (watch->descriptor < 0) close(descriptor), drop_references(watch);
  else close_watch(watch);
  return throw_errno(env, "cannot watch the network's addresses", -failure), NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct network_watch *watch = unwrap_call(env, info, 0, NULL, NULL);
  if (watch != NULL) close_watch(watch);
  return NULL;
}

/* [name, index, address]; NULL for what is no address, or of an interface that is down. */
static napi_value entry_of(napi_env env, const struct ifaddrs *item) {
  char text[INET6_ADDRSTRLEN];
  napi_value entry, name, index, address;
  if (item->ifa_addr == NULL || (item->ifa_flags & IFF_UP) == 0) return NULL;
  int family = item->ifa_addr->sa_family;
  if (family != AF_INET && family != AF_INET6) return NULL;
  const void *bytes = family == AF_INET ? (const void *)&((struct sockaddr_in *)item->ifa_addr)->sin_addr
                                        : (const void *)&((struct sockaddr_in6 *)item->ifa_addr)->sin6_addr;
  if (inet_ntop(family, bytes, text, sizeof text) == NULL) return NULL;
  if (napi_create_array_with_length(env, 3, &entry) != napi_ok ||
      napi_create_string_utf8(env, item->ifa_name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_uint32(env, if_nametoindex(item->ifa_name), &index) != napi_ok ||
      napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &address) != napi_ok)
    return NULL;
  napi_set_element(env, entry, 0, name);
  napi_set_element(env, entry, 1, index);
  napi_set_element(env, entry, 2, address);
  return entry;
}

/* networkAddresses(): every address of every interface that is up. */
static napi_value network_addresses(napi_env env, napi_callback_info info) {
  struct ifaddrs *all = NULL;
  napi_value list;
  uint32_t length = 0;
  (void)info;
  if (getifaddrs(&all) != 0) return throw_errno(env, "the network's addresses", errno), NULL;
  if (napi_create_array(env, &list) == napi_ok)
    for (const struct ifaddrs *item = all; item != NULL; item = item->ifa_next) {
      napi_value entry = entry_of(env, item);
      if (entry != NULL) napi_set_element(env, list, length++, entry);
    }
  else
    list = NULL;
  freeifaddrs(all);
  return list;
}

void register_network(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "NetworkWatch", construct, sizeof methods / sizeof *methods, methods);
  export_function(env, exports, "networkAddresses", network_addresses);
}
