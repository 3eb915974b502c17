/* SPDX-License-Identifier: Apache-2.0
 *
 * A terminal for something that redraws itself: its other screen, no cursor, keys one by one. The
 * terminal is as it was again after fl_screen_close, which every way out must come by; Ctrl-C and
 * SIGTERM arrive as fl_cli_interrupted, Ctrl-Z and Ctrl-\ do nothing.
 */
#ifndef FL_CLI_SCREEN_H
#define FL_CLI_SCREEN_H

#include "cli/cli.h"

#include <termios.h>

struct fl_screen {
    struct fl_cli *cli;
    struct termios before;
    bool keys; /* standard input is a terminal, and `before` is how it was */
    bool open;
};

/* Standard output is a terminal. */
void fl_screen_open(struct fl_screen *screen, struct fl_cli *cli);
void fl_screen_close(struct fl_screen *screen);

/* Puts `text` (lines that fit the window) in the place of what was there. */
FL_MUST_USE enum fl_error fl_screen_draw(struct fl_screen *screen, struct fl_slice text,
                                         struct fl_context *ctx);

/* Waits at most so long. Returns a key, 0 when the time is over, or -1 when the window has another
 * size or the call was interrupted. Also sets the call's width and height. */
int fl_screen_wait(struct fl_screen *screen, int64_t wait_ms);

#endif
