/* SPDX-License-Identifier: Apache-2.0 */
#include "front/crew.h"

#include "base/assert.h"
#include "base/log.h"
#include "front/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Of all rings into one worker; shared out between them. */
#define SLOTS_ALL 8192
#define SLOTS_MIN 128

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): lines of a cache */
struct member {
    struct fl_crew *crew;
    struct fl_loop *loop;
    unsigned index;
    pthread_t thread;
    bool started;
    /* Its own: */
    struct fl_watch wake;
    bool working;
    bool busy;
    uint64_t to_wake; /* who has notes from it, one bit each */
    /* Others': */
    _Alignas(FL_RING_LINE) pthread_mutex_t round; /* held while it works */
    _Alignas(FL_RING_LINE) atomic_bool asleep;
    int wake_fd;
    pthread_mutex_t mail_lock;
    struct fl_mail *mail;
    struct fl_mail **mail_end;
    atomic_bool has_mail;
    atomic_size_t mail_bytes;
};

struct fl_crew {
    unsigned count;
    struct fl_crew_host host;
    pthread_mutex_t gate; /* held while the main thread changes what is shared, or wants to */
    atomic_bool changing;
    atomic_bool stopping;
    struct member *members;
    struct fl_ring *rings; /* [from * count + to] */
};

static struct fl_ring *ring_of(const struct fl_crew *crew, unsigned from, unsigned to)
{
    return &crew->rings[from * crew->count + to];
}

/* --- waking up --- */

/* Both sides exchange: either the sleeper sees what was put there, or this sees that it sleeps. */
static void wake(struct member *m)
{
    const uint64_t one = 1;

    if (atomic_exchange(&m->asleep, false) && write(m->wake_fd, &one, sizeof one) < 0)
        fl_log(FL_LOG_ERROR, "crew", "wake a worker: %s", strerror(errno));
}

/* Never read: edge-triggered, each write is an event. */
static void on_wake(struct fl_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

static void wake_all(struct member *m)
{
    for (unsigned i = 0; m->to_wake && i < m->crew->count; i++)
        if (m->to_wake >> i & 1)
            wake(&m->crew->members[i]);
    m->to_wake = 0;
}

/* --- mail --- */

void fl_crew_mail(struct fl_crew *crew, unsigned to, struct fl_mail *mail)
{
    struct member *m = &crew->members[to];

    mail->next = NULL;
    atomic_fetch_add(&m->mail_bytes, mail->size_bytes);
    (void)pthread_mutex_lock(&m->mail_lock);
    *m->mail_end = mail;
    m->mail_end = &mail->next;
    (void)pthread_mutex_unlock(&m->mail_lock);
    atomic_store(&m->has_mail, true);
    wake(m);
}

size_t fl_crew_mail_bytes(struct fl_crew *crew, unsigned to)
{
    return atomic_load_explicit(&crew->members[to].mail_bytes, memory_order_relaxed);
}

static void read_mail(struct member *m)
{
    struct fl_mail *mail = NULL;
    struct fl_mail *next = NULL;

    if (!atomic_exchange(&m->has_mail, false))
        return;
    (void)pthread_mutex_lock(&m->mail_lock);
    mail = m->mail;
    m->mail = NULL;
    m->mail_end = &m->mail;
    (void)pthread_mutex_unlock(&m->mail_lock);
    for (; mail; mail = next) {
        next = mail->next;
        atomic_fetch_sub(&m->mail_bytes, mail->size_bytes);
        m->crew->host.mail(m->crew->host.self, m->index, mail);
    }
}

/* --- notes --- */

bool fl_crew_post(struct fl_crew *crew, unsigned from, unsigned to,
                  const struct fl_broker_note *note, bool must)
{
    struct fl_ring *ring = ring_of(crew, from, to);

    if (!fl_ring_push(ring, note, must))
        return false;
    if (ring->over_count)
        crew->members[from].busy = true;
    return true;
}

bool fl_crew_busy(const struct fl_crew *crew, unsigned worker)
{
    return crew->members[worker].busy;
}

static void spill(struct member *m)
{
    struct fl_crew *crew = m->crew;

    m->busy = false;
    for (unsigned to = 0; to < crew->count; to++) {
        struct fl_ring *ring = ring_of(crew, m->index, to);
        if (to == m->index || ring->over_count == 0)
            continue;
        if (!fl_ring_spill(ring))
            m->busy = true;
    }
}

/* After the round's records were written down: see fl_ring_publish. */
static void publish(struct member *m)
{
    for (unsigned to = 0; to < m->crew->count; to++)
        if (to != m->index && fl_ring_publish(ring_of(m->crew, m->index, to)))
            m->to_wake |= (uint64_t)1 << to;
}

/* As many as fit in the ring: what comes meanwhile has its turn in the next round. */
static void hear(struct member *m)
{
    struct fl_crew *crew = m->crew;
    struct fl_broker_note note;

    for (unsigned from = 0; from < crew->count; from++) {
        struct fl_ring *ring = ring_of(crew, from, m->index);
        if (from == m->index)
            continue;
        for (size_t left = ring->mask + 1; left && fl_ring_pop(ring, &note); left--)
            crew->host.note(crew->host.self, m->index, from, &note);
        if (fl_ring_starved(ring))
            m->to_wake |= (uint64_t)1 << from;
    }
}

static bool is_quiet(struct member *m)
{
    if (atomic_load(&m->has_mail) || (m->index && atomic_load(&m->crew->stopping)))
        return false;
    for (unsigned from = 0; from < m->crew->count; from++)
        if (from != m->index && !fl_ring_empty(ring_of(m->crew, from, m->index)))
            return false;
    return true;
}

/* --- rounds --- */

static void begin_work(struct member *m)
{
    /* Who waits to change something goes first, however busy this one is. */
    if (m->index && atomic_load(&m->crew->changing)) {
        (void)pthread_mutex_lock(&m->crew->gate);
        (void)pthread_mutex_unlock(&m->crew->gate);
    }
    if (m->index)
        (void)pthread_mutex_lock(&m->round);
    m->working = true;
}

static void end_work(struct member *m)
{
    m->working = false;
    if (m->index)
        (void)pthread_mutex_unlock(&m->round);
}

static bool leave(void *self)
{
    struct member *m = self;
    bool was_busy = m->busy;

    spill(m);
    m->crew->host.round(m->crew->host.self, m->index, m->busy);
    publish(m);
    /* Once more, so that who takes what was published just now sees that this one starves. */
    if (m->busy) {
        spill(m);
        publish(m);
    }
    if (was_busy && !m->busy)
        m->crew->host.room(m->crew->host.self, m->index);
    wake_all(m);
    (void)atomic_exchange(&m->asleep, true);
    if (is_quiet(m))
        return true;
    atomic_store(&m->asleep, false);
    return false;
}

static void unlock(void *self)
{
    end_work(self);
}

static void lock(void *self)
{
    struct member *m = self;

    atomic_store(&m->asleep, false);
    begin_work(m);
}

static void enter(void *self)
{
    struct member *m = self;
    bool stopping = m->index && atomic_load(&m->crew->stopping);

    hear(m);
    read_mail(m); /* all that was sent before it was to stop */
    if (stopping)
        fl_loop_stop(m->loop);
}

static void *run(void *self)
{
    struct member *m = self;
    struct fl_context ctx = {0};

    begin_work(m);
    if (fl_loop_run(m->loop, &ctx) != FL_OK) {
        /* Its devices would hang: a new process serves them. */
        fl_log(FL_LOG_ERROR, "crew", "%s", ctx.text);
        abort();
    }
    if (m->working)
        end_work(m);
    return NULL;
}

/* --- changing what is shared --- */

void fl_crew_change_begin(struct fl_crew *crew)
{
    if (crew->count == 1)
        return;
    (void)pthread_mutex_lock(&crew->gate);
    atomic_store(&crew->changing, true);
    for (unsigned i = 1; i < crew->count; i++)
        (void)pthread_mutex_lock(&crew->members[i].round);
}

void fl_crew_change_end(struct fl_crew *crew)
{
    if (crew->count == 1)
        return;
    for (unsigned i = 1; i < crew->count; i++)
        (void)pthread_mutex_unlock(&crew->members[i].round);
    atomic_store(&crew->changing, false);
    (void)pthread_mutex_unlock(&crew->gate);
}

void fl_crew_exchange(struct fl_crew *crew)
{
    bool again = crew->count > 1;

    while (again) {
        again = false;
        for (unsigned i = 0; i < crew->count; i++) {
            struct member *m = &crew->members[i];
            hear(m);
            spill(m);
            crew->host.round(crew->host.self, i, m->busy);
            publish(m);
            again = again || m->busy;
        }
        for (unsigned i = 0; i < crew->count && !again; i++)
            for (unsigned to = 0; to < crew->count && !again; to++)
                again = i != to && !fl_ring_empty(ring_of(crew, i, to));
    }
}

/* --- the crew --- */

static size_t slots_for(unsigned count)
{
    size_t slots = SLOTS_ALL;

    while (slots > SLOTS_MIN && slots > SLOTS_ALL / count)
        slots /= 2;
    return slots;
}

static enum fl_error member_init(struct fl_crew *crew, unsigned index, struct fl_loop *main_loop,
                                 struct fl_context *ctx)
{
    struct member *m = &crew->members[index];
    const struct fl_loop_guard guard = {
        .leave = leave, .unlock = unlock, .lock = lock, .enter = enter, .self = m};
    enum fl_error error = FL_OK;

    m->crew = crew;
    m->index = index;
    m->loop = index ? NULL : main_loop;
    m->mail_end = &m->mail;
    m->wake_fd = -1;
    m->wake.ready = on_wake;
    m->working = index == 0;
    atomic_init(&m->asleep, false);
    atomic_init(&m->has_mail, false);
    atomic_init(&m->mail_bytes, 0);
    fl_assert(pthread_mutex_init(&m->round, NULL) == 0);
    fl_assert(pthread_mutex_init(&m->mail_lock, NULL) == 0);
    if (crew->count == 1)
        return FL_OK;
    if (index)
        error = fl_loop_create(&m->loop, ctx);
    if (error)
        return error;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake_fd < 0)
        return fl_fail(ctx, FL_EIO, "crew: eventfd: %s", strerror(errno));
    fl_loop_set_guard(m->loop, &guard);
    error = fl_loop_add(m->loop, &m->wake, m->wake_fd, ctx);
    for (unsigned to = 0; to < crew->count && !error; to++)
        if (to != index)
            error = fl_ring_init(ring_of(crew, index, to), slots_for(crew->count), ctx);
    return error;
}

static void *zeroed(size_t count, size_t size)
{
    void *made = aligned_alloc(FL_RING_LINE, count * size);

    if (made)
        memset(made, 0, count * size);
    return made;
}

enum fl_error fl_crew_create(unsigned count, struct fl_loop *main_loop,
                             const struct fl_crew_host *host, struct fl_crew **crew,
                             struct fl_context *ctx)
{
    struct fl_crew *made = calloc(1, sizeof *made);
    enum fl_error error = FL_OK;

    fl_assert(count >= 1 && count <= FL_LIMIT_WORKERS);
    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "crew: out of memory");
    made->host = *host;
    made->members = zeroed(count, sizeof made->members[0]);
    made->rings = zeroed((size_t)count * count, sizeof made->rings[0]);
    if (!made->members || !made->rings) {
        free(made->members);
        free(made->rings);
        free(made);
        return fl_fail(ctx, FL_ENOMEM, "crew: out of memory");
    }
    atomic_init(&made->changing, false);
    atomic_init(&made->stopping, false);
    fl_assert(pthread_mutex_init(&made->gate, NULL) == 0);
    made->count = count;
    for (unsigned i = 0; i < count && !error; i++)
        error = member_init(made, i, main_loop, ctx);
    if (error) {
        fl_crew_free(made);
        return error;
    }
    *crew = made;
    return FL_OK;
}

enum fl_error fl_crew_start(struct fl_crew *crew, struct fl_context *ctx)
{
    for (unsigned i = 1; i < crew->count; i++) {
        int error = pthread_create(&crew->members[i].thread, NULL, run, &crew->members[i]);
        if (error)
            return fl_fail(ctx, FL_ELIMIT, "crew: start a worker: %s", strerror(error));
        crew->members[i].started = true;
    }
    return FL_OK;
}

void fl_crew_stop(struct fl_crew *crew)
{
    atomic_store(&crew->stopping, true);
    for (unsigned i = 1; i < crew->count; i++) {
        if (!crew->members[i].started)
            continue;
        wake(&crew->members[i]);
        (void)pthread_join(crew->members[i].thread, NULL);
        crew->members[i].started = false;
    }
}

void fl_crew_read(struct fl_crew *crew)
{
    read_mail(&crew->members[0]);
}

static void discard(struct member *m)
{
    struct fl_mail *mail = m->mail;
    struct fl_mail *next = NULL;

    m->mail = NULL;
    m->mail_end = &m->mail;
    for (; mail; mail = next) {
        next = mail->next;
        m->crew->host.unread(m->crew->host.self, mail);
    }
}

void fl_crew_discard(struct fl_crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->members[i].crew)
            discard(&crew->members[i]);
}

static void member_free(struct member *m)
{
    if (!m->crew)
        return;
    if (m->wake.added)
        fl_loop_remove(m->loop, &m->wake);
    if (m->wake_fd >= 0)
        (void)close(m->wake_fd);
    if (m->index)
        fl_loop_free(m->loop);
    else
        fl_loop_set_guard(m->loop, &(struct fl_loop_guard){0});
    (void)pthread_mutex_destroy(&m->round);
    (void)pthread_mutex_destroy(&m->mail_lock);
}

void fl_crew_free(struct fl_crew *crew)
{
    if (!crew)
        return;
    fl_crew_discard(crew);
    for (unsigned i = 0; i < crew->count * crew->count; i++)
        fl_ring_free(&crew->rings[i]);
    for (unsigned i = 0; i < crew->count; i++)
        member_free(&crew->members[i]);
    (void)pthread_mutex_destroy(&crew->gate);
    free(crew->members);
    free(crew->rings);
    free(crew);
}

unsigned fl_crew_count(const struct fl_crew *crew)
{
    return crew->count;
}

struct fl_loop *fl_crew_loop(const struct fl_crew *crew, unsigned worker)
{
    return crew->members[worker].loop;
}
