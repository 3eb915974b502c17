/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's workers: each has a loop, an MQTT listener with its broker, and its own count of what
 * it refused. The main thread is worker 0 and the only one that speaks with the hub; what others
 * say to the hub goes through it, what the hub says of a device goes to the device's home. All
 * calls but fl_workers_refused_peer and fl_workers_refused are the main thread's.
 */
#ifndef FL_FRONT_WORKERS_H
#define FL_FRONT_WORKERS_H

#include "front/mqtt.h"
#include "front/refusals.h"

struct fl_workers;

struct fl_workers_host {
    /* Frames for the hub (codec/msg), of another worker. */
    void (*frames)(void *self, struct fl_slice frames);
    /* A check is done: `closed` connections were ended. */
    void (*checked)(void *self, uint64_t seq, struct fl_slice device, const char *why,
                    struct fl_msg_applied applied);
    /* The log is broken: the process must end. */
    void (*broken)(void *self, const char *words);
    /* A record of the log that is TLS's. */
    void (*tls_session)(void *self, const struct fl_keep *record);
    void *self;
};

struct fl_workers_config {
    unsigned count;
    struct fl_loop *loop;
    const struct fl_clock *clock;
    const struct fl_link *link; /* the main thread's */
    const struct fl_roster *roster;
    struct fl_workers_host host;
};

FL_MUST_USE enum fl_error fl_workers_create(const struct fl_workers_config *config,
                                            struct fl_workers **workers, struct fl_context *ctx);
void fl_workers_free(struct fl_workers *workers);

/* All accept from it. Takes over `fd`. */
FL_MUST_USE enum fl_error fl_workers_open(struct fl_workers *workers, int fd, SSL_CTX *tls,
                                          struct fl_context *ctx);

/* Reads the log back and goes on with it; once, when the devices are known and before the listeners
 * are opened. FL_EPARSE: it holds what this version does not know; errors of fl_keeper_replay. */
FL_MUST_USE enum fl_error fl_workers_keep(struct fl_workers *workers, struct fl_keeper *keeper,
                                          struct fl_context *ctx);

/* What all read (roster, TLS contexts) is about to change: nobody else works until the end of this
 * round of the main thread. Again in the same round costs nothing. */
void fl_workers_change(struct fl_workers *workers);

/* A channel to the hub is there, or not. */
void fl_workers_hub_there(struct fl_workers *workers, bool is_there);
/* As those of front/mqtt.h, for all workers. */
void fl_workers_hub_down(struct fl_workers *workers);
void fl_workers_hub_up(struct fl_workers *workers);
void fl_workers_readings_done(struct fl_workers *workers, uint64_t batch, enum fl_error error);
/* What is known of the device has changed; `checked` is called, maybe within this call, with
 * `applied` and the connections that were ended. */
void fl_workers_check(struct fl_workers *workers, uint64_t seq, struct fl_slice device,
                      const char *why, bool forget, struct fl_msg_applied applied);

/* Ends connections with TLS 1.2 of this device (an empty name: of all) whose profile does not allow
 * it any more. */
void fl_workers_check_tls(struct fl_workers *workers, struct fl_slice device);
/* The main thread's own: gets who came by WebSocket. */
struct fl_front_mqtt *fl_workers_main(struct fl_workers *workers);

/* What the workers have counted, as of a moment ago: into `meters`, of which there are as many as
 * workers; and the refusals that were not told. They hold until the next call. */
size_t fl_workers_meters(struct fl_workers *workers, struct fl_meter *meters[FL_LIMIT_WORKERS],
                         uint64_t *untold);

/* A refusal, by whichever worker; counted and told to the hub there. */
void fl_workers_refused(struct fl_workers *workers, const struct fl_refused_session *session);

/* Ends the other workers; what they had gathered has been given to `frames`. */
void fl_workers_stop(struct fl_workers *workers);

#endif
