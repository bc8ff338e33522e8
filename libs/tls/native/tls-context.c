/* See tls-context.h. */
#include "tls-context.h"

#include <string.h>

/* Key files are not encrypted; without this OpenSSL would ask for a pass phrase at the terminal. */
static int no_password(char *buffer, int size, int writing, void *data) {
  (void)buffer, (void)size, (void)writing, (void)data;
  return 0;
}

/* A client that offers protocols but not ours is refused by an alert (RFC 7301 §3.2). One that offers none is not asked. */
static int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned int offered_length, void *data) {
  const struct tls_settings *settings = data;
  size_t wanted = strlen(settings->alpn);
  (void)ssl;
  for (unsigned int at = 0; at < offered_length; at += 1u + offered[at]) {
    if (offered[at] > offered_length - at - 1) break;
    if (offered[at] != wanted || memcmp(offered + at + 1, settings->alpn, wanted) != 0) continue;
    *chosen = offered + at + 1;
    *chosen_length = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The server's own certificate first, then those that lead to its issuer. */
static bool use_chain(SSL_CTX *context, const char *text) {
  BIO *bio = BIO_new_mem_buf(text, -1);
  if (bio == NULL) return false;
  X509 *certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
  bool used = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;
  X509_free(certificate);
  while (used && (certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
    used = SSL_CTX_add0_chain_cert(context, certificate) == 1;
    if (!used) X509_free(certificate);
  }
  BIO_free(bio);
  if (!used || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return false;
  /* That was the end of the file and no broken certificate. */
  ERR_clear_error();
  return true;
}

static bool use_key(SSL_CTX *context, const char *text) {
  BIO *bio = BIO_new_mem_buf(text, -1);
  if (bio == NULL) return false;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
  bool used = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
  EVP_PKEY_free(key);
  BIO_free(bio);
  return used;
}

/* No session is ever resumed: key establishment happens once in days, and each needs fresh keys. */
static bool configure(SSL_CTX *context, const struct tls_settings *settings) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  /* The chain is sent as it is in the file, and not looked for anew in every handshake. */
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_alpn_select_cb(context, select_protocol, (void *)settings);
  return SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_min_proto_version(context, settings->minimum) == 1 &&
         SSL_CTX_set_max_proto_version(context, settings->maximum) == 1 &&
         (*settings->cipher_list == 0 || SSL_CTX_set_cipher_list(context, settings->cipher_list) == 1) &&
         (*settings->cipher_suites == 0 || SSL_CTX_set_ciphersuites(context, settings->cipher_suites) == 1) &&
         (*settings->groups == 0 || SSL_CTX_set1_groups_list(context, settings->groups) == 1);
}

SSL_CTX *tls_context_new(const struct tls_settings *settings, const char *chain, const char *key, const char **problem) {
  ERR_clear_error();
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (context != NULL && configure(context, settings) && use_chain(context, chain) && use_key(context, key)) {
    ERR_clear_error();
    return context;
  }
  const char *reason = ERR_reason_error_string(ERR_peek_error());
  *problem = reason != NULL ? reason : "OpenSSL refused without a reason";
  ERR_clear_error();
  SSL_CTX_free(context);
  return NULL;
}
