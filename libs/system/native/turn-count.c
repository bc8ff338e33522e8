/*
 * How a supervisor sees that its processes' event loops turn, without waking JavaScript: each counts its turns in memory of its own
 * (countTurns), and TurnWatch looks at all counts and calls back where one stands still. src/turn-count.ts calls them.
 */
#include "turn-timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef _Atomic uint32_t turns_word;

enum { LONGEST_INTERVAL_MS = 3600000 };

/* The first word of what a descriptor is open for, or NULL and errno. Touching a mapping past its file's end kills the process: the size is asked for. */
static turns_word *map_word(int descriptor, int protection) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return NULL;
  if (status.st_size < (off_t)sizeof(turns_word)) return errno = EINVAL, NULL;
  void *memory = mmap(NULL, sizeof(turns_word), protection, MAP_SHARED, descriptor, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static bool interval_of(napi_env env, napi_value value, uint64_t *milliseconds) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 1 && number <= LONGEST_INTERVAL_MS)) return false;
  *milliseconds = (uint64_t)number;
  return true;
}

struct turn_counter {
  struct turn_timer timer;
  turns_word *turns;
};

static bool count_turn(struct turn_timer *timer, double *number) {
  (void)number;
  ++*((struct turn_counter *)timer)->turns;
  return false;
}

static void release_counter(struct turn_timer *timer) {
  munmap((void *)((struct turn_counter *)timer)->turns, sizeof(turns_word));
  free(timer);
}

/* countTurns(descriptor, milliseconds): counts at once, and then so often, in the word that a descriptor is open for, for as long as the event loop turns. */
static napi_value count_turns(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self;
  int32_t descriptor;
  uint64_t milliseconds;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok || !interval_of(env, arguments[1], &milliseconds))
    return throw_type(env, "countTurns expects a descriptor and milliseconds");
  turns_word *turns = map_word(descriptor, PROT_READ | PROT_WRITE);
  if (turns == NULL) return throw_errno(env, "memory to count turns in", errno), NULL;
  struct turn_counter *counter = calloc(1, sizeof *counter);
  if (counter == NULL) return munmap((void *)turns, sizeof *turns), throw_errno(env, "a counter", ENOMEM), NULL;
  counter->turns = turns;
  counter->timer.milliseconds = milliseconds;
  counter->timer.on_turn = count_turn;
  counter->timer.release = release_counter;
  int failure = turn_timer_start(&counter->timer, env, self, NULL, NULL);
  if (failure != 0) return release_counter(&counter->timer), throw_errno(env, "a timer", -failure), NULL;
  ++*turns;
  counter->timer.holders--; /* the environment's end alone closes it */
  return NULL;
}

struct watched {
  turns_word *turns; /* NULL where nobody has this place */
  uint32_t seen, still, most;
};

struct turn_watch {
  struct turn_timer timer;
  struct watched *places;
  uint32_t count, looks;
  bool closely;
};

static bool look(struct turn_timer *timer, double *number) {
  struct turn_watch *watch = (struct turn_watch *)timer;
  bool is_wanted = watch->closely;
  *number = ++watch->looks;
  for (uint32_t place = 0; place < watch->count; place++) {
    struct watched *watched = &watch->places[place];
    if (watched->turns == NULL) continue;
    uint32_t turns = *watched->turns;
    watched->still = turns == watched->seen ? watched->still + 1 : 0;
    watched->seen = turns;
    if (watched->still >= watched->most) is_wanted = true;
  }
  return is_wanted;
}

static void release_watch(struct turn_timer *timer) {
  struct turn_watch *watch = (struct turn_watch *)timer;
  for (uint32_t place = 0; place < watch->count; place++)
    if (watch->places[place].turns != NULL) munmap((void *)watch->places[place].turns, sizeof(turns_word));
  free(watch->places);
  free(watch);
}

/*
 * new TurnWatch(milliseconds, after, callback): looks at the counts that are added, so many milliseconds after each whole multiple. It
 * calls back with the number of looks until then, where a count has stood still for as many looks as were said with it, or where each look is wanted.
 */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3], self;
  napi_valuetype type;
  uint64_t milliseconds;
  double after;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (!interval_of(env, arguments[0], &milliseconds) || napi_get_value_double(env, arguments[1], &after) != napi_ok ||
      !(after >= 0 && after <= LONGEST_INTERVAL_MS) || napi_typeof(env, arguments[2], &type) != napi_ok ||
      type != napi_function)
    return throw_type(env, "TurnWatch expects milliseconds twice and a function");
  struct turn_watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL) return throw_errno(env, "a watch", ENOMEM), NULL;
  watch->timer.milliseconds = milliseconds;
  watch->timer.after = (uint64_t)after;
  watch->timer.on_turn = look;
  watch->timer.release = release_watch;
  int failure = turn_timer_start(&watch->timer, env, self, arguments[2], "meridian:turn-watch");
  if (failure != 0) return free(watch), throw_errno(env, "a timer", -failure), NULL;
  if (napi_wrap(env, self, watch, turn_timer_let_go, NULL, NULL) == napi_ok) return self;
  turn_timer_let_go(env, watch, NULL);
  return NULL;
}

/* A free place, or NULL where there is no memory for another. */
static struct watched *free_place(struct turn_watch *watch) {
  for (uint32_t place = 0; place < watch->count; place++)
    if (watch->places[place].turns == NULL) return &watch->places[place];
  struct watched *places = realloc(watch->places, (watch->count + 1) * sizeof *places);
  if (places == NULL) return NULL;
  watch->places = places;
  places[watch->count] = (struct watched){0};
  return &places[watch->count++];
}

/* add(descriptor, most): the number of the place of a count that is to be called back for once it has stood still for `most` looks. */
static napi_value add(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  int32_t descriptor;
  uint32_t most;
  struct turn_watch *watch = unwrap_call(env, info, 2, arguments, NULL);
  if (watch == NULL || napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &most) != napi_ok)
    return throw_type(env, "add expects a descriptor and a number of looks");
  turns_word *turns = map_word(descriptor, PROT_READ);
  if (turns == NULL) return throw_errno(env, "memory where turns are counted", errno), NULL;
  struct watched *watched = free_place(watch);
  if (watched == NULL) return munmap((void *)turns, sizeof *turns), throw_errno(env, "a place", ENOMEM), NULL;
  *watched = (struct watched){.turns = turns, .seen = *turns, .most = most};
  return napi_create_uint32(env, (uint32_t)(watched - watch->places), &result) == napi_ok ? result : NULL;
}

/* The watch and the place that a call names, NULL where there is none. */
static struct watched *place_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  uint32_t place;
  struct turn_watch *watch = unwrap_call(env, info, 1, &argument, NULL);
  if (watch == NULL || napi_get_value_uint32(env, argument, &place) != napi_ok || place >= watch->count) return NULL;
  return watch->places[place].turns == NULL ? NULL : &watch->places[place];
}

/* still(place): for how many looks its count has stood still; 0 where it has moved since the last. */
static napi_value still(napi_env env, napi_callback_info info) {
  napi_value result;
  const struct watched *watched = place_of(env, info);
  if (watched == NULL) return throw_type(env, "still expects the number of a place");
  return napi_create_uint32(env, *watched->turns == watched->seen ? watched->still : 0, &result) == napi_ok ? result : NULL;
}

/* drop(place): it is looked at no more, and another may have the number. */
static napi_value drop_place(napi_env env, napi_callback_info info) {
  struct watched *watched = place_of(env, info);
  if (watched == NULL) return NULL;
  munmap((void *)watched->turns, sizeof(turns_word));
  watched->turns = NULL;
  return NULL;
}

/* closely(whether): whether each look calls back. */
static napi_value closely(napi_env env, napi_callback_info info) {
  napi_value argument;
  bool whether;
  struct turn_watch *watch = unwrap_call(env, info, 1, &argument, NULL);
  if (watch == NULL || napi_get_value_bool(env, argument, &whether) != napi_ok)
    return throw_type(env, "closely expects true or false");
  watch->closely = whether;
  return NULL;
}

/* looks(): how many there were. */
static napi_value looks(napi_env env, napi_callback_info info) {
  napi_value result;
  const struct turn_watch *watch = unwrap_call(env, info, 0, NULL, NULL);
  return watch != NULL && napi_create_uint32(env, watch->looks, &result) == napi_ok ? result : NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct turn_watch *watch = unwrap_call(env, info, 0, NULL, NULL);
  if (watch != NULL) turn_timer_close(&watch->timer);
  return NULL;
}

void register_turn_count(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"add", NULL, add, NULL, NULL, NULL, napi_default_method, NULL},
      {"still", NULL, still, NULL, NULL, NULL, napi_default_method, NULL},
      {"drop", NULL, drop_place, NULL, NULL, NULL, napi_default_method, NULL},
      {"closely", NULL, closely, NULL, NULL, NULL, napi_default_method, NULL},
      {"looks", NULL, looks, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_method, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "TurnWatch", construct, sizeof methods / sizeof *methods, methods);
  export_function(env, exports, "countTurns", count_turns);
}
