/*
 * Drives the TLS server (native/tls-server.c) without Node, for the sanitizers: many clients at a time, honest ones, broken
 * ones and hostile ones, each a step at a time in random order over socket pairs. Arguments: CLIENTS SEED.
 *
 * Fails when an honest client does not get its reply with the keys it exports itself, when a connection is not told of
 * exactly once, or when one stays open.
 */
#include "../../native/tls-context.h"
#include "../../native/tls-server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIVE = 24, KEY_BYTES = 32, BIG_REPLY = 16000, STEPS = 60 };
static const char LABEL[] = "EXPORTER-network-time-security";
static const uint8_t CONTEXT[5] = {0, 0, 0, 15, 0};
static const uint8_t END_OF_MESSAGE[4] = {0x80, 0, 0, 0};

enum kind {
  HONEST,
  SLOW_READER,
  RANDOM_REQUEST,
  MUTATING,
  GARBAGE,
  ABORTING,
  NO_PROTOCOL,
  OTHER_PROTOCOL,
  FLOODING,
  LEAVING,
  KINDS
};

struct client {
  enum kind kind;
  int descriptor; /* -1 for a free place */
  int steps;
  SSL *ssl;
  BIO *in, *out;
  bool requested, replied, finished;
  uint8_t *request;
  size_t request_length, sent;
  uint8_t *reply;
  size_t reply_length;
};

static struct client clients[LIVE];
static unsigned long begun, told, answered, honest, served, late;
static uint64_t state;
static SSL_CTX *client_context;

static uint32_t draw(uint32_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 32) % below;
}

static void fail(const char *what) {
  fprintf(stderr, "tls-driver: %s\n", what);
  exit(1);
}

/* --- The server's owner. The reply is the exported key, repeated where the request's first record asks for much. --- */

static unsigned long admitted, refused;

static bool admit(void *owner, const char *address) {
  (void)owner;
  if (strcmp(address, "127.0.0.1") != 0) fail("a wrong address");
  bool stays = (admitted + refused) % 2 == 0;
  if (stays) begun++, admitted++;
  else refused++;
  return stays;
}

static int server_name(void *owner, const char *name) { return (void)owner, strcmp(name, "second") == 0 ? 1 : -1; }

static void request(void *owner, struct tls_connection *connection, const uint8_t *bytes, size_t length) {
  static uint8_t reply[BIG_REPLY];
  (void)owner;
  if (length == 0) fail("an empty request");
  if (bytes[0] == 0x77) return; /* what JavaScript does when it throws */
  if (!tls_server_export(connection, LABEL, CONTEXT, sizeof CONTEXT, reply, KEY_BYTES)) fail("no key material");
  for (size_t at = KEY_BYTES; at < sizeof reply; at++) reply[at] = reply[at % KEY_BYTES];
  size_t size = length > 3 && bytes[3] == 2 ? BIG_REPLY : KEY_BYTES;
  if (!tls_server_reply(connection, reply, size)) fail("a reply was not taken");
  if (tls_server_reply(connection, reply, size)) fail("a second reply was taken");
  answered++;
}

static void ended(void *owner, const char *address, const char *why, bool unknown_name) {
  (void)owner, (void)address, (void)unknown_name;
  told++;
  if (why != NULL && strstr(why, "timeout") != NULL) late++;
}

/* --- Certificates. --- */

static char *text_of(BIO *bio) {
  char *bytes, *text;
  long length = BIO_get_mem_data(bio, &bytes);
  text = strndup(bytes, (size_t)length);
  BIO_free(bio);
  return text;
}

static SSL_CTX *certificate(const struct tls_settings *settings) {
  EVP_PKEY *pair = EVP_EC_gen("P-256");
  X509 *self = X509_new();
  BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
  const char *problem = "none";
  ASN1_INTEGER_set(X509_get_serialNumber(self), 1);
  X509_gmtime_adj(X509_getm_notBefore(self), -60);
  X509_gmtime_adj(X509_getm_notAfter(self), 3600);
  X509_set_pubkey(self, pair);
  X509_sign(self, pair, EVP_sha256());
  PEM_write_bio_X509(chain, self);
  PEM_write_bio_PrivateKey(key, pair, NULL, NULL, 0, NULL, NULL);
  char *texts[2] = {text_of(chain), text_of(key)};
  SSL_CTX *context = tls_context_new(settings, texts[0], texts[1], &problem);
  if (context == NULL) fail(problem);
  if (tls_context_new(settings, texts[1], texts[1], &problem) != NULL) fail("a key was taken for a certificate");
  if (tls_context_new(settings, texts[0], texts[0], &problem) != NULL) fail("a certificate was taken for a key");
  free(texts[0]), free(texts[1]);
  X509_free(self), EVP_PKEY_free(pair);
  return context;
}

/* --- Clients. --- */

/* A request of a record to skip and End of Message, or bytes at random; its fourth byte says how much reply is wanted. */
static void compose(struct client *client) {
  size_t skipped = client->kind == SLOW_READER ? 2 : client->kind == FLOODING ? 300000 : draw(3) == 0 ? draw(16000) : 8;
  if (client->kind != SLOW_READER && (skipped & 0xff) == 2) skipped++;
  client->request_length = 4 + skipped + sizeof END_OF_MESSAGE;
  client->request = calloc(1, client->request_length);
  client->request[0] = 0x3f, client->request[1] = 0xff;
  client->request[2] = (uint8_t)(skipped >> 8), client->request[3] = (uint8_t)skipped;
  memcpy(client->request + 4 + skipped, END_OF_MESSAGE, sizeof END_OF_MESSAGE);
  if (client->kind == RANDOM_REQUEST)
    for (size_t at = 0; at < client->request_length; at++) client->request[at] = (uint8_t)draw(256);
  if (client->kind == RANDOM_REQUEST && draw(4) == 0) client->request[0] = 0x77;
}

static void begin(struct client *client, struct tls_server *server, enum kind kind) {
  int pair[2], small = 1;
  memset(client, 0, sizeof *client);
  client->kind = kind;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) fail("no socket pair");
  client->descriptor = pair[0];
  client->reply = malloc(BIG_REPLY);
  client->ssl = SSL_new(client_context);
  client->in = BIO_new(BIO_s_mem()), client->out = BIO_new(BIO_s_mem());
  SSL_set_bio(client->ssl, client->in, client->out);
  SSL_set_connect_state(client->ssl);
  SSL_set_tlsext_host_name(client->ssl, draw(2) == 0 ? "second" : "first");
  const char *protocols = client->kind == OTHER_PROTOCOL ? "\x02h2" : "\x02h2\x07ntske/1";
  if (client->kind != NO_PROTOCOL)
    SSL_set_alpn_protos(client->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
  compose(client);
  if (client->kind == SLOW_READER) setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  if (client->kind == HONEST || client->kind == SLOW_READER) honest++;
  begun++;
  tls_server_take(server, pair[1], "192.0.2.1");
}

static void finish(struct client *client) {
  close(client->descriptor);
  SSL_free(client->ssl);
  free(client->request);
  free(client->reply);
  client->descriptor = -1;
}

/* What the TLS of the client wants sent, changed on the way where that is its kind. */
static void send_pending(struct client *client) {
  char *bytes;
  long length = BIO_get_mem_data(client->out, &bytes);
  if (length <= 0) return;
  if (client->kind == MUTATING && draw(3) == 0) bytes[draw((uint32_t)length)] ^= (char)(1 + draw(255));
  if (client->kind == MUTATING && draw(8) == 0) length = 1 + (long)draw((uint32_t)length);
  long piece = draw(4) == 0 ? 1 + (long)draw((uint32_t)length) : length;
  ssize_t sent = send(client->descriptor, bytes, (size_t)piece, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) client->finished = true;
  char dropped[4096];
  for (ssize_t left = sent; left > 0;)
    left -= BIO_read(client->out, dropped, left < (ssize_t)sizeof dropped ? (int)left : (int)sizeof dropped);
}

static void take_arrived(struct client *client) {
  char bytes[4096];
  if (client->kind == SLOW_READER && client->requested && draw(4) != 0) return;
  ssize_t count = recv(client->descriptor, bytes, sizeof bytes, 0);
  if (count > 0) BIO_write(client->in, bytes, (int)count);
  if (count == 0 || (count < 0 && errno != EAGAIN)) client->finished = true;
}

static void check_reply(struct client *client) {
  uint8_t key[KEY_BYTES];
  if (client->kind != HONEST && client->kind != SLOW_READER) return;
  if (SSL_export_keying_material(client->ssl, key, sizeof key, LABEL, strlen(LABEL), CONTEXT, sizeof CONTEXT, 1) != 1)
    fail("the client has no key material");
  if (client->reply_length != (client->kind == SLOW_READER ? BIG_REPLY : KEY_BYTES)) return;
  for (size_t at = 0; at < client->reply_length; at++)
    if (client->reply[at] != key[at % KEY_BYTES]) fail("a client got what is not its own");
  served++;
}

static void speak_tls(struct client *client) {
  size_t count;
  if (!SSL_is_init_finished(client->ssl) && SSL_do_handshake(client->ssl) != 1) return;
  client->requested = true;
  if (client->kind == LEAVING && draw(2) == 0) SSL_shutdown(client->ssl);
  if (client->sent < client->request_length) {
    size_t left = client->request_length - client->sent;
    size_t piece = draw(3) == 0 ? 1 + draw((uint32_t)left) : left;
    if (SSL_write_ex(client->ssl, client->request + client->sent, piece, &count) == 1) client->sent += count;
  }
  while (client->reply_length < BIG_REPLY && SSL_read_ex(client->ssl, client->reply + client->reply_length,
                                                         BIG_REPLY - client->reply_length, &count) == 1)
    client->reply_length += count;
  if ((SSL_get_shutdown(client->ssl) & SSL_RECEIVED_SHUTDOWN && client->kind != FLOODING) || client->reply_length == BIG_REPLY) client->replied = true;
}

static void send_garbage(struct client *client) {
  uint8_t bytes[3000];
  size_t length = 1 + draw(sizeof bytes);
  for (size_t at = 0; at < length; at++) bytes[at] = (uint8_t)draw(256);
  if (draw(2) == 0) memcpy(bytes, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", length < 11 ? length : 11);
  send(client->descriptor, bytes, length, MSG_NOSIGNAL);
  if (draw(3) == 0) shutdown(client->descriptor, SHUT_WR);
}

static void step(struct client *client) {
  ERR_clear_error();
  client->steps++;
  if (client->kind == GARBAGE)
    send_garbage(client);
  else
    speak_tls(client);
  send_pending(client);
  take_arrived(client);
  if (client->replied) check_reply(client);
  bool patient = client->kind == HONEST || client->kind == SLOW_READER;
  if (client->replied || client->finished || (!patient && client->steps > STEPS) ||
      (client->kind == ABORTING && draw(6) == 0))
    finish(client);
}

/* --- Accepting: every second connection is refused, and once there are no descriptors left for a while. --- */

static void run_for(struct tls_server *server, int milliseconds) {
  for (int waited = 0; waited < milliseconds; waited += 10) {
    struct pollfd ready = {.fd = tls_server_descriptor(server), .events = POLLIN};
    poll(&ready, 1, 10);
    tls_server_run(server);
  }
}

static void accept_connections(struct tls_server *server) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof place;
  struct rlimit limit, lowest = {0};
  int descriptors[10], endpoint = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(endpoint, (struct sockaddr *)&place, length) != 0 || tls_server_listen(server, endpoint) != 0) fail("no listener");
  if (getsockname(endpoint, (struct sockaddr *)&place, &length) != 0) fail("no name");
  if (tls_server_listen(server, -1) != EBADF) fail("a descriptor that is none was taken");
  for (int at = 0; at < 10; at++) {
    descriptors[at] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(descriptors[at], (struct sockaddr *)&place, length) != 0) fail("no connection");
  }
  getrlimit(RLIMIT_NOFILE, &limit);
  lowest.rlim_max = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &lowest);
  tls_server_run(server);
  if (admitted + refused != 0 || tls_server_wait(server) < 0) fail("it does not rest without descriptors");
  setrlimit(RLIMIT_NOFILE, &limit);
  run_for(server, 300);
  if (admitted != 5 || refused != 5 || tls_server_open(server) != 5) fail("not every connection was accepted");
  tls_server_stop_listening(server);
  tls_server_stop_listening(server);
  for (int at = 0; at < 10; at++) close(descriptors[at]);
  run_for(server, 50);
  if (tls_server_open(server) != 0 || tls_server_wait(server) >= 0) fail("a closed connection stays open");
}

/* --- Deadlines: clients that stop before, in and after the handshake are ended, and told of as late. --- */

static void wait_for_deadlines(const struct tls_events *events, const struct tls_settings *settings) {
  const struct tls_limits limits = {150, 150};
  struct tls_server *server = tls_server_new(&limits, events);
  SSL_CTX *contexts[1] = {certificate(settings)};
  struct client stalled[6];
  if (server == NULL || !tls_server_use(server, contexts, 1)) fail("no server");
  unsigned long before = late;
  for (int at = 0; at < 6; at++) {
    begin(&stalled[at], server, ABORTING);
    for (int round = 0; round < at % 3 * 2; round++) {
      SSL_do_handshake(stalled[at].ssl);
      send_pending(&stalled[at]);
      tls_server_run(server);
      take_arrived(&stalled[at]);
    }
  }
  for (int round = 0; tls_server_open(server) > 0; round++) {
    if (round > 1000) fail("a deadline is not kept");
    run_for(server, 10);
  }
  if (late - before != 6) fail("not every deadline was told of");
  for (int at = 0; at < 6; at++) finish(&stalled[at]);
  tls_server_free(server);
}

/* --- */

int main(int count, char **arguments) {
  const struct tls_settings settings = {"ntske/1", TLS1_2_VERSION, TLS1_3_VERSION, "", "", "X25519:P-256"};
  const struct tls_limits limits = {600000, 600000};
  const struct tls_events events = {NULL, admit, server_name, request, ended};
  unsigned long wanted = count > 1 ? strtoul(arguments[1], NULL, 10) : 1000;
  state = (count > 2 ? strtoull(arguments[2], NULL, 10) : 1) * 2654435761u + 88172645463325252u;
  struct tls_server *server = tls_server_new(&limits, &events);
  SSL_CTX *contexts[2] = {certificate(&settings), certificate(&settings)};
  if (server == NULL || !tls_server_use(server, contexts, 2)) fail("no server");
  client_context = SSL_CTX_new(TLS_client_method());
  accept_connections(server);
  for (int at = 0; at < LIVE; at++) clients[at].descriptor = -1;
  while (begun < wanted) {
    struct client *client = &clients[draw(LIVE)];
    if (client->descriptor < 0)
      begin(client, server, (enum kind)draw(KINDS));
    else
      step(client);
    if (draw(3) == 0) tls_server_run(server);
    if (draw(500) == 0) {
      SSL_CTX *next[1] = {certificate(&settings)};
      if (!tls_server_use(server, next, 1)) fail("no memory");
    }
  }
  /* The honest ones finish, the others are gone. */
  for (int round = 0; tls_server_open(server) > 0; round++) {
    for (int at = 0; at < LIVE; at++) {
      struct client *client = &clients[at];
      bool patient = client->kind == HONEST || client->kind == SLOW_READER;
      if (client->descriptor < 0) continue;
      if (patient)
        step(client);
      else
        finish(client);
    }
    tls_server_run(server);
    if (round > 1000000) fail("a connection stays open");
  }
  if (late > 0) fail("a deadline was missed that is minutes away");
  wait_for_deadlines(&events, &settings);
  for (int at = 0; at < LIVE; at++)
    if (clients[at].descriptor >= 0) finish(&clients[at]);
  if (told != begun) fail("a connection was not told of exactly once");
  if (ERR_peek_error() != 0) fail("an error was left in OpenSSL's queue");
  tls_server_free(server);
  SSL_CTX_free(client_context);
  printf("%lu connections, %lu answered, %lu of %lu honest clients served\n", begun, answered, served, honest);
  return 0;
}
