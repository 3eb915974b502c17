/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of findings that `doctor` makes: each check says what it found and, when that is not
 * well, what to do. The checks are in doctor_files.c (a hub's own files and machine) and doctor.c
 * (what answers).
 */
#ifndef FL_CLI_DOCTOR_H
#define FL_CLI_DOCTOR_H

#include "cli/cli.h"

enum fl_doctor_level { FL_DOCTOR_OK, FL_DOCTOR_WARN, FL_DOCTOR_FAIL };

struct fl_doctor {
    struct fl_cli *cli;
    const char *directory;
    struct fl_text_table table;
    json_t *rows;
    size_t counts[3];
    /* From hub.conf, for the checks that connect; 0 and "" when it cannot be read. */
    char host[256];
    unsigned mqtt_port;
    unsigned https_port;
};

/* `todo` may be NULL; `format` is what was found. */
void fl_doctor_found(struct fl_doctor *doctor, enum fl_doctor_level level, const char *check,
                     const char *todo, const char *format, ...) FL_PRINTF(5, 6);

void fl_doctor_check_files(struct fl_doctor *doctor);

#endif
