/* SPDX-License-Identifier: Apache-2.0
 *
 * How good a device's evidence is. "reported": it said so itself, signed by its key; a device that
 * is taken over can say the same. "attested": its TPM said so of the boot, and it was what is
 * expected. Which grades hold now is a set of bits, one for each.
 */
#ifndef FL_CODEC_GRADE_H
#define FL_CODEC_GRADE_H

#include "base/slice.h"

enum fl_grade { FL_GRADE_NONE, FL_GRADE_REPORTED, FL_GRADE_ATTESTED, FL_GRADE_COUNT };

#define FL_GRADE_BIT(grade) ((uint8_t)(1U << (grade)))

const char *fl_grade_name(enum fl_grade grade);
/* FL_GRADE_COUNT when it is none; "none" is none, too. */
enum fl_grade fl_grade_of(struct fl_slice name);

/* FL_GRADE_NONE is always there. */
static inline bool fl_grade_holds(uint8_t grades, enum fl_grade grade)
{
    return grade == FL_GRADE_NONE || (grades & FL_GRADE_BIT(grade)) != 0;
}

#endif
