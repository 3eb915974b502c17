/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead-agent run`: sensors, outbox, uplink and link on one loop. Reads from the start whether
 * or not there is a connection; connects, and connects again with growing pauses, until it is told
 * to stop or, when every sensor has ended, until the hub has acknowledged everything. The
 * certificate is renewed on the way, when its time has come or a SIGUSR1 wants it.
 */
#ifndef FL_AGENT_RUN_H
#define FL_AGENT_RUN_H

#include "agent/sensor.h"

struct fl_run_options {
    const char *dir;
    struct fl_sensor_spec sensors[FL_LIMIT_AGENT_SENSORS];
    size_t sensor_count;
    fl_time_t interval_ms; /* of host sensors that give none */
    bool once;             /* host sensors measure once */
    bool renew;            /* renew the certificate, then end; no sensors */
    uint64_t count;        /* readings to take, then send and end; 0: no end */
};

/* FL_OK: ended as wished (a signal, too). */
FL_MUST_USE enum fl_error fl_run(const struct fl_run_options *options, struct fl_context *ctx);

#endif
