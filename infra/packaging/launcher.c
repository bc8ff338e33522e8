/*
 * meridian, ntpkeygen, ntp-keygen: starts the Node that lies beside it with the script of the name it was called by. A
 * program, not a shell script, since the tarball runs where there is no shell. Linked statically.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what) {
  fprintf(stderr, "meridian: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(int count, char **arguments) {
  char self[PATH_MAX], node[PATH_MAX + 32], script[PATH_MAX + 128], path[PATH_MAX + 32];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) return fail("cannot find where it lies; is /proc mounted?");
  self[length] = 0;
  /* PREFIX/bin/meridian */
  char *prefix = dirname(dirname(self));
  char *name = count > 0 ? strrchr(arguments[0], '/') : NULL;
  name = name != NULL ? name + 1 : count > 0 ? arguments[0] : "meridian";
  if (strncmp(name, "meridian-", 9) == 0) name += 9;
  if (strcmp(name, "ntpkeygen") != 0 && strcmp(name, "ntp-keygen") != 0) name = "meridian";
  snprintf(node, sizeof node, "%s/bin/node", prefix);
  snprintf(script, sizeof script, "%s/services/cli/bin/%s.mjs", prefix, name);
  /* Modules that were compiled when the package was made; they lie at other places on other machines. */
  snprintf(path, sizeof path, "%s/cache", prefix);
  setenv("NODE_COMPILE_CACHE_PORTABLE", "1", 0);
  setenv("NODE_COMPILE_CACHE", path, 0);
  /* Each process has one thread that allocates: more of malloc's arenas only hold memory. */
  setenv("MALLOC_ARENA_MAX", "1", 0);
  /* The tarball brings the two libraries that Node needs beside libc. */
  snprintf(path, sizeof path, "%s/lib", prefix);
  if (access(path, F_OK) == 0) setenv("LD_LIBRARY_PATH", path, 1);
  char **passed = calloc((size_t)count + 3, sizeof *passed);
  if (passed == NULL) return fail("no memory");
  passed[0] = node;
  passed[1] = script;
  for (int at = 1; at < count; at++) passed[at + 1] = arguments[at];
  execv(node, passed);
  return fail(node);
}
