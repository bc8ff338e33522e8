/*
 * UdpClientHandle: a UDP socket that asks. Besides datagrams it reports, from the socket's error queue, when the kernel
 * handed each request to the network (SO_TIMESTAMPING), numbered in the order of sending. Its lifetime is watched-socket.h's.
 */
#include "addon.h"
#include "watched-socket.h"

#include <errno.h>
#include <time.h>

#include <linux/errqueue.h> /* needs struct timespec */
#include <linux/net_tstamp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_BYTES = 2048, CONTROL_BYTES = 512, DRAIN_LIMIT = 64, ADDRESS_TEXT = 128 };

/* What a socket is for: asking one host, telling many (broadcast, multicast), hearing those who tell. */
enum { ASKS, TELLS, HEARS };

/* What receive() found; its numbers are at the places below. */
enum { NOTHING, DATAGRAM, TRANSMITTED, FAILED };
enum { LENGTH, SECONDS, NANOSECONDS, SEQUENCE, PORT, NUMBERS };

static const uint32_t TIMESTAMPING = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
                                     SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
                                     SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_CMSG;

/* A queued stamp shows as POLLERR with POLLPRI (SO_SELECT_ERR_QUEUE); libuv stops watching at a POLLERR without it. */
enum { EVENTS = UV_READABLE | UV_PRIORITIZED };

struct udp_client {
  struct watched_socket socket;
  int family;
  bool stamps;    /* the kernel stamps what is sent */
  uint32_t sent;  /* datagrams sent */
  uint32_t first; /* number of the datagram that the kernel counts as its zeroth */
  struct sockaddr_storage source;
  socklen_t source_length;
};

/* A numeric address, with a zone where it has one. Returns 0 or an errno; never asks DNS. */
static int parse_endpoint(const char *address, uint32_t port, struct sockaddr_storage *out, socklen_t *length) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *found;
  if (getaddrinfo(address, NULL, &hints, &found) != 0) return EINVAL;
  memcpy(out, found->ai_addr, found->ai_addrlen);
  *length = found->ai_addrlen;
  freeaddrinfo(found);
  if (out->ss_family == AF_INET)
    ((struct sockaddr_in *)out)->sin_port = htons((uint16_t)port);
  else
    ((struct sockaddr_in6 *)out)->sin6_port = htons((uint16_t)port);
  return 0;
}

/* Reads (text, port) from two arguments; an empty text gives length 0. Returns 0 or an errno. */
static int endpoint_argument(napi_env env, const napi_value *arguments, struct sockaddr_storage *out, socklen_t *length) {
  char text[ADDRESS_TEXT];
  size_t text_length;
  uint32_t port;
  *length = 0;
  if (napi_get_value_string_utf8(env, arguments[0], text, sizeof text, &text_length) != napi_ok) return EINVAL;
  if (napi_get_value_uint32(env, arguments[1], &port) != napi_ok || port > UINT16_MAX) return EINVAL;
  return text_length == 0 ? 0 : parse_endpoint(text, port, out, length);
}

static bool set_stamps(int descriptor, uint32_t flags) {
  return setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) == 0;
}

/* Where the kernel stamps nothing that leaves, arrivals at least are stamped. */
static void start_stamps(struct udp_client *client) {
  int on = 1;
  client->stamps = set_stamps(client->socket.descriptor, TIMESTAMPING);
  if (!client->stamps) setsockopt(client->socket.descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(client->socket.descriptor, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &on, sizeof on);
}

/*
 * A connected socket on a port that was asked for may share it with sockets that serve there: the kernel gives it what its
 * remote sends, and the others everything else.
 */
static bool shares_port(const struct sockaddr_storage *local, socklen_t local_length, socklen_t remote_length) {
  if (local_length == 0 || remote_length == 0) return false;
  return (local->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)local)->sin6_port
                                       : ((const struct sockaddr_in *)local)->sin_port) != 0;
}

/* Broadcasts may be sent, and multicasts go so many hops far; they are not heard by this host itself. Returns 0 or -errno. */
static int allow_telling(const struct udp_client *client, uint32_t hops) {
  int on = 1, off = 0, most = (int)hops;
  if (client->family == AF_INET6)
    return setsockopt(client->socket.descriptor, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &most, sizeof most) == 0 &&
                   setsockopt(client->socket.descriptor, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off) == 0
               ? 0
               : -errno;
  return setsockopt(client->socket.descriptor, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0 &&
                 setsockopt(client->socket.descriptor, IPPROTO_IP, IP_MULTICAST_TTL, &most, sizeof most) == 0 &&
                 setsockopt(client->socket.descriptor, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off) == 0
             ? 0
             : -errno;
}

/* Opens, binds to `local` (or a random port) and connects to `remote`, where there are such. Returns 0 or -errno. */
static int open_client(struct udp_client *client, const struct sockaddr_storage *local, socklen_t local_length,
                       const struct sockaddr_storage *remote, socklen_t remote_length, uint32_t purpose, uint32_t hops) {
  int on = 1;
  client->family = remote_length > 0 ? remote->ss_family : local->ss_family;
  client->socket.descriptor = socket(client->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (client->socket.descriptor < 0) return -errno;
  if (client->family == AF_INET6 && setsockopt(client->socket.descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
    return -errno;
  start_stamps(client);
  if (purpose == TELLS) {
    int refused = allow_telling(client, hops);
    if (refused != 0) return refused;
  }
  if ((purpose == HEARS || shares_port(local, local_length, remote_length)) &&
      setsockopt(client->socket.descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    return -errno;
  if (local_length > 0 && bind(client->socket.descriptor, (const struct sockaddr *)local, local_length) != 0) return -errno;
  if (remote_length > 0 && connect(client->socket.descriptor, (const struct sockaddr *)remote, remote_length) != 0)
    return -errno;
  return 0;
}

static int bound_port(int descriptor) {
  struct sockaddr_storage bound;
  socklen_t length = sizeof bound;
  if (getsockname(descriptor, (struct sockaddr *)&bound, &length) != 0) return 0;
  return ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                          : ((struct sockaddr_in6 *)&bound)->sin6_port);
}

/*
 * new UdpClientHandle(localAddress, localPort, remoteAddress, remotePort, purpose = ASKS, hops = 0): an empty address leaves
 * that side open; hops count where the purpose is to tell.
 */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value arguments[6], self;
  uint32_t purpose = ASKS, hops = 0;
  struct sockaddr_storage local = {0}, remote = {0};
  socklen_t local_length, remote_length;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (endpoint_argument(env, arguments, &local, &local_length) != 0 ||
      endpoint_argument(env, arguments + 2, &remote, &remote_length) != 0 || local_length + remote_length == 0 ||
      (count > 4 && (napi_get_value_uint32(env, arguments[4], &purpose) != napi_ok || purpose > HEARS)) ||
      (count > 5 && (napi_get_value_uint32(env, arguments[5], &hops) != napi_ok || hops > UINT8_MAX)))
    return throw_errno(env, "expected a numeric address and a port", EINVAL), NULL;
  struct udp_client *client = calloc(1, sizeof *client);
  if (client == NULL) return throw_errno(env, "UDP client", ENOMEM), NULL;
  watched_begin(&client->socket, env, EVENTS, client, free);
  int failure = open_client(client, &local, local_length, &remote, remote_length, purpose, hops);
  if (failure != 0 || napi_wrap(env, self, client, watched_finalize, &client->socket, NULL) != napi_ok) {
    if (client->socket.descriptor >= 0) close(client->socket.descriptor);
    free(client);
    return failure == 0 ? NULL : (throw_errno(env, "cannot open the UDP socket", -failure), NULL);
  }
  set_number(env, self, "family", client->family == AF_INET ? 4 : 6);
  set_number(env, self, "port", bound_port(client->socket.descriptor));
  set_number(env, self, "stamps", client->stamps);
  return self;
}

struct received {
  ssize_t length;
  struct timespec stamp; /* zero when there is none */
  bool has_error;        /* of the error queue: `error` is set */
  struct sock_extended_err error;
};

static void read_control(struct msghdr *message, struct received *out) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL; item = CMSG_NXTHDR(message, item)) {
    if (item->cmsg_level == SOL_SOCKET && (item->cmsg_type == SCM_TIMESTAMPING || item->cmsg_type == SCM_TIMESTAMPNS)) {
      /* The first of SCM_TIMESTAMPING's three is the software stamp. */
      memcpy(&out->stamp, CMSG_DATA(item), sizeof out->stamp);
    } else if ((item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) ||
               (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR)) {
      memcpy(&out->error, CMSG_DATA(item), sizeof out->error);
      out->has_error = true;
    }
  }
}

static bool read_message(struct udp_client *client, void *bytes, size_t room, int flags, struct received *out) {
  _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
  struct iovec vector = {bytes, room};
  struct msghdr message = {.msg_name = &client->source,
                           .msg_namelen = sizeof client->source,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  memset(out, 0, sizeof *out);
  out->length = recvmsg(client->socket.descriptor, &message, flags | MSG_DONTWAIT | MSG_TRUNC);
  if (out->length < 0) return false;
  client->source_length = message.msg_namelen;
  read_control(&message, out);
  return true;
}

/* The next transmit stamp of the error queue. What else may be in it is thrown away. */
static bool next_transmit_stamp(struct udp_client *client, struct received *out) {
  uint8_t none[1];
  for (int drained = 0; drained < DRAIN_LIMIT; drained++) {
    if (!read_message(client, none, 0, MSG_ERRQUEUE, out)) return false;
    if (out->has_error && out->error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING && out->stamp.tv_sec != 0) return true;
  }
  return false;
}

static void note_stamp(double *numbers, const struct timespec *stamp) {
  struct timespec now = *stamp;
  if (now.tv_sec == 0) clock_gettime(CLOCK_REALTIME, &now);
  numbers[SECONDS] = (double)now.tv_sec;
  numbers[NANOSECONDS] = (double)now.tv_nsec;
}

/* receive(bytes, numbers): transmit stamps come before datagrams, for they belong to what is being answered. */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  struct received message;
  int found = NOTHING;
  struct udp_client *client = unwrap_call(env, info, 2, arguments, NULL);
  if (client == NULL) return NULL;
  void *bytes = typed_array(env, arguments[0], napi_uint8_array, MOST_BYTES);
  double *numbers = typed_array(env, arguments[1], napi_float64_array, NUMBERS);
  if (bytes == NULL || numbers == NULL)
    return throw_type(env, "receive expects a Uint8Array of at least 2048 and a Float64Array of at least 5");
  if (client->socket.descriptor >= 0) {
    if (next_transmit_stamp(client, &message)) {
      found = TRANSMITTED;
      numbers[SEQUENCE] = (double)(uint32_t)(message.error.ee_data + client->first);
      note_stamp(numbers, &message.stamp);
    } else if (read_message(client, bytes, MOST_BYTES, 0, &message)) {
      found = DATAGRAM;
      numbers[LENGTH] = (double)message.length;
      numbers[PORT] = ntohs(client->family == AF_INET ? ((struct sockaddr_in *)&client->source)->sin_port
                                                      : ((struct sockaddr_in6 *)&client->source)->sin6_port);
      note_stamp(numbers, &message.stamp);
    } else if (errno != EAGAIN && errno != EINTR) {
      found = FAILED;
      numbers[LENGTH] = errno;
    }
  }
  return napi_create_int32(env, found, &result) == napi_ok ? result : NULL;
}

/* source(): the address the last datagram came from, as text with its zone. */
static napi_value source(napi_env env, napi_callback_info info) {
  char text[ADDRESS_TEXT] = "";
  napi_value result;
  struct udp_client *client = unwrap_call(env, info, 0, NULL, NULL);
  if (client == NULL) return NULL;
  if (client->source_length > 0)
    getnameinfo((struct sockaddr *)&client->source, client->source_length, text, sizeof text, NULL, 0, NI_NUMERICHOST);
  return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result) == napi_ok ? result : NULL;
}

/* Whether the kernel counted a datagram that failed is not known: it starts to count anew, at our number. */
static void renumber(struct udp_client *client) {
  struct received message;
  if (!client->stamps) return;
  set_stamps(client->socket.descriptor, 0);
  while (next_transmit_stamp(client, &message)) continue;
  client->stamps = set_stamps(client->socket.descriptor, TIMESTAMPING);
  client->first = client->sent;
}

/* join(group, through): hears a multicast group on the network of one of this host's addresses. */
static napi_value join(napi_env env, napi_callback_info info) {
  napi_value arguments[2], zero;
  napi_value group_arguments[2], through_arguments[2];
  struct sockaddr_storage group = {0}, through = {0};
  socklen_t group_length, through_length;
  struct udp_client *client = unwrap_call(env, info, 2, arguments, NULL);
  if (client == NULL || napi_create_uint32(env, 0, &zero) != napi_ok) return NULL;
  group_arguments[0] = arguments[0];
  through_arguments[0] = arguments[1];
  group_arguments[1] = through_arguments[1] = zero;
  if (endpoint_argument(env, group_arguments, &group, &group_length) != 0 ||
      endpoint_argument(env, through_arguments, &through, &through_length) != 0 || group_length == 0 ||
      through_length == 0 || group.ss_family != client->family || through.ss_family != client->family)
    return throw_errno(env, "expected a group and an address of one family", EINVAL), NULL;
  int joined;
  if (client->family == AF_INET) {
    struct ip_mreqn request = {.imr_multiaddr = ((struct sockaddr_in *)&group)->sin_addr,
                               .imr_address = ((struct sockaddr_in *)&through)->sin_addr};
    joined = setsockopt(client->socket.descriptor, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
  } else {
    struct ipv6_mreq request = {.ipv6mr_multiaddr = ((struct sockaddr_in6 *)&group)->sin6_addr,
                                .ipv6mr_interface = ((struct sockaddr_in6 *)&through)->sin6_scope_id};
    joined = setsockopt(client->socket.descriptor, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
  }
  if (joined != 0 && errno != EADDRINUSE) throw_errno(env, "cannot join the group", errno);
  return NULL;
}

/* send(bytes, address, port): the datagram's number. An empty address sends to the one connected to. */
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  napi_value arguments[3], result;
  struct sockaddr_storage remote = {0};
  socklen_t remote_length;
  size_t length;
  void *bytes;
  bool is_typed_array = false;
  napi_typedarray_type type;
  struct udp_client *client = unwrap_call(env, info, 3, arguments, NULL);
  if (client == NULL) return NULL;
  if (napi_is_typedarray(env, arguments[0], &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, arguments[0], &type, &length, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array)
    return throw_type(env, "send expects a Uint8Array, an address and a port");
  if (client->socket.descriptor < 0) return throw_errno(env, "the UDP socket is closed", EBADF), NULL;
  if (endpoint_argument(env, arguments + 1, &remote, &remote_length) != 0)
    return throw_errno(env, "expected a numeric address and a port", EINVAL), NULL;
  const struct sockaddr *to = remote_length > 0 ? (const struct sockaddr *)&remote : NULL;
  ssize_t taken = sendto(client->socket.descriptor, bytes, length, MSG_DONTWAIT, to, remote_length);
  /* The first failure may be the ICMP answer to an earlier datagram; it is gone once told. */
  if (taken < 0 && errno == ECONNREFUSED)
    taken = sendto(client->socket.descriptor, bytes, length, MSG_DONTWAIT, to, remote_length);
  if (taken < 0) {
    int error = errno;
    renumber(client);
    return throw_errno(env, "cannot send", error), NULL;
  }
  return napi_create_double(env, (double)client->sent++, &result) == napi_ok ? result : NULL;
}

/* onReadable(callback): calls back, on the event loop, whenever receive() has something to tell. */
static napi_value on_readable_method(napi_env env, napi_callback_info info) {
  napi_value callback, self;
  struct udp_client *client = unwrap_call(env, info, 1, &callback, &self);
  if (client != NULL) watched_on_readable(&client->socket, self, callback, "meridian:udp-client");
  return NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct udp_client *client = unwrap_call(env, info, 0, NULL, NULL);
  if (client != NULL) watched_close(&client->socket);
  return NULL;
}

void register_udp_client(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"send", NULL, send_datagram, NULL, NULL, NULL, napi_default_method, NULL},
      {"receive", NULL, receive, NULL, NULL, NULL, napi_default_method, NULL},
      {"source", NULL, source, NULL, NULL, NULL, napi_default_method, NULL},
      {"join", NULL, join, NULL, NULL, NULL, napi_default_method, NULL},
      {"onReadable", NULL, on_readable_method, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "UdpClientHandle", construct, sizeof methods / sizeof *methods, methods);
}
