/* SPDX-License-Identifier: Apache-2.0
 *
 * What agent/run.c (sensors, outbox, connection) and agent/run_renew.c (the certificate's renewal)
 * share.
 */
#ifndef FL_AGENT_RUN_PARTS_H
#define FL_AGENT_RUN_PARTS_H

#include "agent/folder.h"
#include "agent/key.h"
#include "agent/link.h"
#include "agent/renew.h"
#include "agent/run.h"
#include "agent/uplink.h"
#include "agent/witness.h"
#include "proto/renewal.h"

/* While there is a next identity the hub has yet to accept it; the present one stays until then. */
struct run_renewal {
    struct fl_renewal plan;
    struct fl_renew *exchange;
    struct fl_timer timer;
    struct fl_self next;
    struct fl_agent_key next_key;
    char serial[FL_LIMIT_SERIAL_HEX]; /* of the present certificate */
    fl_time_t next_since;             /* when the next one was got */
    bool has_next;
    bool try_next;    /* the next connection is made with it */
    bool linked_next; /* the link is made for it */
    bool clock_told;  /* said once until the clock is right again */
};

struct run {
    const struct fl_run_options *options;
    struct fl_loop *loop;
    struct fl_folder folder;
    struct fl_self identity; /* the present one */
    struct fl_agent_key key;
    struct fl_outbox *outbox;
    struct fl_uplink *uplink;
    struct fl_link *link;
    struct fl_sensor *sensors[FL_LIMIT_AGENT_SENSORS];
    size_t sensors_left;
    uint64_t readings;
    struct fl_timer retry;
    struct fl_timer tick;
    struct fl_timer progress;
    struct fl_uplink_counts told;
    unsigned failures; /* connections in a row that came to nothing */
    bool open_told;
    bool resumed;
    bool ending;
    bool outbox_failed; /* said once until it works again */
    struct run_renewal renewal;
    struct fl_witness witness;
    bool witnessed;      /* evidence was asked for once */
    enum fl_error error; /* what ended it */
    struct fl_context why;
};

/* The link for the identity that is to be used now. */
enum fl_error fl_run_open_link(struct run *r, struct fl_context *ctx);
/* Ends this connection in good order and makes another at once. */
void fl_run_reconnect(struct run *r);
void fl_run_end(struct run *r, enum fl_error error, const char *why);

/* The identity is loaded. */
enum fl_error fl_run_renew_start(struct run *r, struct fl_context *ctx);
void fl_run_renew_close(struct run *r);
void fl_run_renew_hurry(struct run *r);  /* somebody wants it now */
void fl_run_renew_opened(struct run *r); /* the hub has accepted us: CONNACK */
/* A connection failed; `refused`: by who we are. */
void fl_run_renew_failed(struct run *r, bool refused, const char *why);

#endif
