/* SPDX-License-Identifier: Apache-2.0
 *
 * What the processes of a hub say to each other, and nothing else. A frame is
 *     u32 size of the rest | u16 type | fields in the order below
 * little endian; a str or bytes field is u32 size and its bytes. Decoding is strict: unknown type,
 * short or long frame, text that is not UTF-8 or has a NUL, a field over its maximum is FL_EPARSE,
 * and the receiver ends the sender's channel. Decoded slices point into the input. Pure: no I/O, no
 * allocation.
 */
#ifndef FL_CODEC_MSG_H
#define FL_CODEC_MSG_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/store.h"

/* Who may send a message: a receiver refuses one from the wrong side. */
enum fl_msg_from {
    FL_FROM_PARENT = 1,
    FL_FROM_HUB = 2,
    FL_FROM_FRONT = 4,
    FL_FROM_SIGNER = 8,
};

/* Fields: F(kind, name, maximum). Kinds: u8 u32 u64 i64 (maximum unused), str, bytes. */

/* Parent to child on its control socket; descriptors come along (SCM_RIGHTS), in the order named.
 */
#define FL_MSG_START(F)                                                                            \
    F(str, dir, 4096) /* the hub directory, absolute */                                            \
    F(str, log_level, 16)                                                                          \
    F(u32, workers, 0) /* threads of the front; 1 to FL_LIMIT_WORKERS */                           \
    F(str, log_format, 16)
/* A new channel to `peer` ("hub", "front", "signer"); one descriptor. Replaces an older one. */
#define FL_MSG_CHANNEL(F) F(str, peer, 16)
/* A bound, listening socket: "mqtt", "https" to the front, "local" (Unix) to the hub; one
 * descriptor. */
#define FL_MSG_LISTEN(F) F(str, name, 16)
/* Child to parent: every listener answers and the first work can begin. */
#define FL_MSG_READY(F) F(u32, pid, 0)
/* Child to parent: the channel to `peer` ended; `violation` 1: because of what the peer sent. */
#define FL_MSG_LOST(F) F(str, peer, 16) F(u8, violation, 0) F(str, why, 512)

/* Hub to front, after every new channel: first CONFIG, then PROFILEs, DEVICEs, SNAPSHOT_END. The
 * front keeps what it knew until SNAPSHOT_END and then forgets what the snapshot did not name. */
#define FL_MSG_CONFIG(F)                                                                           \
    F(str, hosts, 4096)              /* names and addresses, separated by one space */             \
    F(bytes, issuing, FL_LIMIT_CERT) /* certificates, DER */                                       \
    F(bytes, root, FL_LIMIT_CERT)                                                                  \
    F(bytes, log_key, 32) /* the front's log on disk is encrypted with it */                       \
    F(u8, durable_os, 0)  /* hub.conf: durability os */                                            \
    F(u64, log_bytes, 0)  /* of the broker's log, at most */
#define FL_MSG_PROFILE(F)                                                                          \
    F(str, name, FL_NAME_MAX)                                                                      \
    F(str, text, FL_LIMIT_PROFILE_SIZE) /* the signed text; verified by the hub */
/* Insert or replace. The front makes it true at once, for live sessions too, then answers APPLIED.
 */
#define FL_MSG_DEVICE(F)                                                                           \
    F(u64, seq, 0) /* 0 in a snapshot: no answer */                                                \
    F(str, id, FL_NAME_MAX)                                                                        \
    F(str, profile, FL_NAME_MAX)                                                                   \
    F(u8, may_connect, 0)           /* the posture's verdict */                                    \
    F(str, reason, FL_LIMIT_REASON) /* why not, for the log and the wire */                        \
    F(str, credentials, 512) /* serials in hex that may authenticate it, separated by one space */ \
    F(str, renewable, FL_LIMIT_SERIAL_HEX) /* an ended certificate that may be renewed, no more */ \
    F(u8, grades, 0)                       /* of its evidence, those that hold (codec/grade.h) */
#define FL_MSG_DEVICE_GONE(F) F(u64, seq, 0) F(str, id, FL_NAME_MAX)
#define FL_MSG_SNAPSHOT_END(F) F(u64, devices, 0)
#define FL_MSG_APPLIED(F) F(u64, seq, 0) F(u32, sessions_closed, 0) F(u32, resumptions_dropped, 0)

/* Front to hub: its TLS key lives only in the front's memory; the certificate is short-lived. */
#define FL_MSG_SERVER_CSR(F) F(bytes, csr, FL_LIMIT_CSR)
#define FL_MSG_SERVER_CERT(F)                                                                      \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(bytes, certificate, FL_LIMIT_CERT)                                                           \
    F(i64, not_after, 0) /* ms since the epoch */

/* EST simpleenroll and simplereenroll. `error` is an enum fl_error; FL_EBUSY comes with
 * retry_after_s. */
#define FL_MSG_ENROL(F)                                                                            \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, token, FL_LIMIT_TOKEN_TEXT)  /* empty: authenticated by `serial` */                     \
    F(str, serial, FL_LIMIT_SERIAL_HEX) /* of the TLS client certificate, or empty */              \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(bytes, csr, FL_LIMIT_CSR) /* DER */
#define FL_MSG_ENROL_RESULT(F)                                                                     \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(u32, retry_after_s, 0)                                                                       \
    F(bytes, certificate, FL_LIMIT_CERT)

/* A batch of readings (fl_msg_put_reading); acknowledged once it is on stable storage. The front
 * keeps a batch until then and sends it again on a new channel: storing twice stores once. */
#define FL_MSG_READINGS(F) F(u64, batch, 0) F(bytes, records, FL_LIMIT_MSG - 64)
#define FL_MSG_READINGS_DONE(F) F(u64, batch, 0) F(u32, error, 0) F(str, detail, 512)

/* What happened to a device's session: "connected", "disconnected", "refused". */
#define FL_MSG_SESSION(F)                                                                          \
    F(str, device, FL_NAME_MAX) /* may be empty when refused before it had a name */               \
    F(str, event, 16)                                                                              \
    F(i64, at, 0)                                                                                  \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(u8, resumed, 0)                                                                              \
    F(str, reason, FL_LIMIT_REASON)
/* Messages refused since the last such report for this device, right and topic. */
#define FL_MSG_REFUSED(F)                                                                          \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, what, 16) /* "publish", "subscribe", "reading" */                                       \
    F(str, topic, FL_LIMIT_MQTT_TOPIC)                                                             \
    F(str, reason, FL_LIMIT_REASON)                                                                \
    F(u32, count, 0)

/* One API call that came over HTTPS. The body is JSON that the front parsed and wrote anew. */
#define FL_MSG_API_REQUEST(F)                                                                      \
    F(u64, request, 0)                                                                             \
    F(str, method, 16)                                                                             \
    F(str, path, 2048)  /* decoded, no query */                                                    \
    F(str, query, 4096) /* as on the wire, without '?' */                                          \
    F(str, bearer, 512) /* the credential of the Authorization header, or empty */                 \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(bytes, body, FL_LIMIT_MSG - 16384)
#define FL_MSG_API_RESPONSE(F)                                                                     \
    F(u64, request, 0)                                                                             \
    F(u32, status, 0)                                                                              \
    F(str, content_type, 128)                                                                      \
    F(bytes, body, FL_LIMIT_MSG - 1024)

/* What the front counted, about once a second: a struct fl_counters_process, a struct
 * fl_counters_log, the struct fl_counters_worker of each worker, and the busiest devices of the
 * last `interval_ms` (struct fl_busy), as codec/counters writes them. */
#define FL_MSG_COUNTERS(F)                                                                         \
    F(u32, interval_ms, 0)                                                                         \
    F(bytes, process, 4096)                                                                        \
    F(bytes, log, 4096)                                                                            \
    F(bytes, workers, (size_t)FL_LIMIT_WORKERS * 4096)                                             \
    F(bytes, busiest, 16384)
/* What a process uses; the signer says so when it is asked. */
#define FL_MSG_USAGE_ASK(F) F(u32, unused, 0)
#define FL_MSG_USAGE(F) F(u64, cpu_us, 0) F(u64, resident_bytes, 0)

/* Hub and signer. HELLO is the signer's first message on a channel. */
#define FL_MSG_SIGNER_HELLO(F)                                                                     \
    F(bytes, issuing, FL_LIMIT_CERT)                                                               \
    F(bytes, root, FL_LIMIT_CERT)                                                                  \
    F(bytes, front_key, 32) /* derived from the data key: CONFIG's log_key */
#define FL_MSG_SIGN(F)                                                                             \
    F(u64, request, 0)                                                                             \
    F(str, kind, 16)            /* "device", "server" or "ocsp" */                                 \
    F(str, name, FL_LIMIT_HOST) /* device id, or the first host; the signer checks it */           \
    F(u32, validity_s, 0)                                                                          \
    F(bytes, csr, FL_LIMIT_CSR)                                                                    \
    F(str, reason, FL_LIMIT_ISSUED_REASON) /* what for, to be written down */
#define FL_MSG_SIGN_RESULT(F)                                                                      \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(bytes, certificate, FL_LIMIT_CERT)                                                           \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(i64, not_before, 0)                                                                          \
    F(i64, not_after, 0)                                                                           \
    F(u32, retry_after_s, 0) /* when the same request may succeed; 0: not known */
/* Records of the issuance log behind number `after`, as codec/issued has them. `offset`: where the
 * page before ended, or 0. `since`, ms since the epoch, 0: files with nothing but earlier records
 * may be passed over. A page without records is the end. */
#define FL_MSG_ISSUED_ASK(F) F(u64, request, 0) F(u64, after, 0) F(u64, offset, 0) F(i64, since, 0)
#define FL_MSG_ISSUED_PAGE(F)                                                                      \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(u64, after, 0)                                                                               \
    F(u64, offset, 0)                                                                              \
    F(bytes, records, FL_LIMIT_ISSUED_PAGE)

/* The data key of a device, which seals its readings. `create`: make it when there is none. */
#define FL_MSG_DATA_KEY(F)                                                                         \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(u32, generation, 0)                                                                          \
    F(u8, create, 0)
/* Destroy the device's data key, whatever its generation: what it sealed is gone for good. */
#define FL_MSG_DATA_KEY_ERASE(F) F(u64, request, 0) F(str, device, FL_NAME_MAX)
/* The answer to both. `erased`: the last generation that was destroyed, 0: none; FL_EEXPIRED: the
 * one that was asked for is among them. */
#define FL_MSG_DATA_KEY_RESULT(F)                                                                  \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(u32, generation, 0)                                                                          \
    F(u32, erased, 0)                                                                              \
    F(bytes, key, 32)

/* Revocation lists, which are longer than a frame: entries (trust/crl.h) in any number of frames,
 * then what to make of them. The answer, and what the front is told: the list in any number of
 * frames, then its end. A number over the last; `error`: there is no list, and no parts came. */
#define FL_MSG_PART ((size_t)512 * 1024)
#define FL_MSG_CRL_ENTRIES(F) F(bytes, entries, FL_MSG_PART)
#define FL_MSG_CRL_SIGN(F) F(u64, request, 0) F(u64, number, 0) F(u32, validity_s, 0)
#define FL_MSG_CRL_PART(F) F(bytes, der, FL_MSG_PART)
#define FL_MSG_CRL(F)                                                                              \
    F(u64, request, 0) /* 0 to the front */                                                        \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(u64, number, 0)                                                                              \
    F(i64, this_update, 0)                                                                         \
    F(i64, next_update, 0)

/* What a front that has no answer asks the hub for an OCSP client: a response about certificates of
 * the issuing authority, by their serials (u8 size, octets). `sha256`: the client named them by
 * that and not by SHA-1. The hub signs. */
#define FL_MSG_OCSP_SERIALS ((size_t)FL_LIMIT_OCSP_IDS * 21)
#define FL_MSG_OCSP_ASK(F)                                                                         \
    F(u64, request, 0)                                                                             \
    F(u8, sha256, 0)                                                                               \
    F(bytes, serials, FL_MSG_OCSP_SERIALS)
#define FL_MSG_OCSP_ANSWER(F)                                                                      \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(u8, sha256, 0) /* the question again */                                                      \
    F(bytes, serials, FL_MSG_OCSP_SERIALS)                                                         \
    F(u8, keep, 0) /* it is about one certificate that the hub knows: it may serve others */       \
    F(bytes, response, FL_LIMIT_OCSP_RESPONSE) /* DER */                                           \
    F(i64, this_update, 0)                                                                         \
    F(i64, next_update, 0)
/* What was said of these does not hold any more; of none: of all. */
#define FL_MSG_OCSP_DROP(F) F(bytes, serials, FL_MSG_PART)
/* Evidence of a device, who showed the certificate `serial`. Each is answered by one
 * EVIDENCE_RESULT. */
#define FL_MSG_EVIDENCE_NONCE(F)                                                                   \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(str, peer, FL_LIMIT_ADDRESS)
/* An attestation key that is to be endorsed, and the endorsement key of its TPM (TPMT_PUBLIC). */
#define FL_MSG_EVIDENCE_KEY(F)                                                                     \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(bytes, endorsement, FL_LIMIT_TPM_PUBLIC)                                                     \
    F(bytes, attestation, FL_LIMIT_TPM_PUBLIC)
/* What its TPM found in the credential. */
#define FL_MSG_EVIDENCE_PROOF(F)                                                                   \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(bytes, secret, 64)
/* The claims of codec/evidence.h with the device's signature; with a TPM its quote (TPMS_ATTEST,
 * TPMT_SIGNATURE) over `pcrs` (fl_pcrs_put). The event log stays at the front, which says what
 * PCRs it leads to (`replayed`), or why it leads to none (`log_problem`). */
#define FL_MSG_EVIDENCE(F)                                                                         \
    F(u64, request, 0)                                                                             \
    F(str, device, FL_NAME_MAX)                                                                    \
    F(str, serial, FL_LIMIT_SERIAL_HEX)                                                            \
    F(str, peer, FL_LIMIT_ADDRESS)                                                                 \
    F(bytes, certificate, FL_LIMIT_CERT) /* as the device sent it, DER */                          \
    F(bytes, nonce, 32)                                                                            \
    F(str, agent, FL_LIMIT_CLAIM)                                                                  \
    F(str, os, FL_LIMIT_CLAIM)                                                                     \
    F(str, kernel, FL_LIMIT_CLAIM)                                                                 \
    F(str, binary, 64)                                                                             \
    F(str, boot, FL_LIMIT_CLAIM)                                                                   \
    F(u64, uptime_s, 0)                                                                            \
    F(bytes, signature, 64) /* ES256 */                                                            \
    F(bytes, quote, FL_LIMIT_QUOTE)                                                                \
    F(bytes, quote_signature, FL_LIMIT_QUOTE)                                                      \
    F(bytes, pcrs, 1024)                                                                           \
    F(bytes, replayed, 1024)                                                                       \
    F(u32, log_events, 0)                                                                          \
    F(str, log_problem, 512)
/* `body`: the answer's JSON, of FL_OK. */
#define FL_MSG_EVIDENCE_RESULT(F)                                                                  \
    F(u64, request, 0)                                                                             \
    F(u32, error, 0)                                                                               \
    F(str, detail, 512)                                                                            \
    F(u32, retry_after_s, 0)                                                                       \
    F(bytes, body, 16384)

/* Cuts the next frame's worth from the front of what goes in parts. */
static inline struct fl_slice fl_msg_cut_part(struct fl_slice *rest)
{
    struct fl_slice part =
        fl_slice(rest->data, rest->size < FL_MSG_PART ? rest->size : FL_MSG_PART);

    *rest = fl_slice_from(*rest, part.size);
    return part;
}

/* name, value on the wire, fields, senders. Values are append only. */
#define FL_MSGS(M)                                                                                 \
    M(start, 1, FL_MSG_START, FL_FROM_PARENT)                                                      \
    M(channel, 2, FL_MSG_CHANNEL, FL_FROM_PARENT)                                                  \
    M(listen, 3, FL_MSG_LISTEN, FL_FROM_PARENT)                                                    \
    M(ready, 4, FL_MSG_READY, FL_FROM_HUB | FL_FROM_FRONT | FL_FROM_SIGNER)                        \
    M(lost, 5, FL_MSG_LOST, FL_FROM_HUB | FL_FROM_FRONT | FL_FROM_SIGNER)                          \
    M(config, 16, FL_MSG_CONFIG, FL_FROM_HUB)                                                      \
    M(profile, 17, FL_MSG_PROFILE, FL_FROM_HUB)                                                    \
    M(device, 18, FL_MSG_DEVICE, FL_FROM_HUB)                                                      \
    M(device_gone, 19, FL_MSG_DEVICE_GONE, FL_FROM_HUB)                                            \
    M(snapshot_end, 20, FL_MSG_SNAPSHOT_END, FL_FROM_HUB)                                          \
    M(applied, 21, FL_MSG_APPLIED, FL_FROM_FRONT)                                                  \
    M(server_csr, 22, FL_MSG_SERVER_CSR, FL_FROM_FRONT)                                            \
    M(server_cert, 23, FL_MSG_SERVER_CERT, FL_FROM_HUB)                                            \
    M(enrol, 24, FL_MSG_ENROL, FL_FROM_FRONT)                                                      \
    M(enrol_result, 25, FL_MSG_ENROL_RESULT, FL_FROM_HUB)                                          \
    M(readings, 26, FL_MSG_READINGS, FL_FROM_FRONT)                                                \
    M(readings_done, 27, FL_MSG_READINGS_DONE, FL_FROM_HUB)                                        \
    M(session, 28, FL_MSG_SESSION, FL_FROM_FRONT)                                                  \
    M(refused, 29, FL_MSG_REFUSED, FL_FROM_FRONT)                                                  \
    M(api_request, 30, FL_MSG_API_REQUEST, FL_FROM_FRONT)                                          \
    M(api_response, 31, FL_MSG_API_RESPONSE, FL_FROM_HUB)                                          \
    M(ocsp_ask, 32, FL_MSG_OCSP_ASK, FL_FROM_FRONT)                                                \
    M(ocsp_answer, 33, FL_MSG_OCSP_ANSWER, FL_FROM_HUB)                                            \
    M(ocsp_drop, 34, FL_MSG_OCSP_DROP, FL_FROM_HUB)                                                \
    M(counters, 40, FL_MSG_COUNTERS, FL_FROM_FRONT)                                                \
    M(usage_ask, 41, FL_MSG_USAGE_ASK, FL_FROM_HUB)                                                \
    M(usage, 42, FL_MSG_USAGE, FL_FROM_FRONT | FL_FROM_SIGNER)                                     \
    M(signer_hello, 48, FL_MSG_SIGNER_HELLO, FL_FROM_SIGNER)                                       \
    M(sign, 49, FL_MSG_SIGN, FL_FROM_HUB)                                                          \
    M(sign_result, 50, FL_MSG_SIGN_RESULT, FL_FROM_SIGNER)                                         \
    M(data_key, 51, FL_MSG_DATA_KEY, FL_FROM_HUB)                                                  \
    M(data_key_erase, 52, FL_MSG_DATA_KEY_ERASE, FL_FROM_HUB)                                      \
    M(data_key_result, 53, FL_MSG_DATA_KEY_RESULT, FL_FROM_SIGNER)                                 \
    M(crl_entries, 56, FL_MSG_CRL_ENTRIES, FL_FROM_HUB)                                            \
    M(crl_sign, 57, FL_MSG_CRL_SIGN, FL_FROM_HUB)                                                  \
    M(crl_part, 58, FL_MSG_CRL_PART, FL_FROM_SIGNER | FL_FROM_HUB)                                 \
    M(crl, 59, FL_MSG_CRL, FL_FROM_SIGNER | FL_FROM_HUB)                                           \
    M(issued_ask, 60, FL_MSG_ISSUED_ASK, FL_FROM_HUB)                                              \
    M(issued_page, 61, FL_MSG_ISSUED_PAGE, FL_FROM_SIGNER)                                         \
    M(evidence_nonce, 80, FL_MSG_EVIDENCE_NONCE, FL_FROM_FRONT)                                    \
    M(evidence_key, 81, FL_MSG_EVIDENCE_KEY, FL_FROM_FRONT)                                        \
    M(evidence_proof, 82, FL_MSG_EVIDENCE_PROOF, FL_FROM_FRONT)                                    \
    M(evidence, 83, FL_MSG_EVIDENCE, FL_FROM_FRONT)                                                \
    M(evidence_result, 84, FL_MSG_EVIDENCE_RESULT, FL_FROM_HUB)

enum fl_msg_type {
#define FL_MSG_ENUM(name, value, fields, from) fl_msg_type_##name = (value),
    FL_MSGS(FL_MSG_ENUM)
#undef FL_MSG_ENUM
};

#define FL_MSG_C_u8 uint8_t
#define FL_MSG_C_u32 uint32_t
#define FL_MSG_C_u64 uint64_t
#define FL_MSG_C_i64 int64_t
#define FL_MSG_C_str struct fl_slice
#define FL_MSG_C_bytes struct fl_slice
#define FL_MSG_MEMBER(kind, name, max) FL_MSG_C_##kind name;
#define FL_MSG_STRUCT(name, value, fields, from)                                                   \
    struct fl_msg_##name {                                                                         \
        fields(FL_MSG_MEMBER)                                                                      \
    };
FL_MSGS(FL_MSG_STRUCT)
#undef FL_MSG_STRUCT
#undef FL_MSG_MEMBER

/* One message: `type` says which member of `as` is meant, e.g. msg.as.device.id. */
struct fl_msg {
    enum fl_msg_type type;
    union {
#define FL_MSG_IN_UNION(name, value, fields, from) struct fl_msg_##name name;
        FL_MSGS(FL_MSG_IN_UNION)
#undef FL_MSG_IN_UNION
    } as;
};

/* Appends one frame. FL_EINVAL: a field is over its maximum or a text is not UTF-8 (the text names
 * it); FL_ELIMIT: the buffer is full. On failure the buffer is as it was. */
FL_MUST_USE enum fl_error fl_msg_encode(const struct fl_msg *msg, struct fl_buffer *out,
                                        struct fl_context *ctx);

/* Takes one frame off the front of `in`. `from` is the one enum fl_msg_from on the other side.
 * FL_EMORE: not all there yet, `in` is unchanged. FL_EPARSE, FL_EDENIED (not for this sender): end
 * the channel. */
FL_MUST_USE enum fl_error fl_msg_decode(struct fl_slice *in, enum fl_msg_from from,
                                        struct fl_msg *msg, struct fl_context *ctx);

const char *fl_msg_name(enum fl_msg_type type);

/* The records of a READINGS message. FL_EINVAL: a name or value that the other side would refuse;
 * FL_ELIMIT: the buffer is full. On failure the buffer is as it was. */
FL_MUST_USE enum fl_error fl_msg_put_reading(struct fl_buffer *out,
                                             const struct fl_reading *reading);
/* FL_ENOTFOUND: no more. FL_EPARSE: malformed (names, a value that is not finite). */
FL_MUST_USE enum fl_error fl_msg_next_reading(struct fl_slice *records, struct fl_reading *reading);

#endif
