/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's control plane as an engine: messages of front and signer and API calls in, messages and
 * answers out. It decides and remembers (through the services, in fl_store) and does no I/O of its
 * own; control.c gives it sockets, a loop and a database, the tests give it a fake front, a fake
 * signer and a faulty store. One thread. Time comes from the given clock.
 */
#ifndef FL_HUB_HUB_H
#define FL_HUB_HUB_H

#include "base/world.h"
#include "codec/msg.h"
#include "hub/config.h"
#include "hub/keyring.h"
#include "hub/metrics.h"
#include "hub/responder.h"
#include "hub/session_table.h"
#include "service/action.h"
#include "service/activation.h"
#include "service/enrolment.h"
#include "service/issued_check.h"
#include "service/nonce.h"
#include "service/posture.h"
#include "service/profile_store.h"

struct fl_hub;

/* Where an answer goes: the front's request number, or an exchange of the local door. */
struct fl_api_caller {
    void *exchange; /* NULL: the front */
    uint64_t request;
};

struct fl_hub_host {
    /* False: that process is away or does not keep up. */
    bool (*to_front)(void *self, const struct fl_msg *msg);
    bool (*to_signer)(void *self, const struct fl_msg *msg);
    /* Unsent bytes to the front: a snapshot waits while there are many. */
    size_t (*front_unsent)(void *self);
    /* `content_type` NULL: no body. */
    void (*answer)(void *self, struct fl_api_caller caller, int status, const char *content_type,
                   struct fl_slice body);
    uint64_t (*store_bytes)(void *self); /* on disk; may be NULL */
    void *self;
};

/* A certificate being issued. */
struct fl_hub_sign {
    struct fl_list node;
    uint64_t id;       /* of the SIGN message */
    fl_time_t give_up; /* monotonic */
    bool server;       /* else for a device */
    bool responder;    /* of OCSP; else for a device or the server */
    bool orphan;       /* the front that asked has gone */
    bool renewal;
    uint64_t front_request;
    char device[FL_NAME_MAX + 1];
    char serial[FL_LIMIT_SERIAL_HEX]; /* renewal: of the certificate that asked */
    char peer[FL_LIMIT_ADDRESS + 1];
};

/* A change whose answer waits until the front has made it true. */
struct fl_hub_wait {
    struct fl_list node;
    uint64_t seq;
    fl_time_t started; /* monotonic */
    fl_time_t give_up;
    struct fl_api_caller caller;
    struct fl_outcome outcome;
};

/* Somebody who reads the signer's issuance log. */
struct fl_hub_log_read {
    struct fl_list node; /* while a page is asked for */
    bool asked;
    uint64_t request;
    fl_time_t give_up; /* monotonic */
    uint64_t after;    /* where it goes on, see FL_MSG_ISSUED_ASK */
    uint64_t offset;
    fl_time_t since;
    /* Whole frames; none: the end. Asks again or is finished. */
    void (*page)(struct fl_hub *hub, struct fl_hub_log_read *read, struct fl_slice records);
    void (*failed)(struct fl_hub *hub, struct fl_hub_log_read *read, enum fl_error error,
                   const char *words);
    void (*forget)(struct fl_hub_log_read *read); /* whose owner is only this; or NULL */
    bool from_front;                              /* whoever asked goes when the front goes */
};

/* A check of the audit log, then of the issuance log, in steps. */
struct fl_hub_verify {
    struct fl_list node;
    struct fl_api_caller caller;
    struct fl_audit_check *check;
    bool in_log; /* the audit log is done */
    struct fl_issued_check issued;
    struct fl_hub_log_read read;
};

/* An erasure that the signer was told of. */
struct fl_hub_erase {
    struct fl_list node;
    uint64_t request;  /* at the signer */
    fl_time_t give_up; /* monotonic */
    bool answered;     /* nobody waits for it */
    struct fl_api_caller caller;
    char device[FL_NAME_MAX + 1];
};

/* What is done bit by bit in the background: readings deleted by age or for an erasure, and those
 * of an older version sealed. */
struct fl_hub_sweep {
    uint64_t after;  /* the last series that was looked at */
    fl_time_t again; /* monotonic: the next round over all series */
    char profile_name[FL_NAME_MAX + 1];
    struct fl_profile_record record;
    struct fl_profile profile;
    uint64_t expired; /* since the start */
    uint64_t seal_after;
    bool seal_found; /* something not sealed, in this round over all series */
    bool all_sealed;
    uint64_t sealed;
    fl_time_t seal_again; /* monotonic: after a round that left something */
};

/* What the hub says to others of whether certificates are good. */
struct fl_hub_status {
    bool dirty;               /* the index may say something else than `entries` */
    bool wanted;              /* a new list */
    struct fl_buffer entries; /* of the index, as they were read last */
    uint64_t request;         /* at the signer; 0: none */
    uint64_t number_asked;
    fl_time_t give_up;       /* monotonic */
    fl_time_t not_before;    /* monotonic: the next list */
    struct fl_buffer coming; /* parts of a list */
    struct fl_buffer list;   /* DER; empty: none yet */
    uint64_t number;
    fl_time_t this_update;
    fl_time_t next_update;
    struct fl_responder responder;
};

/* The devices of a profile that asks for other evidence now, some at a time. */
struct fl_hub_review {
    char profile[FL_NAME_MAX + 1]; /* empty: none is under way */
    fl_time_t since;
    char after[FL_NAME_MAX + 1];
};

struct fl_hub {
    struct fl_store store;
    const struct fl_clock *clock;
    const struct fl_random *random;
    struct fl_hub_host host;
    struct fl_hub_config config;
    const struct fl_profile_keys *profile_keys;
    fl_time_t started; /* monotonic */

    struct fl_metrics metrics;
    struct fl_enrolment enrolment;
    struct fl_nonces nonces;
    struct fl_activations activations;
    struct fl_hub_review review;
    struct fl_session_table sessions;
    struct fl_buffer issuing; /* certificates, from the signer; empty until it said hello */
    struct fl_buffer root;
    struct fl_buffer front_key; /* from the signer, for the front */
    uint8_t root_sha256[32];
    bool front_up;
    bool signer_up;

    bool in_snapshot;
    char snapshot_after[FL_NAME_MAX + 1];
    uint64_t snapshot_devices;

    uint64_t last_sign;
    struct fl_list signs;
    size_t sign_count;
    uint64_t last_seq;
    struct fl_list waits;
    size_t wait_count;
    struct fl_list verifies;
    size_t verify_count;
    struct fl_list log_reads;
    size_t log_read_count;
    struct fl_hub_log_read catch_up;
    struct fl_issued_chain caught_up;
    bool catching_up;
    fl_time_t catch_up_again; /* monotonic */

    struct fl_buffer batches; /* READINGS frames of this round: u64 batch, u32 size, records */
    size_t batch_count;
    uint64_t batch_readings; /* in them */
    uint64_t keys_dropped;   /* by the keyring, when the first of them came */
    struct fl_list waiting;  /* batches whose keys are asked for */
    size_t waiting_count;
    size_t waiting_bytes;
    struct fl_keyring keyring;
    struct fl_list reads; /* API calls that wait for a key */
    size_t read_count;
    struct fl_list erases;
    size_t erase_count;
    bool erasing_more; /* readings of an erased device are left to delete */
    struct fl_hub_sweep sweep;
    struct fl_hub_status status;
    uint64_t claims; /* of administrators' credentials, since the start */
};

/* `hub` is the caller's and stays where it is. The store becomes the hub's. */
void fl_hub_init(struct fl_hub *hub, struct fl_store store, const struct fl_clock *clock,
                 const struct fl_random *random, const struct fl_hub_host *host,
                 const struct fl_hub_config *config, const struct fl_profile_keys *keys);
void fl_hub_free(struct fl_hub *hub);

void fl_hub_front_up(struct fl_hub *hub);
void fl_hub_front_down(struct fl_hub *hub);
void fl_hub_signer_up(struct fl_hub *hub);
void fl_hub_signer_down(struct fl_hub *hub);

void fl_hub_from_front(struct fl_hub *hub, const struct fl_msg *msg);
void fl_hub_from_signer(struct fl_hub *hub, const struct fl_msg *msg);

/* At the end of a loop round: stores the readings of the round in one transaction and tells the
 * front. */
void fl_hub_flush(struct fl_hub *hub);

/* Everything that time does. Returns in how many milliseconds it wants to be called again. */
fl_time_t fl_hub_tick(struct fl_hub *hub);
/* For an answer that may not come: tick soon. */
bool fl_hub_is_waiting(const struct fl_hub *hub);

/* --- among the files of this folder --- */

static inline fl_time_t fl_hub_now(const struct fl_hub *hub)
{
    return fl_clock_now(hub->clock);
}

bool fl_hub_has_signer(const struct fl_hub *hub); /* its certificates are known */
/* Starts the snapshot for the front, when front and certificates are there. */
void fl_hub_start_snapshot(struct fl_hub *hub);
bool fl_hub_pump_snapshot(struct fl_hub *hub); /* true: more to do */
void fl_hub_push_profile(struct fl_hub *hub, const struct fl_profile_record *record);
/* Tells the front what the device may do now. `seq` 0: no answer wanted. */
bool fl_hub_push_device(struct fl_hub *hub, const struct fl_device *device, uint64_t seq);

/* Pushes the device of a change that was committed and answers the caller once the front has made
 * it true, or says why it has not. `started` is monotonic. */
void fl_hub_answer_applied(struct fl_hub *hub, struct fl_api_caller caller, fl_time_t started,
                           const struct fl_outcome *outcome);
void fl_hub_applied(struct fl_hub *hub, const struct fl_msg_applied *applied);
void fl_hub_tick_waits(struct fl_hub *hub, bool front_gone);

/* Writes down that something was refused, within the device's allowance. `detail` is taken over. */
void fl_hub_audit_refusal(struct fl_hub *hub, struct fl_slice device, const char *what,
                          json_t *detail);

void fl_hub_take_usage(const struct fl_msg_usage *msg, struct fl_usage *usage, bool *has);

void fl_hub_enrol(struct fl_hub *hub, const struct fl_msg_enrol *request);
void fl_hub_server_csr(struct fl_hub *hub, const struct fl_msg_server_csr *request);
void fl_hub_sign_result(struct fl_hub *hub, const struct fl_msg_sign_result *result);
void fl_hub_connected_with(struct fl_hub *hub, const struct fl_msg_session *event);
void fl_hub_tick_signs(struct fl_hub *hub, bool signer_gone);
void fl_hub_orphan_signs(struct fl_hub *hub);

/* The signer's issuance log. FL_EBUSY: the signer is away, nothing comes. The answer may come, and
 * the reader be gone, before this returns. */
FL_MUST_USE enum fl_error fl_hub_log_ask(struct fl_hub *hub, struct fl_hub_log_read *read,
                                         struct fl_context *ctx);
void fl_hub_log_drop(struct fl_hub *hub, struct fl_hub_log_read *read); /* no page is awaited */
void fl_hub_log_page(struct fl_hub *hub, const struct fl_msg_issued_page *page);
void fl_hub_tick_log_reads(struct fl_hub *hub, bool signer_gone);
void fl_hub_forget_log_reads(struct fl_hub *hub, bool all); /* or those of the front */
void fl_hub_catch_up(struct fl_hub *hub);
/* A device's certificate that nobody waits for any more becomes a revoked credential. */
void fl_hub_unclaimed(struct fl_hub *hub, struct fl_slice certificate);
/* A certificate for the OCSP responder; leads to one fl_hub_responder_result, perhaps at once. */
void fl_hub_sign_responder(struct fl_hub *hub, struct fl_slice csr, uint32_t validity_s);
void fl_hub_responder_result(struct fl_hub *hub, enum fl_error error, struct fl_slice certificate,
                             fl_time_t not_after);
void fl_hub_tick_responder(struct fl_hub *hub);
void fl_hub_ocsp_ask(struct fl_hub *hub, const struct fl_msg_ocsp_ask *ask);

void fl_hub_status_init(struct fl_hub_status *status);
void fl_hub_status_free(struct fl_hub_status *status);
/* Credentials were changed, and committed. What was said of `serial` does not hold any more. */
void fl_hub_status_changed(struct fl_hub *hub, const char *serial);
void fl_hub_outcome_status(struct fl_hub *hub, const struct fl_outcome *outcome);
void fl_hub_tell_list(struct fl_hub *hub); /* the front, which is new */
void fl_hub_list_part(struct fl_hub *hub, struct fl_slice der);
void fl_hub_list(struct fl_hub *hub, const struct fl_msg_crl *crl);
void fl_hub_tick_status(struct fl_hub *hub, bool signer_gone);
bool fl_hub_status_waits(const struct fl_hub *hub);

void fl_hub_evidence_nonce(struct fl_hub *hub, const struct fl_msg_evidence_nonce *request);
void fl_hub_evidence(struct fl_hub *hub, const struct fl_msg_evidence *request);
void fl_hub_evidence_key(struct fl_hub *hub, const struct fl_msg_evidence_key *request);
void fl_hub_evidence_proof(struct fl_hub *hub, const struct fl_msg_evidence_proof *request);
/* It may be another machine than before (enrolled anew, another TPM; `words` say so): what was
 * proved before counts no more. In the caller's transaction. */
FL_MUST_USE enum fl_error fl_hub_evidence_reset(struct fl_hub *hub, const struct fl_device *device,
                                                const char *words, struct fl_context *ctx);
bool fl_hub_tick_evidence(struct fl_hub *hub); /* true: more to do at once */

/* The device's key, good until the next call of anything here. FL_EMORE: it is asked for, and
 * fl_hub_resume_batches and fl_api_resume_readings are called when it is there or will not come;
 * FL_EBUSY: the signer is away, or the device is being erased. */
FL_MUST_USE enum fl_error fl_hub_key(struct fl_hub *hub, struct fl_slice device,
                                     struct fl_hub_key **key, struct fl_context *ctx);
void fl_hub_forget_key(struct fl_hub *hub, struct fl_slice device);
void fl_hub_key_result(struct fl_hub *hub, const struct fl_msg_data_key_result *result);
void fl_hub_tick_keys(struct fl_hub *hub, bool signer_gone);
void fl_hub_resume(struct fl_hub *hub);

void fl_hub_keep_batch(struct fl_hub *hub, const struct fl_msg_readings *readings);
void fl_hub_resume_batches(struct fl_hub *hub);
void fl_hub_forget_batches(struct fl_hub *hub);

/* Erasure: the key at the signer first, then the readings. */
void fl_hub_erase(struct fl_hub *hub, struct fl_api_caller caller, struct fl_slice device,
                  const struct fl_change *change);
/* True when it was the answer to one. */
bool fl_hub_erase_result(struct fl_hub *hub, const struct fl_msg_data_key_result *result);
void fl_hub_tick_erases(struct fl_hub *hub, bool signer_gone);
void fl_hub_forget_erasers(struct fl_hub *hub); /* the front, and who asked by it, has gone */

bool fl_hub_sweep(struct fl_hub *hub); /* a step; true: more to do at once */
void fl_hub_sweep_free(struct fl_hub *hub);

#endif
