/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/outbox_disk.h"

#include "base/crc32c.h"
#include "base/str.h"

#include <stdio.h>

#define PREFIX "outbox-"
#define SUFFIX ".seg"
#define DIGITS 16

static const char header_magic[8] = {'F', 'L', 'O', 'B', '0', '0', '0', '1'};
static const char slot_magic[8] = {'F', 'L', 'O', 'C', '0', '0', '0', '1'};
#define MAGIC_KIND 4 /* octets of a magic that say what it is; the rest is the version */

static void put32(uint8_t *to, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void put64(uint8_t *to, uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value = 0;

    for (size_t i = 4; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

static uint64_t get64(const uint8_t *from)
{
    return (uint64_t)get32(from + 4) << 32 | get32(from);
}

void fl_outbox_name(char to[FL_OUTBOX_NAME_MAX], uint64_t first)
{
    (void)snprintf(to, FL_OUTBOX_NAME_MAX, PREFIX "%016llx" SUFFIX, (unsigned long long)first);
}

bool fl_outbox_name_parse(const char *name, uint64_t *first)
{
    char again[FL_OUTBOX_NAME_MAX];
    uint8_t bytes[DIGITS / 2];
    size_t size = 0;

    if (strlen(name) != strlen(PREFIX) + DIGITS + strlen(SUFFIX) ||
        fl_unhex(bytes, sizeof bytes, fl_slice(name + strlen(PREFIX), DIGITS), &size) != FL_OK)
        return false;
    *first = 0;
    for (size_t i = 0; i < size; i++)
        *first = *first << 8 | bytes[i];
    fl_outbox_name(again, *first);
    return strcmp(again, name) == 0 && *first > 0;
}

void fl_outbox_header_encode(const struct fl_outbox_header *header,
                             uint8_t to[FL_OUTBOX_HEADER_SIZE])
{
    memset(to, 0, FL_OUTBOX_HEADER_SIZE);
    memcpy(to, header_magic, sizeof header_magic);
    put64(to + 8, header->first);
    put64(to + 16, header->previous_end);
    put32(to + 24, fl_crc32c(0, fl_slice(to, 24)));
}

enum fl_error fl_outbox_header_decode(const uint8_t from[FL_OUTBOX_HEADER_SIZE],
                                      struct fl_outbox_header *header)
{
    if (memcmp(from, header_magic, MAGIC_KIND) != 0 ||
        get32(from + 24) != fl_crc32c(0, fl_slice(from, 24)))
        return FL_EPARSE;
    if (memcmp(from, header_magic, sizeof header_magic) != 0)
        return FL_EUNSUPPORTED;
    header->first = get64(from + 8);
    header->previous_end = get64(from + 16);
    return FL_OK;
}

void fl_outbox_slot_encode(const struct fl_outbox_slot *slot, uint8_t to[FL_OUTBOX_SLOT_SIZE])
{
    memset(to, 0, FL_OUTBOX_SLOT_SIZE);
    memcpy(to, slot_magic, sizeof slot_magic);
    put64(to + 8, slot->generation);
    put64(to + 16, slot->first);
    put64(to + 24, slot->dropped);
    put64(to + 32, slot->damaged);
    put32(to + 40, fl_crc32c(0, fl_slice(to, 40)));
}

bool fl_outbox_slot_decode(const uint8_t from[FL_OUTBOX_SLOT_SIZE], struct fl_outbox_slot *slot)
{
    if (memcmp(from, slot_magic, sizeof slot_magic) != 0 ||
        get32(from + 40) != fl_crc32c(0, fl_slice(from, 40)))
        return false;
    slot->generation = get64(from + 8);
    slot->first = get64(from + 16);
    slot->dropped = get64(from + 24);
    slot->damaged = get64(from + 32);
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
    put32(to, (uint32_t)contents.size);
    put64(to + 8, sequence);
    put32(to + 4, record_crc(to, contents));
}

uint32_t fl_outbox_record_size(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE])
{
    return get32(from);
}

uint64_t fl_outbox_record_sequence(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE])
{
    return get64(from + 8);
}

bool fl_outbox_record_valid(const uint8_t from[FL_OUTBOX_RECORD_HEADER_SIZE], uint64_t sequence,
                            struct fl_slice contents)
{
    return get32(from) == contents.size && get64(from + 8) == sequence &&
           get32(from + 4) == record_crc(from, contents);
}
