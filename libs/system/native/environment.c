/* A secret that came in the environment. Deleting the variable leaves its text where /proc/PID/environ shows it. */
#include "addon.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 128 };

/* eraseVariable(name): overwrites the value, then deletes the variable. False where there was none. */
static napi_value erase_variable(napi_env env, napi_callback_info info) {
  size_t count = 1, length;
  napi_value argument, result;
  char name[LONGEST_NAME];
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_utf8(env, argument, name, sizeof name, &length) != napi_ok)
    return throw_type(env, "eraseVariable expects a name");
  char *value = getenv(name);
  if (value != NULL) {
    explicit_bzero(value, strlen(value));
    unsetenv(name);
  }
  return napi_get_boolean(env, value != NULL, &result) == napi_ok ? result : NULL;
}

void register_environment(napi_env env, napi_value exports) {
  export_function(env, exports, "eraseVariable", erase_variable);
}
