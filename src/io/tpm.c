/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tpm.h"

#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "codec/tss2.h"
#include "io/far_key.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

enum {
    ANSWER_MS = 3000, /* how long an idle TPM may take to say what it is */
    TRIES_MAX = 8,
    WAIT_MS = 20, /* before the second try; doubles */
};

struct fl_tpm {
    char tcti[512];
    TSS2_TCTI_CONTEXT *transport;
    ESYS_CONTEXT *esys; /* NULL: released */
    uint64_t opened;    /* counts openings: handles of an earlier one mean nothing */
    ESYS_TR primary;    /* while a key is made or loaded; or ESYS_TR_NONE */
    struct fl_list keys;
    unsigned references; /* the opener's and one of each key */
    char failure[512];
};

/* Behind an EVP_PKEY. */
struct tpm_key {
    struct fl_tpm *tpm;
    struct fl_list node; /* in tpm->keys */
    TPM2B_PUBLIC public_area;
    TPM2B_PRIVATE private_area;
    ESYS_TR handle;
    uint64_t opened; /* the opening that `handle` belongs to; 0: not loaded */
};

/* --- Words ------------------------------------------------------------------------------------ */

struct tpm_words {
    TSS2_RC code;
    enum fl_error error;
    const char *words;
};

static const struct tpm_words tpm_words[] = {
    {TPM2_RC_INTEGRITY, FL_EAUTH,
     "this TPM did not make the key: it has been cleared since, or it is another TPM (enrol "
     "again)"},
    {TPM2_RC_LOCKOUT, FL_EBUSY,
     "the TPM is locked after wrong passwords: wait, or clear it with tpm2_dictionarylockout -c"},
    {TPM2_RC_BAD_AUTH, FL_EAUTH,
     "the owner hierarchy of this TPM has a password; an empty one is "
     "needed to make and load keys"},
    {TPM2_RC_AUTH_FAIL, FL_EAUTH, "the TPM refused the password of the key or the owner hierarchy"},
    {TPM2_RC_HIERARCHY, FL_ESTATE, "the owner hierarchy of this TPM is disabled"},
    {TPM2_RC_INITIALIZE, FL_ESTATE,
     "the TPM has not been started (TPM2_Startup): the firmware or swtpm's startup-clear does it"},
    {TPM2_RC_FAILURE, FL_EIO, "the TPM is in failure mode: restart the machine"},
    {TPM2_RC_OBJECT_MEMORY, FL_EFULL,
     "the TPM has no free slot for a key (tpm2_flushcontext -t frees those left by others)"},
    {TPM2_RC_RETRY, FL_EBUSY, "the TPM stayed busy"},
    {TPM2_RC_YIELDED, FL_EBUSY, "the TPM stayed busy"},
    {TPM2_RC_TESTING, FL_EBUSY, "the TPM is still testing itself"},
    {TPM2_RC_CURVE, FL_EUNSUPPORTED, "this TPM has no P-256"},
};

/* Without the layer, and for the TPM's own format-one codes without the parameter's number. */
static TSS2_RC bare(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    TSS2_RC code = rc & 0xFFFFU;

    if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER)
        return 0;
    return code & TPM2_RC_FMT1 ? code & 0xBFU : code;
}

static bool is_transport(TSS2_RC rc)
{
    return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER;
}

static enum fl_error tpm_fail(struct fl_tpm *tpm, TSS2_RC rc, const char *doing,
                              struct fl_context *ctx)
{
    for (size_t i = 0; bare(rc) && i < sizeof tpm_words / sizeof tpm_words[0]; i++)
        if (tpm_words[i].code == bare(rc))
            return fl_fail(ctx, tpm_words[i].error, "TPM %s: %s: %s", tpm->tcti, doing,
                           tpm_words[i].words);
    return fl_fail(ctx, is_transport(rc) ? FL_EIO : FL_ECRYPTO, "TPM %s: %s: %s", tpm->tcti, doing,
                   Tss2_RC_Decode(rc));
}

/* --- The connection --------------------------------------------------------------------------- */

static void nap(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

static bool is_ours(struct fl_tpm *tpm, TPM2_HANDLE handle)
{
    TPM2_HANDLE own = 0;

    if (tpm->primary != ESYS_TR_NONE && Esys_TR_GetTpmHandle(tpm->esys, tpm->primary, &own) == 0 &&
        own == handle)
        return true;
    FL_LIST_EACH(node, &tpm->keys)
    {
        struct tpm_key *key = fl_container_of(node, struct tpm_key, node);

        if (key->opened == tpm->opened && Esys_TR_GetTpmHandle(tpm->esys, key->handle, &own) == 0 &&
            own == handle)
            return true;
    }
    return false;
}

/* The objects that a program killed in the middle left in the TPM. Nobody else uses it while we
 * have it open without a resource manager, and with one only our own are listed. */
static void flush_leftovers(struct fl_tpm *tpm)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = 0;

    if (Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                           (UINT32)TPM2_HT_TRANSIENT << TPM2_HR_SHIFT, TPM2_MAX_CAP_HANDLES, &more,
                           &data) != 0)
        return;
    for (UINT32 i = 0; i < data->data.handles.count; i++) {
        ESYS_TR object = ESYS_TR_NONE;
        TPM2_HANDLE handle = data->data.handles.handle[i];

        if (is_ours(tpm, handle) || Esys_TR_FromTPMPublic(tpm->esys, handle, ESYS_TR_NONE,
                                                          ESYS_TR_NONE, ESYS_TR_NONE, &object) != 0)
            continue;
        if (Esys_FlushContext(tpm->esys, object) == 0)
            fl_log(FL_LOG_WARN, "tpm", "flushed object 0x%08x that an earlier program left behind",
                   handle);
    }
    Esys_Free(data);
}

/* After each command: true when it is worth sending again. */
static bool again(struct fl_tpm *tpm, TSS2_RC rc, int *tries)
{
    TSS2_RC code = bare(rc);

    if (rc == TSS2_RC_SUCCESS || ++*tries >= TRIES_MAX)
        return false;
    if (code == TPM2_RC_OBJECT_MEMORY && *tries == 1) {
        flush_leftovers(tpm);
        return true;
    }
    if (code != TPM2_RC_RETRY && code != TPM2_RC_YIELDED && code != TPM2_RC_TESTING &&
        code != TPM2_RC_NV_RATE && code != TPM2_RC_NV_UNAVAILABLE)
        return false;
    nap((long)WAIT_MS << (*tries - 1));
    return true;
}

/* The connection is closed: nothing can be flushed any more. */
static void drop(struct fl_tpm *tpm)
{
    if (tpm->esys)
        Esys_Finalize(&tpm->esys);
    if (tpm->transport)
        Tss2_TctiLdr_Finalize(&tpm->transport);
}

/* The first command: asks the TPM what it is. */
static TSS2_RC greet(struct fl_tpm *tpm)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = 0;
    int tries = 0;
    TSS2_RC rc = 0;

    do {
        rc = Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FAMILY_INDICATOR, 1, &more, &data);
    } while (again(tpm, rc, &tries));
    Esys_Free(data);
    return rc;
}

static TSS2_RC open_transport(struct fl_tpm *tpm)
{
    TSS2_RC rc = Tss2_TctiLdr_Initialize(tpm->tcti[0] ? tpm->tcti : NULL, &tpm->transport);

    if (rc)
        tpm->transport = NULL;
    return rc;
}

_Noreturn static void probe_in_child(struct fl_tpm *tpm)
{
    if (open_transport(tpm) == 0 && Esys_Initialize(&tpm->esys, tpm->transport, NULL) == 0)
        (void)greet(tpm);
    _exit(0);
}

/* A TPM that another program holds is silent, and most transports wait for it for ever. So a child
 * asks first, and is ended when no answer comes; what it found is found again by us. */
static enum fl_error probe(struct fl_tpm *tpm, struct fl_context *ctx)
{
    int ends[2] = {-1, -1};
    struct pollfd end = {.events = POLLIN};
    pid_t child = 0;
    bool silent = false;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fl_fail(ctx, FL_EIO, "TPM: no pipe: %s", strerror(errno));
    child = fork();
    if (child == 0)
        probe_in_child(tpm);
    (void)close(ends[1]);
    end.fd = ends[0];
    if (child > 0) {
        /* The pipe ends with the child. */
        silent = poll(&end, 1, ANSWER_MS) == 0;
        if (silent)
            (void)kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    (void)close(ends[0]);
    if (child < 0)
        return fl_fail(ctx, FL_EIO, "TPM: no process: %s", strerror(errno));
    if (silent)
        return fl_fail(ctx, FL_ETIMEOUT, "TPM %s: no answer in %d s; another program may hold it",
                       tpm->tcti, ANSWER_MS / 1000);
    return FL_OK;
}

static enum fl_error attach(struct fl_tpm *tpm, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    TSS2_RC rc = 0;

    if (tpm->esys)
        return FL_OK;
    error = probe(tpm, ctx);
    if (error)
        return error;
    rc = open_transport(tpm);
    if (rc)
        return fl_fail(ctx, FL_ENOTFOUND,
                       "TPM %s: cannot be opened (%s): is the TCTI right, the TPM there, and free?",
                       tpm->tcti[0] ? tpm->tcti : "(default)", Tss2_RC_Decode(rc));
    rc = Esys_Initialize(&tpm->esys, tpm->transport, NULL);
    if (rc)
        tpm->esys = NULL;
    else
        rc = greet(tpm);
    if (rc) {
        error = tpm_fail(tpm, rc, "first command", ctx);
        drop(tpm);
        return error;
    }
    tpm->primary = ESYS_TR_NONE;
    tpm->opened++;
    return FL_OK;
}

const char *fl_tpm_tcti(const char *key)
{
    return strncmp(key, "tpm:", 4) == 0 ? key + 4 : NULL;
}

enum fl_error fl_tpm_open(const char *tcti, struct fl_tpm **tpm, struct fl_context *ctx)
{
    struct fl_tpm *made = NULL;
    enum fl_error error = FL_OK;

    if (strlen(tcti) >= sizeof made->tcti)
        return fl_fail(ctx, FL_ELIMIT, "TPM: a TCTI has at most %zu characters",
                       sizeof made->tcti - 1);
    /* The TSS writes its own log on stderr; our errors carry its words. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    made = calloc(1, sizeof *made);
    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "TPM: out of memory");
    made->references = 1;
    fl_list_init(&made->keys);
    (void)fl_str_copy(made->tcti, sizeof made->tcti, tcti);
    error = attach(made, ctx);
    if (error)
        fl_tpm_close(made);
    else
        *tpm = made;
    return error;
}

static void unload(struct tpm_key *key)
{
    struct fl_tpm *tpm = key->tpm;

    if (tpm->esys && key->opened == tpm->opened)
        (void)Esys_FlushContext(tpm->esys, key->handle);
    key->opened = 0;
}

void fl_tpm_release(struct fl_tpm *tpm)
{
    if (!tpm || !tpm->esys)
        return;
    FL_LIST_EACH(node, &tpm->keys)
    unload(fl_container_of(node, struct tpm_key, node));
    drop(tpm);
}

void fl_tpm_close(struct fl_tpm *tpm)
{
    if (!tpm || --tpm->references > 0)
        return;
    drop(tpm);
    free(tpm);
}

const char *fl_tpm_last_failure(const struct fl_tpm *tpm)
{
    return tpm->failure;
}

/* --- Making, loading, signing ------------------------------------------------------------------
 */

/* The TCG's storage primary (EK credential profile, template SRK, P-256): the same primary comes
 * out every time until the owner clears the TPM. */
static const TPM2B_PUBLIC primary_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
                                TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA | TPMA_OBJECT_FIXEDTPM |
                                TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN,
            .parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                                   .keyBits.aes = 128,
                                                   .mode.aes = TPM2_ALG_CFB},
                                     .scheme.scheme = TPM2_ALG_NULL,
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        },
};

static const TPM2B_PUBLIC signing_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN,
            .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                     .scheme.scheme = TPM2_ALG_NULL,
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        },
};

static const TPM2B_SENSITIVE_CREATE no_secret;
static const TPM2B_DATA no_data;
static const TPML_PCR_SELECTION no_pcrs;

static enum fl_error make_primary(struct fl_tpm *tpm, struct fl_context *ctx)
{
    ESYS_TR primary = ESYS_TR_NONE;
    int tries = 0;
    TSS2_RC rc = 0;

    do {
        rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, &no_secret, &primary_template, &no_data, &no_pcrs,
                                &primary, NULL, NULL, NULL, NULL);
    } while (again(tpm, rc, &tries));
    if (rc)
        return tpm_fail(tpm, rc, "make the storage primary key", ctx);
    tpm->primary = primary;
    return FL_OK;
}

static void drop_primary(struct fl_tpm *tpm)
{
    (void)Esys_FlushContext(tpm->esys, tpm->primary);
    tpm->primary = ESYS_TR_NONE;
}

static enum fl_error create_blobs(struct fl_tpm *tpm, TPM2B_PUBLIC **public_area,
                                  TPM2B_PRIVATE **private_area, struct fl_context *ctx)
{
    enum fl_error error = attach(tpm, ctx);
    int tries = 0;
    TSS2_RC rc = 0;

    if (!error)
        error = make_primary(tpm, ctx);
    if (error)
        return error;
    do {
        rc = Esys_Create(tpm->esys, tpm->primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                         &no_secret, &signing_template, &no_data, &no_pcrs, private_area,
                         public_area, NULL, NULL, NULL);
    } while (again(tpm, rc, &tries));
    drop_primary(tpm);
    return rc ? tpm_fail(tpm, rc, "make a key", ctx) : FL_OK;
}

static enum fl_error load(struct tpm_key *key, struct fl_context *ctx)
{
    struct fl_tpm *tpm = key->tpm;
    enum fl_error error = attach(tpm, ctx);
    int tries = 0;
    TSS2_RC rc = 0;

    if (error || key->opened == tpm->opened)
        return error;
    error = make_primary(tpm, ctx);
    if (error)
        return error;
    do {
        rc = Esys_Load(tpm->esys, tpm->primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                       &key->private_area, &key->public_area, &key->handle);
    } while (again(tpm, rc, &tries));
    drop_primary(tpm);
    if (rc)
        return tpm_fail(tpm, rc, "load the key", ctx);
    key->opened = tpm->opened;
    return FL_OK;
}

static TSS2_RC sign_loaded(struct tpm_key *key, const TPM2B_DIGEST *digest,
                           TPMT_SIGNATURE **signature)
{
    TPMT_SIG_SCHEME ecdsa = {0};
    const TPMT_TK_HASHCHECK no_ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    int tries = 0;
    TSS2_RC rc = 0;

    ecdsa.scheme = TPM2_ALG_ECDSA;
    ecdsa.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    do {
        rc = Esys_Sign(key->tpm->esys, key->handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                       digest, &ecdsa, &no_ticket, signature);
    } while (again(key->tpm, rc, &tries));
    return rc;
}

/* A TPM that was restarted, or a resource manager that was, has forgotten the key: one fresh start
 * repairs that. */
static enum fl_error sign_digest(struct tpm_key *key, const TPM2B_DIGEST *digest,
                                 TPMT_SIGNATURE **signature, struct fl_context *ctx)
{
    struct fl_tpm *tpm = key->tpm;
    bool was_open = tpm->esys != NULL;
    enum fl_error error = load(key, ctx);
    TSS2_RC rc = error ? 0 : sign_loaded(key, digest, signature);

    if (was_open && (rc || error)) {
        drop(tpm);
        error = load(key, ctx);
        rc = error ? 0 : sign_loaded(key, digest, signature);
    }
    if (error)
        return error;
    return rc ? tpm_fail(tpm, rc, "sign", ctx) : FL_OK;
}

/* --- As an EVP_PKEY ----------------------------------------------------------------------------
 */

static void key_free(void *self)
{
    struct tpm_key *key = self;

    unload(key);
    fl_list_remove(&key->node);
    fl_tpm_close(key->tpm);
    free(key);
}

/* A TPM leaves leading zeros out. */
static bool put_half(uint8_t *to, const TPM2B_ECC_PARAMETER *number)
{
    if (number->size > FL_P256_SIZE)
        return false;
    memcpy(to + FL_P256_SIZE - number->size, number->buffer, number->size);
    return true;
}

static enum fl_error sign_far(void *self, const uint8_t *bytes, uint8_t *signature,
                              struct fl_context *ctx)
{
    struct tpm_key *key = self;
    TPM2B_DIGEST digest = {.size = FL_P256_SIZE};
    TPMT_SIGNATURE *made = NULL;
    const TPMS_SIGNATURE_ECC *ecc = NULL;
    enum fl_error error = FL_OK;

    memcpy(digest.buffer, bytes, FL_P256_SIZE);
    error = sign_digest(key, &digest, &made, ctx);
    if (error)
        return error;
    ecc = &made->signature.ecdsa;
    if (!put_half(signature, &ecc->signatureR) ||
        !put_half(signature + FL_P256_SIZE, &ecc->signatureS))
        error = fl_fail(ctx, FL_ECRYPTO, "TPM %s: its signature is too long", key->tpm->tcti);
    Esys_Free(made);
    return error;
}

static void signed_with(void *self, const char *failure)
{
    struct tpm_key *key = self;

    (void)fl_str_copy(key->tpm->failure, sizeof key->tpm->failure, failure);
}

/* Owns `key` when it succeeds. */
static enum fl_error to_evp(struct tpm_key *key, EVP_PKEY **evp, struct fl_context *ctx)
{
    const TPMS_ECC_POINT *point = &key->public_area.publicArea.unique.ecc;
    const struct fl_far_signer signer = {
        .sign = sign_far, .signed_with = signed_with, .free = key_free, .self = key};

    return fl_fail_in(ctx,
                      fl_far_key(&signer, fl_slice(point->x.buffer, point->x.size),
                                 fl_slice(point->y.buffer, point->y.size), evp, ctx),
                      "TPM key");
}

static struct tpm_key *key_new(struct fl_tpm *tpm)
{
    struct tpm_key *key = calloc(1, sizeof *key);

    if (!key)
        return NULL;
    key->tpm = tpm;
    tpm->references++;
    fl_list_push(&tpm->keys, &key->node);
    return key;
}

static enum fl_error to_pem(const struct tpm_key *key, struct fl_buffer *pem,
                            struct fl_context *ctx)
{
    uint8_t public_bytes[sizeof key->public_area];
    uint8_t private_bytes[sizeof key->private_area];
    size_t public_size = 0;
    size_t private_size = 0;
    struct fl_tss2_key file = {.parent = FL_TSS2_OWNER};

    if (Tss2_MU_TPM2B_PUBLIC_Marshal(&key->public_area, public_bytes, sizeof public_bytes,
                                     &public_size) != 0 ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(&key->private_area, private_bytes, sizeof private_bytes,
                                      &private_size) != 0)
        return fl_fail(ctx, FL_ECRYPTO, "TPM key: it cannot be written");
    file.public_area = fl_slice(public_bytes, public_size);
    file.private_area = fl_slice(private_bytes, private_size);
    return fl_tss2_to_pem(&file, pem, ctx);
}

static enum fl_error from_pem(struct fl_slice pem, struct tpm_key *key, struct fl_context *ctx)
{
    struct fl_buffer der = FL_BUFFER(16384);
    struct fl_tss2_key file = {0};
    size_t public_size = 0;
    size_t private_size = 0;
    const TPMT_PUBLIC *area = &key->public_area.publicArea;
    enum fl_error error = fl_tss2_from_pem(pem, &der, &file, ctx);

    if (!error && (Tss2_MU_TPM2B_PUBLIC_Unmarshal(file.public_area.data, file.public_area.size,
                                                  &public_size, &key->public_area) != 0 ||
                   Tss2_MU_TPM2B_PRIVATE_Unmarshal(file.private_area.data, file.private_area.size,
                                                   &private_size, &key->private_area) != 0 ||
                   public_size != file.public_area.size || private_size != file.private_area.size))
        error = fl_fail(ctx, FL_EPARSE, "a TPM key file: its blobs are damaged");
    if (!error && file.parent != FL_TSS2_OWNER)
        error = fl_fail(ctx, FL_EUNSUPPORTED,
                        "a TPM key file: its parent is 0x%08x; only keys under the owner's primary "
                        "(0x%08x) are used",
                        file.parent, FL_TSS2_OWNER);
    if (!error &&
        (area->type != TPM2_ALG_ECC || area->parameters.eccDetail.curveID != TPM2_ECC_NIST_P256 ||
         !(area->objectAttributes & TPMA_OBJECT_SIGN_ENCRYPT) ||
         area->objectAttributes & TPMA_OBJECT_RESTRICTED))
        error = fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key file: not a P-256 signing key");
    fl_buffer_free(&der);
    return error;
}

enum fl_error fl_tpm_key_create(struct fl_tpm *tpm, struct fl_buffer *pem, EVP_PKEY **key,
                                struct fl_context *ctx)
{
    TPM2B_PUBLIC *public_area = NULL;
    TPM2B_PRIVATE *private_area = NULL;
    struct tpm_key *made = key_new(tpm);
    enum fl_error error = FL_OK;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "TPM key: out of memory");
    error = create_blobs(tpm, &public_area, &private_area, ctx);
    if (!error) {
        made->public_area = *public_area;
        made->private_area = *private_area;
        error = to_pem(made, pem, ctx);
    }
    if (!error)
        error = to_evp(made, key, ctx);
    Esys_Free(private_area);
    Esys_Free(public_area);
    if (error)
        key_free(made);
    return error;
}

/* Loaded into the TPM at once, so that a key of another TPM is found out here and not in the middle
 * of a handshake. */
enum fl_error fl_tpm_key_load(struct fl_tpm *tpm, struct fl_slice pem, EVP_PKEY **key,
                              struct fl_context *ctx)
{
    struct tpm_key *made = key_new(tpm);
    enum fl_error error = FL_OK;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "TPM key: out of memory");
    error = from_pem(pem, made, ctx);
    if (!error)
        error = load(made, ctx);
    if (!error)
        error = to_evp(made, key, ctx);
    if (error)
        key_free(made);
    return error;
}
