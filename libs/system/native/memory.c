/*
 * Giving back what only the start needed of the program's own file. Two thirds of an idle Node's resident memory are pages
 * of the node binary, code and constants, most of them touched once: reading the snapshot, setting up, compiling the first
 * modules. A private mapping of a file that may not be written and of which no page has become this process's own holds
 * nothing but the file. Letting go of its pages loses nothing: what is used again is mapped again from the page cache, a
 * minor fault each, and the rest stays out of this process.
 */
#include "addon.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

struct mapping {
  uintptr_t from, to;
  bool read_only_file;
};

/* The first line of a mapping in /proc/self/smaps: addresses, flags, offset, device, inode, path. */
static bool is_head(const char *line, struct mapping *mapping) {
  char flags[5];
  unsigned long long start, end, offset, inode;
  unsigned major, minor;
  if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu", &start, &end, flags, &offset, &major, &minor, &inode) != 7)
    return false;
  mapping->from = (uintptr_t)start;
  mapping->to = (uintptr_t)end;
  mapping->read_only_file = flags[1] == '-' && flags[3] == 'p' && inode != 0;
  return true;
}

/*
 * releaseStartupPages(): lets go of them, and of what the heap of C has free: compiling the first modules took up to 4 MB there that nothing
 * asks for again. Returns the bytes of mappings it went over, 0 where it could not.
 */
static napi_value release_startup_pages(napi_env env, napi_callback_info info) {
  char line[4352];
  struct mapping mapping = {0};
  unsigned long long own;
  double covered = 0;
  napi_value result;
  (void)info;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  FILE *maps = fopen("/proc/self/smaps", "re");
  if (maps != NULL) {
    while (fgets(line, sizeof line, maps) != NULL) {
      if (is_head(line, &mapping) || sscanf(line, "Anonymous: %llu kB", &own) != 1) continue;
      if (mapping.read_only_file && own == 0 &&
          madvise((void *)mapping.from, mapping.to - mapping.from, MADV_DONTNEED) == 0)
        covered += (double)(mapping.to - mapping.from);
    }
    fclose(maps);
  }
  return napi_create_double(env, covered, &result) == napi_ok ? result : NULL;
}

/*
 * collectHeap(): one full collection of JavaScript's heap that gives free pages back. Node has no such call without a flag that would have other
 * compiled modules; but V8 collects so, at once, when it is told of more memory outside its heap than it may have, which here is taken back.
 */
static napi_value collect_heap(napi_env env, napi_callback_info info) {
  const int64_t beyond_any_limit = INT64_C(1) << 46;
  int64_t outside;
  (void)info;
  if (napi_adjust_external_memory(env, beyond_any_limit, &outside) == napi_ok)
    napi_adjust_external_memory(env, -beyond_any_limit, &outside);
  return NULL;
}

/*
 * forbidCoreDumps(): no image of this process's memory, nor of its children's, for good. A limit of one byte: less than any
 * image has, and where images go to a program the kernel asks for this very number.
 */
static napi_value forbid_core_dumps(napi_env env, napi_callback_info info) {
  const struct rlimit one = {1, 1};
  napi_value result;
  (void)info;
  return napi_get_boolean(env, setrlimit(RLIMIT_CORE, &one) == 0, &result) == napi_ok ? result : NULL;
}

void register_memory(napi_env env, napi_value exports) {
  export_function(env, exports, "collectHeap", collect_heap);
  export_function(env, exports, "forbidCoreDumps", forbid_core_dumps);
  export_function(env, exports, "releaseStartupPages", release_startup_pages);
}
