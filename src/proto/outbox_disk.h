/* SPDX-License-Identifier: Apache-2.0
 *
 * What the outbox puts on disk, as bytes; only proto/outbox uses it. Little endian, each piece with
 * a checksum (CRC-32C) over itself.
 *
 *     outbox-{first, 16 hex digits}.seg   header, then records one behind the other
 *     outbox.cursor                       two slots, 512 octets apart; the newest valid one counts
 */
#ifndef FL_PROTO_OUTBOX_DISK_H
#define FL_PROTO_OUTBOX_DISK_H

#include "base/buffer.h"
#include "proto/segment.h"

#define FL_OUTBOX_HEADER_SIZE 32
#define FL_OUTBOX_RECORD_HEADER_SIZE 16
#define FL_OUTBOX_SLOT_SIZE 48
#define FL_OUTBOX_SLOT_STEP 512
#define FL_OUTBOX_NAME_MAX FL_SEGMENT_NAME_MAX
#define FL_OUTBOX_CURSOR "outbox.cursor"

struct fl_outbox_header {
    uint64_t first; /* number of the segment's first record; also its name */
    /* One past the last record of the segment before: smaller than `first` when records were given
     * up between the two. */
    uint64_t previous_end;
};

struct fl_outbox_slot {
    uint64_t generation; /* the higher is the newer */
    uint64_t first;      /* the oldest record still owed */
    uint64_t dropped;
    uint64_t damaged;
};

void fl_outbox_name(char to[FL_OUTBOX_NAME_MAX], uint64_t first);
bool fl_outbox_name_parse(const char *name, uint64_t *first);

void fl_outbox_header_encode(const struct fl_outbox_header *header,
                             uint8_t to[FL_OUTBOX_HEADER_SIZE]);
/* FL_EPARSE: not a whole header; FL_EUNSUPPORTED: a whole one of another version. */
FL_MUST_USE enum fl_error fl_outbox_header_decode(const uint8_t from[FL_OUTBOX_HEADER_SIZE],
                                                  struct fl_outbox_header *header);

void fl_outbox_slot_encode(const struct fl_outbox_slot *slot, uint8_t to[FL_OUTBOX_SLOT_SIZE]);
bool fl_outbox_slot_decode(const uint8_t from[FL_OUTBOX_SLOT_SIZE], struct fl_outbox_slot *slot);

/* The header of a record; its checksum covers size, number and contents. */
void fl_outbox_record_encode(uint64_t sequence, struct fl_slice contents,
                             uint8_t to[FL_OUTBOX_RECORD_HEADER_SIZE]);
/* The size that the header claims, before anything is believed. */
uint32_t fl_outbox_record_size(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE]);
uint64_t fl_outbox_record_sequence(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE]);
bool fl_outbox_record_valid(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE], uint64_t sequence,
                            struct fl_slice contents);

#endif
