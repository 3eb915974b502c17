/* SPDX-License-Identifier: Apache-2.0
 *
 * One record of the issuance log as bytes: what the signer signed, what it refused, and what it
 * says about the log itself. A frame is
 *     "FLI1" | u32 size of the body | u32 CRC-32C of size and body | body | zeros up to 8 octets
 * little endian. The hash of a record is the SHA-256 of its body, which holds the hash of the
 * record before (trust/issued_chain). Pure: no I/O, no allocation; decoded slices point into the
 * input.
 */
#ifndef FL_CODEC_ISSUED_H
#define FL_CODEC_ISSUED_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#define FL_ISSUED_HASH 32
#define FL_ISSUED_SIGNATURE 64
#define FL_ISSUED_HEADER 12
#define FL_ISSUED_ALIGN 8
#define FL_ISSUED_MAX 1024 /* octets of a frame */

/* Values are on disk: append only. */
enum fl_issued_kind {
    FL_ISSUED_DEVICE = 1,     /* a device's certificate */
    FL_ISSUED_SERVER = 2,     /* the front's */
    FL_ISSUED_REFUSED = 3,    /* nothing was signed: `error` and `text` say why */
    FL_ISSUED_CHECKPOINT = 4, /* `signature` over the log up to here */
    FL_ISSUED_OCSP = 6,       /* the OCSP responder's certificate */
    FL_ISSUED_REPAIRED = 5,   /* the end of an interrupted write was cut off; `text` says what */
};

struct fl_issued {
    enum fl_issued_kind kind;
    uint64_t seq;   /* 1 and up, without gaps */
    uint64_t batch; /* every record before this one was on stable storage when it was written */
    fl_time_t at;   /* ms since the epoch */
    uint32_t error; /* an enum fl_error; FL_ISSUED_REFUSED */
    uint32_t unrecorded; /* refusals before it that were only counted */
    fl_time_t not_before;
    fl_time_t not_after;
    uint8_t prev[FL_ISSUED_HASH];
    uint8_t sha256[32];      /* of the certificate, DER */
    uint8_t key[32];         /* SHA-256 of the subject's SubjectPublicKeyInfo; zeros: not known */
    uint8_t issuer[8];       /* the first 8 octets of the same of the issuing key */
    struct fl_slice serial;  /* octets, not hex */
    struct fl_slice subject; /* device id, first host; of a refusal what was asked for, made safe */
    struct fl_slice reason;  /* what control said that it is for */
    struct fl_slice text;
    struct fl_slice signature;
    struct fl_slice body; /* set by decoding: what the hash is of */
};

/* Appends the frame. FL_ELIMIT: a field is too long, or the buffer is full, which is then as it
 * was. */
FL_MUST_USE enum fl_error fl_issued_encode(const struct fl_issued *record, struct fl_buffer *out);

/* Takes a whole frame off the front of `in`. FL_EMORE: it goes on behind the end of `in`;
 * FL_EPARSE: there is none at its front. In both cases `in` is unchanged. */
FL_MUST_USE enum fl_error fl_issued_decode(struct fl_slice *in, struct fl_issued *record);

/* "device", "server", "refused", "checkpoint", "repaired". */
const char *fl_issued_kind_name(enum fl_issued_kind kind);

static inline bool fl_issued_is_certificate(const struct fl_issued *record)
{
    return record->kind == FL_ISSUED_DEVICE || record->kind == FL_ISSUED_SERVER ||
           record->kind == FL_ISSUED_OCSP;
}

#endif
