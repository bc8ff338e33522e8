/*
 * Where an NTS-KE message ends (RFC 8915 §4): the records' headers are walked, their meaning is left to JavaScript. What
 * ends a message here ends it in RecordDecoder of libs/wire/src/nts-ke.ts too, with the same limits.
 */
#ifndef MERIDIAN_NTS_KE_MESSAGE_H
#define MERIDIAN_NTS_KE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NTS_KE_MAXIMUM_BYTES = 16384, NTS_KE_MAXIMUM_RECORDS = 128, NTS_KE_HEADER_BYTES = 4 };

/* How far a message has been walked: whole records, and where the next one begins. Starts as zeros. */
struct nts_ke_walk {
  uint32_t at;
  uint32_t records;
};

/*
 * Walks on through the `length` bytes that came so far. True when nothing that may follow matters: End of Message is there,
 * or the message is longer or has more records than is taken in.
 */
static inline bool nts_ke_message_ends(struct nts_ke_walk *walk, const uint8_t *bytes, size_t length) {
  while (length - walk->at >= NTS_KE_HEADER_BYTES) {
    const uint8_t *header = bytes + walk->at;
    size_t end = walk->at + NTS_KE_HEADER_BYTES + ((size_t)header[2] << 8 | header[3]);
    if (end > NTS_KE_MAXIMUM_BYTES) return true;
    if (end > length) return false;
    if (walk->records == NTS_KE_MAXIMUM_RECORDS) return true;
    walk->records++;
    walk->at = (uint32_t)end;
    if ((header[0] & 0x7f) == 0 && header[1] == 0) return true;
  }
  return length > NTS_KE_MAXIMUM_BYTES;
}

#endif
