/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead init DIR`: makes a hub directory (docs/design/hub-directory.md): keys, certificates,
 * configuration, the shipped profiles, signed, and the first administrator's one-time token. All or
 * nothing: it refuses a folder with anything in it, and leaves nothing behind when it fails.
 */
#ifndef FL_CLI_INIT_H
#define FL_CLI_INIT_H

/* argv[0] is "init". Returns the exit code: 0 done, 1 failed, 2 wrongly typed. */
int fl_cli_init(int argc, char **argv);

#endif
