/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of the front, a loop each; the main thread is worker 0. What they need to work beside
 * each other and nothing of what they do: broker notes over rings, one for each ordered pair;
 * mail, for everything that is seldom; waking up; and a lock of what all read in every round and
 * only the main thread changes.
 *
 * A worker holds the lock for reading while it works and not while it waits, so a change becomes
 * true between two rounds of everybody else and a pointer into what is shared holds for a round. A
 * worker always hears what came for it, also while it cannot get rid of what it has to say: two
 * that are full towards each other both go on. With one worker nothing of this costs anything.
 */
#ifndef FL_FRONT_CREW_H
#define FL_FRONT_CREW_H

#include "io/loop.h"
#include "service/broker_group.h"

#include <stddef.h>

struct fl_crew;

/* At the head of the sender's struct, which is the receiver's from then on. */
struct fl_mail {
    struct fl_mail *next;
    size_t size_bytes; /* counted while it is on its way */
};

/* On the thread of `worker`, at the beginning of a round: */
struct fl_crew_host {
    /* Takes over the note. */
    void (*note)(void *self, unsigned worker, unsigned from, const struct fl_broker_note *note);
    void (*mail)(void *self, unsigned worker, struct fl_mail *mail);
    /* There is room for notes again. */
    void (*room)(void *self, unsigned worker);
    /* At the end of every round; `busy`: notes still wait for room. May post. */
    void (*round)(void *self, unsigned worker, bool busy);
    /* Mail that nobody read, when the crew is freed. */
    void (*unread)(void *self, struct fl_mail *mail);
    void *self;
};

/* `main_loop` runs in the calling thread. */
FL_MUST_USE enum fl_error fl_crew_create(unsigned count, struct fl_loop *main_loop,
                                         const struct fl_crew_host *host, struct fl_crew **crew,
                                         struct fl_context *ctx);
/* From now on the others run. */
FL_MUST_USE enum fl_error fl_crew_start(struct fl_crew *crew, struct fl_context *ctx);
/* Ends the other threads, each after the mail that was sent to it, and waits for that. */
void fl_crew_stop(struct fl_crew *crew);
/* When it is stopped: reads what was sent to the main thread. */
void fl_crew_read(struct fl_crew *crew);
/* Gives all mail that nobody will read to `unread`. */
void fl_crew_discard(struct fl_crew *crew);
void fl_crew_free(struct fl_crew *crew); /* stopped, or never started */

unsigned fl_crew_count(const struct fl_crew *crew);
struct fl_loop *fl_crew_loop(const struct fl_crew *crew, unsigned worker);

/* By worker `from`: as the `post` of a fl_broker_host. What is posted leaves at the end of the
 * round, after `round`: what it depends on can be written down there. */
bool fl_crew_post(struct fl_crew *crew, unsigned from, unsigned to,
                  const struct fl_broker_note *note, bool must);
/* Notes of this worker wait for room: it should not be made to say more. By itself. */
bool fl_crew_busy(const struct fl_crew *crew, unsigned worker);

/* By the main thread, in a change: all notes arrive, and rounds end, until nobody has more to say.
 */
void fl_crew_exchange(struct fl_crew *crew);

/* By anyone, in order. fl_crew_mail_bytes: what is on its way to a worker. */
void fl_crew_mail(struct fl_crew *crew, unsigned to, struct fl_mail *mail);
size_t fl_crew_mail_bytes(struct fl_crew *crew, unsigned to);

/* By the main thread, in its round: nobody else is working in between. */
void fl_crew_change_begin(struct fl_crew *crew);
void fl_crew_change_end(struct fl_crew *crew);

#endif
