/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front counts, in one table: member, metric, labels, words. Each worker (a loop and its
 * broker) has a struct fl_counters_worker of its own and alone writes to it; the process has a
 * struct fl_counters_process, its log a struct fl_counters_log. Copies go to the hub in the message
 * `counters`, as they are: whoever shows them adds and subtracts. The structs are made of uint64_t
 * and nothing else, so that they travel as words.
 *
 * A metric's name is stable: dashboards and alarms are built on it. Its labels are fixed texts;
 * nothing that grows with the fleet is ever one. Members of one metric stand next to each other.
 */
#ifndef FL_CODEC_COUNTERS_H
#define FL_CODEC_COUNTERS_H

#include "base/buffer.h"
#include "base/histogram.h"
#include "base/limits.h"
#include "base/str.h"

/* C: only grows; G: goes up and down; H: a histogram. X(member, metric, labels, words) */
#define FL_COUNTERS_WORKER(C, G, H)                                                                \
    G(connections, "connections", "", "MQTT connections now")                                      \
    G(handshaking, "connections_handshaking", "", "MQTT connections before their TLS handshake")   \
    G(held, "connections_held", "", "MQTT connections that are not read at the moment")            \
    C(accepted, "connections_accepted_total", "", "MQTT connections taken from the listener")      \
    C(refused_full, "connections_refused_total", "reason=\"full\"",                                \
      "MQTT connections that found no room")                                                       \
    C(refused_displaced, "connections_refused_total", "reason=\"displaced\"", "")                  \
    C(refused_device, "connections_refused_total", "reason=\"device\"", "")                        \
    C(handshakes_full, "handshakes_total", "kind=\"full\"", "TLS handshakes done")                 \
    C(handshakes_resumed, "handshakes_total", "kind=\"resumed\"", "")                              \
    C(handshakes_refused, "handshakes_failed_total", "reason=\"certificate\"",                     \
      "TLS handshakes that did not end well")                                                      \
    C(handshakes_late, "handshakes_failed_total", "reason=\"timeout\"", "")                        \
    C(handshakes_failed, "handshakes_failed_total", "reason=\"tls\"", "")                          \
    G(sessions, "sessions", "", "MQTT sessions, of clients that are there and away")               \
    G(subscriptions, "subscriptions", "", "Subscriptions of all sessions")                         \
    G(retained, "retained_messages", "", "Retained messages")                                      \
    G(retained_bytes, "retained_bytes", "", "Bytes that retained messages take")                   \
    C(received_qos0, "messages_received_total", "qos=\"0\"", "PUBLISH packets from clients")       \
    C(received_qos1, "messages_received_total", "qos=\"1\"", "")                                   \
    C(received_qos2, "messages_received_total", "qos=\"2\"", "")                                   \
    C(sent_qos0, "messages_sent_total", "qos=\"0\"", "PUBLISH packets to clients")                 \
    C(sent_qos1, "messages_sent_total", "qos=\"1\"", "")                                           \
    C(sent_qos2, "messages_sent_total", "qos=\"2\"", "")                                           \
    C(dropped, "messages_dropped_total", "",                                                       \
      "Messages that found no room in a queue, or expired in it")                                  \
    C(bytes_in, "received_bytes_total", "", "Bytes of MQTT from clients, inside TLS")              \
    C(bytes_out, "sent_bytes_total", "", "Bytes of MQTT to clients, inside TLS")                   \
    C(refused_unauthorized, "refusals_total", "reason=\"not_authorized\"",                         \
      "Messages, subscriptions and CONNECTs that were refused")                                    \
    C(refused_range, "refusals_total", "reason=\"out_of_range\"", "")                              \
    C(refused_malformed, "refusals_total", "reason=\"malformed\"", "")                             \
    C(refused_stream, "refusals_total", "reason=\"unknown_stream\"", "")                           \
    C(refused_quota, "refusals_total", "reason=\"quota\"", "")                                     \
    C(refused_delivery, "refusals_total", "reason=\"delivery\"", "")                               \
    C(refused_other, "refusals_total", "reason=\"other\"", "")                                     \
    C(protocol_errors, "protocol_errors_total", "",                                                \
      "Connections that ended for a malformed packet")                                             \
    C(limited_messages, "rate_limited_total", "limit=\"messages\"",                                \
      "Times that a device came over the rate of its profile")                                     \
    C(limited_bytes, "rate_limited_total", "limit=\"bytes\"", "")                                  \
    C(limited_dropped, "rate_limited_dropped_total", "",                                           \
      "QoS 0 messages of devices that were over their rate for long")                              \
    G(limited_devices, "rate_limited_devices", "", "Devices that wait for their rate now")         \
    G(queued, "queued_messages", "", "Messages that wait in the queues of sessions")               \
    G(queued_bytes, "queued_bytes", "", "Bytes that wait in the queues of sessions")               \
    G(queue_largest, "queue_largest_messages", "",                                                 \
      "Messages in the largest queue, rounded up to a power of two less one")                      \
    G(readings_waiting, "readings_waiting", "", "Readings the hub has not stored yet")             \
    H(batch, "readings_batch_seconds", "",                                                         \
      "From handing a batch of readings to the hub until it is on stable storage")                 \
    H(round, "round_seconds", "", "Work of one round of the loop, from waking up to waiting again")

#define FL_COUNTERS_PROCESS(C, G, H)                                                               \
    G(devices, "devices_known", "", "Devices the hub has named to the front")                      \
    G(resumable, "tls_sessions", "", "TLS sessions of MQTT that can be resumed")                   \
    C(https_handshakes, "https_handshakes_total", "", "TLS handshakes done on the HTTPS port")     \
    C(https_requests, "https_requests_total", "", "HTTP requests")                                 \
    C(refusals_untold, "refusals_untold_total", "",                                                \
      "Refusals over what is told to the hub one by one")

/* The log of the message plane; its metrics are called fairlead_log_... */
#define FL_COUNTERS_LOG(C, G, H)                                                                   \
    H(commit, "commit_seconds", "",                                                                \
      "From appending what somebody waits for until it is committed")                              \
    C(appends, "appends_total", "", "Blocks of records appended")                                  \
    C(append_bytes, "appended_bytes_total", "", "Bytes of records appended")                       \
    C(refused, "appends_refused_total", "",                                                        \
      "Appends that found no room, a disk that is behind, or one that failed")                     \
    C(syncs, "syncs_total", "", "Times that appended blocks were synced to the disk")              \
    C(sync_failures, "sync_failures_total", "", "Syncs that failed")                               \
    C(checkpoints, "checkpoints_total", "", "Checkpoints that were completed")                     \
    G(bytes, "bytes", "", "Bytes of the log on disk, segments to be used again included")          \
    G(limit, "limit_bytes", "", "Bytes that it may have: log-size of hub.conf")                    \
    G(since_checkpoint, "since_checkpoint_bytes", "", "Bytes appended since the last checkpoint")  \
    G(since_checkpoint_records, "since_checkpoint_records", "",                                    \
      "Records appended since the last checkpoint")                                                \
    G(tight, "tight", "", "1 while new work is refused until a checkpoint has made room")

#define FL_COUNTERS_NUMBER(member, metric, labels, words) uint64_t member;
#define FL_COUNTERS_HISTOGRAM(member, metric, labels, words) struct fl_histogram member;

struct fl_counters_worker {
    FL_COUNTERS_WORKER(FL_COUNTERS_NUMBER, FL_COUNTERS_NUMBER, FL_COUNTERS_HISTOGRAM)
};

struct fl_counters_process {
    FL_COUNTERS_PROCESS(FL_COUNTERS_NUMBER, FL_COUNTERS_NUMBER, FL_COUNTERS_HISTOGRAM)
};

struct fl_counters_log {
    FL_COUNTERS_LOG(FL_COUNTERS_NUMBER, FL_COUNTERS_NUMBER, FL_COUNTERS_HISTOGRAM)
};

enum fl_counter_kind { FL_COUNTER, FL_GAUGE, FL_HISTOGRAM };

/* One member, for whoever shows them all. */
struct fl_counter {
    const char *member;
    const char *metric; /* without "fairlead_front_" or "fairlead_log_" */
    const char *labels; /* as in the exposition, or "" */
    const char *words;  /* of the first member of a metric; "" for the others */
    enum fl_counter_kind kind;
    size_t offset;
};
extern const struct fl_counter fl_counters_worker[];
extern const size_t fl_counters_worker_count;
extern const struct fl_counter fl_counters_process[];
extern const size_t fl_counters_process_count;
extern const struct fl_counter fl_counters_log[];
extern const size_t fl_counters_log_count;

/* A member of one of the structs, found by its row. */
uint64_t fl_counter_number(const void *counters, const struct fl_counter *row);
const struct fl_histogram *fl_counter_histogram(const void *counters, const struct fl_counter *row);

/* As words, little endian; `size` is a multiple of 8. */
FL_MUST_USE enum fl_error fl_counters_put(const void *counters, size_t size, struct fl_buffer *out);
/* FL_ENOTFOUND: no more; FL_EPARSE: too few bytes for another. */
FL_MUST_USE enum fl_error fl_counters_next(struct fl_slice *in, void *counters, size_t size);

/* One of the busiest devices of an interval: at least `weight` - `over` messages or bytes. */
struct fl_busy {
    char device[FL_NAME_MAX + 1];
    bool by_bytes; /* `weight` is bytes and `other` messages; else the other way round */
    uint64_t weight;
    uint64_t over; /* what of `weight` may be somebody else's */
    uint64_t other;
};
FL_MUST_USE enum fl_error fl_busy_put(const struct fl_busy *busy, struct fl_buffer *out);
/* FL_ENOTFOUND: no more; FL_EPARSE. */
FL_MUST_USE enum fl_error fl_busy_next(struct fl_slice *in, struct fl_busy *busy);

#endif
