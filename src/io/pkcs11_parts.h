/* SPDX-License-Identifier: Apache-2.0
 *
 * What io/pkcs11.c (keys) and io/pkcs11_token.c (module, slot, session, PIN) share.
 */
#ifndef FL_IO_PKCS11_PARTS_H
#define FL_IO_PKCS11_PARTS_H

#include "io/pkcs11.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

struct fl_pkcs11 {
    P11KitUri *uri;
    CK_FUNCTION_LIST **registered; /* p11-kit's modules, or */
    CK_FUNCTION_LIST *own;         /* that of the URI's module-path */
    CK_FUNCTION_LIST *module;      /* the one of these that has the token; NULL: released */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    uint64_t opened;  /* counts openings: handles of an earlier one mean nothing */
    bool pin_refused; /* the PIN was wrong: not tried again */
    char name[33];    /* the token's label, for words; or what the URI says */
    unsigned references;
    char failure[512];
};

/* Module, slot, session and login, unless they are there. */
enum fl_error fl_pkcs11_attach(struct fl_pkcs11 *token, struct fl_context *ctx);
/* A session of its own that may write. The caller closes it with C_CloseSession. */
enum fl_error fl_pkcs11_session(struct fl_pkcs11 *token, bool write, CK_SESSION_HANDLE *session,
                                struct fl_context *ctx);
/* "token NAME: doing: words". */
enum fl_error fl_pkcs11_fail(const struct fl_pkcs11 *token, CK_RV rv, const char *doing,
                             struct fl_context *ctx);

#endif
