/* tcpListen: a listening TCP socket as a bare descriptor, for a supervisor to open and its children to inherit.
 * tcpAdmit: whether such a socket takes connections. */
#include "addon.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection on which nothing was said yet stays in the kernel for about this long. */
enum { DEFER_ACCEPT_SECONDS = 5, MAXIMUM_BACKLOG = 65535 };

struct tcp_listen {
  const char *address;
  uint32_t port;
  bool reuse_port;
  bool exclusive;
  int32_t backlog;
  bool beforehand; /* the address may come later */
};

static int switch_on(int descriptor, int level, int name) {
  int one = 1;
  return setsockopt(descriptor, level, name, &one, sizeof one);
}

/* Numeric addresses only, with a zone if there is one. */
static int parse_address(const struct tcp_listen *options, struct sockaddr_storage *address, socklen_t *length) {
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  if (getaddrinfo(options->address, NULL, &hints, &found) != 0) return -(strchr(options->address, '%') ? ENODEV : EINVAL);
  memcpy(address, found->ai_addr, found->ai_addrlen);
  *length = found->ai_addrlen;
  freeaddrinfo(found);
  if (address->ss_family == AF_INET)
    ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)options->port);
  else
    ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)options->port);
  return 0;
}

/* Sharing is switched on before bind to join whoever shares the port, after it to be refused by them. */
static int bind_and_listen(int descriptor, const struct tcp_listen *options) {
  struct sockaddr_storage address;
  socklen_t length;
  int failure = parse_address(options, &address, &length);
  if (failure != 0) return failure;
  if (address.ss_family == AF_INET6 && switch_on(descriptor, IPPROTO_IPV6, IPV6_V6ONLY) != 0) return -errno;
  if (switch_on(descriptor, SOL_SOCKET, SO_REUSEADDR) != 0) return -errno;
  if (options->reuse_port && !options->exclusive && switch_on(descriptor, SOL_SOCKET, SO_REUSEPORT) != 0) return -errno;
  if (options->beforehand) switch_on(descriptor, IPPROTO_IP, IP_FREEBIND);
  if (bind(descriptor, (struct sockaddr *)&address, length) != 0) return -errno;
  if (options->reuse_port && options->exclusive && switch_on(descriptor, SOL_SOCKET, SO_REUSEPORT) != 0) return -errno;
  /* Only an economy: without it silent connections cost a descriptor until the service's own limit ends them. */
  int seconds = DEFER_ACCEPT_SECONDS;
  setsockopt(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
  return listen(descriptor, options->backlog) == 0 ? 0 : -errno;
}

static int open_listener(const struct tcp_listen *options) {
  int family = strchr(options->address, ':') != NULL ? AF_INET6 : AF_INET;
  int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (descriptor < 0) return -errno;
  int failure = bind_and_listen(descriptor, options);
  if (failure == 0) return descriptor;
  close(descriptor);
  return failure;
}

/* tcpListen(address, port, reusePort, exclusive, backlog, beforehand): the descriptor of a listening socket. */
static napi_value tcp_listen_function(napi_env env, napi_callback_info info) {
  size_t count = 6, length;
  napi_value arguments[6];
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  struct tcp_listen options = {.address = text};
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_utf8(env, arguments[0], text, sizeof text, &length) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &options.port) != napi_ok || options.port > UINT16_MAX ||
      napi_get_value_bool(env, arguments[2], &options.reuse_port) != napi_ok ||
      napi_get_value_bool(env, arguments[3], &options.exclusive) != napi_ok ||
      napi_get_value_int32(env, arguments[4], &options.backlog) != napi_ok || options.backlog < 1 ||
      options.backlog > MAXIMUM_BACKLOG || napi_get_value_bool(env, arguments[5], &options.beforehand) != napi_ok)
    return throw_type(env, "tcpListen expects (address, port, reusePort, exclusive, backlog, beforehand)");
  int descriptor = open_listener(&options);
  if (descriptor < 0) return throw_errno(env, "listen", -descriptor), NULL;
  return give_descriptor(env, descriptor);
}

/*
 * Closing a descriptor would not do while others hold the socket: the kernel would go on taking connections that nobody
 * serves. Shutting the socket itself down refuses them and keeps its address; listen() opens it again. Without SO_REUSEADDR
 * meanwhile, since with it any other user could take the port of a socket that does not listen.
 */
static int admit(int descriptor, int backlog) {
  int listening, reuse = backlog > 0;
  socklen_t length = sizeof listening;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0) return -errno;
  if (listening == (backlog > 0)) return 0;
  if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0) return -errno;
  return (backlog > 0 ? listen(descriptor, backlog) : shutdown(descriptor, SHUT_RD)) == 0 ? 0 : -errno;
}

/* tcpAdmit(descriptor, backlog): a listening socket takes connections, or with a backlog of 0 the kernel refuses them. */
static napi_value tcp_admit_function(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int descriptor, backlog;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_int32(env, arguments[1], &backlog) != napi_ok || backlog < 0 || backlog > MAXIMUM_BACKLOG)
    return throw_type(env, "tcpAdmit expects (descriptor, backlog)");
  int failure = admit(descriptor, backlog);
  if (failure != 0) throw_errno(env, backlog > 0 ? "listen" : "shutdown", -failure);
  return NULL;
}

void register_tcp(napi_env env, napi_value exports) {
  export_function(env, exports, "tcpListen", tcp_listen_function);
  export_function(env, exports, "tcpAdmit", tcp_admit_function);
}
