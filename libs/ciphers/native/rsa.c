/*
 * RSA as Autokey needs it. rsaOaepEncrypt: a short text under a stranger's key, as cookies are. A key is used once, so what
 * counts is the time from its bytes to the ciphertext: OpenSSL's own RSA functions need half of what a KeyObject and EVP do.
 * RsaSigner: PKCS #1 signatures by one key, prepared for each digest once.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "addon.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A modulus and an exponent that are worked with; the shortest that holds OAEP's 42 octets and a cookie is longer than 46. */
enum { LONGEST_MODULUS_BYTES = 512, LEAST_MODULUS_BYTES = 47, LONGEST_EXPONENT_BITS = 33 };

static bool is_workable(const RSA *rsa) {
  const BIGNUM *modulus, *exponent;
  RSA_get0_key(rsa, &modulus, &exponent, NULL);
  return modulus != NULL && exponent != NULL && BN_num_bytes(modulus) >= LEAST_MODULUS_BYTES &&
         BN_num_bytes(modulus) <= LONGEST_MODULUS_BYTES && BN_num_bits(exponent) <= LONGEST_EXPONENT_BITS;
}

/* rsaOaepEncrypt(pkcs1, text, out): the ciphertext's length, or 0 where the key or the text is not one that can be used. */
static napi_value encrypt(napi_env env, napi_callback_info info) {
  size_t count = 3, lengths[3];
  napi_value arguments[3], result;
  uint8_t *data[3];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  for (size_t index = 0; index < 3; index++) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, arguments[index], &type, &lengths[index], (void **)&data[index], NULL, NULL) != napi_ok ||
        type != napi_uint8_array)
      return throw_type(env, "rsaOaepEncrypt expects three Uint8Arrays");
  }
  const unsigned char *at = data[0];
  RSA *rsa = lengths[0] == 0 || lengths[0] > LONG_MAX ? NULL : d2i_RSAPublicKey(NULL, &at, (long)lengths[0]);
  int taken = 0;
  if (rsa != NULL && at == data[0] + lengths[0] && is_workable(rsa) && (size_t)RSA_size(rsa) <= lengths[2] &&
      lengths[1] <= LEAST_MODULUS_BYTES)
    taken = RSA_public_encrypt((int)lengths[1], data[1], data[2], rsa, RSA_PKCS1_OAEP_PADDING);
  RSA_free(rsa);
  ERR_clear_error();
  return napi_create_int32(env, taken > 0 ? taken : 0, &result) == napi_ok ? result : NULL;
}

enum { LONGEST_NAME = 32, MOST_DIGESTS = 8 };

typedef struct {
  char name[LONGEST_NAME];
  EVP_MD *digest;
  EVP_PKEY_CTX *context;
} scheme;

typedef struct {
  EVP_PKEY *key;
  scheme schemes[MOST_DIGESTS];
  size_t count;
} signer;

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  signer *of = data;
  for (size_t index = 0; index < of->count; index++) {
    EVP_PKEY_CTX_free(of->schemes[index].context);
    EVP_MD_free(of->schemes[index].digest);
  }
  EVP_PKEY_free(of->key);
  free(of);
}

static const scheme *find_scheme(signer *of, const char *name) {
  for (size_t index = 0; index < of->count; index++)
    if (strcmp(of->schemes[index].name, name) == 0) return &of->schemes[index];
  if (of->count == MOST_DIGESTS) return NULL;
  scheme *opened = &of->schemes[of->count];
  opened->digest = EVP_MD_fetch(NULL, name, NULL);
  opened->context = EVP_PKEY_CTX_new(of->key, NULL);
  if (opened->digest == NULL || opened->context == NULL || EVP_PKEY_sign_init(opened->context) <= 0 ||
      EVP_PKEY_CTX_set_rsa_padding(opened->context, RSA_PKCS1_PADDING) <= 0 ||
      EVP_PKEY_CTX_set_signature_md(opened->context, opened->digest) <= 0) {
    EVP_PKEY_CTX_free(opened->context);
    EVP_MD_free(opened->digest);
    return NULL;
  }
  strcpy(opened->name, name);
  of->count++;
  return opened;
}

/* new RsaSigner(pkcs8): throws where the bytes are no RSA key. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 1, length;
  napi_value self, argument;
  napi_typedarray_type type;
  uint8_t *data;
  if (napi_get_cb_info(env, info, &count, &argument, &self, NULL) != napi_ok) return NULL;
  if (napi_get_typedarray_info(env, argument, &type, &length, (void **)&data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || length > LONG_MAX)
    return throw_type(env, "RsaSigner expects a Uint8Array");
  const unsigned char *at = data;
  EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)length);
  signer *of = key != NULL && EVP_PKEY_is_a(key, "RSA") ? calloc(1, sizeof *of) : NULL;
  ERR_clear_error();
  if (of == NULL) return EVP_PKEY_free(key), throw_type(env, "expected an RSA key in PKCS #8");
  of->key = key;
  if (napi_wrap(env, self, of, finalize, NULL, NULL) != napi_ok) return finalize(env, of, NULL), NULL;
  return self;
}

/* sign(digest, message, out): the signature's length, or 0 where the digest is unknown or too long for the key. */
static napi_value sign(napi_env env, napi_callback_info info) {
  napi_value arguments[3], result;
  char name[LONGEST_NAME];
  uint8_t digest[EVP_MAX_MD_SIZE], *data[2];
  unsigned int digest_length = 0;
  size_t name_length, lengths[2];
  signer *of = unwrap_call(env, info, 3, arguments, NULL);
  if (of == NULL) return NULL;
  if (napi_get_value_string_latin1(env, arguments[0], name, sizeof name, &name_length) != napi_ok)
    return throw_type(env, "sign expects a digest's name and two Uint8Arrays");
  for (size_t index = 0; index < 2; index++) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, arguments[index + 1], &type, &lengths[index], (void **)&data[index], NULL, NULL) !=
            napi_ok ||
        type != napi_uint8_array)
      return throw_type(env, "sign expects a digest's name and two Uint8Arrays");
  }
  const scheme *by = find_scheme(of, name);
  size_t taken = lengths[1];
  bool done = by != NULL && EVP_Digest(data[0], lengths[0], digest, &digest_length, by->digest, NULL) == 1 &&
              EVP_PKEY_sign(by->context, data[1], &taken, digest, digest_length) == 1;
  ERR_clear_error();
  return napi_create_int32(env, done ? (int32_t)taken : 0, &result) == napi_ok ? result : NULL;
}

void register_rsa(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {{"sign", NULL, sign, NULL, NULL, NULL, napi_default_method, NULL}};
  export_class(env, exports, "RsaSigner", construct, sizeof methods / sizeof *methods, methods);
  export_function(env, exports, "rsaOaepEncrypt", encrypt);
}
