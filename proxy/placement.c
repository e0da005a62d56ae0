#include "proxy/placement.h"

#include "base/log.h"
#include "proxy/loop.h"
#include "proxy/server.h"
#include "router/keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL "placement"

enum acted { ACTED_NONE, ACTED_REDIS, ACTED_ARCHIVE };
static const char *const words[] = {"none", "redis", "archive"};

struct record {
    char *policy;
    enum acted acted;
};

/* One visit to the archive on libuv's pool. */
struct visit {
    bool save;
    enum err error;
    bson_t *doc;       /* to be saved */
    int64_t version;   /* of the control document, before and after */
    int64_t documents; /* in the archive */
    struct arena arena;
    struct archive_found found;
};

struct placement {
    pthread_mutex_t lock; /* over all but the visit, which is the main loop's and its pool's in turn */
    struct server *server;
    struct archive_handle *handle;
    uv_loop_t *loop;
    uv_work_t work;
    uv_timer_t retry;
    struct visit visit;
    bool visiting;        /* [main] */
    bool known;           /* the record was read */
    bool dirty;           /* the record has to be saved */
    bool look_again;      /* documents must be counted anew before Redis may act for the first time */
    bool redis_known, redis_up, redis_there;
    int64_t version;
    struct record *records;
    size_t nrecords;
    const struct settings *settings;
    _Atomic bool archive[STATS_POLICIES];
};

/* ---- the record ---- */

static struct record *record_of(struct placement *p, const char *policy)
{
    for (size_t i = 0; i < p->nrecords; i++)
        if (strcmp(p->records[i].policy, policy) == 0)
            return &p->records[i];
    p->records = realloc(p->records, (p->nrecords + 1) * sizeof *p->records);
    char *name = strdup(policy);
    if (p->records == NULL || name == NULL)
        abort();
    p->records[p->nrecords] = (struct record){.policy = name};
    return &p->records[p->nrecords++];
}

static void read_record(struct placement *p, struct slice doc)
{
    bson_t b;
    bson_iter_t it;

    if (!bson_init_static(&b, (const uint8_t *)doc.p, doc.len) || !bson_iter_init(&it, &b))
        return;
    while (bson_iter_next(&it)) {
        const char *word = BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
        for (int a = ACTED_REDIS; a <= ACTED_ARCHIVE; a++)
            if (strcmp(word, words[a]) == 0 && record_of(p, bson_iter_key(&it))->acted == ACTED_NONE)
                record_of(p, bson_iter_key(&it))->acted = (enum acted)a;
    }
}

static bson_t *write_record(const struct placement *p)
{
    bson_t *doc = bson_new();
    for (size_t i = 0; i < p->nrecords; i++)
        if (p->records[i].acted != ACTED_NONE)
            BSON_APPEND_UTF8(doc, p->records[i].policy, words[p->records[i].acted]);
    return doc;
}

/* ---- deciding ---- */

static void remember(struct placement *p, const struct policy_conf *policy, enum acted acted)
{
    struct record *r = record_of(p, policy->name);
    if (r->acted == acted)
        return;
    log_event(LOG_INFO, "placement", LOG_STR("policy", policy->name), LOG_STR("acting", words[acted]));
    r->acted = acted;
    p->dirty = true;
}

/* Nobody has acted yet: the first one that is there, but never in front of data that the other one holds. */
static bool first_is_archive(struct placement *p, const struct policy_conf *policy, int64_t documents)
{
    if (documents > 0)
        remember(p, policy, ACTED_ARCHIVE);
    else if (p->redis_up)
        remember(p, policy, ACTED_REDIS);
    return documents > 0 || !(p->redis_up || p->redis_there);
}

static bool is_archive(struct placement *p, const struct policy_conf *policy)
{
    enum acted acted = record_of(p, policy->name)->acted;

    if (policy->primary != STORE_REDIS)
        return true;
    if (acted != ACTED_NONE)
        return acted == ACTED_ARCHIVE;
    if (!p->known || !p->redis_known)
        return false;
    return first_is_archive(p, policy, p->visit.documents);
}

static void publish(struct placement *p)
{
    struct loop *l;

    for (unsigned i = 0; (l = server_loop(p->server, i)) != NULL; i++) {
        struct acting *a = malloc(sizeof *a);
        if (a == NULL)
            abort();
        placement_copy(p, p->settings, a);
        if (!loop_try_post(l, placement_apply, a))
            free(a);
    }
}

/* The lock is held. What is dirty then is saved by the timer. */
static void decide(struct placement *p)
{
    for (size_t i = 0; i < p->settings->policy_count && i < STATS_POLICIES; i++)
        p->archive[i] = is_archive(p, &p->settings->policies[i]);
    publish(p);
}

/* ---- visits to the archive ---- */

static void on_work(uv_work_t *work)
{
    struct placement *p = work->data;
    struct visit *v = &p->visit;
    struct archive_stats stats = {0};

    if (v->save)
        v->error = archive_control_set(p->handle, CONTROL, v->version, v->version + 1, v->doc);
    else
        v->error = archive_control_get(p->handle, CONTROL, &v->arena, &v->found);
    if (v->error == ERR_NONE)
        v->error = archive_stats(p->handle, &stats);
    v->documents = stats.documents;
}

static void after_work(uv_work_t *work, int status)
{
    struct placement *p = work->data;
    struct visit *v = &p->visit;

    p->visiting = false;
    if (v->doc != NULL)
        bson_destroy(v->doc);
    v->doc = NULL;
    if (status != 0)
        return; /* ending */
    pthread_mutex_lock(&p->lock);
    if (v->error == ERR_NONE && v->save) {
        p->version = v->version + 1;
    } else if (v->save) {
        p->dirty = p->look_again = true; /* another proxy was faster, or the archive is down: read, then save again */
    } else if (v->error == ERR_NONE) {
        p->version = v->found.version;
        if (p->version != 0)
            read_record(p, v->found.doc);
        p->known = true;
    }
    arena_reset(&v->arena);
    if (v->error == ERR_NONE)
        decide(p);
    pthread_mutex_unlock(&p->lock);
}

/* Takes the lock's side of things along; then no lock is needed. */
static void visit(struct placement *p)
{
    pthread_mutex_lock(&p->lock);
    bool read = !p->known || p->look_again, save = !read && p->dirty;

    if (read)
        p->look_again = false;
    if (save) {
        p->visit.doc = write_record(p);
        p->dirty = false;
    }
    p->visit.save = save;
    p->visit.version = p->version;
    pthread_mutex_unlock(&p->lock);
    p->visiting = read || save;
    if (p->visiting)
        uv_queue_work(p->loop, &p->work, on_work, after_work);
}

/* What could not be read or saved is tried again. */
static void on_retry(uv_timer_t *timer)
{
    struct placement *p = timer->data;
    if (!p->visiting)
        visit(p);
}

/* ---- the interface ---- */

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e)
{
    struct placement *p = calloc(1, sizeof *p);

    if (p == NULL)
        abort();
    p->server = s;
    p->loop = main_loop;
    p->handle = archive_attach(executor_archive(e));
    p->work.data = p->retry.data = p;
    arena_init(&p->visit.arena);
    uv_timer_init(main_loop, &p->retry);
    uv_timer_start(&p->retry, on_retry, 100, 100);
    p->settings = config_current(server_config(s));
    pthread_mutex_init(&p->lock, NULL);
    decide(p);
    visit(p);
    return p;
}

static void on_closed(uv_handle_t *handle)
{
    struct placement *p = handle->data;

    archive_detach(p->handle);
    arena_done(&p->visit.arena);
    for (size_t i = 0; i < p->nrecords; i++)
        free(p->records[i].policy);
    free(p->records);
    settings_unref(p->settings);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* The handle is closed in a turn of the loop, and its work ends before. */
void placement_stop(struct placement *own_p)
{
    if (own_p->visiting && uv_cancel((uv_req_t *)&own_p->work) != 0)
        while (own_p->visiting)
            uv_run(own_p->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&own_p->retry, on_closed);
}

static const struct policy_conf *same_policy(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->policy_count; i++)
        if (strcmp(s->policies[i].name, name) == 0)
            return &s->policies[i];
    return NULL;
}

void placement_settings(struct placement *p, const struct settings *now)
{
    pthread_mutex_lock(&p->lock);
    const struct settings *old = p->settings;
    p->settings = settings_ref(now);
    for (size_t i = 0; i < now->policy_count; i++) {
        const struct policy_conf *was = same_policy(old, now->policies[i].name);
        if (was != NULL && was->primary != now->policies[i].primary)
            remember(p, &now->policies[i], now->policies[i].primary == STORE_REDIS ? ACTED_REDIS : ACTED_ARCHIVE);
    }
    settings_unref(old);
    decide(p);
    pthread_mutex_unlock(&p->lock);
}

void placement_choose(struct placement *p, const char *policy, bool archive)
{
    pthread_mutex_lock(&p->lock);
    const struct policy_conf *conf = same_policy(p->settings, policy);
    if (conf != NULL)
        remember(p, conf, archive ? ACTED_ARCHIVE : ACTED_REDIS);
    decide(p);
    pthread_mutex_unlock(&p->lock);
}

/* Before Redis acts for the first time, what is in the archive is counted again. */
void placement_redis(struct placement *p, bool up, bool there)
{
    pthread_mutex_lock(&p->lock);
    bool first = !p->redis_known;
    p->redis_known = true;
    p->redis_up = up;
    p->redis_there = there;
    if (up && !first)
        p->look_again = true;
    else
        decide(p);
    pthread_mutex_unlock(&p->lock);
}

bool placement_is_archive(const struct placement *p, size_t policy)
{
    return p != NULL && policy < STATS_POLICIES && p->archive[policy];
}

void placement_copy(const struct placement *p, const struct settings *settings, struct acting *ret)
{
    bool all = true;

    memset(ret, 0, sizeof *ret);
    for (size_t k = 0; k < settings->policy_count && k < STATS_POLICIES; k++) {
        /* An archive that can't be opened is no reason to give its keys to the other store. */
        ret->archive[k] = p != NULL ? p->archive[k] : settings->policies[k].primary != STORE_REDIS;
        ret->any |= ret->archive[k];
        all &= ret->archive[k];
        ret->whole |= all && strcmp(settings->policies[k].match, "*") == 0;
    }
}

/* ---- on the loops ---- */

void placement_apply(struct loop *l, void *own_acting)
{
    if (!l->closed)
        l->acting = *(struct acting *)own_acting;
    free(own_acting);
}

struct seeking {
    const struct loop *loop;
    const struct slice *argv;
    unsigned home;
};

static bool see_key(void *ctx, struct key_ref ref)
{
    struct seeking *s = ctx;
    const struct policy_conf *policy = policy_find(s->loop->policies, s->argv[ref.arg]);
    bool archive = policy != NULL && policy->index < STATS_POLICIES && s->loop->acting.archive[policy->index];
    s->home |= archive ? HOME_ARCHIVE : HOME_REDIS;
    return true;
}

enum home placement_home(const struct loop *l, const struct command *cmd, const struct slice *argv, size_t argc)
{
    struct seeking s = {.loop = l, .argv = argv};

    if (!l->acting.any)
        return HOME_REDIS;
    if (cmd == NULL)
        return HOME_NONE;
    keys_each(cmd, argv, argc, see_key, &s);
    return (enum home)s.home;
}
