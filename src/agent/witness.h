/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence while the agent runs: at the start, when it is asked for, and before what was given
 * ends. Each time `fairlead-agent evidence` is started as a process of its own, which may wait for
 * hub and TPM as long as it takes (bounded, then it is ended): the loop, and with it the readings,
 * never wait.
 */
#ifndef FL_AGENT_WITNESS_H
#define FL_AGENT_WITNESS_H

#include "io/loop.h"

#include <sys/types.h>

struct fl_witness {
    struct fl_loop *loop;
    const char *dir;
    struct fl_timer timer; /* to begin, or to end one that takes too long */
    struct fl_watch watch;
    pid_t pid; /* 0: none is under way */
    int fd;
    unsigned failures;
    char told[16]; /* the grade that was told last */
    bool failure_told;
    char output[2048];
    size_t output_size;
};

/* `dir` must outlive it. */
void fl_witness_init(struct fl_witness *witness, struct fl_loop *loop, const char *dir);
void fl_witness_hurry(struct fl_witness *witness); /* now, or when the present one has ended */
void fl_witness_end(struct fl_witness *witness);   /* harmless when zero-initialised */

#endif
