/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/init.h"
#include "cli/nouns.h"

/* `init` parses its own words; these are for completion, the overview and the test of the manual.
 */
static const struct fl_cli_option options[] = {
    {"host", "NAME,...", "names and addresses under which devices reach the hub", NULL, false},
    {"mqtt-port", "N", "port for MQTT over TLS (8883)", NULL, false},
    {"https-port", "N", "port for enrolment and the API (8443)", NULL, false},
    {"root-passphrase-file", "FILE", "seal the root key with FILE's first line; - asks", NULL,
     false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"init", NULL, "DIR", "make a hub directory: keys, configuration, first administrator", NULL,
     options, NULL, fl_cli_init},
};
const struct fl_cli_verbs fl_cli_init_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
