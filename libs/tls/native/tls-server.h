/*
 * A TLS server for one request and one reply on each connection, as NTS key establishment has it (RFC 8915 §4): accepts,
 * shakes hands, reads a message, has it answered, says goodbye. It has an epoll of its own, never blocks, and knows nothing
 * of JavaScript: tls-listener.c puts it into Node's event loop, test/vectors/tls-driver.c drives it without.
 *
 * Bounds, for each connection: one deadline for the handshake and one for all that follows, TLS_MOST_BYTES from the client,
 * one message of 16 KiB and a record, one reply. How many connections there are is for `admit` to limit.
 */
#ifndef MERIDIAN_TLS_SERVER_H
#define MERIDIAN_TLS_SERVER_H

#include "tls-openssl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_MOST_BYTES = 65536, TLS_MOST_ENDPOINTS = 64 };

struct tls_server;
struct tls_connection;

/* What the owner of a server is asked and told, always from within tls_server_run, _take or _close. */
struct tls_events {
  void *owner;
  /* Whether to keep a connection that was accepted. One that is refused is reset, and nothing more is said of it. */
  bool (*admit)(void *owner, const char *address);
  /* The certificate for the name that a client asks for: its index, or -1 where none is for it; it gets the first. */
  int (*server_name)(void *owner, const char *name);
  /* A whole message, or what there is of one that breaks a limit. Answered with tls_server_reply before this returns. */
  void (*request)(void *owner, struct tls_connection *connection, const uint8_t *bytes, size_t length);
  /*
   * A connection is gone. `why` is NULL when it was answered, a name of how it ended before that, or for a failed handshake
   * OpenSSL's reason in its own words, such as "wrong version number".
   */
  void (*ended)(void *owner, const char *address, const char *why, bool unknown_name);
};

struct tls_limits {
  int64_t handshake_milliseconds;
  int64_t exchange_milliseconds; /* from the end of the handshake: request, reply and the client's goodbye */
};

/* NULL without memory or descriptors; errno says which. */
struct tls_server *tls_server_new(const struct tls_limits *limits, const struct tls_events *events);

/* Takes over contexts for connections that begin from now on, at least one. Returns false without memory, and takes none. */
bool tls_server_use(struct tls_server *server, SSL_CTX *const *contexts, size_t count);

/* Takes over a listening socket. Returns 0, or an errno; the descriptor then stays the caller's. */
int tls_server_listen(struct tls_server *server, int descriptor);

/* Closes the listening sockets. */
void tls_server_stop_listening(struct tls_server *server);

/* Takes over a connected socket, admitted already. */
void tls_server_take(struct tls_server *server, int descriptor, const char *address);

/* Ends the oldest handshake from an address, or else the oldest exchange. False where there is none. Not from within tls_server_run. */
bool tls_server_end_oldest(struct tls_server *server, const char *address);

/* An epoll, readable when there is something to do. */
int tls_server_descriptor(const struct tls_server *server);

/* Does what is there to be done, a bounded share of it; ends connections whose deadline has passed. */
void tls_server_run(struct tls_server *server);

/* Milliseconds until tls_server_run has a deadline to look after, -1 for none. */
int64_t tls_server_wait(const struct tls_server *server);

/* Connections open at this moment. */
size_t tls_server_open(const struct tls_server *server);

/* Encrypts the reply, followed by the goodbye. False when the connection cannot take it or has had one. */
bool tls_server_reply(struct tls_connection *connection, const uint8_t *bytes, size_t length);

/* The TLS exporter (RFC 5705, RFC 8446 §7.5) of a connection whose handshake is done. */
bool tls_server_export(struct tls_connection *connection, const char *label, const uint8_t *context,
                       size_t context_length, uint8_t *out, size_t length);

/* Ends everything at once. Not from within tls_server_run. */
void tls_server_free(struct tls_server *server);

#endif
