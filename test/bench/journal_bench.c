/* SPDX-License-Identifier: Apache-2.0
 *
 * What one append of 32 KB costs, in both durabilities, with a real folder:
 *
 *     journal_bench FOLDER [APPENDS]
 */
#include "front/keeper.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define BLOCK 32768

static double wall(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static enum fl_error ignore(void *self, struct fl_slice records, uint64_t position,
                            struct fl_context *ctx)
{
    (void)self;
    (void)records;
    (void)position;
    (void)ctx;
    return FL_OK;
}

struct waiter {
    struct fl_keeper_member member;
    struct fl_loop *loop;
    uint64_t ticket;
};

static void committed(struct fl_keeper_member *member, uint64_t up_to)
{
    struct waiter *w = member->self;

    if (up_to >= w->ticket)
        fl_loop_stop(w->loop);
}

static void checkpoint(struct fl_keeper_member *member, uint64_t generation)
{
    fl_keeper_walked(member, generation); /* it has no state: old segments become free */
}

static void broken(struct fl_keeper_member *member, const char *words)
{
    (void)member;
    (void)fprintf(stderr, "%s\n", words);
    exit(1);
}

/* `ahead` appends, then wait for all of them, as a loop round does. */
static enum fl_error measure(const char *folder, enum fl_durability durability, int appends,
                             int ahead, struct fl_context *ctx)
{
    static uint8_t block[BLOCK];
    struct fl_keeper_config config = {.folder = folder,
                                      .durability = durability,
                                      .members = 1,
                                      .random = fl_random_system(),
                                      .clock = fl_clock_system()};
    struct waiter w = {
        .member = {.committed = committed, .checkpoint = checkpoint, .broken = broken}};
    struct fl_keeper *keeper = NULL;
    struct fl_keeper_status status;
    enum fl_error error = fl_keeper_open(&config, &keeper, ctx);
    double at = 0;
    double used = 0;

    w.member.self = &w;
    if (error == FL_OK)
        error = fl_keeper_replay(keeper, ignore, NULL, ctx);
    if (error == FL_OK)
        error = fl_loop_create(&w.loop, ctx);
    if (error == FL_OK)
        error = fl_keeper_join(keeper, &w.member, w.loop, ctx);
    at = wall();
    used = cpu();
    for (int i = 0; i < appends && error == FL_OK; i++) {
        error = fl_keeper_append(keeper, &w.member, fl_slice(block, sizeof block), &w.ticket, ctx);
        if (error == FL_OK && (i + 1) % ahead == 0 && fl_keeper_committed(keeper) < w.ticket)
            error = fl_loop_run(w.loop, ctx);
        if (error == FL_OK && (i + 1) % ahead == 0)
            error = fl_loop_round(w.loop, 0, ctx);
    }
    at = wall() - at;
    used = cpu() - used;
    if (error != FL_OK)
        return error;
    fl_keeper_status(keeper, &status);
    (void)printf("%-4s %2d ahead: %7.1f us wall, %6.1f us CPU an append; %7.1f MB/s; %llu syncs, "
                 "%llu checkpoints\n",
                 durability == FL_DURABILITY_OS ? "os" : "disk", ahead, at / appends * 1e6,
                 used / appends * 1e6, (double)appends * BLOCK / at / 1e6,
                 (unsigned long long)status.counters.syncs,
                 (unsigned long long)status.counters.checkpoints);
    fl_keeper_leave(&w.member);
    (void)fl_keeper_close(keeper);
    fl_loop_free(w.loop);
    return FL_OK;
}

int main(int argc, char **argv)
{
    struct fl_context ctx = {0};
    int appends = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000;

    if (argc < 2 || appends < 64) {
        (void)fprintf(stderr, "usage: journal_bench FOLDER [APPENDS]\n");
        return 2;
    }
    if (measure(argv[1], FL_DURABILITY_OS, appends, 1, &ctx) != FL_OK ||
        measure(argv[1], FL_DURABILITY_DISK, appends / 8, 1, &ctx) != FL_OK ||
        measure(argv[1], FL_DURABILITY_DISK, appends, 16, &ctx) != FL_OK) {
        (void)fprintf(stderr, "journal_bench: %s\n", ctx.text);
        return 1;
    }
    return 0;
}
