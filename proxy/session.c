#include "proxy/session.h"

#include "base/limits.h"
#include "base/log.h"
#include "proxy/address.h"
#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/login.h"
#include "proxy/monitor.h"
#include "proxy/parcel.h"
#include "proxy/parked.h"
#include "proxy/push.h"
#include "proxy/divert.h"
#include "proxy/secure.h"
#include "proxy/slot.h"
#include "proxy/subscriber.h"
#include "proxy/tracing.h"
#include "proxy/tracking.h"
#include "proxy/transaction.h"
#include "router/acl.h"
#include "proxy/waiting.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than the clients that come while two processes accept, which is for seconds. */
#define IDS_APART (UINT64_C(1) << 20)

static _Atomic uint64_t next_id = 1;

uint64_t session_ids_beyond(void)
{
    return atomic_load(&next_id) + IDS_APART;
}

void session_ids_start(uint64_t first)
{
    atomic_store(&next_id, first);
}

/* ---- lists of the loop ---- */

static void link_session(struct session *s)
{
    struct loop *l = s->loop;
    s->next = l->sessions;
    if (s->next != NULL)
        s->next->back = &s->next;
    s->back = &l->sessions;
    l->sessions = s;
}

static void unlink_session(struct session *s)
{
    *s->back = s->next;
    if (s->next != NULL)
        s->next->back = s->back;
}

void session_wait_upstream(struct session *s)
{
    struct loop *l = s->loop;
    s->pauses |= PAUSE_UPSTREAM;
    if (s->wait_back != NULL)
        return;
    s->wait_next = l->waiting;
    if (s->wait_next != NULL)
        s->wait_next->wait_back = &s->wait_next;
    s->wait_back = &l->waiting;
    l->waiting = s;
}

static void stop_waiting(struct session *s)
{
    if (s->wait_back == NULL)
        return;
    *s->wait_back = s->wait_next;
    if (s->wait_next != NULL)
        s->wait_next->wait_back = s->wait_back;
    s->wait_back = NULL;
}

void session_wake_waiting(struct loop *l)
{
    while (l->waiting != NULL) {
        struct session *s = l->waiting;
        stop_waiting(s);
        session_resume(s, PAUSE_UPSTREAM);
    }
}

/* blocked_clients of INFO: who waits for something to come, or for the end of CLIENT PAUSE. */
static void count_blocked(struct session *s, int by)
{
    counter_add(&s->loop->stats->clients_blocked, (uint64_t)(int64_t)by);
}

void session_block(struct session *s, struct slot *slot)
{
    count_blocked(s, (slot != NULL) - (s->blocked != NULL));
    s->blocked = slot;
}

void session_resume(struct session *s, unsigned pauses)
{
    bool was_paused = (s->pauses & pauses) != 0;
    if ((s->pauses & pauses & PAUSE_CLIENTS) != 0)
        count_blocked(s, -1);
    s->pauses &= ~pauses;
    if (!was_paused || s->pauses != 0 || s->resume_back != NULL || s->stream.closing)
        return;
    s->resume_next = s->loop->resumable;
    if (s->resume_next != NULL)
        s->resume_next->resume_back = &s->resume_next;
    s->resume_back = &s->loop->resumable;
    s->loop->resumable = s;
}

static void stop_resuming(struct session *s)
{
    if (s->resume_back == NULL)
        return;
    *s->resume_back = s->resume_next;
    if (s->resume_next != NULL)
        s->resume_next->resume_back = s->resume_back;
    s->resume_back = NULL;
}

/* ---- input ---- */

static void grow_input(struct session *s, size_t need)
{
    struct loop *l = s->loop;
    if (need <= s->in_cap)
        return;
    size_t cap = s->in_cap < 1024 ? 1024 : s->in_cap;
    while (cap < need)
        cap *= 2;
    s->in = realloc(s->in, cap);
    if (s->in == NULL)
        abort();
    l->in_bytes += cap - s->in_cap;
    s->in_cap = cap;
}

/* The buffer is somebody else's now. */
static void forget_input(struct session *s)
{
    s->loop->in_bytes -= s->in_cap;
    s->in = NULL;
    s->in_at = s->in_len = s->in_cap = 0;
}

static void drop_input(struct session *s)
{
    free(s->in);
    forget_input(s);
}

bool session_give_input(struct session *s, struct slice raw, struct chain *to)
{
    if (raw.len <= LIMIT_HUGE_REQUEST || s->in == NULL || raw.p != s->in + s->in_at || raw.len != s->in_len)
        return false;
    chain_append_own(to, s->in, s->in_at, s->in_at + s->in_len);
    forget_input(s);
    return true;
}

/* Moves what is kept to the buffer's start. */
static void pack_input(struct session *s)
{
    if (s->in_at > 0)
        memmove(s->in, s->in + s->in_at, s->in_len);
    s->in_at = 0;
}

/* Takes whole requests from p[0, n) until one must wait. Returns the bytes that are done with. */
static size_t take_requests(struct session *s, const char *p, size_t n)
{
    struct loop *l = s->loop;
    size_t at = 0;

    while (at < n && s->pauses == 0 && !s->ending && !s->stream.closing) {
        struct request *r = &l->request;
        r->stranger = s->guarded && login_needed(s);
        enum request_status status =
            request_parse(r, &s->progress, p + at, n - at, (size_t)l->settings->max_request);
        if (status == REQUEST_MORE)
            break;
        if (status == REQUEST_BAD) {
            counter_add(&l->stats->protocol_errors, 1);
            log_event(LOG_INFO, "protocol_error", LOG_STR("client", s->addr), LOG_STR("reason", r->error));
            build_err(slot_answer(s), ERR_PROTOCOL, r->error + strlen("Protocol error: "));
            slot_answered(s);
            session_end(s);
            return n;
        }
        if (r->argc > 0 && !dispatch(s, r, (struct slice){p + at, r->used}))
            break; /* it waits: s->pauses says for what; it is parsed again then */
        at += r->used;
    }
    return s->ending || s->stream.closing ? n : at;
}

/* The part of the input that could not be used stays for later. */
static void keep_input(struct session *s, const char *p, size_t n)
{
    if (n == 0)
        return;
    pack_input(s);
    grow_input(s, s->in_len + n);
    memcpy(s->in + s->in_len, p, n);
    s->in_len += n;
}

/* Goes through s->in. It may be gone then: given away, or the session is closed. */
static void take_kept(struct session *s)
{
    size_t used = take_requests(s, s->in + s->in_at, s->in_len);
    if (s->in == NULL)
        return;
    s->in_at += used;
    s->in_len -= used;
    if (s->in_len == 0)
        drop_input(s);
}

/* A client whose request waits is read on, up to a limit, to see when it leaves: nothing must be taken for it then. */
static void update_reading(struct session *s)
{
    bool listens = s->pauses == 0 || ((s->blocked != NULL || s->parked != NULL) && s->in_len < LIMIT_READ + parked_input(s));
    if (!s->stream.closing)
        stream_set_reading(&s->stream, listens && !s->ending);
}

void session_unread(struct session *s, struct slice request)
{
    pack_input(s);
    grow_input(s, s->in_len + request.len);
    memmove(s->in + request.len, s->in, s->in_len);
    memcpy(s->in, request.p, request.len);
    s->in_len += request.len;
    s->progress = (struct request_progress){0};
}

bool session_first(const struct session *s, struct request *r)
{
    struct request_progress progress = {0};
    size_t max = (size_t)s->loop->settings->max_request;

    return s->in_len > 0 && request_parse(r, &progress, s->in + s->in_at, s->in_len, max) == REQUEST_DONE;
}

void session_skip(struct session *s, size_t n)
{
    n = n < s->in_len ? n : s->in_len;
    s->in_at += n;
    s->in_len -= n;
    s->progress = (struct request_progress){0};
    if (s->in_len == 0)
        drop_input(s);
}

void session_pause(struct session *s, enum pause pause)
{
    if (pause == PAUSE_CLIENTS && (s->pauses & PAUSE_CLIENTS) == 0)
        count_blocked(s, 1);
    s->pauses |= pause;
    update_reading(s);
}

bool session_resume_all(struct loop *l)
{
    bool any = l->resumable != NULL;
    while (l->resumable != NULL) {
        struct session *s = l->resumable;
        stop_resuming(s);
        if (s->in_len > 0 && !s->stream.closing)
            take_kept(s);
        update_reading(s);
    }
    return any;
}

static void take_input(struct session *s, const char *p, size_t n)
{
    if (s->in_len > 0) {
        keep_input(s, p, n);
        take_kept(s);
    } else {
        size_t used = take_requests(s, p, n);
        keep_input(s, p + used, n - used);
    }
    if (s->in_len > LIMIT_HUGE_REQUEST && loop_over_memory(s->loop)) {
        build_err(slot_answer(s), ERR_NOMEM, NULL);
        slot_answered(s);
        session_end(s);
    }
}

static void on_readable(struct stream *stream)
{
    struct session *s = (struct session *)stream;
    struct turn *t = &s->loop->turn;
    ssize_t n = stream_read(stream, t->buf, LIMIT_READ);

    if (n == -EAGAIN)
        return;
    s->last_us = turn_now(t);
    if (n == 0) {
        session_end(s);
        return;
    }
    if (n < 0) {
        secure_lost(s, (int)n);
        session_close(s, stream_why(stream, (int)n));
        return;
    }
    if (t->buf[0] == 0x16 && secure_meets_tls(s, t->buf, (size_t)n)) {
        session_close(s, "it speaks TLS");
        return;
    }
    counter_add(&s->loop->stats->bytes_in, (uint64_t)n);
    take_input(s, t->buf, (size_t)n);
    update_reading(s);
}

/* ---- output ---- */

static void close_when_done(struct session *s)
{
    if (s->ending && s->head == NULL && s->stream.out.len == 0 && !s->stream.closing)
        session_close(s, NULL);
}

static void on_written(struct stream *stream, size_t n)
{
    struct session *s = (struct session *)stream;
    counter_add(&s->loop->stats->bytes_out, n);
    if (s->stream.out.len > LIMIT_CLIENT_LOW)
        return;
    close_when_done(s);
    session_resume(s, PAUSE_OUTPUT);
}

static void on_broken(struct stream *stream, int neg_errno)
{
    session_close((struct session *)stream, stream_why(stream, neg_errno));
}

static size_t unread(const struct session *s)
{
    return s->stream.out.len + push_waiting(s);
}

static void close_slow_reader(struct session *s, const char *which)
{
    counter_add(&s->loop->stats->clients_output_closed, 1);
    log_event(LOG_WARN, "client_closed", LOG_STR("client", s->addr), LOG_STR("reason", which),
              LOG_INT("unread_bytes", (int64_t)unread(s)));
    session_close(s, which);
}

void session_touch(struct session *s)
{
    if (s->stream.closing)
        return;
    if (s->stream.out.len > LIMIT_STRANGER_OUT && s->guarded && login_needed(s)) {
        stream_flush(&s->stream);
        if (s->stream.closing)
            return;
        if (s->stream.out.len > LIMIT_STRANGER_OUT) {
            close_slow_reader(s, "not logged in");
            return;
        }
    }
    if (unread(s) > LIMIT_CLIENT_HIGH) {
        stream_flush(&s->stream);
        if (s->stream.closing)
            return;
        struct output_limits limits = push_limits(s);
        if ((int64_t)unread(s) > limits.hard) {
            close_slow_reader(s, limits.hard_name);
            return;
        }
        if (s->stream.writing && !(s->pauses & PAUSE_OUTPUT)) {
            s->pauses |= PAUSE_OUTPUT;
            counter_add(&s->loop->stats->backpressure_pauses, 1);
            update_reading(s);
        }
    }
    turn_touch(&s->loop->turn, &s->stream);
    close_when_done(s); /* the last reply may have been written as it came */
}

void session_second(struct session *s, int64_t now_us)
{
    const struct settings *set = s->loop->settings;
    struct output_limits limits = push_limits(s);
    bool above = (int64_t)unread(s) > limits.soft;

    if (!above)
        s->soft_since_us = 0;
    else if (s->soft_since_us == 0)
        s->soft_since_us = now_us;
    else if (now_us - s->soft_since_us > limits.soft_ms * 1000) {
        close_slow_reader(s, limits.soft_name);
        return;
    }
    if (s->stream.tls != NULL && secure_is_late(s, now_us)) {
        session_close(s, "no TLS handshake in time");
        return;
    }
    if (s->tracking != NULL)
        tracking_second(s);
    if (set->idle_timeout > 0 && s->head == NULL && s->parked == NULL && !push_listens(s) && now_us - s->last_us > set->idle_timeout * 1000)
        session_close(s, "idle");
}

/* ---- life ---- */

static void on_closed(struct stream *stream)
{
    struct session *s = (struct session *)stream;
    free(s->name);
    free(s->lib_name);
    free(s->lib_ver);
    free(s);
}

static const struct stream_ops ops = {on_readable, on_written, on_broken, on_closed};

/* NULL when the loop cannot watch the descriptor; it is closed then, and the client no longer counted. */
static struct session *attach(struct loop *l, int own_fd)
{
    struct session *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    if (stream_init(&s->stream, &l->uv, own_fd, &l->turn.chunks, &ops) != 0) {
        close(own_fd);
        free(s);
        atomic_fetch_sub(&l->clients, 1);
        return NULL;
    }
    s->loop = l;
    s->tail = &s->head;
    s->resp = RESP2;
    s->last_command = "NULL";
    login_begin(s);
    s->born_us = s->last_us = turn_now(&l->turn);
    address_of_peer(own_fd, s->addr, sizeof s->addr);
    address_of_self(own_fd, s->laddr, sizeof s->laddr);
    link_session(s);
    counter_add(&l->stats->clients_accepted, 1);
    return s;
}

struct session *session_new(struct loop *l, int own_fd, bool secure)
{
    int one = 1;

    setsockopt(own_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(own_fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    struct session *s = attach(l, own_fd);
    if (s == NULL)
        return NULL;
    s->id = atomic_fetch_add(&next_id, 1);
    if (secure && !secure_begin(s)) {
        session_close(s, "there is no certificate");
        return NULL;
    }
    stream_set_reading(&s->stream, true);
    return s;
}

void session_end(struct session *s)
{
    s->ending = true;
    update_reading(s);
    waiting_recall(s);
    if (s->head != NULL)
        return;
    stream_flush(&s->stream);
    close_when_done(s);
}

/* Out of all lists of the loop; what is left is the socket and what the session owns. */
static void detach(struct session *s)
{
    if (s->is_heard)
        divert_gone(s);
    stop_waiting(s);
    stop_resuming(s);
    unlink_session(s);
    session_block(s, NULL);
    if ((s->pauses & PAUSE_CLIENTS) != 0)
        count_blocked(s, -1);
    counter_add(&s->loop->stats->clients_closed, 1);
}

void session_close(struct session *s, const char *reason)
{
    struct loop *l = s->loop;

    if (s->stream.closing)
        return;
    if (reason != NULL)
        log_event(LOG_DEBUG, "client_closed", LOG_STR("client", s->addr), LOG_STR("reason", reason));
    detach(s);
    tracing_drop(s);
    transaction_drop(s);
    aside_forget(s);
    slot_abandon_all(s);
    subscriber_drop(s);
    monitor_stop(s);
    waiting_drop(s);
    push_drop(s);
    drop_input(s);
    atomic_fetch_sub(&l->clients, 1);
    stream_close(&s->stream);
}

/* ---- from process to process ---- */

bool session_is_idle(const struct session *s)
{
    return s->head == NULL && s->stream.out.len == 0 && s->txn == NULL && s->parked == NULL && s->tracing == NULL &&
           s->pinned == NULL && s->watched == NULL && !s->ending && !s->stream.closing;
}

static void move_text(struct parcel *to, enum parcel_part part, char **from)
{
    to->parts[part] = *from;
    to->lens[part] = *from != NULL ? strlen(*from) : 0;
    *from = NULL;
}

struct parcel *session_leave(struct session *s)
{
    struct parcel *p = parcel_new();
    int64_t now = s->loop->turn.now_us;

    detach(s);
    p->fd = stream_release(&s->stream);
    p->id = s->id;
    p->age_us = now - s->born_us;
    p->idle_us = now - s->last_us;
    p->db = s->db;
    p->resp = s->resp;
    p->no_evict = s->no_evict;
    p->no_touch = s->no_touch;
    p->mute = s->mute;
    move_text(p, PARCEL_NAME, &s->name);
    move_text(p, PARCEL_LIB_NAME, &s->lib_name);
    move_text(p, PARCEL_LIB_VER, &s->lib_ver);
    p->known = s->known;
    p->parts[PARCEL_USER] = strdup(acl_user_name(s->user).p);
    p->lens[PARCEL_USER] = acl_user_name(s->user).len;
    pack_input(s);
    p->parts[PARCEL_INPUT] = s->in;
    p->lens[PARCEL_INPUT] = s->in_len;
    forget_input(s);
    return p;
}

/* False: it was a user who is not there any more. */
static bool unpack(struct session *s, struct parcel *p)
{
    const char *user = p->parts[PARCEL_USER] != NULL ? p->parts[PARCEL_USER] : "";

    s->id = p->id;
    s->born_us -= p->age_us;
    s->last_us -= p->idle_us;
    s->db = p->db;
    s->resp = p->resp;
    s->no_evict = p->no_evict;
    s->no_touch = p->no_touch;
    s->mute = p->mute;
    s->name = parcel_take(p, PARCEL_NAME);
    s->lib_name = parcel_take(p, PARCEL_LIB_NAME);
    s->lib_ver = parcel_take(p, PARCEL_LIB_VER);
    s->in_len = s->in_cap = p->lens[PARCEL_INPUT];
    s->in = parcel_take(p, PARCEL_INPUT);
    s->loop->in_bytes += s->in_cap;
    return login_arrive(s, (struct slice){user, strlen(user)}, p->known);
}

void session_arrive(struct loop *l, void *own_parcel)
{
    struct parcel *p = own_parcel;

    if (l->closed) {
        atomic_fetch_sub(&l->clients, 1);
        parcel_free(p);
        return;
    }
    struct session *s = attach(l, p->fd);
    p->fd = -1;
    if (s != NULL && !unpack(s, p))
        session_close(s, "its user is gone");
    else if (s != NULL) {
        if (s->in_len > 0)
            take_kept(s);
        update_reading(s);
    }
    parcel_free(p);
}
