/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_sessions.h"

#include "base/assert.h"
#include "base/limits.h"

#include <openssl/asn1.h>
#include <stdlib.h>

struct device {
    struct fl_map_node node;
    struct fl_list entries; /* oldest first */
    size_t count;
    char name[];
};

struct entry {
    struct fl_map_node node;
    struct fl_list by_age;
    struct fl_list of_device;
    struct device *device;
    /* Of the certificate; its name is the device's. */
    fl_time_t not_before;
    fl_time_t not_after;
    enum fl_cert_kind kind;
    char serial[FL_LIMIT_SERIAL_HEX];
    uint8_t sha256[32];
    uint8_t id_size;
    uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    size_t size;
    uint8_t der[]; /* secret */
};

/* --- sessions without their certificate --- */

/* The element of a SSL_SESSION's DER that has the client's certificate. Like all of them it keeps
 * its meaning from one release of OpenSSL to the next, as sessions are kept outside of processes.
 */
#define PEER_TAG 3

/* Cuts it out, in place. Returns the new size; 0: that was no DER. */
static size_t without_peer(uint8_t *der, size_t size)
{
    const uint8_t *at = der;
    uint8_t *body = NULL;
    uint8_t *head = der;
    size_t left = 0;
    long length = 0;
    int tag = 0;
    int class = 0;

    if ((ASN1_get_object(&at, &length, &tag, &class, (long)size) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE)
        return 0;
    body = der + (at - der);
    left = (size_t)length;
    for (size_t done = 0; done < left;) {
        size_t here = 0;

        at = body + done;
        if ((ASN1_get_object(&at, &length, &tag, &class, (long)(left - done)) & 0x80) != 0)
            return 0;
        here = (size_t)(at - (body + done)) + (size_t)length;
        if (class == V_ASN1_CONTEXT_SPECIFIC && tag == PEER_TAG) {
            left -= here;
            memmove(body + done, body + done + here, left - done);
        } else {
            done += here;
        }
    }
    size = (size_t)ASN1_object_size(1, (int)left, V_ASN1_SEQUENCE);
    memmove(der + size - left, body, left);
    ASN1_put_object(&head, 1, (int)left, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    return size;
}

struct encoded {
    unsigned char *der;
    size_t size; /* without the certificate */
    size_t room;
};

static bool encode(const SSL_SESSION *session, struct encoded *to)
{
    int size = i2d_SSL_SESSION(session, &to->der);

    if (size <= 0)
        return false;
    to->room = (size_t)size;
    to->size = without_peer(to->der, to->room);
    return to->size > 0;
}

static void forget(struct encoded *encoded)
{
    OPENSSL_clear_free(encoded->der, encoded->room);
}

bool fl_tls_session_shed(SSL_SESSION *session)
{
    struct encoded encoded = {0};
    const unsigned char *at = NULL;
    bool done = !SSL_SESSION_get0_peer(session);

    if (!done && encode(session, &encoded)) {
        at = encoded.der;
        /* OpenSSL has no function for it, but reads one session into another. */
        done = d2i_SSL_SESSION(&session, &at, (long)encoded.size) != NULL &&
               !SSL_SESSION_get0_peer(session);
    }
    forget(&encoded);
    return done;
}

void fl_tls_sessions_init(struct fl_tls_sessions *sessions, size_t max)
{
    *sessions = (struct fl_tls_sessions){.max = max};
    fl_assert(pthread_mutex_init(&sessions->lock, NULL) == 0);
    fl_list_init(&sessions->oldest_first);
}

static void forget_device_if_empty(struct fl_tls_sessions *sessions, struct device *device)
{
    if (device->count > 0)
        return;
    fl_map_remove(&sessions->devices, &device->node);
    free(device);
}

/* --- records --- */

static void write_down(struct fl_tls_sessions *sessions, const struct entry *e)
{
    struct fl_keep record = {.type = fl_keep_type_tls_session};
    struct fl_keep_tls_session *to = &record.as.tls_session;

    if (!sessions->listener)
        return;
    to->listener = fl_slice_str(sessions->listener);
    to->id = fl_slice(e->id, e->id_size);
    to->session = fl_slice(e->der, e->size);
    to->device = fl_slice_str(e->device->name);
    to->kind = (uint8_t)e->kind;
    to->not_before = e->not_before;
    to->not_after = e->not_after;
    to->serial = fl_slice_str(e->serial);
    to->sha256 = fl_slice(e->sha256, sizeof e->sha256);
    if (fl_keep_encode(&record, &sessions->log) != FL_OK)
        sessions->unwritten++;
}

static void write_gone(struct fl_tls_sessions *sessions, const struct entry *e)
{
    struct fl_keep record = {.type = fl_keep_type_tls_gone};

    if (!sessions->listener)
        return;
    record.as.tls_gone.listener = fl_slice_str(sessions->listener);
    record.as.tls_gone.id = fl_slice(e->id, e->id_size);
    if (fl_keep_encode(&record, &sessions->log) != FL_OK)
        sessions->unwritten++;
}

/* --- entries --- */

static void free_entry(struct entry *e)
{
    OPENSSL_cleanse(e->der, e->size);
    free(e);
}

static void remove_entry(struct fl_tls_sessions *sessions, struct entry *e)
{
    struct device *device = e->device;

    write_gone(sessions, e);

    fl_map_remove(&sessions->by_id, &e->node);
    fl_list_remove(&e->by_age);
    fl_list_remove(&e->of_device);
    device->count--;
    sessions->count--;
    free_entry(e);
    forget_device_if_empty(sessions, device);
}

static struct device *find_device(const struct fl_tls_sessions *sessions, struct fl_slice name)
{
    struct fl_map_node *node = fl_map_find(&sessions->devices, name);

    return node ? fl_container_of(node, struct device, node) : NULL;
}

static struct device *device_of(struct fl_tls_sessions *sessions, const char *name)
{
    struct fl_slice key = fl_slice_str(name);
    struct device *device = find_device(sessions, key);

    if (device)
        return device;
    device = calloc(1, sizeof *device + key.size + 1);
    if (!device)
        return NULL;
    fl_list_init(&device->entries);
    (void)fl_str_copy_slice(device->name, key.size + 1, key);
    if (fl_map_add(&sessions->devices, &device->node, fl_slice_str(device->name)) != FL_OK) {
        free(device);
        return NULL;
    }
    return device;
}

/* Both counts grow by one at a time, so one that gives way is enough. */
static void make_room(struct fl_tls_sessions *sessions)
{
    if (sessions->count > 0 && sessions->count >= sessions->max)
        remove_entry(sessions, fl_container_of(sessions->oldest_first.next, struct entry, by_age));
}

static void make_room_of(struct fl_tls_sessions *sessions, struct device *device)
{
    /* The device has more than one and stays. */
    if (device->count >= FL_LIMIT_TLS_SESSIONS_DEVICE)
        remove_entry(sessions, fl_container_of(device->entries.next, struct entry, of_device));
}

static void remove_id(struct fl_tls_sessions *sessions, struct fl_slice id)
{
    struct fl_map_node *node = fl_map_find(&sessions->by_id, id);

    if (node)
        remove_entry(sessions, fl_container_of(node, struct entry, node));
}

/* Takes over the entry, whose id is set. */
static enum fl_error add(struct fl_tls_sessions *sessions, struct entry *e, const char *name)
{
    struct device *device = NULL;
    enum fl_error error = FL_OK;

    remove_id(sessions, fl_slice(e->id, e->id_size));
    make_room(sessions);
    device = device_of(sessions, name);
    if (!device) {
        free_entry(e);
        return FL_ENOMEM;
    }
    make_room_of(sessions, device);
    error = fl_map_add(&sessions->by_id, &e->node, fl_slice(e->id, e->id_size));
    if (error) {
        free_entry(e);
        forget_device_if_empty(sessions, device);
        return error;
    }
    e->device = device;
    device->count++;
    sessions->count++;
    fl_list_push(&sessions->oldest_first, &e->by_age);
    fl_list_push(&device->entries, &e->of_device);
    write_down(sessions, e);
    return FL_OK;
}

static struct entry *entry_new(const SSL_SESSION *session)
{
    struct encoded encoded = {0};
    struct entry *e = NULL;
    unsigned int size = 0;
    const unsigned char *id = SSL_SESSION_get_id(session, &size);

    if (size > 0 && size <= sizeof e->id && encode(session, &encoded))
        e = calloc(1, sizeof *e + encoded.size);
    if (e) {
        memcpy(e->id, id, size);
        e->id_size = (uint8_t)size;
        memcpy(e->der, encoded.der, encoded.size);
        e->size = encoded.size;
    }
    forget(&encoded);
    return e;
}

enum fl_error fl_tls_sessions_add(struct fl_tls_sessions *sessions, const SSL_SESSION *session,
                                  const struct fl_cert_info *info)
{
    struct entry *e = entry_new(session);
    enum fl_error error = FL_OK;

    if (!e)
        return FL_EINVAL;
    e->kind = info->kind;
    e->not_before = info->not_before;
    e->not_after = info->not_after;
    (void)fl_str_copy(e->serial, sizeof e->serial, info->serial);
    memcpy(e->sha256, info->sha256, sizeof e->sha256);
    (void)pthread_mutex_lock(&sessions->lock);
    error = add(sessions, e, info->name);
    (void)pthread_mutex_unlock(&sessions->lock);
    return error;
}

SSL_SESSION *fl_tls_sessions_find(struct fl_tls_sessions *sessions, struct fl_slice id,
                                  struct fl_cert_info *info)
{
    struct fl_map_node *node = NULL;
    struct entry *e = NULL;
    SSL_SESSION *session = NULL;

    (void)pthread_mutex_lock(&sessions->lock);
    node = fl_map_find(&sessions->by_id, id);
    e = node ? fl_container_of(node, struct entry, node) : NULL;
    if (e) {
        const unsigned char *at = e->der;
        session = d2i_SSL_SESSION(NULL, &at, (long)e->size);
    }
    if (session) {
        *info = (struct fl_cert_info){
            .kind = e->kind, .not_before = e->not_before, .not_after = e->not_after};
        (void)fl_str_copy(info->name, sizeof info->name, e->device->name);
        (void)fl_str_copy(info->serial, sizeof info->serial, e->serial);
        memcpy(info->sha256, e->sha256, sizeof info->sha256);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
    return session;
}

void fl_tls_sessions_remove(struct fl_tls_sessions *sessions, struct fl_slice id)
{
    (void)pthread_mutex_lock(&sessions->lock);
    remove_id(sessions, id);
    (void)pthread_mutex_unlock(&sessions->lock);
}

size_t fl_tls_sessions_count(struct fl_tls_sessions *sessions)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&sessions->lock);
    count = sessions->count;
    (void)pthread_mutex_unlock(&sessions->lock);
    return count;
}

uint32_t fl_tls_sessions_drop(struct fl_tls_sessions *sessions, struct fl_slice name)
{
    struct device *device = NULL;
    uint32_t dropped = 0;

    (void)pthread_mutex_lock(&sessions->lock);
    device = find_device(sessions, name);
    if (device) {
        device->count++; /* it stays until the walk is over */
        FL_LIST_EACH(node, &device->entries)
        {
            remove_entry(sessions, fl_container_of(node, struct entry, of_device));
            dropped++;
        }
        device->count--;
        forget_device_if_empty(sessions, device);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
    return dropped;
}

void fl_tls_sessions_free(struct fl_tls_sessions *sessions)
{
    if (!sessions->oldest_first.next)
        return;
    sessions->listener = NULL; /* what is kept stays kept */
    FL_LIST_EACH(node, &sessions->oldest_first)
    remove_entry(sessions, fl_container_of(node, struct entry, by_age));
    fl_map_free(&sessions->by_id);
    fl_map_free(&sessions->devices);
    fl_buffer_free(&sessions->log);
    (void)pthread_mutex_destroy(&sessions->lock);
}

/* --- what outlives the process --- */

void fl_tls_sessions_keep(struct fl_tls_sessions *sessions, const char *listener)
{
    (void)pthread_mutex_lock(&sessions->lock);
    sessions->log = FL_BUFFER(FL_LIMIT_TLS_LOG);
    sessions->listener = listener;
    (void)pthread_mutex_unlock(&sessions->lock);
}

void fl_tls_sessions_log(struct fl_tls_sessions *sessions, struct fl_buffer *to)
{
    (void)pthread_mutex_lock(&sessions->lock);
    if (sessions->log.size) {
        (void)fl_buffer_append_slice(to, fl_buffer_slice(&sessions->log));
        fl_buffer_free(&sessions->log);
        fl_buffer_clear(&sessions->log);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
}

/* Buckets only ever double: see fl_broker_checkpoint_step. */
bool fl_tls_sessions_walk(struct fl_tls_sessions *sessions, size_t *bucket, size_t bytes)
{
    const struct fl_map *map = &sessions->by_id;
    bool all = false;
    size_t until = 0;

    (void)pthread_mutex_lock(&sessions->lock);
    until = sessions->log.size + bytes;
    for (; *bucket < map->bucket_count && sessions->log.size < until; (*bucket)++)
        for (struct fl_map_node *node = fl_map_in_bucket(map, *bucket); node;
             node = fl_map_beside(node))
            write_down(sessions, fl_container_of(node, struct entry, node));
    all = *bucket >= map->bucket_count;
    (void)pthread_mutex_unlock(&sessions->lock);
    return all;
}

static void restore_session(struct fl_tls_sessions *sessions,
                            const struct fl_keep_tls_session *record)
{
    const unsigned char *at = record->session.data;
    SSL_SESSION *session =
        record->session.size ? d2i_SSL_SESSION(NULL, &at, (long)record->session.size) : NULL;
    struct fl_cert_info info = {.kind = (enum fl_cert_kind)record->kind,
                                .not_before = record->not_before,
                                .not_after = record->not_after};

    if (session && record->sha256.size == sizeof info.sha256 &&
        fl_str_copy_slice(info.name, sizeof info.name, record->device) &&
        fl_str_copy_slice(info.serial, sizeof info.serial, record->serial)) {
        memcpy(info.sha256, record->sha256.data, sizeof info.sha256);
        (void)!fl_tls_sessions_add(sessions, session, &info);
    }
    SSL_SESSION_free(session);
}

void fl_tls_sessions_restore(struct fl_tls_sessions *sessions, const struct fl_keep *record)
{
    if (record->type == fl_keep_type_tls_session)
        restore_session(sessions, &record->as.tls_session);
    else if (record->type == fl_keep_type_tls_gone)
        fl_tls_sessions_remove(sessions, record->as.tls_gone.id);
}
