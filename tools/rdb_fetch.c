#include "tools/rdb.h"

#include "backends/redis/blocking.h"
#include "base/clock.h"
#include "config/config.h"
#include "config/url.h"
#include "sync/link.h"
#include "sync/reply.h"
#include "tools/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S     0.2
#define LINE_ROOM  128
#define SYNC_MS    60000
#define MARK_BYTES 40 /* of "$EOF:" */

extern char **environ;

struct fetch {
    const struct options *options;
    const struct rdb_wish *wish;
    struct config *config;
    const struct settings *settings;
    struct redis_url url;
    struct link *link;
    char *why;
};

static bool says(struct fetch *f, const char *what)
{
    snprintf(f->why, RDB_WHY, "%s", what);
    return false;
}

/* ---- connecting: with the proxy's own variables (REDIS_PASSWORD, REDIS_TLS_CA …) ---- */

/* Those of this process that begin with REDIS_, but for the address; the list is malloc'ed, its texts are not. */
static const char **variables(void)
{
    size_t n = 0, all = 0;

    while (environ[all] != NULL)
        all++;
    const char **list = calloc(all + 1, sizeof *list);
    if (list == NULL)
        abort();
    for (char **e = environ; *e != NULL; e++)
        if (strncmp(*e, "REDIS_", 6) == 0 && strncmp(*e, "REDIS_URL=", 10) != 0)
            list[n++] = *e;
    return list;
}

static bool configure(struct fetch *f)
{
    char url[700];
    const char *sets[] = {url, "archive.url="}, **own_env = variables();
    struct config_start start = {.sets = sets, .set_count = 2, .env = own_env};
    struct config_error error;
    struct reason reason;

    snprintf(url, sizeof url, "redis.url=%s", f->wish->url);
    f->config = config_new();
    enum err e = config_load(f->config, &start, &error);
    free(own_env);
    if (e != ERR_NONE)
        return says(f, error.reason);
    f->settings = config_current(f->config);
    if (!redis_url_parse(f->wish->url, &f->url, &reason))
        return says(f, "its address is none of one Redis: --redis redis://HOST:PORT names it");
    f->link = link_new();
    return link_open(f->link, f->settings) || says(f, link_why(f->link));
}

/* The next reply, not an error. */
static const redisReply *get(struct fetch *f)
{
    const redisReply *r = link_get(f->link);

    if (r == NULL)
        says(f, link_why(f->link));
    else if (r->type == REDIS_REPLY_ERROR)
        says(f, r->str);
    return r != NULL && r->type != REDIS_REPLY_ERROR ? r : NULL;
}

/* ---- BGSAVE ---- */

struct save {
    bool running, failed;
    int64_t last_s, done, total; /* seconds since 1970; keys */
};

/* The number behind "name:" in INFO's text; 0: it is not there. */
static int64_t field(const char *info, const char *name)
{
    const char *at = strstr(info, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : 0;
}

static bool look(struct fetch *f, struct save *ret)
{
    link_say(f->link, "INFO", "persistence", NULL);
    const redisReply *r = get(f);
    if (r == NULL || !reply_is_text(r))
        return false;
    *ret = (struct save){.running = field(r->str, "rdb_bgsave_in_progress:") != 0,
                         .failed = strstr(r->str, "rdb_last_bgsave_status:ok") == NULL,
                         .last_s = field(r->str, "rdb_last_save_time:"),
                         .done = field(r->str, "current_save_keys_processed:"),
                         .total = field(r->str, "current_save_keys_total:")};
    link_done(f->link);
    return true;
}

/* Until none runs, or the patience is over. */
static bool wait_for(struct fetch *f, struct save *ret, bool begun, int64_t since_s)
{
    int64_t end_us = clock_mono_us() + (int64_t)(f->wish->patience_s * 1e6);
    struct progress p;

    progress_begin(&p, f->options, "save", -1, 0);
    for (;;) {
        if (!look(f, ret))
            return false;
        if (!ret->running && (!begun || ret->last_s >= since_s))
            break;
        if (!ret->running && ret->failed)
            return says(f, "BGSAVE has failed; Redis's log says why");
        if (clock_mono_us() > end_us)
            return says(f, "the save is not done in time (--timeout)");
        p.total = ret->total > 0 ? ret->total : -1;
        if (!progress_step(&p, (uint64_t)ret->done, 0))
            return says(f, "interrupted");
        ctl_pause(LOOK_S);
    }
    progress_end(&p);
    return true;
}

static bool save(struct fetch *f)
{
    struct save state;
    int64_t now_s = 0;

    if (!wait_for(f, &state, false, 0)) /* one that runs already may have begun before the last write */
        return false;
    link_say(f->link, "TIME", NULL);
    const redisReply *r = get(f);
    if (r == NULL || !reply_is_array(r) || r->elements != 2 || !reply_int(r->element[0], &now_s))
        return r != NULL ? says(f, "an answer to TIME of an unexpected kind") : false;
    link_say(f->link, "BGSAVE", "SCHEDULE", NULL);
    if (get(f) == NULL)
        return false;
    link_done(f->link);
    return wait_for(f, &state, true, now_s);
}

/* ---- its file ---- */

static bool is_local(const struct redis_url *url)
{
    struct net_address address = {.host = url->host, .port = url->port, .path = url->path};
    return net_address_is_local(&address);
}

static bool setting(struct fetch *f, const char *name, char *value, size_t cap)
{
    link_say(f->link, "CONFIG", "GET", name, NULL);
    const redisReply *r = link_get(f->link);
    bool ok = r != NULL && reply_is_array(r) && r->elements == 2 && reply_is_text(r->element[1]);
    if (ok)
        snprintf(value, cap, "%s", r->element[1]->str);
    link_done(f->link);
    return ok;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR)
            return false;
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static bool copy(int from, int to)
{
    char room[65536];
    ssize_t n;

    while ((n = read(from, room, sizeof room)) > 0)
        if (ctl_interrupted() || !write_all(to, room, (size_t)n))
            return false;
    return n == 0 && fsync(to) == 0;
}

/* Redis replaces its file by a new one, so a file that is open stays whole. False: it can't be had this way. */
static bool copy_file(struct fetch *f)
{
    char dir[PATH_MAX - 300], name[256], path[PATH_MAX];

    if (!is_local(&f->url) || !setting(f, "dir", dir, sizeof dir) || !setting(f, "dbfilename", name, sizeof name))
        return false;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = from >= 0 ? open(f->wish->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    bool ok = to >= 0 && copy(from, to);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return ok;
}

/* ---- SYNC: what a replica gets ---- */

struct stream_in {
    struct fetch *f;
    struct blocking *w;
    char *room;
    size_t at, end;
};

static bool fill(struct stream_in *s)
{
    ssize_t n = ctl_interrupted() ? 0 : blocking_read(s->w, s->room, BLOCKING_READ_LEAST);

    if (ctl_interrupted())
        return says(s->f, "interrupted");
    if (n <= 0)
        return says(s->f, n == 0 ? "Redis closed the connection" : blocking_why(s->w, (int)n));
    s->at = 0;
    s->end = (size_t)n;
    return true;
}

/* A line without its end; empty ones keep the connection alive, and are passed over. */
static bool read_line(struct stream_in *s, char line[LINE_ROOM])
{
    size_t n = 0;

    for (;;) {
        if (s->at == s->end && !fill(s))
            return false;
        char c = s->room[s->at++];
        if (c == '\n' && n > 0)
            break;
        if (c == '\r' || c == '\n')
            continue;
        if (n + 1 == LINE_ROOM)
            return says(s->f, "an answer to SYNC of an unexpected kind");
        line[n++] = c;
    }
    line[n] = '\0';
    return true;
}

static bool greet(struct stream_in *s)
{
    const struct settings *settings = s->f->settings;
    const char *user = s->f->url.user, *password = s->f->url.password;
    char line[LINE_ROOM], *text = NULL;
    const char *words[] = {"AUTH", user != NULL ? user : "default", password != NULL ? password : settings->redis_password};
    int n = words[2][0] != '\0' ? redisFormatCommandArgv(&text, 3, words, NULL) : 0;

    int rc = n > 0 ? blocking_send(s->w, text, (size_t)n) : 0;
    if (text != NULL)
        redisFreeCommand(text);
    if (rc == 0 && n > 0 && !read_line(s, line))
        return false; /* it has said why */
    if (rc == 0 && n > 0 && line[0] != '+')
        return says(s->f, line + (line[0] == '-'));
    if (rc == 0)
        rc = blocking_send(s->w, "*1\r\n$4\r\nSYNC\r\n", 14);
    return rc == 0 || says(s->f, blocking_why(s->w, rc));
}

/* "$123": so many bytes. */
static bool take_counted(struct stream_in *s, int fd, int64_t left)
{
    while (left > 0) {
        if (s->at == s->end && !fill(s))
            return false;
        size_t n = s->end - s->at < (uint64_t)left ? s->end - s->at : (size_t)left;
        if (!write_all(fd, s->room + s->at, n))
            return says(s->f, strerror(errno));
        s->at += n;
        left -= (int64_t)n;
    }
    return true;
}

/* "$EOF:mark": until the mark. It may come in two pieces, so that many bytes are held back. */
static bool take_until(struct stream_in *s, int fd, const char *mark)
{
    static char held[BLOCKING_READ_LEAST + MARK_BYTES];
    size_t n = 0;

    for (;;) {
        memcpy(held + n, s->room + s->at, s->end - s->at);
        n += s->end - s->at;
        s->at = s->end;
        if (n >= MARK_BYTES && memcmp(held + n - MARK_BYTES, mark, MARK_BYTES) == 0)
            return write_all(fd, held, n - MARK_BYTES) || says(s->f, strerror(errno));
        if (n > MARK_BYTES) {
            if (!write_all(fd, held, n - MARK_BYTES))
                return says(s->f, strerror(errno));
            memmove(held, held + n - MARK_BYTES, MARK_BYTES);
            n = MARK_BYTES;
        }
        if (!fill(s))
            return false;
    }
}

static bool take(struct stream_in *s, int fd)
{
    char line[LINE_ROOM];

    if (!greet(s) || !read_line(s, line))
        return false;
    if (line[0] != '$')
        return says(s->f, line + (line[0] == '-'));
    if (strncmp(line, "$EOF:", 5) == 0 && strlen(line) == 5 + MARK_BYTES)
        return take_until(s, fd, line + 5);
    return take_counted(s, fd, strtoll(line + 1, NULL, 10));
}

static bool replicate(struct fetch *f)
{
    struct stream_in s = {.f = f, .room = malloc(BLOCKING_READ_LEAST)};
    int fd = open(f->wish->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (s.room == NULL)
        abort();
    s.w = fd >= 0 ? blocking_open(f->settings, &f->url, SYNC_MS, f->why, RDB_WHY) : NULL;
    bool ok = s.w != NULL ? take(&s, fd) : fd >= 0 ? false : says(f, strerror(errno));
    ok = ok && (fsync(fd) == 0 || says(f, strerror(errno)));
    if (s.w != NULL)
        blocking_close(s.w);
    if (fd >= 0)
        close(fd);
    free(s.room);
    return ok;
}

/* ---- the whole ---- */

bool rdb_fetch(const struct options *o, const struct rdb_wish *w, struct rdb_result *ret, char *why)
{
    struct fetch f = {.options = o, .wish = w, .why = why};

    why[0] = '\0';
    bool ok = configure(&f) && save(&f);
    if (ok && copy_file(&f)) {
        ret->how = "copied";
    } else if (ok) {
        ret->how = "replicated";
        ok = replicate(&f);
    }
    link_free(f.link);
    redis_url_done(&f.url);
    settings_unref(f.settings);
    if (f.config != NULL)
        config_free(f.config);
    return ok && rdb_check(w->path, why);
}
