/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include "base/str.h"

#include <stdio.h>

#define MS_PER_DAY 86400000LL
#define FIRST_MS (-62135596800000LL) /* 0001-01-01T00:00:00Z */
#define LAST_MS 253402300799999LL    /* 9999-12-31T23:59:59.999Z */
#define DURATION_MAX (36525LL * MS_PER_DAY)

/* Days since 1970-01-01 of a proleptic Gregorian date; the year is made to start in March so that
 * the leap day is its last. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t era = 0;
    int64_t year_of_era = 0;
    int64_t day_of_year = 0;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t era = 0;
    int64_t day_of_era = 0;
    int64_t year_of_era = 0;
    int64_t day_of_year = 0;
    int64_t shifted = 0;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted + (shifted < 10 ? 3 : -9));
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

const char *fl_time_format(fl_time_t t, char to[FL_TIME_TEXT_MAX])
{
    int year = 0;
    int month = 0;
    int day = 0;
    int64_t days = 0;
    int rest = 0;
    int used = 0;

    t = t < FIRST_MS ? FIRST_MS : (t > LAST_MS ? LAST_MS : t);
    days = (t >= 0 ? t : t - (MS_PER_DAY - 1)) / MS_PER_DAY;
    rest = (int)(t - days * MS_PER_DAY);
    civil_from_days(days, &year, &month, &day);
    used = snprintf(to, FL_TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned)year % 10000,
                    (unsigned)month % 100, (unsigned)day % 100, (unsigned)(rest / 3600000) % 100,
                    (unsigned)(rest / 60000 % 60), (unsigned)(rest / 1000 % 60));
    if (rest % 1000)
        used += snprintf(to + used, (size_t)(FL_TIME_TEXT_MAX - used), ".%03u",
                         (unsigned)(rest % 1000));
    (void)snprintf(to + used, (size_t)(FL_TIME_TEXT_MAX - used), "Z");
    return to;
}

static bool digits(struct fl_slice *s, size_t count, int *value)
{
    *value = 0;
    if (s->size < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)s->data[i] - '0';
        if (digit > 9)
            return false;
        *value = *value * 10 + (int)digit;
    }
    *s = fl_slice_from(*s, count);
    return true;
}

static bool literal(struct fl_slice *s, char upper, char lower)
{
    if (s->size == 0 || (s->data[0] != (uint8_t)upper && s->data[0] != (uint8_t)lower))
        return false;
    *s = fl_slice_from(*s, 1);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (leap && month == 2);
}

static bool parse_fraction(struct fl_slice *s, int *ms)
{
    int scale = 100;
    size_t count = 0;

    *ms = 0;
    if (!literal(s, '.', '.'))
        return true;
    while (s->size > 0 && s->data[0] >= '0' && s->data[0] <= '9' && count < 9) {
        *ms += (s->data[0] - '0') * scale;
        scale /= 10;
        count++;
        *s = fl_slice_from(*s, 1);
    }
    return count > 0;
}

static bool parse_offset(struct fl_slice *s, int *minutes)
{
    int hour = 0;
    int minute = 0;
    bool negative = false;

    *minutes = 0;
    if (literal(s, 'Z', 'z'))
        return true;
    negative = s->size > 0 && s->data[0] == '-';
    if (!literal(s, '+', '-') || !digits(s, 2, &hour) || !literal(s, ':', ':') ||
        !digits(s, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *minutes = (hour * 60 + minute) * (negative ? -1 : 1);
    return true;
}

enum fl_error fl_time_parse(struct fl_slice s, fl_time_t *t)
{
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int ms = 0;
    int offset = 0;

    if (!digits(&s, 4, &year) || !literal(&s, '-', '-') || !digits(&s, 2, &month) ||
        !literal(&s, '-', '-') || !digits(&s, 2, &day) ||
        !(literal(&s, 'T', 't') || literal(&s, ' ', ' ')) || !digits(&s, 2, &hour) ||
        !literal(&s, ':', ':') || !digits(&s, 2, &minute) || !literal(&s, ':', ':') ||
        !digits(&s, 2, &second) || !parse_fraction(&s, &ms) || !parse_offset(&s, &offset) ||
        s.size != 0)
        return FL_EPARSE;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 60)
        return FL_EPARSE;
    *t = days_from_civil(year, month, day) * MS_PER_DAY +
         ((int64_t)hour * 3600 + (int64_t)minute * 60 + second) * 1000 + ms -
         (int64_t)offset * 60000;
    return FL_OK;
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define UNIT_COUNT (sizeof units / sizeof units[0])

enum fl_error fl_duration_parse(struct fl_slice text, fl_time_t *duration)
{
    int64_t sum = 0;
    size_t next_unit = 0;

    if (text.size == 0)
        return FL_EPARSE;
    while (text.size > 0) {
        size_t count = 0;
        size_t name_size = 0;
        uint64_t value = 0;
        size_t u = next_unit;

        while (count < text.size && text.data[count] >= '0' && text.data[count] <= '9')
            count++;
        while (count + name_size < text.size && text.data[count + name_size] >= 'a')
            name_size++;
        if (fl_str_to_u64(fl_slice(text.data, count), DURATION_MAX, &value) != FL_OK)
            return count == 0 || count < 12 ? FL_EPARSE : FL_ELIMIT;
        while (u < UNIT_COUNT &&
               !fl_slice_is(fl_slice(text.data + count, name_size), units[u].name))
            u++;
        if (u == UNIT_COUNT)
            return FL_EPARSE;
        if ((int64_t)value > DURATION_MAX / units[u].ms)
            return FL_ELIMIT;
        sum += (int64_t)value * units[u].ms;
        if (sum > DURATION_MAX)
            return FL_ELIMIT;
        next_unit = u + 1;
        text = fl_slice_from(text, count + name_size);
    }
    *duration = sum;
    return FL_OK;
}

const char *fl_duration_format(fl_time_t duration, char to[FL_TIME_TEXT_MAX])
{
    int used = 0;
    int shown = 0;

    if (duration < 0)
        duration = 0;
    for (size_t u = 0; u < UNIT_COUNT && shown < 2; u++) {
        int64_t count = duration / units[u].ms;
        if (count == 0)
            continue;
        used += snprintf(to + used, (size_t)(FL_TIME_TEXT_MAX - used), "%lld%s", (long long)count,
                         units[u].name);
        duration %= units[u].ms;
        shown++;
    }
    if (shown == 0)
        (void)snprintf(to, FL_TIME_TEXT_MAX, "0s");
    return to;
}
