/* SPDX-License-Identifier: Apache-2.0
 *
 * The brokers of one process, one a thread: what they share (the store of retained messages, under
 * a lock) and what they say to each other (notes, carried by their host in order, from each to each
 * other). A device's connections and sessions are all at one of them; a publish is routed where its
 * publisher is and goes once to every other broker that has a subscription for it. A broker without
 * a group is alone and pays for none of this.
 *
 * An acknowledgement is not said before every broker that the publish went to has taken it, nor
 * SUBACK before every broker knows the filter: a publish anywhere after SUBACK arrives.
 */
#ifndef FL_SERVICE_BROKER_GROUP_H
#define FL_SERVICE_BROKER_GROUP_H

#include "base/error.h"
#include "base/limits.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct fl_broker;
struct fl_broker_group;
struct fl_broker_message;

enum fl_broker_note_kind {
    FL_BROKER_NOTE_PUBLISH, /* route it among your sessions */
    FL_BROKER_NOTE_WANT,    /* there is a subscription to `name` here; of a share: a member */
    FL_BROKER_NOTE_GONE,    /* not any more */
    FL_BROKER_NOTE_SHARE,   /* to the home of the share `name`: let somebody have it */
    FL_BROKER_NOTE_TURN,    /* from there: let one of your members have it */
    FL_BROKER_NOTE_BACK,    /* to the home: nobody here can have it; `denied` by whom it may not be
                               had, one bit a broker */
    FL_BROKER_NOTE_STATE,   /* to the home: how many members are here and online */
    FL_BROKER_NOTE_CALL,  /* from the home: others are there, give back what lies with the absent */
    FL_BROKER_NOTE_TAKEN, /* all that you said up to `ticket` is done */
    FL_BROKER_NOTE_EXPIRY,  /* a retained message expires sooner than you think */
    FL_BROKER_NOTE_TRANSIT, /* it was on its way to the sessions of the brokers `denied` when the
                               process ended: give it to those of them that are yours now */
    FL_BROKER_NOTE_KINDS
};

/* Owns a reference of its message and its name; both never change and may be read by any thread. */
struct fl_broker_note {
    struct fl_broker_message *message;
    struct fl_broker_message *name;
    uint64_t ticket;
    uint64_t denied;
    uint64_t number; /* in the log, of a message in transit; 0: it needs none */
    uint32_t members;
    uint32_t online;
    uint8_t kind;
    bool answer; /* TAKEN is wanted */
};

FL_MUST_USE enum fl_error fl_broker_group_create(unsigned count, struct fl_broker_group **group,
                                                 struct fl_context *ctx);
/* After its brokers. */
void fl_broker_group_free(struct fl_broker_group *group);

/* What broker `from` said to this one; takes over the note. All notes of one broker to another come
 * in their order. */
void fl_broker_hear(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now);
/* A note that nobody will hear any more. */
void fl_broker_note_free(const struct fl_broker_note *note);
/* The host's round is over: answers go out, unless the host is `busy` with notes that it could not
 * send yet; so who makes this broker say more than it can get rid of waits. */
void fl_broker_round(struct fl_broker *broker, bool busy, fl_time_t now);

#endif
