/* SPDX-License-Identifier: Apache-2.0
 *
 * P-256 keys that live in a PKCS #11 token (a smart card, a secure element, an HSM) and sign there,
 * named by RFC 7512 URIs: "pkcs11:token=NAME;object=LABEL?pin-source=file:/etc/fairlead/pin". The
 * module is module-path=FILE of the URI, or that of p11-kit's registered ones which has the token.
 * The PIN is read from its file when it is needed and not kept. A wrong PIN is tried once, and
 * never when it would be the token's last try, so that nothing here locks a token.
 *
 * The token is opened when first needed and held until fl_pkcs11_release; one that was taken out
 * and put back is opened again by the next signature. Keys keep the fl_pkcs11 alive. Calls block
 * for as long as the module does. One thread.
 */
#ifndef FL_IO_PKCS11_H
#define FL_IO_PKCS11_H

#include "base/buffer.h"

#include <openssl/evp.h>

struct fl_pkcs11;

/* `key` itself when it is a PKCS #11 URI, or NULL. */
const char *fl_pkcs11_uri(const char *key);
/* Has it the PIN in it? Such a URI does not belong on a command line or in a log. */
bool fl_pkcs11_uri_has_pin(const char *uri);

/* Opens the token that `uri` means. FL_EPARSE: not such a URI; FL_ENOTFOUND: no such module or
 * token; FL_EEXISTS: the URI fits more than one; FL_EAUTH: the PIN; FL_EDENIED: its file. */
FL_MUST_USE enum fl_error fl_pkcs11_open(const char *uri, struct fl_pkcs11 **token,
                                         struct fl_context *ctx);
/* Closes session and module. The next use opens them again. NULL is harmless. */
void fl_pkcs11_release(struct fl_pkcs11 *token);
void fl_pkcs11_close(struct fl_pkcs11 *token); /* NULL is harmless; keys stay usable */

/* Makes a key that cannot leave the token, with the label that the URI gives (object=) and the id
 * that it gives or a random one. `uri` (max at least FL_LIMIT_PKCS11_URI) gets the URI of just this
 * key. The caller frees `key`. FL_EINVAL: no label; FL_EEXISTS: a key has that label and id. */
FL_MUST_USE enum fl_error fl_pkcs11_key_create(struct fl_pkcs11 *token, struct fl_buffer *uri,
                                               EVP_PKEY **key, struct fl_context *ctx);
/* The key that the URI means. FL_ENOTFOUND; FL_EEXISTS: more than one; FL_EUNSUPPORTED: not P-256,
 * or the token shows no public key for it. `uri` as above; may be NULL. */
FL_MUST_USE enum fl_error fl_pkcs11_key_load(struct fl_pkcs11 *token, struct fl_buffer *uri,
                                             EVP_PKEY **key, struct fl_context *ctx);
/* Destroys that key, for good: private and public half. It must be the only one that the URI means.
 */
FL_MUST_USE enum fl_error fl_pkcs11_key_destroy(struct fl_pkcs11 *token, struct fl_context *ctx);

/* Words for the last signature that failed (OpenSSL's own say little), or "". */
const char *fl_pkcs11_last_failure(const struct fl_pkcs11 *token);

#endif
