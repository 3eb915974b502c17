/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/names.h"

#include "trust/cert.h"
#include "trust/der.h"
#include "trust/key.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char urn[] = "urn:fairlead:device:";
#define URN_SIZE (sizeof urn - 1)
#define ADDRESS_MAX 16 /* octets of an IPv6 address */

/* Octets of the address that `host` spells, in network order; 0: it spells none. */
static size_t parse_address(const char *host, uint8_t octets[ADDRESS_MAX])
{
    if (inet_pton(AF_INET, host, octets) == 1)
        return 4;
    if (inet_pton(AF_INET6, host, octets) == 1)
        return 16;
    return 0;
}

static bool is_label_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static bool is_label(struct fl_slice label)
{
    if (label.size == 0 || label.size > 63 || label.data[0] == '-' ||
        label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++)
        if (!is_label_char(label.data[i]))
            return false;
    return true;
}

static bool is_all_digits(struct fl_slice label)
{
    for (size_t i = 0; i < label.size; i++)
        if (label.data[i] < '0' || label.data[i] > '9')
            return false;
    return true;
}

/* RFC 1123 names. One whose last label is a number is a mistyped IPv4 address ("10.0.0.256"). */
static bool is_dns_name(struct fl_slice host)
{
    struct fl_slice label = {0};
    bool more = true;

    if (host.size == 0 || host.size > FL_LIMIT_HOST)
        return false;
    while (more) {
        more = fl_slice_cut(&host, '.', &label);
        if (!is_label(label))
            return false;
    }
    return !is_all_digits(label);
}

bool fl_host_valid(const char *host)
{
    uint8_t octets[ADDRESS_MAX];

    return parse_address(host, octets) > 0 || is_dns_name(fl_slice_str(host));
}

static bool starts_with(struct fl_slice text, const char *what)
{
    size_t size = strlen(what);

    return text.size >= size && memcmp(text.data, what, size) == 0;
}

bool fl_status_url_valid(const char *url)
{
    struct fl_slice rest = fl_slice_str(url);
    struct fl_slice host = {0};
    size_t scheme = starts_with(rest, "http://") ? 7 : starts_with(rest, "https://") ? 8 : 0;
    char text[FL_LIMIT_HOST + 1];
    bool is_bracketed = false;
    uint64_t port = 0;

    if (!scheme || rest.size > FL_LIMIT_STATUS_URL)
        return false;
    rest = fl_slice_from(rest, scheme);
    is_bracketed = rest.size > 0 && rest.data[0] == '[';
    if (is_bracketed) {
        rest = fl_slice_from(rest, 1);
        if (!fl_slice_cut(&rest, ']', &host) || (rest.size > 0 && rest.data[0] != ':'))
            return false;
        if (rest.size > 0)
            rest = fl_slice_from(rest, 1);
        else
            rest = fl_slice_str("80");
    } else if (!fl_slice_cut(&rest, ':', &host)) {
        rest = fl_slice_str("80");
    }
    return fl_str_copy_slice(text, sizeof text, host) && fl_host_valid(text) &&
           is_bracketed == (strchr(text, ':') != NULL) &&
           fl_str_to_u64(rest, 65535, &port) == FL_OK && port > 0;
}

static enum fl_error push(GENERAL_NAMES *names, int type, ASN1_STRING *value,
                          struct fl_context *ctx)
{
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (!name || !value) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return fl_crypto_fail(ctx, "make a name");
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return fl_crypto_fail(ctx, "add a name");
    }
    return FL_OK;
}

static ASN1_STRING *make_string(int type, const void *data, size_t size)
{
    ASN1_STRING *string = ASN1_STRING_type_new(type);

    if (string && ASN1_STRING_set(string, data, (int)size) != 1) {
        ASN1_STRING_free(string);
        return NULL;
    }
    return string;
}

enum fl_error fl_names_add_device(GENERAL_NAMES *names, const char *id, struct fl_context *ctx)
{
    char uri[URN_SIZE + FL_NAME_MAX + 1];

    (void)snprintf(uri, sizeof uri, "%s%s", urn, id);
    return push(names, GEN_URI, make_string(V_ASN1_IA5STRING, uri, strlen(uri)), ctx);
}

enum fl_error fl_names_add_host(GENERAL_NAMES *names, const char *host, struct fl_context *ctx)
{
    uint8_t octets[ADDRESS_MAX];
    size_t size = parse_address(host, octets);
    char shown[64];

    if (size > 0)
        return push(names, GEN_IPADD, make_string(V_ASN1_OCTET_STRING, octets, size), ctx);
    if (!is_dns_name(fl_slice_str(host)))
        return fl_fail(ctx, FL_EINVAL, "'%s' is neither a DNS name nor an address",
                       fl_str_printable(shown, sizeof shown, fl_slice_str(host)));
    return push(names, GEN_DNS, make_string(V_ASN1_IA5STRING, host, strlen(host)), ctx);
}

static struct fl_slice string_slice(const ASN1_STRING *string)
{
    return fl_slice(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

enum fl_error fl_names_read_device(const GENERAL_NAMES *names, char *id, size_t size,
                                   struct fl_context *ctx)
{
    int type = 0;
    const ASN1_STRING *value = NULL;
    struct fl_slice uri = {0};

    if (sk_GENERAL_NAME_num(names) == 1)
        value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, 0), &type);
    if (value && type == GEN_URI)
        uri = string_slice(value);
    if (uri.size <= URN_SIZE || memcmp(uri.data, urn, URN_SIZE) != 0 ||
        !fl_name_valid(fl_slice_from(uri, URN_SIZE)) ||
        !fl_str_copy_slice(id, size, fl_slice_from(uri, URN_SIZE)))
        return fl_der_refuse(ctx, FL_EPARSE, "a device certificate has one alternative name, %sID",
                             urn);
    return FL_OK;
}

/* One name as text; false when it is not that of a host. */
static bool host_text(const GENERAL_NAME *name, char text[FL_LIMIT_HOST + 1])
{
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    struct fl_slice bytes = {0};

    if (type != GEN_DNS && type != GEN_IPADD)
        return false;
    bytes = string_slice(value);
    if (type == GEN_DNS)
        return is_dns_name(bytes) && fl_str_copy_slice(text, FL_LIMIT_HOST + 1, bytes);
    if (bytes.size != 4 && bytes.size != 16)
        return false;
    return inet_ntop(bytes.size == 4 ? AF_INET : AF_INET6, bytes.data, text, FL_LIMIT_HOST + 1) !=
           NULL;
}

enum fl_error fl_names_read_server(const GENERAL_NAMES *names, const char *wanted, char *first,
                                   size_t size, struct fl_context *ctx)
{
    char text[FL_LIMIT_HOST + 1];
    char canonical[FL_LIMIT_HOST + 1];
    uint8_t octets[ADDRESS_MAX];
    size_t address = parse_address(wanted, octets);
    bool found = wanted[0] == 0;

    /* An address may be spelt in several ways. */
    (void)fl_str_copy(canonical, sizeof canonical, wanted);
    if (address > 0)
        (void)inet_ntop(address == 4 ? AF_INET : AF_INET6, octets, canonical, sizeof canonical);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (!host_text(sk_GENERAL_NAME_value(names, i), text))
            return fl_der_refuse(ctx, FL_EPARSE,
                                 "a server certificate has names that are not those of hosts");
        if (i == 0)
            (void)fl_str_copy(first, size, text);
        found = found || strcmp(text, canonical) == 0;
    }
    if (sk_GENERAL_NAME_num(names) <= 0 || !found)
        return fl_der_refuse(ctx, FL_EPARSE,
                             "a server certificate's common name is not among its hosts");
    return FL_OK;
}
