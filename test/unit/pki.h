/* SPDX-License-Identifier: Apache-2.0
 *
 * A small authority for tests: root, issuing, and whatever is issued under it. Certificates are
 * made by trust/cert; the hostile ones by hand.
 */
#ifndef FL_TEST_PKI_H
#define FL_TEST_PKI_H

#include "test/unit/unit.h"

#include "trust/cert.h"
#include "trust/key.h"

#define PKI_NOW ((fl_time_t)1795334400000) /* 2026-11-22T08:00:00Z */
#define PKI_DAY ((fl_time_t)86400000)

struct pki {
    EVP_PKEY *root_key;
    EVP_PKEY *issuing_key;
    EVP_PKEY *key; /* of whoever is issued to */
    X509 *root;
    X509 *issuing;
    struct fl_buffer root_der;
    struct fl_buffer issuing_der;
};

static inline void pki_make(struct pki *pki)
{
    struct fl_cert_request request = {.kind = FL_CERT_ROOT,
                                      .name = "Test root",
                                      .not_before = PKI_NOW - PKI_DAY,
                                      .not_after = PKI_NOW + 7300 * PKI_DAY};

    *pki =
        (struct pki){.root_der = FL_BUFFER(FL_LIMIT_CERT), .issuing_der = FL_BUFFER(FL_LIMIT_CERT)};
    assert_ok(fl_key_generate(&pki->root_key, NULL));
    assert_ok(fl_key_generate(&pki->issuing_key, NULL));
    assert_ok(fl_key_generate(&pki->key, NULL));
    request.subject_key = pki->root_key;
    request.issuer_key = pki->root_key;
    assert_ok(fl_cert_issue(&request, &pki->root_der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&pki->root_der), &pki->root, NULL));
    request.kind = FL_CERT_ISSUING;
    request.name = "Test issuing";
    request.not_after = PKI_NOW + 1825 * PKI_DAY;
    request.subject_key = pki->issuing_key;
    request.issuer = pki->root;
    assert_ok(fl_cert_issue(&request, &pki->issuing_der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&pki->issuing_der), &pki->issuing, NULL));
}

static inline void pki_free(struct pki *pki)
{
    X509_free(pki->issuing);
    X509_free(pki->root);
    EVP_PKEY_free(pki->key);
    EVP_PKEY_free(pki->issuing_key);
    EVP_PKEY_free(pki->root_key);
    fl_buffer_free(&pki->issuing_der);
    fl_buffer_free(&pki->root_der);
}

/* A request for a certificate under the issuing CA that is fine as it is. */
static inline struct fl_cert_request pki_request(const struct pki *pki, enum fl_cert_kind kind,
                                                 const char *name)
{
    return (struct fl_cert_request){.kind = kind,
                                    .name = name,
                                    .not_before = PKI_NOW,
                                    .not_after = PKI_NOW + 7 * PKI_DAY,
                                    .subject_key = pki->key,
                                    .issuer = pki->issuing,
                                    .issuer_key = pki->issuing_key};
}

#endif
