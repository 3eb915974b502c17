/* SPDX-License-Identifier: Apache-2.0
 *
 * What this process uses: CPU time and resident memory. fl_usage_open before the sandbox: the file
 * of the kernel that tells is opened once and read over and over. Where it cannot be opened memory
 * counts as 0.
 */
#ifndef FL_IO_USAGE_H
#define FL_IO_USAGE_H

#include <stdint.h>

struct fl_usage {
    uint64_t cpu_us;
    uint64_t resident_bytes;
};

void fl_usage_open(void);
struct fl_usage fl_usage_read(void);

#endif
