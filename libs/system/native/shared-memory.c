/* Memory that several processes see: made once, handed over as a descriptor, mapped by whoever gets that. src/shared-memory.ts calls it. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
  void *memory;
  size_t bytes;
};

static void unmap(napi_env env, void *data, void *hint) {
  struct mapping *mapping = hint;
  (void)env;
  (void)data;
  munmap(mapping->memory, mapping->bytes);
  free(mapping);
}

/* makeSharedMemory(name, bytes): the descriptor of zeros, sealed in its size, closed on exec. */
static napi_value make_shared_memory(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  char name[64];
  double bytes;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_utf8(env, arguments[0], name, sizeof name, NULL) != napi_ok ||
      napi_get_value_double(env, arguments[1], &bytes) != napi_ok || bytes < 1 || bytes > 1e12)
    return throw_type(env, "makeSharedMemory expects a name and a number of bytes");
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return throw_errno(env, "shared memory", errno), NULL;
  if (fchmod(descriptor, 0600) != 0 || ftruncate(descriptor, (off_t)bytes) != 0 ||
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int error = errno;
    close(descriptor);
    return throw_errno(env, "shared memory", error), NULL;
  }
  return give_descriptor(env, descriptor);
}

/* mapSharedMemory(descriptor): an ArrayBuffer of all of it. Touching a mapping past its file's end kills the process: the size is asked for. */
static napi_value map_shared_memory(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  int32_t descriptor;
  struct stat status;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, argument, &descriptor) != napi_ok)
    return throw_type(env, "mapSharedMemory expects a descriptor");
  if (fstat(descriptor, &status) != 0) return throw_errno(env, "shared memory", errno), NULL;
  if (status.st_size < 1) return throw_errno(env, "shared memory", EINVAL), NULL;
  size_t bytes = (size_t)status.st_size;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return throw_errno(env, "shared memory", errno), NULL;
  struct mapping *mapping = malloc(sizeof *mapping);
  if (mapping == NULL) return munmap(memory, bytes), throw_errno(env, "shared memory", ENOMEM), NULL;
  *mapping = (struct mapping){memory, bytes};
  if (napi_create_external_arraybuffer(env, memory, bytes, unmap, mapping, &result) == napi_ok) return result;
  unmap(env, NULL, mapping);
  return NULL;
}

void register_shared_memory(napi_env env, napi_value exports) {
  export_function(env, exports, "makeSharedMemory", make_shared_memory);
  export_function(env, exports, "mapSharedMemory", map_shared_memory);
}
