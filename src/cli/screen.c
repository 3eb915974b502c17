/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define REST_OF_LINE "\033[K"
#define REST_OF_SCREEN "\033[J"
#define SCREEN_BYTES ((size_t)1024 * 1024)

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

static void measure(struct fl_cli *cli)
{
    struct winsize size = {0};

    if (ioctl(fileno(cli->out), TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
        cli->width = size.ws_col;
        cli->height = size.ws_row;
    }
}

static void say(const struct fl_screen *screen, const char *text)
{
    (void)fputs(text, screen->cli->out);
    (void)fflush(screen->cli->out);
}

void fl_screen_open(struct fl_screen *screen, struct fl_cli *cli)
{
    struct sigaction action = {.sa_handler = on_resize};
    struct termios raw;

    *screen = (struct fl_screen){.cli = cli, .open = true};
    fl_cli_catch_signals();
    (void)sigaction(SIGWINCH, &action, NULL);
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen->before) == 0) {
        screen->keys = true;
        raw = screen->before;
        raw.c_lflag &= (tcflag_t) ~(ECHO | ICANON);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        raw.c_cc[VSUSP] = _POSIX_VDISABLE;
        raw.c_cc[VQUIT] = _POSIX_VDISABLE;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    measure(cli);
    say(screen, ENTER);
}

void fl_screen_close(struct fl_screen *screen)
{
    if (!screen->open)
        return;
    screen->open = false;
    if (screen->keys)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->before);
    say(screen, LEAVE);
    (void)signal(SIGWINCH, SIG_DFL);
}

enum fl_error fl_screen_draw(struct fl_screen *screen, struct fl_slice text, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(SCREEN_BYTES);
    struct fl_slice line = {0};
    enum fl_error e = FL_OK;

    (void)fl_buffer_append_str(&out, HOME);
    for (size_t row = 0; text.size && row < screen->cli->height; row++) {
        (void)fl_slice_cut(&text, '\n', &line);
        if (row)
            (void)fl_buffer_append_str(&out, "\r\n");
        (void)fl_buffer_append_slice(&out, line);
        (void)fl_buffer_append_str(&out, REST_OF_LINE);
    }
    (void)fl_buffer_append_str(&out, REST_OF_SCREEN);
    e = fl_cli_write(screen->cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

int fl_screen_wait(struct fl_screen *screen, int64_t wait_ms)
{
    struct pollfd input = {.fd = screen->keys ? STDIN_FILENO : -1, .events = POLLIN};
    unsigned char key = 0;
    int ready = 0;

    if (!resized && !fl_cli_interrupted)
        ready = poll(&input, 1, wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    if (resized || fl_cli_interrupted || (ready < 0 && errno == EINTR)) {
        resized = 0;
        measure(screen->cli);
        return -1;
    }
    if (ready <= 0)
        return 0;
    /* A terminal that has gone is readable for ever. */
    if (read(STDIN_FILENO, &key, 1) != 1)
        return 'q';
    return key;
}
