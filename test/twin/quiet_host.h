/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker's host that allows everything, routes everything and does nothing with what it is told.
 * A test takes it whole and puts its own functions in place of those it is about.
 */
#ifndef FL_TEST_TWIN_QUIET_HOST_H
#define FL_TEST_TWIN_QUIET_HOST_H

#include "service/broker.h"

struct fl_broker_host fl_quiet_host(void);

#endif
