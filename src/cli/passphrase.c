/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/passphrase.h"

#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_C 3

/* The first line, without its end; FL_EINVAL when it is longer than `passphrase` can hold. */
static enum fl_error read_line(int fd, struct fl_passphrase *passphrase, struct fl_context *ctx)
{
    size_t size = 0;

    for (;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fl_fail(ctx, FL_EIO, "%s", strerror(errno));
        if (c == CTRL_C)
            return fl_fail(ctx, FL_ECLOSED, "cancelled");
        if (got == 0 || c == '\n')
            break;
        if (c == 0)
            return fl_fail(ctx, FL_EINVAL, "a passphrase is text");
        if (size > FL_PASSPHRASE_MAX)
            return fl_fail(ctx, FL_EINVAL, "a passphrase has at most %d octets", FL_PASSPHRASE_MAX);
        passphrase->text[size++] = c;
    }
    if (size > 0 && passphrase->text[size - 1] == '\r')
        size--;
    passphrase->text[size] = 0;
    if (size < FL_PASSPHRASE_MIN || size > FL_PASSPHRASE_MAX)
        return fl_fail(ctx, FL_EINVAL, "a passphrase has %d to %d octets", FL_PASSPHRASE_MIN,
                       FL_PASSPHRASE_MAX);
    return FL_OK;
}

static void say(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static enum fl_error ask(int terminal, const char *prompt, const char *what,
                         struct fl_passphrase *passphrase, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    say(terminal, prompt);
    say(terminal, what);
    say(terminal, ": ");
    error = read_line(terminal, passphrase, ctx);
    say(terminal, "\n");
    return error;
}

static enum fl_error ask_twice(const char *what, struct fl_passphrase *passphrase,
                               struct fl_context *ctx)
{
    struct fl_passphrase again = {0};
    struct termios before;
    struct termios quiet;
    enum fl_error error = FL_OK;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);

    if (terminal < 0 || tcgetattr(terminal, &before) != 0) {
        if (terminal >= 0)
            (void)close(terminal);
        return fl_fail(ctx, FL_ENOTFOUND, "there is no terminal to ask on: give a file");
    }
    /* Ctrl-C ends the line instead of the process, which would leave the terminal without echo. */
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_cc[VEOL] = CTRL_C;
    if (tcsetattr(terminal, TCSAFLUSH, &quiet) != 0)
        error = fl_fail(ctx, FL_EIO, "the terminal: %s", strerror(errno));
    if (error == FL_OK)
        error = ask(terminal, "New passphrase for ", what, passphrase, ctx);
    if (error == FL_OK)
        error = ask(terminal, "The same again for ", what, &again, ctx);
    (void)tcsetattr(terminal, TCSAFLUSH, &before);
    (void)close(terminal);
    if (error == FL_OK &&
        !fl_slice_equal_secret(fl_slice_str(passphrase->text), fl_slice_str(again.text)))
        error = fl_fail(ctx, FL_EINVAL, "the two passphrases differ");
    explicit_bzero(&again, sizeof again);
    return error;
}

static enum fl_error read_file(const char *path, struct fl_passphrase *passphrase,
                               struct fl_context *ctx)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum fl_error error = FL_OK;

    if (fd < 0)
        return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : FL_EIO, "%s: %s", path,
                       strerror(errno));
    error = read_line(fd, passphrase, ctx);
    (void)close(fd);
    return fl_fail_in(ctx, error, "%s", path);
}

enum fl_error fl_passphrase_new(const char *source, const char *what,
                                struct fl_passphrase *passphrase, struct fl_context *ctx)
{
    enum fl_error error = strcmp(source, "-") == 0 ? ask_twice(what, passphrase, ctx)
                                                   : read_file(source, passphrase, ctx);

    if (error != FL_OK)
        explicit_bzero(passphrase, sizeof *passphrase);
    return error;
}
