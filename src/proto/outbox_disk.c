/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/outbox_disk.h"

#include "base/crc32c.h"
#include "base/endian.h"

#define PREFIX "outbox-"

static const char header_magic[8] = {'F', 'L', 'O', 'B', '0', '0', '0', '1'};
static const char slot_magic[8] = {'F', 'L', 'O', 'C', '0', '0', '0', '1'};
#define MAGIC_KIND 4 /* octets of a magic that say what it is; the rest is the version */

void fl_outbox_name(char to[FL_OUTBOX_NAME_MAX], uint64_t first)
{
    fl_segment_name(to, PREFIX, first);
}

bool fl_outbox_name_parse(const char *name, uint64_t *first)
{
    return fl_segment_name_parse(name, PREFIX, first);
}

void fl_outbox_header_encode(const struct fl_outbox_header *header,
                             uint8_t to[FL_OUTBOX_HEADER_SIZE])
{
    memset(to, 0, FL_OUTBOX_HEADER_SIZE);
    memcpy(to, header_magic, sizeof header_magic);
    fl_put_le64(to + 8, header->first);
    fl_put_le64(to + 16, header->previous_end);
    fl_put_le32(to + 24, fl_crc32c(0, fl_slice(to, 24)));
}

enum fl_error fl_outbox_header_decode(const uint8_t from[FL_OUTBOX_HEADER_SIZE],
                                      struct fl_outbox_header *header)
{
    if (memcmp(from, header_magic, MAGIC_KIND) != 0 ||
        fl_get_le32(from + 24) != fl_crc32c(0, fl_slice(from, 24)))
        return FL_EPARSE;
    if (memcmp(from, header_magic, sizeof header_magic) != 0)
        return FL_EUNSUPPORTED;
    header->first = fl_get_le64(from + 8);
    header->previous_end = fl_get_le64(from + 16);
    return FL_OK;
}

void fl_outbox_slot_encode(const struct fl_outbox_slot *slot, uint8_t to[FL_OUTBOX_SLOT_SIZE])
{
    memset(to, 0, FL_OUTBOX_SLOT_SIZE);
    memcpy(to, slot_magic, sizeof slot_magic);
    fl_put_le64(to + 8, slot->generation);
    fl_put_le64(to + 16, slot->first);
    fl_put_le64(to + 24, slot->dropped);
    fl_put_le64(to + 32, slot->damaged);
    fl_put_le32(to + 40, fl_crc32c(0, fl_slice(to, 40)));
}

bool fl_outbox_slot_decode(const uint8_t from[FL_OUTBOX_SLOT_SIZE], struct fl_outbox_slot *slot)
{
    if (memcmp(from, slot_magic, sizeof slot_magic) != 0 ||
        fl_get_le32(from + 40) != fl_crc32c(0, fl_slice(from, 40)))
        return false;
    slot->generation = fl_get_le64(from + 8);
    slot->first = fl_get_le64(from + 16);
    slot->dropped = fl_get_le64(from + 24);
    slot->damaged = fl_get_le64(from + 32);
    return slot->first > 0;
}

static uint32_t record_crc(const uint8_t *header, struct fl_slice contents)
{
    uint32_t crc = fl_crc32c(0, fl_slice(header, 4));

    crc = fl_crc32c(crc, fl_slice(header + 8, 8));
    return fl_crc32c(crc, contents);
}

void fl_outbox_record_encode(uint64_t sequence, struct fl_slice contents,
                             uint8_t to[FL_OUTBOX_RECORD_HEADER_SIZE])
{
    fl_put_le32(to, (uint32_t)contents.size);
    fl_put_le64(to + 8, sequence);
    fl_put_le32(to + 4, record_crc(to, contents));
}

uint32_t fl_outbox_record_size(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE])
{
    return fl_get_le32(from);
}

uint64_t fl_outbox_record_sequence(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE])
{
    return fl_get_le64(from + 8);
}

bool fl_outbox_record_valid(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE], uint64_t sequence,
                            struct fl_slice contents)
{
    return fl_get_le32(from) == contents.size && fl_get_le64(from + 8) == sequence &&
           fl_get_le32(from + 4) == record_crc(from, contents);
}
