/* What tls-server.c and tls-connection.c share; for everybody else there is tls-server.h. */
#ifndef MERIDIAN_TLS_CONNECTION_H
#define MERIDIAN_TLS_CONNECTION_H

#include "nts-ke-message.h"
#include "tls-server.h"

/*
 * The input holds one TLS record's plaintext. The output holds everything that OpenSSL writes before it is sent: a flight
 * with a chain as long as any client takes (OpenSSL's take 100 KB), or a reply with its goodbye.
 */
enum { TLS_INPUT_BYTES = 16384, TLS_OUTPUT_BYTES = 131072, TLS_ADDRESS_TEXT = 46 };

struct tls_endpoint {
  int descriptor;
};

struct tls_list {
  struct tls_connection *first, *last;
};

struct tls_server {
  struct tls_limits limits;
  struct tls_events events;
  int epoll;
  size_t open;
  SSL_CTX **contexts;
  size_t context_count;
  BIO_METHOD *method;
  struct tls_list shaking_hands;
  struct tls_list exchanging;
  struct tls_endpoint endpoints[TLS_MOST_ENDPOINTS];
  size_t endpoint_count;
  int64_t retry_at; /* when to accept again after a lack of descriptors, 0 for no lack */
  uint8_t *input;
  uint8_t *output; /* of the connection at work; sent before another one's turn */
  size_t output_length;
};

enum tls_phase { TLS_SHAKING_HANDS, TLS_READING, TLS_SAYING_GOODBYE };

struct tls_connection {
  struct tls_server *server;
  struct tls_connection *previous, *next; /* in one of the server's lists */
  enum tls_phase phase;
  int descriptor;
  SSL *ssl; /* NULL when saying goodbye: what was encrypted is all there is to send */
  int64_t deadline;
  size_t received; /* bytes, of at most TLS_MOST_BYTES */
  bool peer_finished; /* it sends no more */
  bool broken;        /* the socket failed, or the client sent too much */
  bool answered;
  bool unknown_name;
  const char *why; /* it ends unanswered, when that is decided before it ends */
  struct nts_ke_walk walk;
  uint8_t *message; /* a request that comes in pieces */
  size_t message_length;
  size_t message_capacity;
  uint8_t *unsent; /* what the kernel did not take */
  size_t unsent_length;
  uint32_t watched; /* events that epoll reports */
  char address[TLS_ADDRESS_TEXT];
};

/* CLOCK_MONOTONIC, milliseconds. */
int64_t tls_now(void);

/* The BIO through which OpenSSL reads a connection's socket and writes into the server's output. */
BIO_METHOD *tls_socket_method(void);

/* OpenSSL's callback for the name that a client asks for; its argument is the server. */
int tls_choose_certificate(SSL *ssl, int *alert, void *server);

/* Goes on as far as can be gone without waiting. The connection may be gone afterwards. */
void tls_connection_advance(struct tls_connection *connection);

/* Its deadline has passed: the connection is gone afterwards. */
void tls_connection_expire(struct tls_connection *connection);

/* It ends for others: the connection is gone afterwards. */
void tls_connection_make_way(struct tls_connection *connection);

#endif
