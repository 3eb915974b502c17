/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates and requests (X.509, PKCS #10, PKCS #7): made, checked and read; DER in and out.
 *
 *     device    CN = device id, SAN URI urn:fairlead:device:ID, EKU clientAuth
 *     server    CN = first host (absent when over 64 octets), SAN DNS/IP of every host, EKU
 *               serverAuth
 *     OCSP      EKU OCSPSigning, id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2): a delegated responder
 *     issuing   CA with path length 0; root: CA with path length 1
 *
 * Issuing copies nothing from a request but its public key, refuses a weak one, and nothing
 * outlives its issuer. No I/O, no clock: times come in as arguments.
 */
#ifndef FL_TRUST_CERT_H
#define FL_TRUST_CERT_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* A DNS name (letters, digits, hyphens; no wildcard, no trailing dot) or an address without
 * brackets. */
bool fl_host_valid(const char *host);

/* "http://HOST[:PORT]", or https, of at most FL_LIMIT_STATUS_URL octets; an IPv6 address stands in
 * brackets; no path. */
bool fl_status_url_valid(const char *url);

enum fl_cert_kind { FL_CERT_DEVICE, FL_CERT_SERVER, FL_CERT_ISSUING, FL_CERT_ROOT, FL_CERT_OCSP };

/* Where the hub tells whether certificates are good, under its status URL. */
#define FL_STATUS_CRL_PATH "/.well-known/fairlead/crl"
#define FL_STATUS_ISSUER_PATH "/.well-known/fairlead/issuer"
#define FL_STATUS_OCSP_PATH "/ocsp"

struct fl_cert_request {
    enum fl_cert_kind kind;
    const char *name;         /* device id, first host, or a CA's common name */
    const char *const *hosts; /* server: every DNS name or address, the first too */
    size_t host_count;
    /* Device: "http://hub.example:8080", without a path, for the CRL distribution point, OCSP and
     * the issuer's certificate (RFC 5280 4.2.1.13, 4.2.2.1); NULL: it says nothing of them. */
    const char *status_url;
    fl_time_t not_before; /* ms since the epoch; seconds are kept */
    fl_time_t not_after;
    EVP_PKEY *subject_key; /* public half is enough */
    /* The same as fl_csr_check gave it, and judged; costs less than encoding it anew. Or NULL. */
    const X509_PUBKEY *subject_spki;
    X509 *issuer; /* NULL: self-signed root */
    EVP_PKEY *issuer_key;
};

/* Serial: 16 random octets (RFC 5280: positive, at most 20). */
FL_MUST_USE enum fl_error fl_cert_issue(const struct fl_cert_request *request,
                                        struct fl_buffer *der, struct fl_context *ctx);

struct fl_cert_info {
    enum fl_cert_kind kind;
    char name[FL_LIMIT_HOST + 1]; /* device: the id, from the SAN URI, equal to the CN */
    char serial[FL_LIMIT_SERIAL_HEX];
    fl_time_t not_before;
    fl_time_t not_after;
    uint8_t sha256[32]; /* of the DER */
};

/* The same, and what is in it. */
FL_MUST_USE enum fl_error fl_cert_issue_read(const struct fl_cert_request *request,
                                             struct fl_buffer *der, struct fl_cert_info *info,
                                             struct fl_context *ctx);

/* Reads a certificate of ours; it verifies no signature. FL_EPARSE: not a certificate, or not of a
 * kind above (for instance a device certificate whose names disagree). */
FL_MUST_USE enum fl_error fl_cert_read(struct fl_slice der, struct fl_cert_info *info,
                                       struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cert_read_x509(X509 *certificate, struct fl_cert_info *info,
                                            struct fl_context *ctx);

/* A PKCS #10 request for `name`, signed by `key`. */
FL_MUST_USE enum fl_error fl_csr_create(EVP_PKEY *key, const char *name, struct fl_buffer *der,
                                        struct fl_context *ctx);

struct fl_csr_info {
    char name[FL_LIMIT_HOST + 1]; /* CN, empty when there is none */
    /* Of the SubjectPublicKeyInfo in its one usual form: the same key in another encoding gives the
     * same. */
    uint8_t spki_sha256[32];
    EVP_PKEY *key;     /* the caller frees both with fl_csr_info_free */
    X509_PUBKEY *spki; /* P-256 in the usual form, or NULL */
};
void fl_csr_info_free(struct fl_csr_info *info);

/* Parses and judges: well-formed with nothing after it, proof of possession, a key that is strong
 * (EC P-256, P-384, Ed25519, RSA 2048-4096 with a sane exponent), no request for a CA certificate.
 * FL_EPARSE, FL_EAUTH (bad proof), FL_EDENIED (weak key, CA), each with words. */
FL_MUST_USE enum fl_error fl_csr_check(struct fl_slice der, struct fl_csr_info *info,
                                       struct fl_context *ctx);

/* One PEM block of type CERTIFICATE appended; and every CERTIFICATE of a PEM file visited as DER.
 * FL_EPARSE: there is none, or a block is malformed. A visit's error ends the walk. */
FL_MUST_USE enum fl_error fl_cert_to_pem(struct fl_slice der, struct fl_buffer *pem,
                                         struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_cert_each_pem(struct fl_slice pem,
                                           enum fl_error (*visit)(void *to, struct fl_slice der),
                                           void *to, struct fl_context *ctx);
/* The caller frees it with X509_free. */
FL_MUST_USE enum fl_error fl_cert_x509(struct fl_slice der, X509 **certificate,
                                       struct fl_context *ctx);

/* PKCS #7 certs-only (RFC 7030 4.1.3 and 4.2.3), DER. */
FL_MUST_USE enum fl_error fl_pkcs7_wrap(const struct fl_slice *certificates, size_t count,
                                        struct fl_buffer *der, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_pkcs7_each(struct fl_slice der,
                                        enum fl_error (*visit)(void *to, struct fl_slice der),
                                        void *to, struct fl_context *ctx);

#endif
