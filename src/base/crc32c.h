/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli): notices torn and rotten bytes on storage. No protection against people.
 */
#ifndef FL_BASE_CRC32C_H
#define FL_BASE_CRC32C_H

#include "base/slice.h"

/* `crc` is 0 at the start, or the result for the bytes before. */
uint32_t fl_crc32c(uint32_t crc, struct fl_slice bytes);

#endif
