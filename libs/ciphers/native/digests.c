/*
 * The digests of symmetric keys, H(key ‖ message), with the OpenSSL inside Node. An algorithm is looked up once and its
 * context used for every call: looking it up and making a context cost several times the digest of an NTP packet.
 */
#include "addon.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { LONGEST_NAME = 32 };

typedef struct {
  EVP_MD *algorithm;
  EVP_MD_CTX *context;
} digest;

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  digest *opened = data;
  EVP_MD_CTX_free(opened->context);
  EVP_MD_free(opened->algorithm);
  free(opened);
}

static bool within(bytes array, int32_t at, int32_t length) {
  return at >= 0 && length >= 0 && (uint64_t)at + (uint64_t)length <= array.length;
}

/*
 * (key, bytes, offset, length, out): writes H(key ‖ length bytes from offset) at the start of out and returns its length;
 * 0 when the message lies outside its array or out is too short.
 */
static napi_value compute(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5], result;
  bytes key, message, out;
  int32_t at, length;
  void *data;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, &data) != napi_ok) return NULL;
  if (!read_array(env, arguments[0], napi_uint8_array, &key) || !read_array(env, arguments[1], napi_uint8_array, &message) ||
      napi_get_value_int32(env, arguments[2], &at) != napi_ok ||
      napi_get_value_int32(env, arguments[3], &length) != napi_ok || !read_array(env, arguments[4], napi_uint8_array, &out))
    return throw_type(env, "a digest expects two Uint8Arrays, an offset, a length and a Uint8Array");
  const digest *opened = data;
  unsigned int size = 0;
  if (within(message, at, length) && out.length >= (size_t)EVP_MD_get_size(opened->algorithm)) {
    bool done = EVP_DigestInit_ex2(opened->context, NULL, NULL) == 1 &&
                EVP_DigestUpdate(opened->context, key.data, key.length) == 1 &&
                EVP_DigestUpdate(opened->context, message.data + at, (size_t)length) == 1 &&
                EVP_DigestFinal_ex(opened->context, out.data, &size) == 1;
    if (!done) return throw_type(env, "OpenSSL could not compute the digest");
  }
  return napi_create_uint32(env, size, &result) == napi_ok ? result : NULL;
}

/* openDigest(name): a function that computes it (above); undefined where this OpenSSL does not have or allow it. */
static napi_value open_digest(napi_env env, napi_callback_info info) {
  size_t count = 1, length;
  napi_value argument, function;
  char name[LONGEST_NAME];
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_latin1(env, argument, name, sizeof name, &length) != napi_ok)
    return throw_type(env, "openDigest expects the name of an algorithm");
  digest *opened = calloc(1, sizeof *opened);
  if (opened == NULL) return NULL;
  opened->algorithm = EVP_MD_fetch(NULL, name, NULL);
  opened->context = EVP_MD_CTX_new();
  if (opened->algorithm == NULL || opened->context == NULL ||
      EVP_DigestInit_ex2(opened->context, opened->algorithm, NULL) != 1 ||
      napi_create_function(env, "digest", NAPI_AUTO_LENGTH, compute, opened, &function) != napi_ok ||
      napi_add_finalizer(env, function, opened, finalize, NULL, NULL) != napi_ok) {
    finalize(env, opened, NULL);
    return NULL;
  }
  return function;
}

void register_digests(napi_env env, napi_value exports) { export_function(env, exports, "openDigest", open_digest); }
