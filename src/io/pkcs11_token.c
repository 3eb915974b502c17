/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pkcs11_parts.h"

#include "base/limits.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIN_MAX = 256,
    SLOTS_MAX = 64, /* of one module; the rest are not looked at */
};

/* --- Words ------------------------------------------------------------------------------------ */

static const struct {
    CK_RV rv;
    enum fl_error error;
    const char *words;
} words[] = {
    {CKR_PIN_INCORRECT, FL_EAUTH,
     "the PIN is wrong; it is not tried again, because every wrong try brings the token nearer to "
     "being locked: correct the PIN's file and start again"},
    {CKR_PIN_LEN_RANGE, FL_EAUTH, "the PIN is too short or too long to be right"},
    {CKR_PIN_INVALID, FL_EAUTH, "the PIN has characters that the token does not take"},
    {CKR_PIN_LOCKED, FL_EAUTH,
     "it is locked after wrong PINs: unlock it with the security officer's PIN"},
    {CKR_PIN_EXPIRED, FL_EAUTH, "its PIN has expired: set a new one"},
    {CKR_USER_PIN_NOT_INITIALIZED, FL_ESTATE, "it has no user PIN yet: set one"},
    {CKR_TOKEN_NOT_PRESENT, FL_EIO, "it has been taken out"},
    {CKR_DEVICE_REMOVED, FL_EIO, "it has been taken out"},
    {CKR_TOKEN_NOT_RECOGNIZED, FL_EIO, "the reader does not know this kind of token"},
    {CKR_DEVICE_ERROR, FL_EIO, "the device reports an error"},
    {CKR_DEVICE_MEMORY, FL_EFULL, "it has no room for another key: delete those not in use"},
    {CKR_TOKEN_WRITE_PROTECTED, FL_EDENIED, "it is write-protected: no key can be made in it"},
    {CKR_SESSION_COUNT, FL_EBUSY, "it has no session left: other programs hold them all"},
    {CKR_MECHANISM_INVALID, FL_EUNSUPPORTED, "it cannot do ECDSA with P-256"},
    {CKR_CURVE_NOT_SUPPORTED, FL_EUNSUPPORTED, "it has no P-256"},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, FL_EDENIED, "the key is not allowed to sign (CKA_SIGN)"},
    {CKR_USER_NOT_LOGGED_IN, FL_EAUTH,
     "this needs the PIN: add ?pin-source=file:/PATH to the URI, and put the PIN into that file"},
    {CKR_KEY_HANDLE_INVALID, FL_ENOTFOUND, "the key is no longer in it"},
    {CKR_OBJECT_HANDLE_INVALID, FL_ENOTFOUND, "the key is no longer in it"},
};

enum fl_error fl_pkcs11_fail(const struct fl_pkcs11 *token, CK_RV rv, const char *doing,
                             struct fl_context *ctx)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].rv == rv)
            return fl_fail(ctx, words[i].error, "token '%s': %s: %s", token->name, doing,
                           words[i].words);
    return fl_fail(ctx, FL_EIO, "token '%s': %s: %s (0x%lx)", token->name, doing,
                   p11_kit_strerror(rv), rv);
}

/* --- The URI ---------------------------------------------------------------------------------- */

const char *fl_pkcs11_uri(const char *key)
{
    return strncmp(key, "pkcs11:", 7) == 0 ? key : NULL;
}

static enum fl_error parse(const char *text, P11KitUri **uri, struct fl_context *ctx)
{
    P11KitUri *made = p11_kit_uri_new();
    int rv = made ? p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, made) : P11_KIT_URI_UNEXPECTED;

    if (rv == P11_KIT_URI_OK && !p11_kit_uri_any_unrecognized(made)) {
        *uri = made;
        return FL_OK;
    }
    p11_kit_uri_free(made);
    if (rv == P11_KIT_URI_OK)
        return fl_fail(ctx, FL_EPARSE,
                       "the PKCS #11 URI has an attribute that RFC 7512 does not know; the usual "
                       "form is pkcs11:token=NAME;object=LABEL?pin-source=file:/PATH");
    return fl_fail(ctx, FL_EPARSE,
                   "not a PKCS #11 URI (RFC 7512): %s; the usual form is "
                   "pkcs11:token=NAME;object=LABEL?pin-source=file:/PATH",
                   p11_kit_uri_message(rv));
}

bool fl_pkcs11_uri_has_pin(const char *uri)
{
    P11KitUri *parsed = NULL;
    bool has = parse(uri, &parsed, NULL) == FL_OK && p11_kit_uri_get_pin_value(parsed) != NULL;

    p11_kit_uri_free(parsed);
    return has;
}

/* --- The PIN ---------------------------------------------------------------------------------- */

static enum fl_error read_pin_file(const char *path, char *pin, struct fl_context *ctx)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status = {0};
    ssize_t got = 0;
    size_t size = 0;
    enum fl_error error = FL_OK;

    if (fd < 0)
        return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : FL_EDENIED, "the PIN's file %s: %s",
                       path, strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        error = fl_fail(ctx, FL_EDENIED, "the PIN's file %s: not a plain file", path);
    else if (status.st_mode & 077)
        error = fl_fail(ctx, FL_EDENIED,
                        "the PIN's file %s: others may read it (mode %03o): chmod 600 it", path,
                        (unsigned)status.st_mode & 0777U);
    if (!error) {
        got = read(fd, pin, PIN_MAX);
        if (got < 0)
            error = fl_fail(ctx, FL_EIO, "the PIN's file %s: %s", path, strerror(errno));
        else if (got == PIN_MAX)
            error = fl_fail(ctx, FL_ELIMIT, "the PIN's file %s: a PIN has at most %d octets", path,
                            PIN_MAX - 2);
    }
    (void)close(fd);
    if (error)
        return error;
    size = (size_t)got < PIN_MAX ? (size_t)got : PIN_MAX - 1; /* which gcc cannot see */
    while (size > 0 && (pin[size - 1] == '\n' || pin[size - 1] == '\r'))
        size--;
    pin[size] = 0;
    return size ? FL_OK : fl_fail(ctx, FL_EPARSE, "the PIN's file %s is empty", path);
}

/* `*has` is false when the URI gives none. */
static enum fl_error find_pin(const struct fl_pkcs11 *token, char *pin, bool *has,
                              struct fl_context *ctx)
{
    const char *value = p11_kit_uri_get_pin_value(token->uri);
    const char *source = p11_kit_uri_get_pin_source(token->uri);

    *has = value || source;
    if (value)
        return fl_str_copy(pin, PIN_MAX, value)
                   ? FL_OK
                   : fl_fail(ctx, FL_ELIMIT, "a PIN has at most %d octets", PIN_MAX - 1);
    if (!source)
        return FL_OK;
    if (strncmp(source, "file:", 5) == 0)
        source += 5;
    if (strncmp(source, "//", 2) == 0) /* file:///PATH, too */
        source += 2;
    if (source[0] != '/')
        return fl_fail(ctx, FL_EUNSUPPORTED,
                       "pin-source=%s: only a file is read, by its full name: "
                       "pin-source=file:/PATH (programs are not run)",
                       source);
    return read_pin_file(source, pin, ctx);
}

static enum fl_error log_in(struct fl_pkcs11 *token, CK_FLAGS flags, CK_SESSION_HANDLE session,
                            struct fl_context *ctx)
{
    char pin[PIN_MAX] = {0};
    bool has = false;
    bool pad = (flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
    enum fl_error error = find_pin(token, pin, &has, ctx);
    CK_RV rv = CKR_OK;

    if (error)
        return error;
    if (!has && (!pad || !(flags & CKF_LOGIN_REQUIRED)))
        return FL_OK; /* the token says itself when that is not enough */
    if (token->pin_refused) {
        error = fl_pkcs11_fail(token, CKR_PIN_INCORRECT, "log in", ctx);
    } else if (flags & CKF_USER_PIN_FINAL_TRY) {
        error = fl_fail(ctx, FL_EAUTH,
                        "token '%s': one more wrong PIN locks it, so none is tried: log in with "
                        "the right one by another program (pkcs11-tool --login) first",
                        token->name);
    } else {
        rv = has ? token->module->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)pin, strlen(pin))
                 : token->module->C_Login(session, CKU_USER, NULL, 0);
        token->pin_refused = rv == CKR_PIN_INCORRECT;
        if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
            error = fl_pkcs11_fail(token, rv, "log in", ctx);
    }
    OPENSSL_cleanse(pin, sizeof pin);
    return error;
}

/* --- Module, slot, session -------------------------------------------------------------------- */

static enum fl_error load_modules(struct fl_pkcs11 *token, struct fl_context *ctx)
{
    const char *path = p11_kit_uri_get_module_path(token->uri);
    CK_RV rv = CKR_OK;

    if (!path) {
        token->registered = p11_kit_modules_load_and_initialize(0);
        if (!token->registered || !token->registered[0])
            return fl_fail(ctx, FL_ENOTFOUND,
                           "no PKCS #11 module is registered with p11-kit%s%s: add "
                           "?module-path=/PATH/TO/MODULE.so to the URI",
                           p11_kit_message() ? ": " : "",
                           p11_kit_message() ? p11_kit_message() : "");
        return FL_OK;
    }
    token->own = p11_kit_module_load(path, 0);
    if (!token->own)
        return fl_fail(ctx, FL_ENOTFOUND, "the PKCS #11 module %s: %s", path,
                       p11_kit_message() ? p11_kit_message() : "it cannot be loaded");
    rv = p11_kit_module_initialize(token->own);
    if (rv == CKR_OK)
        return FL_OK;
    p11_kit_module_release(token->own);
    token->own = NULL;
    return fl_fail(ctx, FL_EIO, "the PKCS #11 module %s does not start: %s", path,
                   p11_kit_strerror(rv));
}

/* Everything is closed; what is written in the token stays. The last session logs out. */
static void detach(struct fl_pkcs11 *token)
{
    if (token->module)
        (void)token->module->C_CloseSession(token->session);
    token->module = NULL;
    if (token->registered)
        p11_kit_modules_finalize_and_release(token->registered);
    token->registered = NULL;
    if (token->own) {
        (void)p11_kit_module_finalize(token->own);
        p11_kit_module_release(token->own);
    }
    token->own = NULL;
}

struct search {
    struct fl_pkcs11 *token;
    CK_FLAGS flags; /* of the one found */
    unsigned found;
    char seen[256]; /* labels of tokens that do not fit */
};

static void note_seen(struct search *s, const char *label)
{
    size_t size = strlen(s->seen);

    if (size + strlen(label) + 5 < sizeof s->seen)
        (void)snprintf(s->seen + size, sizeof s->seen - size, "%s'%s'", size ? ", " : "", label);
}

static void look_at_slot(struct search *s, CK_FUNCTION_LIST *module, CK_SLOT_ID slot)
{
    struct fl_pkcs11 *token = s->token;
    CK_TOKEN_INFO info = {0};
    CK_SLOT_INFO slot_info = {0};
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(token->uri);
    char label[sizeof token->name];
    size_t size = 0;

    if (module->C_GetTokenInfo(slot, &info) != CKR_OK ||
        module->C_GetSlotInfo(slot, &slot_info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED))
        return;
    size = p11_kit_space_strlen(info.label, sizeof info.label);
    (void)fl_str_copy_slice(label, sizeof label, fl_slice(info.label, size));
    if (!p11_kit_uri_match_token_info(token->uri, &info) ||
        !p11_kit_uri_match_slot_info(token->uri, &slot_info) ||
        (wanted != (CK_SLOT_ID)-1 && wanted != slot)) {
        note_seen(s, label);
        return;
    }
    s->found++;
    s->flags = info.flags;
    token->module = module;
    token->slot = slot;
    (void)fl_str_copy(token->name, sizeof token->name, label);
}

static void look_at_module(struct search *s, CK_FUNCTION_LIST *module)
{
    const char *wanted = p11_kit_uri_get_module_name(s->token->uri);
    char *name = wanted ? p11_kit_module_get_name(module) : NULL;
    bool fits = !wanted || (name && strcmp(name, wanted) == 0) || module == s->token->own;
    CK_INFO info = {0};
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = 0;

    free(name);
    if (!fits || module->C_GetInfo(&info) != CKR_OK ||
        !p11_kit_uri_match_module_info(s->token->uri, &info) ||
        module->C_GetSlotList(CK_TRUE, NULL, &count) != CKR_OK)
        return;
    if (count > SLOTS_MAX)
        count = SLOTS_MAX;
    if (module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        return;
    for (CK_ULONG i = 0; i < count; i++)
        look_at_slot(s, module, slots[i]);
}

static enum fl_error find_token(struct fl_pkcs11 *token, CK_FLAGS *flags, struct fl_context *ctx)
{
    struct search s = {.token = token};

    if (token->own)
        look_at_module(&s, token->own);
    for (size_t i = 0; token->registered && token->registered[i]; i++)
        look_at_module(&s, token->registered[i]);
    *flags = s.flags;
    if (s.found == 1)
        return FL_OK;
    token->module = NULL;
    if (s.found)
        return fl_fail(ctx, FL_EEXISTS,
                       "the PKCS #11 URI fits %u tokens: say which, with token=LABEL or "
                       "serial=NUMBER",
                       s.found);
    return fl_fail(ctx, FL_ENOTFOUND, "token '%s': not there%s%s: is it plugged in?", token->name,
                   s.seen[0] ? "; there are " : ", nor any other", s.seen);
}

enum fl_error fl_pkcs11_session(struct fl_pkcs11 *token, bool write, CK_SESSION_HANDLE *session,
                                struct fl_context *ctx)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (write ? CKF_RW_SESSION : 0);
    CK_RV rv = token->module ? token->module->C_OpenSession(token->slot, flags, NULL, NULL, session)
                             : CKR_TOKEN_NOT_PRESENT;

    return rv == CKR_OK ? FL_OK : fl_pkcs11_fail(token, rv, "open a session", ctx);
}

enum fl_error fl_pkcs11_attach(struct fl_pkcs11 *token, struct fl_context *ctx)
{
    CK_FLAGS flags = 0;
    enum fl_error error = FL_OK;

    if (token->module)
        return FL_OK;
    error = load_modules(token, ctx);
    if (!error)
        error = find_token(token, &flags, ctx);
    if (!error) {
        error = fl_pkcs11_session(token, false, &token->session, ctx);
        if (error)
            token->module = NULL;
    }
    if (!error && token->module)
        error = log_in(token, flags, token->session, ctx);
    if (error)
        detach(token);
    else
        token->opened++;
    return error;
}

/* Until the token is found, it is called what the URI calls it. */
static void name_it(struct fl_pkcs11 *token)
{
    const CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(token->uri);
    size_t size = info->label[0] ? p11_kit_space_strlen(info->label, sizeof info->label) : 0;

    (void)fl_str_copy(token->name, sizeof token->name, "(any)");
    if (size)
        (void)fl_str_copy_slice(token->name, sizeof token->name, fl_slice(info->label, size));
}

enum fl_error fl_pkcs11_open(const char *uri, struct fl_pkcs11 **token, struct fl_context *ctx)
{
    struct fl_pkcs11 *made = NULL;
    enum fl_error error = FL_OK;

    if (strlen(uri) > FL_LIMIT_PKCS11_URI)
        return fl_fail(ctx, FL_ELIMIT, "a PKCS #11 URI has at most %d characters",
                       FL_LIMIT_PKCS11_URI);
    made = calloc(1, sizeof *made);
    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "PKCS #11: out of memory");
    made->references = 1;
    /* p11-kit writes on stderr; our errors carry its words. */
    p11_kit_be_quiet();
    error = parse(uri, &made->uri, ctx);
    if (!error) {
        name_it(made);
        error = fl_pkcs11_attach(made, ctx);
    }
    if (error)
        fl_pkcs11_close(made);
    else
        *token = made;
    return error;
}

void fl_pkcs11_release(struct fl_pkcs11 *token)
{
    if (token)
        detach(token);
}

void fl_pkcs11_close(struct fl_pkcs11 *token)
{
    if (!token || --token->references > 0)
        return;
    detach(token);
    p11_kit_uri_free(token->uri);
    free(token);
}

const char *fl_pkcs11_last_failure(const struct fl_pkcs11 *token)
{
    return token->failure;
}
