/* See tls-arguments.h. */
#include "tls-arguments.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 20, MOST_MILLISECONDS = 3600000 };

/* A property's text, in memory of its own; NULL when it is none, is too long or holds a zero byte. */
static char *text_of(napi_env env, napi_value object, const char *name) {
  napi_value value;
  size_t length;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length > MOST_TEXT)
    return NULL;
  char *text = malloc(length + 1);
  if (text == NULL) return NULL;
  if (napi_get_value_string_utf8(env, value, text, length + 1, &length) == napi_ok && strlen(text) == length) return text;
  free(text);
  return NULL;
}

static bool number_of(napi_env env, napi_value object, const char *name, int64_t most, int64_t *place) {
  napi_value value;
  return napi_get_named_property(env, object, name, &value) == napi_ok &&
         napi_get_value_int64(env, value, place) == napi_ok && *place > 0 && *place <= most;
}

/* Versions are given by their last number: 2 for TLS 1.2, 3 for TLS 1.3. */
bool tls_read_settings(napi_env env, napi_value object, struct tls_listener_settings *settings) {
  struct tls_settings *tls = &settings->tls;
  struct tls_limits *limits = &settings->limits;
  const struct {
    const char *name;
    const char **place;
  } texts[TLS_TEXTS] = {{"protocol", &tls->alpn},
                        {"cipherList", &tls->cipher_list},
                        {"cipherSuites", &tls->cipher_suites},
                        {"groups", &tls->groups},
                        {"exporterLabel", &settings->exporter_label}};
  int64_t minimum, maximum;
  for (int at = 0; at < TLS_TEXTS; at++) {
    settings->texts[at] = text_of(env, object, texts[at].name);
    if (settings->texts[at] == NULL) return false;
    *texts[at].place = settings->texts[at];
  }
  if (!number_of(env, object, "minimum", 3, &minimum) || !number_of(env, object, "maximum", 3, &maximum) ||
      !number_of(env, object, "handshakeMilliseconds", MOST_MILLISECONDS, &limits->handshake_milliseconds) ||
      !number_of(env, object, "exchangeMilliseconds", MOST_MILLISECONDS, &limits->exchange_milliseconds))
    return false;
  tls->minimum = TLS1_VERSION + (int)minimum;
  tls->maximum = TLS1_VERSION + (int)maximum;
  return minimum >= 2 && maximum >= minimum && strlen(tls->alpn) > 0 && strlen(tls->alpn) < 256;
}

void tls_free_settings(struct tls_listener_settings *settings) {
  for (int at = 0; at < TLS_TEXTS; at++) free(settings->texts[at]);
  memset(settings->texts, 0, sizeof settings->texts);
}

/* NULL after it has thrown: a TypeError, or an error with OpenSSL's reason. */
static SSL_CTX *read_certificate(napi_env env, napi_value object, const struct tls_settings *settings) {
  const char *problem = NULL;
  SSL_CTX *context = NULL;
  char *chain = text_of(env, object, "chain");
  char *key = text_of(env, object, "key");
  if (chain != NULL && key != NULL)
    context = tls_context_new(settings, chain, key, &problem);
  else
    throw_type(env, "a certificate is expected as { chain, key }, both PEM texts");
  if (problem != NULL) napi_throw_error(env, "ERR_TLS_CONTEXT", problem);
  if (key != NULL) OPENSSL_cleanse(key, strlen(key));
  free(key);
  free(chain);
  return context;
}

size_t tls_read_certificates(napi_env env, napi_value array, const struct tls_settings *settings, SSL_CTX **contexts) {
  uint32_t count = 0;
  bool is_array = false;
  napi_value each;
  if (napi_is_array(env, array, &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, array, &count) != napi_ok || count == 0 || count > TLS_MOST_CERTIFICATES)
    return throw_type(env, "an array of 1 to 256 certificates is expected"), 0;
  for (uint32_t at = 0; at < count; at++) {
    contexts[at] = napi_get_element(env, array, at, &each) == napi_ok ? read_certificate(env, each, settings) : NULL;
    if (contexts[at] != NULL) continue;
    while (at-- > 0) SSL_CTX_free(contexts[at]);
    return 0;
  }
  return count;
}
