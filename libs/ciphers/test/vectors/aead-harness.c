/*
 * Runs vector files through the AEAD engine of this machine, without Node: under sanitizers (test/aead-engine.test.ts),
 * and on other processors. Each text is in heap blocks of exactly its size, so that a sanitizer sees any byte too many.
 *
 *   aead-harness FILE …    exit 0 and "N checks passed", or the first failure and exit 1
 *   aead-harness bench     time of one operation, nanoseconds
 */
#include "../../native/aead-engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_BYTES = 1 << 14, MOST_STRINGS = 4, RANDOM_ROUNDS = 8000, RANDOM_LENGTHS = 300 };

static const aead_engine *engine;
static long checks;
static const char *place;

static void expect(int holds, const char *what) {
  checks += 1;
  if (holds) return;
  printf("failed: %s (%s)\n", what, place);
  exit(1);
}

/* Hexadecimal to a heap block of exactly that size; "-" is none. */
static aead_string from_hex(const char *text, size_t digits) {
  size_t length = digits == 1 && text[0] == '-' ? 0 : digits / 2;
  uint8_t *block = malloc(length);
  for (size_t index = 0; index < length; index += 1) {
    unsigned value = 0;
    sscanf(text + 2 * index, "%2x", &value);
    block[index] = (uint8_t)value;
  }
  return (aead_string){block, length};
}

static uint8_t *copy_of(const uint8_t *bytes, size_t length) {
  uint8_t *copy = malloc(length);
  if (length > 0) memcpy(copy, bytes, length);
  return copy;
}

static int all_zero(const uint8_t *bytes, size_t length) {
  for (size_t index = 0; index < length; index += 1)
    if (bytes[index] != 0) return 0;
  return 1;
}

static int same(const uint8_t *a, const uint8_t *b, size_t length) { return length == 0 || memcmp(a, b, length) == 0; }

static void expand(aead_key *key, int aead, aead_string bytes) {
  if (aead == AEAD_AES_128_GCM_SIV) engine->gcm_siv_expand(key, bytes.bytes);
  else engine->siv_expand(key, bytes.bytes, bytes.length);
}
static void seal(const aead_key *key, int aead, const aead_text *text) {
  (aead == AEAD_AES_128_GCM_SIV ? engine->gcm_siv_seal : engine->siv_seal)(key, text);
}
static int open(const aead_key *key, int aead, const aead_text *text) {
  return (aead == AEAD_AES_128_GCM_SIV ? engine->gcm_siv_open : engine->siv_open)(key, text);
}

/* Opens a copy of the ciphertext, apart or in place; expects the plaintext, or zeros. */
static void check_open(const aead_key *key, int aead, aead_text text, aead_string plaintext, const uint8_t *ciphertext,
                       int in_place, int valid) {
  size_t length = plaintext.length, tag_before = aead == AEAD_AES_128_GCM_SIV ? 0 : AEAD_TAG_BYTES;
  uint8_t *copy = copy_of(ciphertext, length + AEAD_TAG_BYTES), *apart = malloc(length);
  text.ciphertext = copy;
  text.plaintext = in_place ? copy + tag_before : apart;
  expect(open(key, aead, &text) == valid, valid ? "a valid text opens" : "an invalid text is refused");
  expect(valid ? same(text.plaintext, plaintext.bytes, length) : all_zero(text.plaintext, length),
         valid ? "the plaintext is the vector's" : "zeros stand in place of a refused plaintext");
  free(apart);
  free(copy);
}

static void check_seal(const aead_key *key, int aead, aead_text text, aead_string plaintext, const uint8_t *ciphertext,
                       int in_place) {
  size_t length = plaintext.length, tag_before = aead == AEAD_AES_128_GCM_SIV ? 0 : AEAD_TAG_BYTES;
  uint8_t *sealed = malloc(length + AEAD_TAG_BYTES), *apart = copy_of(plaintext.bytes, length);
  text.ciphertext = sealed;
  text.plaintext = in_place ? sealed + tag_before : apart;
  if (in_place && length > 0) memcpy(text.plaintext, plaintext.bytes, length);
  seal(key, aead, &text);
  expect(memcmp(sealed, ciphertext, length + AEAD_TAG_BYTES) == 0, "the ciphertext is the vector's");
  free(apart);
  free(sealed);
}

static void check_text(int aead, aead_string key_bytes, const aead_string *associated, size_t count,
                       aead_string plaintext, const uint8_t *ciphertext, int valid) {
  aead_key key;
  aead_text text = {.associated = associated, .associated_count = count, .plaintext_length = plaintext.length};
  expand(&key, aead, key_bytes);
  for (int in_place = 0; in_place < 2; in_place += 1) {
    if (valid) check_seal(&key, aead, text, plaintext, ciphertext, in_place);
    check_open(&key, aead, text, plaintext, ciphertext, in_place, valid);
  }
  aead_wipe(&key, sizeof key);
}

static void check_aead_line(int aead, char *fields[6]) {
  aead_string associated[MOST_STRINGS];
  size_t count = 0;
  for (char *rest = fields[2]; count < MOST_STRINGS; count += 1) {
    size_t digits = strcspn(rest, ",");
    associated[count] = from_hex(rest, digits);
    if (rest[digits] == 0) {
      count += 1;
      break;
    }
    rest += digits + 1;
  }
  aead_string key = from_hex(fields[1], strlen(fields[1]));
  aead_string plaintext = from_hex(fields[3], strlen(fields[3]));
  aead_string ciphertext = from_hex(fields[4], strlen(fields[4]));
  int valid = strcmp(fields[5], "valid") == 0;
  plaintext.length = ciphertext.length - AEAD_TAG_BYTES;
  check_text(aead, key, associated, count, plaintext, ciphertext.bytes, valid);
  for (size_t index = 0; index < count; index += 1) free((void *)associated[index].bytes);
  free((void *)key.bytes);
  free((void *)plaintext.bytes);
  free((void *)ciphertext.bytes);
}

static void check_cmac_line(char *fields[4]) {
  aead_string key = from_hex(fields[0], strlen(fields[0])), message = from_hex(fields[1], strlen(fields[1]));
  aead_string mac = from_hex(fields[2], strlen(fields[2]));
  aead_key expanded;
  uint8_t found[AEAD_TAG_BYTES];
  engine->cmac_expand(&expanded, key.bytes, key.length);
  engine->cmac(&expanded, message.bytes, message.length, found);
  int valid = strcmp(fields[3], "valid") == 0;
  expect((memcmp(found, mac.bytes, sizeof found) == 0) == valid, "the MAC is the vector's, or differs where it must");
  free((void *)key.bytes);
  free((void *)message.bytes);
  free((void *)mac.bytes);
}

static void check_file(const char *path) {
  static char line[LINE_BYTES], where[64];
  FILE *file = fopen(path, "r");
  place = path;
  expect(file != NULL, "the file opens");
  for (int number = 1; fgets(line, sizeof line, file) != NULL; number += 1) {
    char *fields[6] = {0};
    int count = 0;
    if (line[0] == '#') continue;
    snprintf(where, sizeof where, "%.40s:%d", strrchr(path, '/') ? strrchr(path, '/') + 1 : path, number);
    place = where;
    for (char *word = strtok(line, " \n"); word != NULL && count < 6; word = strtok(NULL, " \n")) fields[count++] = word;
    expect(count == 4 || count == 6, "a line has four fields or six");
    if (count == 6) check_aead_line(atoi(fields[0]), fields);
    else check_cmac_line(fields);
  }
  fclose(file);
}

/* ---- every length, and one flipped bit */

static uint64_t random_state = 0x9e3779b97f4a7c15u;
static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 32);
}
static aead_string random_string(size_t length) {
  uint8_t *block = malloc(length);
  for (size_t index = 0; index < length; index += 1) block[index] = (uint8_t)next_random();
  return (aead_string){block, length};
}

static void check_random(void) {
  static const int aeads[] = {15, 16, 17, 30};
  static const size_t key_lengths[] = {32, 48, 64, 16};
  place = "random texts";
  for (int round = 0; round < RANDOM_ROUNDS; round += 1) {
    int which = round % 4, aead = aeads[which];
    aead_string key_bytes = random_string(key_lengths[which]), plaintext = random_string(next_random() % RANDOM_LENGTHS);
    size_t nonce_length = aead == AEAD_AES_128_GCM_SIV ? 12 : 1 + next_random() % 40;
    aead_string associated[2] = {random_string(next_random() % RANDOM_LENGTHS), random_string(nonce_length)};
    uint8_t *ciphertext = malloc(plaintext.length + AEAD_TAG_BYTES);
    aead_text text = {associated, 2, (uint8_t *)plaintext.bytes, plaintext.length, ciphertext};
    aead_key key;
    expand(&key, aead, key_bytes);
    seal(&key, aead, &text);
    check_text(aead, key_bytes, associated, 2, plaintext, ciphertext, 1);
    uint32_t bit = next_random() % (uint32_t)(8 * (plaintext.length + AEAD_TAG_BYTES));
    ciphertext[bit / 8] ^= (uint8_t)(1 << bit % 8);
    check_text(aead, key_bytes, associated, 2, plaintext, ciphertext, 0);
    free((void *)key_bytes.bytes);
    free((void *)plaintext.bytes);
    free((void *)associated[0].bytes);
    free((void *)associated[1].bytes);
    free(ciphertext);
  }
}

/* ---- times */

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void bench_one(const char *what, int aead, size_t key_length, size_t ad_length, size_t plaintext_length,
                      int is_seal) {
  enum { ROUNDS = 1000, TRIALS = 1000 };
  static uint8_t ad[512], nonce[16], plaintext[512], ciphertext[600], key_bytes[64];
  aead_string associated[2] = {{ad, ad_length}, {nonce, aead == AEAD_AES_128_GCM_SIV ? 12 : 16}};
  aead_text text = {associated, 2, plaintext, plaintext_length, ciphertext};
  aead_key key;
  double best = 1;
  for (int trial = 0; trial < TRIALS; trial += 1) {
    expand(&key, aead, (aead_string){key_bytes, key_length});
    seal(&key, aead, &text);
    double before = seconds();
    for (int round = 0; round < ROUNDS; round += 1) {
      if (is_seal) key_bytes[0] += 1;
      expand(&key, aead, (aead_string){key_bytes, key_length});
      if (is_seal) seal(&key, aead, &text);
      else expect(open(&key, aead, &text), "the text opens");
    }
    double each = (seconds() - before) / ROUNDS;
    if (each < best) best = each;
  }
  printf("%-44s %6.0f ns\n", what, best * 1e9);
}

static void bench(void) {
  place = "bench";
  bench_one("SIV-CMAC-256 seal, AD 200, text 64, new key", AEAD_SIV_CMAC_256, 32, 200, 64, 1);
  bench_one("SIV-CMAC-256 seal, AD 200, text 100, new key", AEAD_SIV_CMAC_256, 32, 200, 100, 1);
  bench_one("SIV-CMAC-256 open, AD 200, text 64, new key", AEAD_SIV_CMAC_256, 32, 200, 64, 0);
  bench_one("SIV-CMAC-256 open, AD 200, no text, new key", AEAD_SIV_CMAC_256, 32, 200, 0, 0);
  bench_one("SIV-CMAC-256 seal, AD 6, text 64, new key", AEAD_SIV_CMAC_256, 32, 6, 64, 1);
  bench_one("SIV-CMAC-512 seal, AD 200, text 100, new key", AEAD_SIV_CMAC_512, 64, 200, 100, 1);
  bench_one("AES-128-GCM-SIV seal, AD 200, text 100, new key", AEAD_AES_128_GCM_SIV, 16, 200, 100, 1);
  bench_one("AES-128-GCM-SIV open, AD 200, no text, new key", AEAD_AES_128_GCM_SIV, 16, 200, 0, 0);
}

int main(int count, char **arguments) {
  engine = aead_engine_here();
  if (engine == NULL) {
    printf("no engine: this processor has no AES instructions\n");
    return 2;
  }
  if (count == 2 && strcmp(arguments[1], "bench") == 0) {
    bench();
    return 0;
  }
  for (int index = 1; index < count; index += 1) check_file(arguments[index]);
  check_random();
  printf("%s: %ld checks passed\n", engine->name, checks);
  return 0;
}
