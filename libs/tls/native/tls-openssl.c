/* See tls-openssl.h. */
#include "tls-openssl.h"

#include <stdio.h>

#define TLS_IS_THERE(name) {#name, (const void *)name},

/* OpenSSL keeps what was compiled against one release working in later ones of the same major version. */
static bool version_fits(unsigned long found) {
  return found >> 28 == OPENSSL_VERSION_MAJOR && (found >> 20 & 0xff) >= OPENSSL_VERSION_MINOR;
}

const char *tls_openssl_problem(void) {
  static _Thread_local char problem[96];
  const struct {
    const char *name;
    const void *function;
  } functions[] = {TLS_OPENSSL_FUNCTIONS(TLS_IS_THERE)};
  for (size_t at = 0; at < sizeof functions / sizeof *functions; at++) {
    if (functions[at].function != NULL) continue;
    snprintf(problem, sizeof problem, "expected OpenSSL's %s in this Node, found none", functions[at].name);
    return problem;
  }
  unsigned long found = OpenSSL_version_num();
  if (version_fits(found)) return NULL;
  snprintf(problem, sizeof problem, "expected OpenSSL %d.%d or a later %d, found %lu.%lu", OPENSSL_VERSION_MAJOR,
           OPENSSL_VERSION_MINOR, OPENSSL_VERSION_MAJOR, found >> 28, found >> 20 & 0xff);
  return problem;
}
