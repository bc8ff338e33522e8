/* One connection's way through handshake, request, reply and goodbye. See tls-server.h. */
#include "tls-connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Only what follows a reply, or a failed handshake, comes near this; it is read to be dropped. */
enum { DROPS_A_TURN = 4 };

/* --- The socket as OpenSSL sees it: reads come from the kernel, writes go to the server's output. --- */

static ssize_t receive(struct tls_connection *connection, void *bytes, size_t size) {
  ssize_t count;
  if (connection->peer_finished || connection->broken) return 0;
  do count = recv(connection->descriptor, bytes, size, 0);
  while (count < 0 && errno == EINTR);
  if (count > 0) {
    connection->received += (size_t)count;
    if (connection->received <= TLS_MOST_BYTES) return count;
    connection->broken = true;
  } else if (count == 0) {
    connection->peer_finished = true;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    return -1;
  } else {
    connection->broken = true;
  }
  return 0;
}

static int read_socket(BIO *bio, char *bytes, size_t size, size_t *count) {
  ssize_t got = receive(BIO_get_data(bio), bytes, size);
  BIO_clear_retry_flags(bio);
  *count = got > 0 ? (size_t)got : 0;
  if (got < 0) BIO_set_retry_read(bio);
  return got > 0;
}

static int write_output(BIO *bio, const char *bytes, size_t size, size_t *count) {
  struct tls_connection *connection = BIO_get_data(bio);
  struct tls_server *server = connection->server;
  BIO_clear_retry_flags(bio);
  *count = 0;
  if (size > TLS_OUTPUT_BYTES - server->output_length) return 0;
  memcpy(server->output + server->output_length, bytes, size);
  server->output_length += size;
  *count = size;
  return 1;
}

static long control(BIO *bio, int command, long number, void *pointer) {
  (void)number, (void)pointer;
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return ((struct tls_connection *)BIO_get_data(bio))->peer_finished;
  return 0;
}

BIO_METHOD *tls_socket_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "meridian connection");
  if (method == NULL) return NULL;
  if (BIO_meth_set_read_ex(method, read_socket) == 1 && BIO_meth_set_write_ex(method, write_output) == 1 &&
      BIO_meth_set_ctrl(method, control) == 1)
    return method;
  BIO_meth_free(method);
  return NULL;
}

/* --- Beginning and end. --- */

static void enter(struct tls_list *list, struct tls_connection *connection) {
  connection->next = NULL;
  connection->previous = list->last;
  if (list->last == NULL)
    list->first = connection;
  else
    list->last->next = connection;
  list->last = connection;
}

static void leave(struct tls_list *list, struct tls_connection *connection) {
  if (connection->previous == NULL)
    list->first = connection->next;
  else
    connection->previous->next = connection->next;
  if (connection->next == NULL)
    list->last = connection->previous;
  else
    connection->next->previous = connection->previous;
}

static struct tls_list *list_of(struct tls_connection *connection) {
  struct tls_server *server = connection->server;
  return connection->phase == TLS_SHAKING_HANDS ? &server->shaking_hands : &server->exchanging;
}

static void let_go(struct tls_connection *connection) {
  SSL_free(connection->ssl);
  close(connection->descriptor);
  free(connection->message);
  free(connection->unsent);
  free(connection);
}

/* Closing also ends what epoll knows of the socket: nobody else has a descriptor of it. */
static void end(struct tls_connection *connection, const char *why) {
  struct tls_server *server = connection->server;
  char address[TLS_ADDRESS_TEXT];
  const char *reason = connection->answered ? NULL : connection->why != NULL ? connection->why : why;
  bool unknown_name = connection->unknown_name;
  memcpy(address, connection->address, sizeof address);
  leave(list_of(connection), connection);
  let_go(connection);
  ERR_clear_error();
  server->open--;
  server->output_length = 0;
  server->events.ended(server->events.owner, address, reason, unknown_name);
}

static bool watch(struct tls_connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)connection};
  if (operation == EPOLL_CTL_MOD && events == connection->watched) return true;
  connection->watched = events;
  return epoll_ctl(connection->server->epoll, operation, connection->descriptor, &event) == 0;
}

static SSL *begin_tls(struct tls_connection *connection) {
  const struct tls_server *server = connection->server;
  if (server->context_count == 0) return NULL;
  SSL *ssl = SSL_new(server->contexts[0]);
  if (ssl == NULL) return NULL;
  BIO *bio = BIO_new(server->method);
  if (bio == NULL || SSL_set_app_data(ssl, connection) != 1) {
    BIO_free(bio);
    SSL_free(ssl);
    return NULL;
  }
  BIO_set_data(bio, connection);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return ssl;
}

void tls_server_take(struct tls_server *server, int descriptor, const char *address) {
  struct tls_connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) {
    close(descriptor);
    return server->events.ended(server->events.owner, address, "connection-error", false);
  }
  connection->server = server;
  connection->descriptor = descriptor;
  connection->deadline = tls_now() + server->limits.handshake_milliseconds;
  strncpy(connection->address, address, sizeof connection->address - 1);
  ERR_clear_error();
  connection->ssl = begin_tls(connection);
  enter(&server->shaking_hands, connection);
  server->open++;
  if (connection->ssl == NULL || !watch(connection, EPOLL_CTL_ADD, EPOLLIN)) return end(connection, "connection-error");
  tls_connection_advance(connection);
}

/* --- Sending. --- */

static bool keep_unsent(struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  if (length > TLS_OUTPUT_BYTES - connection->unsent_length) return false;
  uint8_t *grown = realloc(connection->unsent, connection->unsent_length + length);
  if (grown == NULL) return false;
  memcpy(grown + connection->unsent_length, bytes, length);
  connection->unsent = grown;
  connection->unsent_length += length;
  return true;
}

/* How many bytes the kernel took; none when the socket is broken. */
static size_t push(struct tls_connection *connection, const uint8_t *bytes, size_t length, int flags) {
  ssize_t count;
  do count = send(connection->descriptor, bytes, length, MSG_NOSIGNAL | flags);
  while (count < 0 && errno == EINTR);
  if (count >= 0) return (size_t)count;
  if (errno != EAGAIN && errno != EWOULDBLOCK) connection->broken = true;
  return 0;
}

static void push_unsent(struct tls_connection *connection) {
  if (connection->unsent_length == 0) return;
  size_t count = push(connection, connection->unsent, connection->unsent_length, 0);
  connection->unsent_length -= count;
  memmove(connection->unsent, connection->unsent + count, connection->unsent_length);
}

/*
 * Sends what OpenSSL wrote. The last bytes are held back for a moment (MSG_MORE), so that reply, goodbye and the end of
 * the stream share a segment.
 */
static void flush(struct tls_connection *connection) {
  struct tls_server *server = connection->server;
  bool last = connection->phase == TLS_SAYING_GOODBYE;
  size_t count = 0;
  push_unsent(connection);
  if (server->output_length > 0 && connection->unsent_length == 0 && !connection->broken)
    count = push(connection, server->output, server->output_length, last ? MSG_MORE : 0);
  if (!connection->broken && count < server->output_length &&
      !keep_unsent(connection, server->output + count, server->output_length - count))
    connection->broken = true;
  server->output_length = 0;
  if (last && connection->unsent_length == 0 && !connection->broken) shutdown(connection->descriptor, SHUT_WR);
}

/* Waits for what is needed next; false when there is nothing to wait for. */
static bool wait_for_more(struct tls_connection *connection) {
  uint32_t events = connection->peer_finished ? 0 : EPOLLIN;
  if (connection->unsent_length > 0) events |= EPOLLOUT;
  return !connection->broken && events != 0 && watch(connection, EPOLL_CTL_MOD, events);
}

/*
 * The kernel holds an acknowledgement back for 40 ms in the hope of data to send it with. After the client's last handshake
 * message there is none, as there are no tickets, and many clients send their request only once that is acknowledged.
 */
static void acknowledge(struct tls_connection *connection) {
  int one = 1;
  setsockopt(connection->descriptor, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

/* --- After the reply: the client's goodbye is waited for, or a reset could overtake the reply. --- */

static void drop_input(struct tls_connection *connection) {
  for (int count = 0; count < DROPS_A_TURN; count++)
    if (receive(connection, connection->server->input, TLS_INPUT_BYTES) <= 0) return;
}

static void say_goodbye(struct tls_connection *connection) {
  ERR_clear_error();
  if (connection->ssl != NULL) {
    SSL_shutdown(connection->ssl);
    SSL_free(connection->ssl);
    ERR_clear_error();
  }
  connection->ssl = NULL;
  connection->phase = TLS_SAYING_GOODBYE;
  flush(connection);
  if (!wait_for_more(connection)) end(connection, "connection-error");
}

static void hear_goodbye(struct tls_connection *connection) {
  bool waiting = connection->unsent_length > 0;
  drop_input(connection);
  if (waiting) flush(connection);
  if (!wait_for_more(connection)) end(connection, "connection-error");
}

/* --- The handshake. --- */

int tls_choose_certificate(SSL *ssl, int *alert, void *argument) {
  struct tls_server *server = argument;
  struct tls_connection *connection = SSL_get_app_data(ssl);
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  (void)alert;
  if (name == NULL) return SSL_TLSEXT_ERR_NOACK;
  int index = server->events.server_name(server->events.owner, name);
  connection->unknown_name = index < 0;
  if (index < 0 || (size_t)index >= server->context_count) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(ssl, server->contexts[index]);
  return SSL_TLSEXT_ERR_OK;
}

/* What was not read yet would turn the closing into a reset, and the alert could be lost. */
static void refuse(struct tls_connection *connection) {
  const char *reason = ERR_reason_error_string(ERR_peek_error());
  connection->why = reason != NULL ? reason : "handshake-failed";
  connection->unknown_name = false;
  flush(connection);
  drop_input(connection);
  end(connection, NULL);
}

/* True when it is done. The connection may be gone when it is not. */
static bool shake_hands(struct tls_connection *connection) {
  struct tls_server *server = connection->server;
  ERR_clear_error();
  int done = SSL_do_handshake(connection->ssl);
  if (done == 1) {
    leave(&server->shaking_hands, connection);
    connection->phase = TLS_READING;
    connection->deadline = tls_now() + server->limits.exchange_milliseconds;
    enter(&server->exchanging, connection);
    return true;
  }
  int error = SSL_get_error(connection->ssl, done);
  if (connection->peer_finished || connection->broken) {
    connection->unknown_name = false;
    return end(connection, "closed-in-handshake"), false;
  }
  if (error != SSL_ERROR_WANT_READ) return refuse(connection), false;
  flush(connection);
  if (!wait_for_more(connection)) end(connection, "closed-in-handshake");
  return false;
}

/* --- The request. --- */

static bool keep_piece(struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  size_t needed = connection->message_length + length;
  if (needed > connection->message_capacity) {
    size_t capacity = needed > 2 * connection->message_capacity ? needed : 2 * connection->message_capacity;
    uint8_t *grown = realloc(connection->message, capacity);
    if (grown == NULL) return false;
    connection->message = grown;
    connection->message_capacity = capacity;
  }
  memcpy(connection->message + connection->message_length, bytes, length);
  connection->message_length = needed;
  return true;
}

/* A message that comes whole is handed on from where it was decrypted. True when a reply was given. */
static bool take_piece(struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  const struct tls_events *events = &connection->server->events;
  if (connection->message_length > 0 || !nts_ke_message_ends(&connection->walk, bytes, length)) {
    if (!keep_piece(connection, bytes, length)) connection->broken = true;
    if (connection->broken || !nts_ke_message_ends(&connection->walk, connection->message, connection->message_length))
      return false;
    bytes = connection->message;
    length = connection->message_length;
  }
  events->request(events->owner, connection, bytes, length);
  if (!connection->answered) connection->broken = true;
  return connection->answered;
}

static void read_request(struct tls_connection *connection) {
  struct tls_server *server = connection->server;
  size_t length;
  ERR_clear_error();
  while (SSL_read_ex(connection->ssl, server->input, TLS_INPUT_BYTES, &length) == 1) {
    if (take_piece(connection, server->input, length)) return say_goodbye(connection);
    if (connection->broken) return end(connection, "connection-error");
  }
  int error = SSL_get_error(connection->ssl, 0);
  if (error == SSL_ERROR_ZERO_RETURN) {
    connection->why = "closed-without-request";
    return say_goodbye(connection);
  }
  if (connection->peer_finished) return end(connection, "closed-without-request");
  if (error != SSL_ERROR_WANT_READ) return flush(connection), end(connection, "connection-error");
  flush(connection);
  if (!wait_for_more(connection)) return end(connection, "connection-error");
  acknowledge(connection);
}

bool tls_server_reply(struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  size_t written;
  if (connection->phase != TLS_READING || connection->answered || length == 0) return false;
  ERR_clear_error();
  connection->answered = true;
  if (SSL_write_ex(connection->ssl, bytes, length, &written) != 1) connection->broken = true;
  return !connection->broken;
}

bool tls_server_export(struct tls_connection *connection, const char *label, const uint8_t *context,
                       size_t context_length, uint8_t *out, size_t length) {
  if (connection->phase != TLS_READING) return false;
  ERR_clear_error();
  return SSL_export_keying_material(connection->ssl, out, length, label, strlen(label), context, context_length, 1) == 1;
}

void tls_connection_advance(struct tls_connection *connection) {
  /* Every way through here sends or drops what was written; were one forgotten, no other client would get it. */
  connection->server->output_length = 0;
  if (connection->phase == TLS_SAYING_GOODBYE) return hear_goodbye(connection);
  if (connection->phase == TLS_SHAKING_HANDS) {
    if (!shake_hands(connection)) return;
    const unsigned char *protocol;
    unsigned int length;
    SSL_get0_alpn_selected(connection->ssl, &protocol, &length);
    if (length == 0) {
      connection->why = "no-alpn";
      return say_goodbye(connection);
    }
  }
  read_request(connection);
}

void tls_connection_expire(struct tls_connection *connection) {
  end(connection, connection->phase == TLS_SHAKING_HANDS ? "handshake-timeout" : "request-timeout");
}

void tls_connection_make_way(struct tls_connection *connection) { end(connection, "made-way"); }
