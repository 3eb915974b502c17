/* SPDX-License-Identifier: Apache-2.0
 * The table of the API: every route with what it takes, and every object with its members. */
#include "hub/api.h"

#include "codec/exposition.h"

static const char *const device_states[] = {"expected", "active", "quarantined", "retired", NULL};
static const char *const postures[] = {"ok",       "narrowed", "quarantined", "revoked", "expired",
                                       "expected", "retired",  "held",        NULL};
static const char *const evidence_states[] = {"none", "fresh", "stale", "refuted", NULL};
static const char *const grades[] = {"none", "reported", "attested", NULL};
static const char *const rights[] = {"publish", "subscribe", NULL};
static const char *const reference_changes[] = {"accept", "forget", NULL};
static const char *const reference_scopes[] = {"device", "profile", NULL};
static const char *const action_kinds[] = {"quarantine", "revoke", "retire", "hold", NULL};
static const char *const action_states[] = {"proposed", "active", "undone", "expired", NULL};
static const char *const outcome_kinds[] = {"quarantine", "hold", "release", "revoke",
                                            "retire",     "undo", NULL};
static const char *const credential_states[] = {"issued", "held", "revoked", "expired", NULL};
static const char *const profile_states[] = {"signed", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const reading_states[] = {"erased", "damaged", NULL};
static const char *const key_states[] = {"none", "made", "erasing", NULL};
static const char *const orders[] = {"asc", "desc", NULL};
static const char *const roles[] = {"admin", "metrics", NULL};
static const char *const issued_kinds[] = {"device",     "server",   "refused",
                                           "checkpoint", "repaired", NULL};
static const char *const health_states[] = {"ok", "degraded", NULL};

#define REQUIRED .required = true
#define TTL                                                                                        \
    {                                                                                              \
        .name = "ttl_s", .type = FL_API_INTEGER, .min = 1, .max = FL_LIMIT_TOKEN_TTL_S,            \
        .words = "life of the token in seconds; 900 when absent"                                   \
    }
#define REASON                                                                                     \
    {                                                                                              \
        .name = "reason", .type = FL_API_STRING, .max = FL_LIMIT_REASON,                           \
        .words = "why, for the audit log"                                                          \
    }
#define DRY_RUN                                                                                    \
    {                                                                                              \
        .name = "dry_run", .type = FL_API_BOOLEAN, .words = "decide everything, change nothing"    \
    }
#define EK_HASH                                                                                    \
    {                                                                                              \
        .name = "ek_hash", .type = FL_API_STRING, .max = 64,                                       \
        .words = "its TPM: SHA-256 of the endorsement key's SubjectPublicKeyInfo, in hex"          \
    }
#define LIMIT(most)                                                                                \
    {                                                                                              \
        .name = "limit", .type = FL_API_INTEGER, .min = 1, .max = (most), .words = "rows at most"  \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* --- what requests take --- */

static const struct fl_api_field device_query[] = {
    {.name = "after", .type = FL_API_NAME, .words = "the last id of the page before"},
    {.name = "state", .type = FL_API_STRING, .values = device_states},
    {.name = "posture", .type = FL_API_STRING, .values = postures},
    {.name = "profile", .type = FL_API_NAME},
    {.name = "site", .type = FL_API_STRING, .max = FL_LIMIT_SITE},
    LIMIT(FL_LIMIT_PAGE),
    END};
static const struct fl_api_field device_body[] = {
    {.name = "id", .type = FL_API_NAME, REQUIRED},
    {.name = "profile", .type = FL_API_NAME, REQUIRED},
    {.name = "site", .type = FL_API_STRING, .max = FL_LIMIT_SITE},
    EK_HASH,
    TTL,
    END};
static const struct fl_api_field token_body[] = {TTL, END};
static const struct fl_api_field quarantine_body[] = {
    {.name = "for_s",
     .type = FL_API_INTEGER,
     .min = 1,
     .max = FL_LIMIT_ACTION_S,
     .words = "ends by itself after so many seconds; without end when absent"},
    REASON,
    DRY_RUN,
    END};
static const struct fl_api_field reference_body[] = {
    {.name = "change", .type = FL_API_STRING, REQUIRED, .values = reference_changes},
    {.name = "of",
     .type = FL_API_STRING,
     .values = reference_scopes,
     .words = "good for this device, or for all of its profile; device when absent"},
    REASON,
    END};
static const struct fl_api_field tpm_body[] = {
    EK_HASH,
    {.name = "forget",
     .type = FL_API_BOOLEAN,
     .words = "its TPM was replaced: the next one is believed on first use"},
    REASON,
    END};
static const struct fl_api_field action_body[] = {REASON, DRY_RUN, END};
static const struct fl_api_field reading_query[] = {
    {.name = "stream", .type = FL_API_NAME},
    {.name = "from", .type = FL_API_TIME, .words = "not before"},
    {.name = "until", .type = FL_API_TIME, .words = "before"},
    {.name = "after",
     .type = FL_API_INTEGER,
     .max = INT64_MAX,
     .words = "only those stored after this position, in that order; 0 begins"},
    LIMIT(FL_LIMIT_READINGS_PAGE),
    {.name = "order", .type = FL_API_STRING, .values = orders, .words = "by time; asc when absent"},
    {.name = "every",
     .type = FL_API_STRING,
     .max = 32,
     .words = "in buckets of this duration, such as 5m, instead of row by row; go on with from = "
              "the end of the last one until nothing comes"},
    END};
static const struct fl_api_field erase_body[] = {REASON, END};
static const struct fl_api_field profile_body[] = {{.name = "text",
                                                    .type = FL_API_STRING,
                                                    REQUIRED,
                                                    .max = FL_LIMIT_PROFILE_SIZE,
                                                    .words = "the signed profile, byte for byte"},
                                                   END};
static const struct fl_api_field action_query[] = {
    {.name = "after", .type = FL_API_INTEGER, .max = INT64_MAX},
    {.name = "state", .type = FL_API_STRING, .values = action_states},
    {.name = "device", .type = FL_API_NAME},
    LIMIT(FL_LIMIT_PAGE),
    END};
static const struct fl_api_field audit_query[] = {
    {.name = "after", .type = FL_API_INTEGER, .max = INT64_MAX}, LIMIT(FL_LIMIT_PAGE), END};
static const struct fl_api_field issued_query[] = {
    {.name = "after", .type = FL_API_INTEGER, .max = INT64_MAX},
    {.name = "since", .type = FL_API_TIME, .words = "not before"},
    {.name = "device", .type = FL_API_NAME},
    LIMIT(FL_LIMIT_PAGE),
    END};
static const struct fl_api_field invite_body[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "role",
     .type = FL_API_STRING,
     .values = roles,
     .words = "metrics: may read metrics and nothing else; admin when absent"},
    TTL,
    END};
static const struct fl_api_field claim_body[] = {
    {.name = "token", .type = FL_API_STRING, REQUIRED, .max = FL_LIMIT_TOKEN_TEXT},
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    END};

/* --- what answers are made of --- */

static const struct fl_api_field health_fields[] = {
    {.name = "status", .type = FL_API_STRING, REQUIRED, .values = health_states},
    {.name = "version", .type = FL_API_STRING, REQUIRED},
    {.name = "devices", .type = FL_API_INTEGER, REQUIRED},
    {.name = "connected", .type = FL_API_INTEGER, REQUIRED},
    {.name = "uptime_s", .type = FL_API_INTEGER, REQUIRED},
    END};
static const struct fl_api_field load_fields[] = {
    {.name = "at", .type = FL_API_TIME, REQUIRED},
    {.name = "version", .type = FL_API_STRING, REQUIRED},
    {.name = "uptime_ms", .type = FL_API_INTEGER, REQUIRED},
    {.name = "connected", .type = FL_API_INTEGER, REQUIRED},
    {.name = "commits", .type = FL_API_OBJECT, REQUIRED, .words = "a histogram, in microseconds"},
    {.name = "commits_failed", .type = FL_API_INTEGER, REQUIRED},
    {.name = "readings", .type = FL_API_INTEGER, REQUIRED},
    {.name = "front", .type = FL_API_OBJECT, REQUIRED, .nullable = true},
    {.name = "processes", .type = FL_API_OBJECTS, REQUIRED, .schema = "Process"},
    END};
static const struct fl_api_field process_fields[] = {
    {.name = "name", .type = FL_API_STRING, REQUIRED},
    {.name = "up", .type = FL_API_BOOLEAN, REQUIRED},
    {.name = "cpu_us", .type = FL_API_INTEGER, REQUIRED},
    {.name = "resident_bytes", .type = FL_API_INTEGER, REQUIRED},
    END};
static const struct fl_api_field credential_fields[] = {
    {.name = "serial", .type = FL_API_STRING, REQUIRED},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = credential_states},
    {.name = "not_before", .type = FL_API_TIME, REQUIRED},
    {.name = "not_after", .type = FL_API_TIME, REQUIRED},
    {.name = "key", .type = FL_API_STRING, REQUIRED, .words = "the id of its public key"},
    END};
static const struct fl_api_field device_fields[] = {
    {.name = "id", .type = FL_API_NAME, REQUIRED},
    {.name = "profile", .type = FL_API_NAME, REQUIRED},
    {.name = "site", .type = FL_API_STRING, REQUIRED},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = device_states},
    {.name = "posture", .type = FL_API_STRING, REQUIRED, .values = postures},
    {.name = "posture_reason", .type = FL_API_STRING, REQUIRED},
    {.name = "connected", .type = FL_API_BOOLEAN, REQUIRED},
    {.name = "peer", .type = FL_API_STRING, REQUIRED, .nullable = true},
    {.name = "last_seen", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "since", .type = FL_API_TIME, REQUIRED},
    {.name = "until", .type = FL_API_TIME},
    {.name = "created", .type = FL_API_TIME, REQUIRED},
    {.name = "credential",
     .type = FL_API_OBJECT,
     REQUIRED,
     .nullable = true,
     .schema = "Credential"},
    {.name = "evidence", .type = FL_API_OBJECT, REQUIRED, .schema = "EvidenceNow"},
    END};
#define EVIDENCE_NOW                                                                               \
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = evidence_states},                 \
        {.name = "grade",                                                                          \
         .type = FL_API_STRING,                                                                    \
         REQUIRED,                                                                                 \
         .values = grades,                                                                         \
         .words = "the best that holds now"},                                                      \
        {.name = "at", .type = FL_API_TIME, REQUIRED, .nullable = true},                           \
        {.name = "until",                                                                          \
         .type = FL_API_TIME,                                                                      \
         REQUIRED,                                                                                 \
         .nullable = true,                                                                         \
         .words = "when the first of it ends by itself"},                                          \
    {                                                                                              \
        .name = "words", .type = FL_API_STRING, REQUIRED,                                          \
        .words = "why what came last is worth what it is"                                          \
    }
static const struct fl_api_field evidence_now_fields[] = {EVIDENCE_NOW, END};
static const struct fl_api_field tpm_fields[] = {
    {.name = "ek", .type = FL_API_STRING, REQUIRED, .words = "of the TPM that proved itself"},
    {.name = "registered", .type = FL_API_STRING, REQUIRED, .words = "by an operator; or empty"},
    {.name = "why", .type = FL_API_STRING, REQUIRED, .words = "why it is believed"},
    {.name = "ak", .type = FL_API_STRING, REQUIRED, .words = "name of its attestation key"},
    {.name = "since", .type = FL_API_TIME, REQUIRED, .nullable = true},
    END};
static const struct fl_api_field accepted_fields[] = {
    {.name = "at", .type = FL_API_TIME, REQUIRED},
    {.name = "who", .type = FL_API_STRING, REQUIRED},
    {.name = "pcrs", .type = FL_API_OBJECT, REQUIRED},
    END};
static const struct fl_api_field evidence_fields[] = {
    EVIDENCE_NOW,
    {.name = "agent", .type = FL_API_STRING, REQUIRED},
    {.name = "os", .type = FL_API_STRING, REQUIRED},
    {.name = "kernel", .type = FL_API_STRING, REQUIRED},
    {.name = "binary", .type = FL_API_STRING, REQUIRED, .words = "SHA-256 of the agent's program"},
    {.name = "boot", .type = FL_API_STRING, REQUIRED},
    {.name = "uptime_s", .type = FL_API_INTEGER, REQUIRED},
    {.name = "quoted", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "pcrs", .type = FL_API_OBJECT, REQUIRED, .words = "SHA-256, by number"},
    {.name = "log_events",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "of the boot log that leads to them; 0: they came without"},
    {.name = "tpm", .type = FL_API_OBJECT, REQUIRED, .nullable = true, .schema = "Tpm"},
    {.name = "accepted_for_device", .type = FL_API_OBJECTS, REQUIRED, .schema = "AcceptedBoot"},
    {.name = "accepted_for_profile", .type = FL_API_OBJECTS, REQUIRED, .schema = "AcceptedBoot"},
    END};
static const struct fl_api_field token_fields[] = {
    {.name = "id", .type = FL_API_NAME, REQUIRED},
    {.name = "token", .type = FL_API_STRING, REQUIRED, .words = "shown once, good once"},
    {.name = "expires", .type = FL_API_TIME, REQUIRED},
    {.name = "enrol", .type = FL_API_STRING, REQUIRED, .words = "the EST base URL"},
    END};
static const struct fl_api_field new_device_fields[] = {
    {.name = "id", .type = FL_API_NAME, REQUIRED},
    {.name = "profile", .type = FL_API_NAME, REQUIRED},
    {.name = "site", .type = FL_API_STRING, REQUIRED},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = device_states},
    {.name = "token", .type = FL_API_STRING, REQUIRED, .words = "shown once, good once"},
    {.name = "expires", .type = FL_API_TIME, REQUIRED},
    {.name = "enrol", .type = FL_API_STRING, REQUIRED, .words = "the EST base URL"},
    END};
static const struct fl_api_field outcome_fields[] = {
    {.name = "action",
     .type = FL_API_INTEGER,
     REQUIRED,
     .nullable = true,
     .words = "its number; null in a dry run of something new"},
    {.name = "device", .type = FL_API_NAME, REQUIRED},
    {.name = "kind", .type = FL_API_STRING, REQUIRED, .values = outcome_kinds},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = action_states},
    {.name = "reason", .type = FL_API_STRING, REQUIRED},
    {.name = "until", .type = FL_API_TIME},
    {.name = "dry_run", .type = FL_API_BOOLEAN, REQUIRED},
    {.name = "sessions_closed", .type = FL_API_INTEGER, REQUIRED},
    {.name = "took_ms", .type = FL_API_INTEGER, REQUIRED},
    {.name = "effects", .type = FL_API_STRINGS, REQUIRED},
    END};
static const struct fl_api_field reading_fields[] = {
    {.name = "t", .type = FL_API_TIME, REQUIRED},
    {.name = "stream", .type = FL_API_NAME, REQUIRED},
    {.name = "value",
     .type = FL_API_NUMBER,
     .nullable = true,
     .words = "null when there is a state; not in a bucket"},
    {.name = "state",
     .type = FL_API_STRING,
     .values = reading_states,
     .words = "why it has no value: its key was destroyed, or it does not open"},
    {.name = "position", .type = FL_API_INTEGER, .words = "not in a bucket"},
    {.name = "count", .type = FL_API_INTEGER, .words = "with every: readings in the bucket"},
    {.name = "min", .type = FL_API_NUMBER},
    {.name = "max", .type = FL_API_NUMBER},
    {.name = "mean", .type = FL_API_NUMBER},
    {.name = "first", .type = FL_API_NUMBER},
    {.name = "last", .type = FL_API_NUMBER},
    END};
static const struct fl_api_field kept_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "keep", .type = FL_API_STRING, REQUIRED, .words = "a duration, or forever"},
    END};
static const struct fl_api_field privacy_fields[] = {
    {.name = "device", .type = FL_API_NAME, REQUIRED},
    {.name = "key", .type = FL_API_STRING, REQUIRED, .values = key_states},
    {.name = "generation",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "of its data key: grows with every erasure"},
    {.name = "erased",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "the last generation that was destroyed; 0: none"},
    {.name = "erased_at", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "streams_erased",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "with readings that nobody can open any more, and that are not deleted yet"},
    {.name = "streams_unsealed",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "with readings of an older version that are not sealed yet"},
    {.name = "streams", .type = FL_API_OBJECTS, REQUIRED, .schema = "Kept"},
    END};
static const struct fl_api_field erasure_fields[] = {
    {.name = "device", .type = FL_API_NAME, REQUIRED},
    {.name = "generation",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "the last that is destroyed; 0: it never had a key"},
    {.name = "erased_at", .type = FL_API_TIME, REQUIRED},
    END};
static const struct fl_api_field stream_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "unit", .type = FL_API_STRING, REQUIRED},
    {.name = "min", .type = FL_API_NUMBER, REQUIRED, .nullable = true},
    {.name = "max", .type = FL_API_NUMBER, REQUIRED, .nullable = true},
    {.name = "keep", .type = FL_API_STRING, REQUIRED, .words = "a duration, or forever"},
    END};
static const struct fl_api_field when_fields[] = {
    {.name = "right", .type = FL_API_STRING, REQUIRED, .values = rights},
    {.name = "filter", .type = FL_API_STRING, REQUIRED},
    {.name = "grade", .type = FL_API_STRING, REQUIRED, .values = grades},
    END};
static const struct fl_api_field profile_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "title", .type = FL_API_STRING, REQUIRED},
    {.name = "vendor", .type = FL_API_STRING, REQUIRED},
    {.name = "model", .type = FL_API_STRING, REQUIRED},
    {.name = "version", .type = FL_API_INTEGER, REQUIRED},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = profile_states},
    {.name = "key_id", .type = FL_API_STRING, REQUIRED},
    {.name = "publish", .type = FL_API_STRINGS, REQUIRED},
    {.name = "subscribe", .type = FL_API_STRINGS, REQUIRED},
    {.name = "streams", .type = FL_API_OBJECTS, REQUIRED, .schema = "Stream"},
    {.name = "tls", .type = FL_API_STRING, REQUIRED, .values = tls_versions},
    {.name = "support_until", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "require",
     .type = FL_API_OBJECT,
     REQUIRED,
     .words = "how old evidence may be, by its grade: durations"},
    {.name = "when",
     .type = FL_API_OBJECTS,
     REQUIRED,
     .schema = "When",
     .words = "the rights that are there only while there is evidence"},
    {.name = "text", .type = FL_API_STRING},
    END};
static const struct fl_api_field action_fields[] = {
    {.name = "id", .type = FL_API_INTEGER, REQUIRED},
    {.name = "device", .type = FL_API_NAME, REQUIRED},
    {.name = "kind", .type = FL_API_STRING, REQUIRED, .values = action_kinds},
    {.name = "state", .type = FL_API_STRING, REQUIRED, .values = action_states},
    {.name = "reason", .type = FL_API_STRING, REQUIRED},
    {.name = "by", .type = FL_API_STRING, REQUIRED},
    {.name = "at", .type = FL_API_TIME, REQUIRED},
    {.name = "until", .type = FL_API_TIME},
    {.name = "undone_by", .type = FL_API_STRING},
    END};
static const struct fl_api_field record_fields[] = {
    {.name = "seq", .type = FL_API_INTEGER, REQUIRED},
    {.name = "at", .type = FL_API_TIME, REQUIRED},
    {.name = "who", .type = FL_API_STRING, REQUIRED},
    {.name = "what", .type = FL_API_STRING, REQUIRED},
    {.name = "object", .type = FL_API_STRING, REQUIRED},
    {.name = "detail", .type = FL_API_OBJECT, REQUIRED},
    {.name = "prev", .type = FL_API_STRING, REQUIRED},
    {.name = "hash", .type = FL_API_STRING, REQUIRED},
    END};
static const struct fl_api_field verdict_fields[] = {
    {.name = "valid", .type = FL_API_BOOLEAN, REQUIRED},
    {.name = "records", .type = FL_API_INTEGER, REQUIRED},
    {.name = "head", .type = FL_API_STRING, REQUIRED},
    {.name = "issuance",
     .type = FL_API_OBJECT,
     REQUIRED,
     .nullable = true,
     .schema = "Issuance",
     .words = "null when the audit log is broken already"},
    {.name = "broken_at", .type = FL_API_INTEGER},
    {.name = "detail", .type = FL_API_STRING},
    END};
static const struct fl_api_field issuance_fields[] = {
    {.name = "valid", .type = FL_API_BOOLEAN, REQUIRED},
    {.name = "detail",
     .type = FL_API_STRING,
     REQUIRED,
     .words = "where the log is broken, or empty"},
    {.name = "first", .type = FL_API_INTEGER, REQUIRED, .words = "record; older ones are archived"},
    {.name = "last", .type = FL_API_INTEGER, REQUIRED},
    {.name = "head", .type = FL_API_STRING, REQUIRED, .words = "hash of the last record"},
    {.name = "signed_to",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "record of the last checkpoint"},
    {.name = "signed_at", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "devices", .type = FL_API_INTEGER, REQUIRED, .words = "certificates of devices"},
    {.name = "servers", .type = FL_API_INTEGER, REQUIRED},
    {.name = "refused", .type = FL_API_INTEGER, REQUIRED},
    {.name = "repaired", .type = FL_API_INTEGER, REQUIRED, .words = "interrupted writes cut off"},
    {.name = "unknown",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "certificates that the registry does not know, or otherwise"},
    {.name = "missing",
     .type = FL_API_INTEGER,
     REQUIRED,
     .words = "certificates of the registry that the log does not have"},
    {.name = "older", .type = FL_API_INTEGER, REQUIRED, .words = "those from before it begins"},
    {.name = "findings", .type = FL_API_STRINGS, REQUIRED, .words = "the first of them"},
    END};
static const struct fl_api_field issued_fields[] = {
    {.name = "seq", .type = FL_API_INTEGER, REQUIRED},
    {.name = "at", .type = FL_API_TIME, REQUIRED, .nullable = true},
    {.name = "kind", .type = FL_API_STRING, REQUIRED, .values = issued_kinds},
    {.name = "subject", .type = FL_API_STRING, REQUIRED},
    {.name = "reason", .type = FL_API_STRING, REQUIRED, .words = "what control said it is for"},
    {.name = "detail", .type = FL_API_STRING, REQUIRED},
    {.name = "serial", .type = FL_API_STRING, .words = "of a certificate, as what follows"},
    {.name = "not_before", .type = FL_API_TIME},
    {.name = "not_after", .type = FL_API_TIME},
    {.name = "sha256", .type = FL_API_STRING, .words = "of its DER"},
    {.name = "key", .type = FL_API_STRING, .words = "the id of its public key"},
    {.name = "issuer", .type = FL_API_STRING, .words = "the id of the issuing key"},
    {.name = "unrecorded",
     .type = FL_API_INTEGER,
     .words = "refusals before it that were only counted"},
    END};
static const struct fl_api_field principal_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "role", .type = FL_API_STRING, REQUIRED, .values = roles},
    {.name = "created", .type = FL_API_TIME, REQUIRED},
    {.name = "expires", .type = FL_API_TIME, REQUIRED},
    {.name = "last_used", .type = FL_API_TIME, REQUIRED, .nullable = true},
    END};
static const struct fl_api_field invitation_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "token", .type = FL_API_STRING, REQUIRED, .words = "shown once, good once"},
    {.name = "expires", .type = FL_API_TIME, REQUIRED},
    END};
static const struct fl_api_field claimed_fields[] = {
    {.name = "name", .type = FL_API_NAME, REQUIRED},
    {.name = "credential", .type = FL_API_STRING, REQUIRED, .words = "shown once"},
    {.name = "expires", .type = FL_API_TIME, REQUIRED},
    END};
static const struct fl_api_field problem_fields[] = {
    {.name = "type", .type = FL_API_STRING, REQUIRED},
    {.name = "title", .type = FL_API_STRING, REQUIRED},
    {.name = "status", .type = FL_API_INTEGER, REQUIRED},
    {.name = "detail", .type = FL_API_STRING, REQUIRED},
    END};

const struct fl_api_schema fl_api_schemas[] = {
    {"Health", health_fields},
    {"Load", load_fields},
    {"Process", process_fields},
    {"Credential", credential_fields},
    {"Device", device_fields},
    {"EvidenceNow", evidence_now_fields},
    {"Evidence", evidence_fields},
    {"Tpm", tpm_fields},
    {"AcceptedBoot", accepted_fields},
    {"NewDevice", new_device_fields},
    {"Token", token_fields},
    {"Outcome", outcome_fields},
    {"Reading", reading_fields},
    {"Stream", stream_fields},
    {"Kept", kept_fields},
    {"Privacy", privacy_fields},
    {"Erasure", erasure_fields},
    {"Profile", profile_fields},
    {"When", when_fields},
    {"Action", action_fields},
    {"Record", record_fields},
    {"Verdict", verdict_fields},
    {"Issuance", issuance_fields},
    {"Issued", issued_fields},
    {"Principal", principal_fields},
    {"Invitation", invitation_fields},
    {"Claimed", claimed_fields},
    {"Problem", problem_fields},
    {NULL, NULL},
};

/* --- the routes --- */

#define API "/api/v1"

const struct fl_api_route fl_api_routes[] = {
    {"GET", API "/health", fl_api_get_health, "How the hub is", NULL, NULL, "Health", 200,
     FL_API_OPEN, false},
    {"GET", "/api/openapi.json", fl_api_get_openapi, "This document", NULL, NULL, NULL, 200,
     FL_API_OPEN, false},
    {"GET", "/metrics", fl_api_get_metrics, "Everything that is counted, for Prometheus", NULL,
     NULL, FL_EXPOSITION_TYPE, 200, FL_API_METRICS, false},
    {"GET", API "/load", fl_api_get_load, "What the hub is doing: counters since the start", NULL,
     NULL, "Load", 200, FL_API_METRICS, false},
    {"GET", API "/devices", fl_api_list_devices, "Devices, by id", device_query, NULL, "Device",
     200, FL_API_CREDENTIAL, true},
    {"POST", API "/devices", fl_api_add_device, "Expect a new device and make its enrolment token",
     NULL, device_body, "NewDevice", 201, FL_API_CREDENTIAL, false},
    {"GET", API "/devices/{id}", fl_api_get_device, "One device", NULL, NULL, "Device", 200,
     FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/token", fl_api_new_token,
     "A new enrolment token; the old one is void", NULL, token_body, "Token", 200,
     FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/quarantine", fl_api_quarantine,
     "Keep a device out, for a while or until it is released", NULL, quarantine_body, "Outcome",
     200, FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/hold", fl_api_hold,
     "Hold its certificates, for a while or until it is released; it may enrol anew", NULL,
     quarantine_body, "Outcome", 200, FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/release", fl_api_release, "End its quarantine or its hold", NULL,
     action_body, "Outcome", 200, FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/revoke", fl_api_revoke,
     "Revoke its certificates; it must enrol again", NULL, action_body, "Outcome", 200,
     FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/retire", fl_api_retire, "Take it out of service for good", NULL,
     action_body, "Outcome", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/devices/{id}/evidence", fl_api_get_evidence,
     "What it proved of itself, what that is worth, and its TPM", NULL, NULL, "Evidence", 200,
     FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/reference", fl_api_reference,
     "Accept the boot state that its TPM quoted last, or forget those that are accepted", NULL,
     reference_body, "Evidence", 200, FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/tpm", fl_api_tpm, "Say which TPM it has, or that it was replaced",
     NULL, tpm_body, "Evidence", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/devices/{id}/readings", fl_api_list_readings,
     "Its readings, by time or in the order of storing", reading_query, NULL, "Reading", 200,
     FL_API_CREDENTIAL, true},
    {"GET", API "/devices/{id}/privacy", fl_api_get_privacy,
     "What is kept of it and how long, and what was erased", NULL, NULL, "Privacy", 200,
     FL_API_CREDENTIAL, false},
    {"POST", API "/devices/{id}/erase", fl_api_erase,
     "Destroy its data key and delete its readings: for good, in every copy", NULL, erase_body,
     "Erasure", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/profiles", fl_api_list_profiles, "Profiles in force", NULL, NULL, "Profile", 200,
     FL_API_CREDENTIAL, true},
    {"POST", API "/profiles", fl_api_add_profile,
     "Add a signed profile; 200 when it is there already, byte for byte", NULL, profile_body,
     "Profile", 201, FL_API_CREDENTIAL, false},
    {"GET", API "/profiles/{name}", fl_api_get_profile, "One profile with its text", NULL, NULL,
     "Profile", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/actions", fl_api_list_actions, "Actions, by number", action_query, NULL, "Action",
     200, FL_API_CREDENTIAL, true},
    {"POST", API "/actions/{id}/undo", fl_api_undo, "The inverse of an active action", NULL,
     action_body, "Outcome", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/audit", fl_api_list_audit, "Audit records, by number", audit_query, NULL,
     "Record", 200, FL_API_CREDENTIAL, true},
    {"GET", API "/audit/verify", fl_api_verify_audit,
     "Check the audit log, the issuance log, and that log against the registry", NULL, NULL,
     "Verdict", 200, FL_API_CREDENTIAL, false},
    {"GET", API "/issued", fl_api_list_issued, "What the signer signed and refused, by number",
     issued_query, NULL, "Issued", 200, FL_API_CREDENTIAL, true},
    {"GET", API "/principals", fl_api_list_principals, "Administrators", NULL, NULL, "Principal",
     200, FL_API_CREDENTIAL, true},
    {"POST", API "/principals", fl_api_invite_principal,
     "A token with which an administrator can be claimed", NULL, invite_body, "Invitation", 201,
     FL_API_CREDENTIAL, false},
    {"POST", API "/principals/claim", fl_api_claim_principal,
     "Trade a token for an administrator's credential", NULL, claim_body, "Claimed", 201,
     FL_API_OPEN, false},
    {"DELETE", API "/principals/{name}", fl_api_remove_principal,
     "Remove an administrator; its credential is void at once", NULL, NULL, NULL, 204,
     FL_API_CREDENTIAL, false},
    {.method = NULL},
};
