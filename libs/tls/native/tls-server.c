/* See tls-server.h. tls-connection.c holds what happens on one connection. */
#include "tls-connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A handshake costs about half a millisecond: after this many the event loop has its turn. */
enum { EVENTS_A_RUN = 32, ACCEPTS_A_RUN = 16, BACKLOG = 1024, RETRY_MILLISECONDS = 100 };

int64_t tls_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct tls_server *tls_server_new(const struct tls_limits *limits, const struct tls_events *events) {
  struct tls_server *server = calloc(1, sizeof *server);
  if (server == NULL) return NULL;
  server->limits = *limits;
  server->events = *events;
  server->input = malloc(TLS_INPUT_BYTES);
  server->output = malloc(TLS_OUTPUT_BYTES);
  server->method = tls_socket_method();
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (server->input != NULL && server->output != NULL && server->method != NULL && server->epoll >= 0) return server;
  int error = server->epoll < 0 ? errno : ENOMEM;
  tls_server_free(server);
  errno = error;
  return NULL;
}

static void free_contexts(struct tls_server *server) {
  for (size_t at = 0; at < server->context_count; at++) SSL_CTX_free(server->contexts[at]);
  free(server->contexts);
  server->contexts = NULL;
  server->context_count = 0;
}

bool tls_server_use(struct tls_server *server, SSL_CTX *const *contexts, size_t count) {
  SSL_CTX **copy = calloc(count, sizeof *copy);
  if (copy == NULL) return false;
  memcpy(copy, contexts, count * sizeof *copy);
  for (size_t at = 0; at < count; at++) {
    SSL_CTX_set_tlsext_servername_callback(copy[at], tls_choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(copy[at], server);
  }
  /* Connections that began with an old context hold it. */
  free_contexts(server);
  server->contexts = copy;
  server->context_count = count;
  return true;
}

int tls_server_listen(struct tls_server *server, int descriptor) {
  int one = 1;
  if (server->endpoint_count == TLS_MOST_ENDPOINTS) return ENOSPC;
  struct tls_endpoint *endpoint = &server->endpoints[server->endpoint_count];
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) return errno;
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  if (listen(descriptor, BACKLOG) != 0) return errno;
  /* Inherited by what is accepted: a long chain goes out in several segments, and none waits for an acknowledgement. */
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = server->endpoint_count};
  if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) return errno;
  endpoint->descriptor = descriptor;
  server->endpoint_count++;
  return 0;
}

void tls_server_stop_listening(struct tls_server *server) {
  /* Whoever else holds the socket keeps it in the epoll set, and its events would wake this process for nothing. */
  for (size_t at = 0; at < server->endpoint_count; at++) {
    if (server->endpoints[at].descriptor < 0) continue;
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->endpoints[at].descriptor, NULL);
    close(server->endpoints[at].descriptor);
  }
  /* Places stay taken: an event of this run may still point to them. */
  for (size_t at = 0; at < server->endpoint_count; at++) server->endpoints[at].descriptor = -1;
  server->retry_at = 0;
}

static void watch_endpoints(struct tls_server *server, uint32_t events) {
  for (size_t at = 0; at < server->endpoint_count; at++) {
    struct epoll_event event = {.events = events, .data.u64 = at};
    if (server->endpoints[at].descriptor >= 0)
      epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->endpoints[at].descriptor, &event);
  }
}

/* Without descriptors or memory a waiting connection would wake the server again at once, and for nothing. */
static void rest(struct tls_server *server, int error) {
  if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) return;
  watch_endpoints(server, 0);
  server->retry_at = tls_now() + RETRY_MILLISECONDS;
}

static void write_address(const struct sockaddr_storage *from, char *text) {
  const void *bytes = from->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)from)->sin_addr
                                                 : (const void *)&((const struct sockaddr_in6 *)from)->sin6_addr;
  if (inet_ntop(from->ss_family, bytes, text, TLS_ADDRESS_TEXT) == NULL) text[0] = 0;
}

/* A reset leaves nothing behind on this side, not even a connection in TIME_WAIT. */
static void reset(int descriptor) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(descriptor);
}

static void accept_some(struct tls_server *server, const struct tls_endpoint *endpoint) {
  char address[TLS_ADDRESS_TEXT];
  for (int count = 0; count < ACCEPTS_A_RUN && endpoint->descriptor >= 0; count++) {
    struct sockaddr_storage from = {0};
    socklen_t length = sizeof from;
    int descriptor = accept4(endpoint->descriptor, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (descriptor < 0) return rest(server, errno);
    write_address(&from, address);
    if (server->events.admit(server->events.owner, address))
      tls_server_take(server, descriptor, address);
    else
      reset(descriptor);
  }
}

/* Every list is in the order of their deadlines, since all deadlines of a list are as far from their beginning. */
static void end_late(struct tls_list *list, int64_t now) {
  while (list->first != NULL && list->first->deadline <= now) tls_connection_expire(list->first);
}

void tls_server_run(struct tls_server *server) {
  struct epoll_event events[EVENTS_A_RUN];
  int count = epoll_wait(server->epoll, events, EVENTS_A_RUN, 0);
  for (int at = 0; at < count; at++) {
    uint64_t place = events[at].data.u64;
    if (place < TLS_MOST_ENDPOINTS)
      accept_some(server, &server->endpoints[place]);
    else
      tls_connection_advance((struct tls_connection *)(uintptr_t)place);
  }
  int64_t now = tls_now();
  end_late(&server->shaking_hands, now);
  end_late(&server->exchanging, now);
  if (server->retry_at == 0 || now < server->retry_at) return;
  server->retry_at = 0;
  watch_endpoints(server, EPOLLIN);
}

int64_t tls_server_wait(const struct tls_server *server) {
  int64_t soonest = server->retry_at == 0 ? INT64_MAX : server->retry_at;
  const struct tls_connection *firsts[] = {server->shaking_hands.first, server->exchanging.first};
  for (int at = 0; at < 2; at++)
    if (firsts[at] != NULL && firsts[at]->deadline < soonest) soonest = firsts[at]->deadline;
  if (soonest == INT64_MAX) return -1;
  int64_t now = tls_now();
  return soonest > now ? soonest - now : 0;
}

bool tls_server_end_oldest(struct tls_server *server, const char *address) {
  struct tls_connection *const firsts[] = {server->shaking_hands.first, server->exchanging.first};
  for (int at = 0; at < 2; at++)
    for (struct tls_connection *it = firsts[at]; it != NULL; it = it->next) {
      if (strcmp(it->address, address) != 0) continue;
      tls_connection_make_way(it);
      return true;
    }
  return false;
}

int tls_server_descriptor(const struct tls_server *server) { return server->epoll; }

size_t tls_server_open(const struct tls_server *server) { return server->open; }

void tls_server_free(struct tls_server *server) {
  tls_server_stop_listening(server);
  while (server->shaking_hands.first != NULL) tls_connection_expire(server->shaking_hands.first);
  while (server->exchanging.first != NULL) tls_connection_expire(server->exchanging.first);
  free_contexts(server);
  if (server->epoll >= 0) close(server->epoll);
  BIO_meth_free(server->method);
  free(server->input);
  free(server->output);
  free(server);
}
