/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the services share: a store in memory, a moment, devices with credentials, and
 * the questions that are asked again and again.
 */
#ifndef FL_TEST_SERVICE_WORLD_H
#define FL_TEST_SERVICE_WORLD_H

#include "service/action.h"
#include "service/audit.h"
#include "service/enrolment.h"
#include "service/posture.h"
#include "test/twin/store_twin.h"
#include "test/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define NOON INT64_C(1795348800000) /* 2026-11-22T12:00:00Z */
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct service_world {
    struct fl_store store;
    fl_time_t now;
};

static inline int service_world_open(void **state)
{
    struct service_world *w = calloc(1, sizeof *w);

    w->store = fl_store_twin_create();
    w->now = NOON;
    *state = w;
    return 0;
}

static inline int service_world_close(void **state)
{
    struct service_world *w = *state;

    w->store.ops->close(w->store.self);
    free(w);
    return 0;
}

static inline struct fl_change by_alice(const struct service_world *w, const char *reason)
{
    return (struct fl_change){.who = "alice", .reason = reason, .now = w->now};
}

static inline void commit(struct service_world *w)
{
    assert_ok(fl_store_end(&w->store, FL_OK, NULL));
}

static inline struct fl_device device_of(struct service_world *w, const char *id)
{
    struct fl_device device = {0};

    assert_ok(fl_registry_get(&w->store, fl_slice_str(id), &device, NULL));
    return device;
}

static inline void add_expected(struct service_world *w, const char *id)
{
    struct fl_change change = by_alice(w, "");
    struct fl_device device;

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_registry_add(&w->store, id, "camera", "hall", &change, &device, NULL));
    commit(w);
}

static inline struct fl_credential credential_for(const struct service_world *w, const char *id,
                                                  const char *serial)
{
    struct fl_credential c = {.state = FL_CREDENTIAL_ISSUED,
                              .not_before = w->now,
                              .not_after = w->now + 7 * DAY,
                              .key = "0123456789abcdef"};

    (void)fl_str_copy(c.serial, sizeof c.serial, serial);
    (void)fl_str_copy(c.device, sizeof c.device, id);
    return c;
}

/* A device that has enrolled. */
static inline void add_active(struct service_world *w, const char *id, const char *serial)
{
    struct fl_credential c = credential_for(w, id, serial);
    struct fl_device device;

    add_expected(w, id);
    device = device_of(w, id);
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_device_move(&device, FL_DEVICE_ACTIVE, w->now, NULL));
    assert_ok(fl_registry_attach(&w->store, &device, &c, "", NULL));
    assert_ok(fl_registry_put(&w->store, &device, NULL));
    commit(w);
}

static inline const char *posture_of(struct service_world *w, const char *id)
{
    struct fl_posture posture = {0};
    struct fl_device device = device_of(w, id);

    assert_ok(fl_posture_of(&w->store, &device, w->now, &posture, NULL));
    return fl_posture_name(posture.verdict);
}

static inline struct fl_audit_check check_audit(struct service_world *w)
{
    struct fl_audit_check check = {0};

    while (!check.done)
        assert_ok(fl_audit_check_step(&w->store, 3, &check, NULL));
    return check;
}

#define service_test(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, service_world_open, service_world_close)

#endif
