/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/evidence.h"

#include "base/str.h"

#include <stdio.h>

static bool is_line(struct fl_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7F)
            return false;
    return text.size <= FL_LIMIT_CLAIM && fl_slice_is_utf8(text);
}

static bool is_sha256(struct fl_slice text)
{
    uint8_t bytes[32];
    size_t size = 0;

    return text.size == 0 || (fl_unhex(bytes, sizeof bytes, text, &size) == FL_OK && size == 32);
}

enum fl_error fl_claims_text(const struct fl_claims *claims, struct fl_buffer *out,
                             struct fl_context *ctx)
{
    const struct {
        const char *name;
        struct fl_slice value;
    } lines[] = {
        {"agent", claims->agent},   {"os", claims->os},     {"kernel", claims->kernel},
        {"binary", claims->binary}, {"boot", claims->boot},
    };
    char nonce[2 * FL_NONCE_SIZE + 1];

    if (!fl_name_valid(claims->device))
        return fl_fail(ctx, FL_EINVAL, "claim 'device' is not a device id");
    if (claims->nonce.size != FL_NONCE_SIZE)
        return fl_fail(ctx, FL_EINVAL, "a nonce has %d octets", FL_NONCE_SIZE);
    if (!is_sha256(claims->binary))
        return fl_fail(ctx, FL_EINVAL, "claim 'binary' is not a SHA-256 in hex");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!is_line(lines[i].value))
            return fl_fail(ctx, FL_EINVAL,
                           "claim '%s' is not one line of text of at most %d octets", lines[i].name,
                           FL_LIMIT_CLAIM);
    fl_hex(nonce, sizeof nonce, claims->nonce);
    (void)fl_buffer_printf(out, "fairlead-evidence 1\ndevice %.*s\nnonce %s\n",
                           FL_SLICE_ARGS(claims->device), nonce);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        (void)fl_buffer_printf(out, "%s %.*s\n", lines[i].name, FL_SLICE_ARGS(lines[i].value));
    (void)fl_buffer_printf(out, "uptime %llu\n", (unsigned long long)claims->uptime_s);
    return out->failed ? fl_fail(ctx, FL_ENOMEM, "out of memory") : FL_OK;
}

void fl_pcrs_put(const struct fl_pcrs *pcrs, struct fl_buffer *out)
{
    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        if (!(pcrs->present & 1U << i))
            continue;
        (void)fl_buffer_append_byte(out, (uint8_t)i);
        (void)fl_buffer_append(out, pcrs->value[i], FL_PCR_SIZE);
    }
}

enum fl_error fl_pcrs_take(struct fl_slice in, struct fl_pcrs *pcrs)
{
    *pcrs = (struct fl_pcrs){0};
    while (in.size) {
        uint8_t number = in.data[0];

        if (in.size < 1 + FL_PCR_SIZE || number >= FL_LIMIT_PCRS || pcrs->present >> number)
            return FL_EPARSE;
        pcrs->present |= 1U << number;
        memcpy(pcrs->value[number], in.data + 1, FL_PCR_SIZE);
        in = fl_slice_from(in, 1 + FL_PCR_SIZE);
    }
    return FL_OK;
}

const char *fl_pcrs_text(uint32_t bits, char to[FL_PCRS_TEXT])
{
    size_t used = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        unsigned last = i;

        if (!(bits & 1U << i))
            continue;
        while (last + 1 < FL_LIMIT_PCRS && bits & 1U << (last + 1))
            last++;
        used += (size_t)snprintf(to + used, FL_PCRS_TEXT - used, "%s%u", used ? "," : "", i);
        if (last > i)
            used += (size_t)snprintf(to + used, FL_PCRS_TEXT - used, "-%u", last);
        i = last;
    }
    return to;
}
