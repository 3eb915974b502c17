/* SPDX-License-Identifier: Apache-2.0
 *
 * fl_assert: for errors of the programmer, never for input. It stays on in release builds: a
 * process that is wrong about itself is restarted by its parent, and what was acknowledged is on
 * disk.
 */
#ifndef FL_BASE_ASSERT_H
#define FL_BASE_ASSERT_H

_Noreturn void fl_assert_failed(const char *expression, const char *file, int line);

#define fl_assert(expression)                                                                      \
    ((expression) ? (void)0 : fl_assert_failed(#expression, __FILE__, __LINE__))

#endif
