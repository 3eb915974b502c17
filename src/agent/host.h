/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine says about itself in /proc and /sys: load1, load5, memory_used_percent,
 * cpu_temperature (°C, when there is a sensor), net_rx_bytes and net_tx_bytes (since the start of
 * the machine, all interfaces but loopback). What cannot be read is left out.
 */
#ifndef FL_AGENT_HOST_H
#define FL_AGENT_HOST_H

#include "base/error.h"
#include "base/slice.h"

typedef void (*fl_host_visit)(void *to, const char *stream, double value);

/* `root` is "" for this machine; a test gives a folder with proc/ and sys/ in it. */
void fl_host_measure(const char *root, fl_host_visit visit, void *to);

/* The texts of the files in /proc; pure. FL_EPARSE when they do not look like themselves. */
FL_MUST_USE enum fl_error fl_host_load(struct fl_slice loadavg, double *load1, double *load5);
FL_MUST_USE enum fl_error fl_host_memory(struct fl_slice meminfo, double *used_percent);
FL_MUST_USE enum fl_error fl_host_network(struct fl_slice net_dev, double *rx, double *tx);

#endif
