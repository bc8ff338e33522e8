/* One certificate with its key, and how TLS is spoken with it: an SSL_CTX. */
#ifndef MERIDIAN_TLS_CONTEXT_H
#define MERIDIAN_TLS_CONTEXT_H

#include "tls-openssl.h"

struct tls_settings {
  const char *alpn; /* the one protocol, at most 255 bytes */
  int minimum;      /* TLS1_2_VERSION or TLS1_3_VERSION */
  int maximum;
  const char *cipher_list;   /* of TLS 1.2; empty for none */
  const char *cipher_suites; /* of TLS 1.3; empty for OpenSSL's */
  const char *groups;        /* empty for OpenSSL's */
};

/*
 * Returns NULL, with OpenSSL's reason in `problem` (static text, nothing of the files is in it), when the PEM texts or the
 * settings cannot be used. `settings` must outlive the context.
 */
SSL_CTX *tls_context_new(const struct tls_settings *settings, const char *chain, const char *key, const char **problem);

#endif
