/* certificateFault: whether a chain of certificates is good for a name, at a moment of the caller's choosing. node:tls checks
 * by CLOCK_REALTIME alone, which is wrong on a machine that has not yet asked for the time. */
#include "addon.h"
#include "tls-openssl.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { MOST_CERTIFICATES = 32, LONGEST_NAME = 256 };

/* All certificates of a PEM text; those that cannot be read end it. */
static X509_STORE *read_roots(const char *text, size_t length) {
  X509_STORE *store = X509_STORE_new();
  BIO *bio = BIO_new_mem_buf(text, (int)length);
  X509 *root;
  if (store != NULL && bio != NULL)
    while ((root = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
      X509_STORE_add_cert(store, root);
      X509_free(root);
    }
  BIO_free(bio);
  ERR_clear_error();
  return store;
}

/* The certificates of an array of Uint8Arrays, in DER; NULL where one is none. */
static STACK_OF(X509) *read_chain(napi_env env, napi_value array) {
  uint32_t count = 0;
  STACK_OF(X509) *chain = sk_X509_new_null();
  if (chain == NULL || napi_get_array_length(env, array, &count) != napi_ok || count == 0 || count > MOST_CERTIFICATES) goto failed;
  for (uint32_t at = 0; at < count; at++) {
    napi_value element;
    napi_typedarray_type type;
    size_t length;
    void *data;
    if (napi_get_element(env, array, at, &element) != napi_ok) goto failed;
    if (napi_get_typedarray_info(env, element, &type, &length, &data, NULL, NULL) != napi_ok) goto failed;
    const unsigned char *bytes = data;
    X509 *certificate = type == napi_uint8_array ? d2i_X509(NULL, &bytes, (long)length) : NULL;
    if (certificate == NULL || sk_X509_push(chain, certificate) == 0) {
      X509_free(certificate);
      goto failed;
    }
  }
  return chain;
failed:
  sk_X509_pop_free(chain, X509_free);
  ERR_clear_error();
  return NULL;
}

/* NULL where the chain is good; else OpenSSL's words. A time of NaN is not looked at. */
static const char *verify(X509_STORE *roots, STACK_OF(X509) *chain, const char *name, bool is_address, double unix_time) {
  const char *problem = "it cannot be checked";
  X509_STORE_CTX *context = X509_STORE_CTX_new();
  if (context != NULL && X509_STORE_CTX_init(context, roots, sk_X509_value(chain, 0), chain) == 1 &&
      X509_STORE_CTX_set_default(context, "ssl_server") == 1) {
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    /* Beside a name a certificate may have wildcards for a whole label alone, as node:tls has it. */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* OpenSSL takes no name for any name. */
    int is_set = *name == '\0' ? 0
                 : is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) : X509_VERIFY_PARAM_set1_host(param, name, 0);
    if (unix_time == unix_time)
      X509_VERIFY_PARAM_set_time(param, (time_t)unix_time);
    else
      X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    if (is_set == 1) {
      int is_good = X509_verify_cert(context);
      problem = is_good == 1 ? NULL : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
    }
  }
  X509_STORE_CTX_free(context);
  ERR_clear_error();
  return problem;
}

/* certificateFault(chain in DER, leaf first, roots in PEM, name, whether it is an address, Unix seconds or NaN): OpenSSL's
 * words, empty where nothing is wrong. */
static napi_value certificate_fault(napi_env env, napi_callback_info info) {
  size_t count = 5, length;
  napi_value arguments[5], result = NULL;
  char name[LONGEST_NAME];
  bool is_address;
  double unix_time;
  void *text;
  napi_typedarray_type type;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &text, NULL, NULL) != napi_ok || type != napi_uint8_array ||
      napi_get_value_string_utf8(env, arguments[2], name, sizeof name, NULL) != napi_ok ||
      napi_get_value_bool(env, arguments[3], &is_address) != napi_ok ||
      napi_get_value_double(env, arguments[4], &unix_time) != napi_ok)
    return throw_type(env, "expected certificates, roots, a name, whether it is an address, and a time");
  STACK_OF(X509) *chain = read_chain(env, arguments[0]);
  X509_STORE *roots = read_roots(text, length);
  const char *problem = chain == NULL || roots == NULL ? "it cannot be read" : verify(roots, chain, name, is_address, unix_time);
  X509_STORE_free(roots);
  sk_X509_pop_free(chain, X509_free);
  napi_create_string_utf8(env, problem == NULL ? "" : problem, NAPI_AUTO_LENGTH, &result);
  return result;
}

void register_certificate_chain(napi_env env, napi_value exports) {
  if (tls_openssl_problem() == NULL) export_function(env, exports, "certificateFault", certificate_fault);
}
