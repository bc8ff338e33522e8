/* What a TlsListener is told by JavaScript, read and checked; its shapes are those of src/tls-listener.ts. */
#ifndef MERIDIAN_TLS_ARGUMENTS_H
#define MERIDIAN_TLS_ARGUMENTS_H

#include "addon.h"
#include "tls-context.h"
#include "tls-server.h"

enum { TLS_TEXTS = 5, TLS_MOST_CERTIFICATES = 256 };

struct tls_listener_settings {
  struct tls_settings tls;
  struct tls_limits limits;
  const char *exporter_label;
  char *texts[TLS_TEXTS]; /* what the others point to */
};

/* False when something is missing or out of bounds. Freed by tls_free_settings either way. */
bool tls_read_settings(napi_env env, napi_value object, struct tls_listener_settings *settings);

void tls_free_settings(struct tls_listener_settings *settings);

/* Makes contexts of an array of { chain, key }. Returns how many there are; 0 after it has thrown. */
size_t tls_read_certificates(napi_env env, napi_value array, const struct tls_settings *settings, SSL_CTX **contexts);

#endif
