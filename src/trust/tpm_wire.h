/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a TPM's structures (TPM 2.0 Library Part 2): words big endian, octets behind a u16 that
 * counts them; with the reader of codec/fields.h.
 */
#ifndef FL_TRUST_TPM_WIRE_H
#define FL_TRUST_TPM_WIRE_H

#include "base/buffer.h"
#include "codec/fields.h"

enum {
    FL_TPM_ALG_RSA = 0x0001,
    FL_TPM_ALG_AES = 0x0006,
    FL_TPM_ALG_SHA256 = 0x000B,
    FL_TPM_ALG_NULL = 0x0010,
    FL_TPM_ALG_ECDSA = 0x0018,
    FL_TPM_ALG_ECC = 0x0023,
    FL_TPM_P256 = 0x0003,
};

static inline uint64_t fl_tpm_uint(struct fl_fields *f, const char *name, size_t size)
{
    struct fl_slice bytes = fl_fields_take(f, name, size);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.size; i++)
        value = value << 8 | bytes.data[i];
    return value;
}

static inline uint16_t fl_tpm_u16(struct fl_fields *f, const char *name)
{
    return (uint16_t)fl_tpm_uint(f, name, 2);
}

static inline uint32_t fl_tpm_u32(struct fl_fields *f, const char *name)
{
    return (uint32_t)fl_tpm_uint(f, name, 4);
}

/* A TPM2B of at most `max` octets. */
static inline struct fl_slice fl_tpm_sized(struct fl_fields *f, const char *name, size_t max)
{
    size_t size = fl_tpm_u16(f, name);

    if (size > max && !f->bad)
        f->bad = name;
    return fl_fields_take(f, name, size);
}

/* Appends a TPM2B. */
static inline void fl_tpm_put(struct fl_buffer *out, struct fl_slice bytes)
{
    (void)fl_buffer_append_byte(out, (uint8_t)(bytes.size >> 8));
    (void)fl_buffer_append_byte(out, (uint8_t)bytes.size);
    (void)fl_buffer_append_slice(out, bytes);
}

#endif
