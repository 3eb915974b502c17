/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub engine with a fake front, a fake signer that really issues, clocks that stand still, and
 * a store in memory with faults. What the hub sent last, of each type, can be looked at.
 */
#ifndef FL_TEST_TWIN_HUB_WORLD_H
#define FL_TEST_TWIN_HUB_WORLD_H

#include "hub/api.h"
#include "proto/issuance.h"
#include "signer/keystore.h"
#include "test/twin/files_twin.h"
#include "test/twin/store_twin.h"
#include "test/unit/unit.h"

#define HUB_NOON INT64_C(1795348800000) /* 2026-11-22T12:00:00Z */
#define HUB_WORLD_FRONT_KEY "the front's key, 32 octets of it"

/* What the hub asked the signer for, of keys, and has no answer to. */
struct hub_world_keys {
    struct fl_msg messages[64];
    char devices[64][FL_NAME_MAX + 1];
    size_t count;
};

struct hub_world {
    struct fl_hub hub;
    struct fl_clock clock;
    struct fl_random random;
    fl_time_t now;
    fl_time_t monotonic;
    uint8_t next_random;

    EVP_PKEY *profile_key;
    EVP_PKEY *ca_key;
    X509 *ca;
    struct fl_buffer ca_der;
    struct fl_profile_keys keys;

    bool front_is_deaf;       /* takes messages, confirms only when asked to */
    uint64_t to_confirm;      /* what it could confirm */
    uint32_t sessions_closed; /* what the front will say */
    bool signer_is_silent;
    uint64_t sign_requests;
    bool keys_are_silent; /* the signer takes DATA_KEY and ERASE, and answers when asked to */
    struct hub_world_keys keys_asked;
    uint64_t key_requests;
    struct fl_files_twin *key_disk;
    struct fl_files key_files;
    struct fl_keystore *keystore;
    struct fl_files_twin *log_disk; /* the signer's issuance log */
    struct fl_issuance *log;
    struct fl_msg sign; /* the last one; its texts in the buffers below */
    struct fl_buffer sign_csr;
    char sign_name[FL_LIMIT_HOST + 1];

    struct fl_buffer responder_der; /* of the OCSP responder, not answered yet */
    uint64_t responder_asked;
    fl_time_t responder_until;
    struct fl_buffer crl_entries;
    struct fl_buffer crl_signing;
    uint64_t crl_asked; /* not answered yet */
    uint64_t crl_number;
    size_t crl_requests;

    /* What the front was told. */
    struct fl_buffer list; /* DER */
    struct fl_buffer list_coming;
    uint64_t list_number;
    uint32_t ocsp_error;
    bool ocsp_keep;
    struct fl_buffer ocsp;
    struct fl_buffer dropped;
    size_t counts[128];   /* by message type */
    char log_key[32 + 1]; /* of the last CONFIG */
    char device[FL_NAME_MAX + 1];
    bool device_may_connect;
    char device_credentials[512];
    char device_reason[FL_LIMIT_REASON + 1];
    uint32_t enrol_error;
    char enrol_detail[513];
    struct fl_buffer certificate;
    EVP_PKEY *device_key; /* of the last that enrolled */
    uint8_t device_grades;
    uint32_t evidence_error;
    char evidence_detail[513];
    json_t *evidence; /* the last answer, or NULL */
    uint32_t readings_error;
    size_t front_unsent;

    /* The last answer of the API. */
    int status;
    json_t *answer;
    struct fl_buffer text; /* the same as it came */
    char content_type[64];
    size_t answers;
};

int hub_world_open(void **state);
int hub_world_close(void **state);

/* Front and signer there, one profile "camera" loaded. */
void hub_world_start(struct hub_world *w);

/* A call by the local door; the answer is in w->status and w->answer. */
void hub_call(struct hub_world *w, const char *method, const char *path, const char *query,
              const char *body);
/* The same over HTTPS with a credential. */
void hub_call_with(struct hub_world *w, const char *bearer, const char *method, const char *path,
                   const char *body);
const char *hub_text(const struct hub_world *w, const char *member);

/* The whole way: add, token, CSR, certificate. */
/* A new device; its token. */
void hub_add(struct hub_world *w, const char *id, const char *profile,
             char token[FL_LIMIT_TOKEN_TEXT]);
void hub_enrol(struct hub_world *w, const char *id);
void hub_enrol_with(struct hub_world *w, const char *id, const char *token, const char *serial);
void hub_front_confirms(struct hub_world *w);
void hub_answer_sign(struct hub_world *w);
/* The signer writes something down that the hub did not ask for. */
void hub_log(struct hub_world *w, struct fl_issued *record);
/* The fake signer makes the revocation list and the responder's certificate, if it was asked for
 * them. */
void hub_answer_list(struct hub_world *w);
/* Lets time pass until the list says what there is to say. */
void hub_settle_list(struct hub_world *w);
/* The fake signer answers what it was asked for, of keys, from a real key store. */
void hub_answer_keys(struct hub_world *w);

void hub_readings(struct hub_world *w, uint64_t batch, const char *device, double first,
                  size_t count);

#endif
