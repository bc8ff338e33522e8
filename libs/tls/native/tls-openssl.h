/*
 * The OpenSSL inside Node, and whether it is the one this addon was compiled for. Its functions are bound weakly: where a
 * Node exports fewer, or has another OpenSSL, the addon loads all the same and Meridian speaks TLS through node:tls.
 */
#ifndef MERIDIAN_TLS_OPENSSL_H
#define MERIDIAN_TLS_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>

/* Every function of OpenSSL that the TLS listener and the check of certificates call. */
#define TLS_OPENSSL_FUNCTIONS(each) \
  each(BIO_clear_flags) \
  each(BIO_free) \
  each(BIO_get_data) \
  each(BIO_meth_free) \
  each(BIO_meth_new) \
  each(BIO_meth_set_ctrl) \
  each(BIO_meth_set_read_ex) \
  each(BIO_meth_set_write_ex) \
  each(BIO_new) \
  each(BIO_new_mem_buf) \
  each(BIO_set_data) \
  each(BIO_set_flags) \
  each(BIO_set_init) \
  each(ERR_clear_error) \
  each(ERR_peek_error) \
  each(ERR_peek_last_error) \
  each(ERR_reason_error_string) \
  each(EVP_PKEY_free) \
  each(OPENSSL_cleanse) \
  each(OPENSSL_sk_new_null) \
  each(OPENSSL_sk_pop_free) \
  each(OPENSSL_sk_push) \
  each(OPENSSL_sk_value) \
  each(OpenSSL_version_num) \
  each(PEM_read_bio_PrivateKey) \
  each(PEM_read_bio_X509) \
  each(SSL_CTX_callback_ctrl) \
  each(SSL_CTX_check_private_key) \
  each(SSL_CTX_ctrl) \
  each(SSL_CTX_free) \
  each(SSL_CTX_new) \
  each(SSL_CTX_set_alpn_select_cb) \
  each(SSL_CTX_set_cipher_list) \
  each(SSL_CTX_set_ciphersuites) \
  each(SSL_CTX_set_num_tickets) \
  each(SSL_CTX_set_options) \
  each(SSL_CTX_use_PrivateKey) \
  each(SSL_CTX_use_certificate) \
  each(SSL_do_handshake) \
  each(SSL_export_keying_material) \
  each(SSL_free) \
  each(SSL_get0_alpn_selected) \
  each(SSL_get_error) \
  each(SSL_get_ex_data) \
  each(SSL_get_servername) \
  each(SSL_new) \
  each(SSL_read_ex) \
  each(SSL_set_SSL_CTX) \
  each(SSL_set_accept_state) \
  each(SSL_set_bio) \
  each(SSL_set_ex_data) \
  each(SSL_shutdown) \
  each(SSL_write_ex) \
  each(TLS_server_method) \
  each(X509_STORE_CTX_free) \
  each(X509_STORE_CTX_get0_param) \
  each(X509_STORE_CTX_get_error) \
  each(X509_STORE_CTX_init) \
  each(X509_STORE_CTX_new) \
  each(X509_STORE_CTX_set_default) \
  each(X509_STORE_add_cert) \
  each(X509_STORE_free) \
  each(X509_STORE_new) \
  each(X509_VERIFY_PARAM_set1_host) \
  each(X509_VERIFY_PARAM_set1_ip_asc) \
  each(X509_VERIFY_PARAM_set_flags) \
  each(X509_VERIFY_PARAM_set_hostflags) \
  each(X509_VERIFY_PARAM_set_time) \
  each(X509_free) \
  each(X509_verify_cert) \
  each(X509_verify_cert_error_string) \
  each(d2i_X509)

#define TLS_PRAGMA(text) _Pragma(#text)
#define TLS_WEAK(name) TLS_PRAGMA(weak name)
TLS_OPENSSL_FUNCTIONS(TLS_WEAK)

/* NULL when this OpenSSL can be used; else what was found in place of what was expected. */
const char *tls_openssl_problem(void);

#endif
