/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/journal_disk.h"

#include "base/crc32c.h"
#include "base/endian.h"

#define PREFIX "log-"

static const char header_magic[8] = {'F', 'L', 'J', 'N', '0', '0', '0', '1'};
#define MAGIC_KIND 4 /* octets of a magic that say what it is; the rest is the version */
static const uint8_t block_magic[4] = {'F', 'L', 'J', 'B'};

void fl_journal_name(char to[FL_JOURNAL_NAME_MAX], uint64_t sequence)
{
    fl_segment_name(to, PREFIX, sequence);
}

bool fl_journal_name_parse(const char *name, uint64_t *sequence)
{
    return fl_segment_name_parse(name, PREFIX, sequence) && *sequence < UINT64_MAX / 2;
}

void fl_journal_header_encode(const struct fl_journal_header *header,
                              uint8_t to[FL_JOURNAL_HEADER_SIZE])
{
    memset(to, 0, FL_JOURNAL_HEADER_SIZE);
    memcpy(to, header_magic, sizeof header_magic);
    fl_put_le64(to + 8, header->sequence);
    fl_put_le64(to + 16, header->base);
    fl_put_le64(to + 24, header->base_block);
    fl_put_le64(to + 32, header->first);
    memcpy(to + 40, header->salt, FL_JOURNAL_SALT);
    /* 72 to 88 are for later versions. */
    memcpy(to + FL_JOURNAL_HEADER_SIGNED, header->check, FL_SEAL_TAG);
    fl_put_le32(to + FL_JOURNAL_HEADER_SIZE - 4,
                fl_crc32c(0, fl_slice(to, FL_JOURNAL_HEADER_SIZE - 4)));
}

enum fl_error fl_journal_header_decode(const uint8_t from[FL_JOURNAL_HEADER_SIZE],
                                       struct fl_journal_header *header)
{
    if (memcmp(from, header_magic, MAGIC_KIND) != 0 ||
        fl_get_le32(from + FL_JOURNAL_HEADER_SIZE - 4) !=
            fl_crc32c(0, fl_slice(from, FL_JOURNAL_HEADER_SIZE - 4)))
        return FL_EPARSE;
    if (memcmp(from, header_magic, sizeof header_magic) != 0)
        return FL_EUNSUPPORTED;
    header->sequence = fl_get_le64(from + 8);
    header->base = fl_get_le64(from + 16);
    header->base_block = fl_get_le64(from + 24);
    header->first = fl_get_le64(from + 32);
    memcpy(header->salt, from + 40, FL_JOURNAL_SALT);
    memcpy(header->check, from + FL_JOURNAL_HEADER_SIGNED, FL_SEAL_TAG);
    return FL_OK;
}

uint64_t fl_journal_block_size(uint64_t text)
{
    return (FL_JOURNAL_BLOCK_HEADER + text + FL_SEAL_TAG + FL_JOURNAL_ALIGN - 1) /
           FL_JOURNAL_ALIGN * FL_JOURNAL_ALIGN;
}

static uint32_t block_crc(const uint8_t *block, const struct fl_journal_header *segment)
{
    uint8_t sequence[8];
    uint32_t crc = 0;

    fl_put_le64(sequence, segment->sequence);
    crc = fl_crc32c(0, fl_slice(sequence, sizeof sequence));
    crc = fl_crc32c(crc, fl_slice(segment->salt, sizeof segment->salt));
    return fl_crc32c(crc, fl_slice(block, FL_JOURNAL_BLOCK_HEADER - 4));
}

void fl_journal_block_encode(const struct fl_journal_block *block,
                             const struct fl_journal_header *segment,
                             uint8_t to[FL_JOURNAL_BLOCK_HEADER])
{
    memcpy(to, block_magic, sizeof block_magic);
    fl_put_le32(to + 4, block->size);
    fl_put_le64(to + 8, block->number);
    fl_put_le64(to + 16, block->durable);
    fl_put_le32(to + 24, block->kind);
    fl_put_le32(to + 28, block_crc(to, segment));
}

bool fl_journal_block_decode(const uint8_t from[FL_JOURNAL_BLOCK_HEADER],
                             const struct fl_journal_header *segment,
                             struct fl_journal_block *block)
{
    if (memcmp(from, block_magic, sizeof block_magic) != 0 ||
        fl_get_le32(from + 28) != block_crc(from, segment))
        return false;
    block->size = fl_get_le32(from + 4);
    block->number = fl_get_le64(from + 8);
    block->durable = fl_get_le64(from + 16);
    block->kind = fl_get_le32(from + 24);
    return true;
}

void fl_journal_nonce(uint64_t index, uint8_t to[FL_SEAL_NONCE])
{
    memset(to, 0, FL_SEAL_NONCE);
    fl_put_le64(to, index);
}

void fl_journal_binding(const uint8_t block[FL_JOURNAL_BLOCK_HEADER], uint64_t sequence,
                        uint8_t to[FL_JOURNAL_BINDING])
{
    memcpy(to, block, FL_JOURNAL_BLOCK_HEADER);
    fl_put_le64(to + FL_JOURNAL_BLOCK_HEADER, sequence);
}

void fl_journal_checkpoint_encode(uint64_t base, uint64_t base_block, uint64_t size,
                                  uint8_t to[FL_JOURNAL_CHECKPOINT_SIZE])
{
    fl_put_le64(to, base);
    fl_put_le64(to + 8, base_block);
    fl_put_le64(to + 16, size);
}

void fl_journal_checkpoint_decode(const uint8_t from[FL_JOURNAL_CHECKPOINT_SIZE], uint64_t *base,
                                  uint64_t *base_block, uint64_t *size)
{
    *base = fl_get_le64(from);
    *base_block = fl_get_le64(from + 8);
    *size = fl_get_le64(from + 16);
}

bool fl_journal_walk(struct fl_journal_walk *walk, struct fl_journal_block *block)
{
    uint64_t end = walk->image.size;

    if (walk->offset < FL_JOURNAL_DATA)
        walk->offset = FL_JOURNAL_DATA;
    for (; walk->offset + FL_JOURNAL_BLOCK_HEADER + FL_SEAL_TAG <= end;
         walk->offset += FL_JOURNAL_ALIGN) {
        if (fl_journal_block_decode(walk->image.data + walk->offset, walk->segment, block) &&
            walk->offset + FL_JOURNAL_BLOCK_HEADER + block->size + FL_SEAL_TAG <= end &&
            block->number >= walk->number && block->number >= walk->segment->first)
            return true;
    }
    return false;
}
