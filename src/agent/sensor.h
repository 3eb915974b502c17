/* SPDX-License-Identifier: Apache-2.0
 *
 * Where readings come from, on a loop: this machine (`host`), a CSV file replayed in its own time
 * or faster (`file`), lines on standard input (`stdin`). A sensor hands readings to its sink as
 * they happen; it stores nothing. What it cannot read it says in the log and goes on.
 *
 *     host[:INTERVAL]
 *     file:PATH[,stream=S][,speed=N|max][,original-time]
 *     stdin
 */
#ifndef FL_AGENT_SENSOR_H
#define FL_AGENT_SENSOR_H

#include "base/limits.h"
#include "base/str.h"
#include "base/world.h"
#include "io/loop.h"

enum fl_sensor_kind { FL_SENSOR_HOST, FL_SENSOR_FILE, FL_SENSOR_STDIN };

struct fl_sensor_spec {
    enum fl_sensor_kind kind;
    fl_time_t interval_ms; /* host; 0: the agent's default */
    char path[1024];       /* file */
    char stream[FL_NAME_MAX + 1];
    double speed;       /* file: times as fast as it was recorded; 0: as fast as it can be read */
    bool original_time; /* file: readings keep the file's times */
};

/* FL_EPARSE with words that name what is wrong and what there is. */
FL_MUST_USE enum fl_error fl_sensor_parse(const char *text, struct fl_sensor_spec *spec,
                                          struct fl_context *ctx);

struct fl_sensor_sink {
    /* `t` is ms since the epoch. With `own_time` it is the instant of measuring and may be moved on
     * by a little to tell readings apart; otherwise it is what the source says. False: no more. */
    bool (*reading)(void *self, const char *stream, fl_time_t t, bool own_time, double value);
    /* Some readings were handed in: the moment to make them durable. */
    void (*batch)(void *self);
    /* There will be no more from this sensor. */
    void (*ended)(void *self);
    void *self;
};

struct fl_sensor;

/* `once`: a host sensor measures once and ends. FL_ENOTFOUND, FL_EDENIED: the file. The sink is
 * called from the loop only. `sink` is copied; what it points to must outlive the sensor. */
FL_MUST_USE enum fl_error fl_sensor_open(struct fl_loop *loop, const struct fl_clock *clock,
                                         const struct fl_sensor_spec *spec, bool once,
                                         const struct fl_sensor_sink *sink,
                                         struct fl_sensor **sensor, struct fl_context *ctx);
void fl_sensor_close(struct fl_sensor *sensor); /* NULL is harmless */

#endif
