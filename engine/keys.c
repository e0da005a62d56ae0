#include "engine/internal.h"
#include "engine/number.h"

#define SHARED_INTEGERS 10000 /* Redis keeps one object for each of the first so many numbers */
#define SHARED_REFCOUNT 2147483647
#define DATABASES       16 /* Redis's default; the archive has the first one */

/* ---- existence ---- */

void keys_del(struct call *c)
{
    int64_t n = 0;

    for (size_t i = 1; i < c->argc; i++) {
        struct object *o = call_lookup(c, c->argv[i]);
        if (o == NULL)
            continue;
        call_remove(c, o);
        n++;
    }
    call_int(c, n);
}

/* EXISTS and TOUCH: a key named twice counts twice. */
void keys_exists(struct call *c)
{
    int64_t n = 0;

    for (size_t i = 1; i < c->argc; i++)
        n += call_lookup(c, c->argv[i]) != NULL;
    call_int(c, n);
}

void keys_type(struct call *c)
{
    const struct object *o = call_lookup(c, c->argv[1]);

    build_status(c->out, object_type_name(o == NULL ? OBJECT_NONE : o->type));
}

/* ---- RENAME, COPY ---- */

/* The value and the expiry of from become those of to, which keeps its key. */
static void take_value(struct call *c, struct object *to, const struct object *from)
{
    to->type = from->type;
    to->encoding = from->encoding;
    to->expire_ms = from->expire_ms;
    to->v = from->v;
    call_changed(c, to);
}

/* Moves the value unless the new key must not exist and does. False: nothing was moved; an error may have
 * been answered. */
static bool rename_key(struct call *c, bool only_new)
{
    struct object *from = call_lookup(c, c->argv[1]);

    if (from == NULL) {
        call_error(c, "ERR no such key");
        return false;
    }
    struct object *to = call_place(c, c->argv[2]);
    if (only_new && to->type != OBJECT_NONE)
        return false;
    if (to == from)
        return true;
    take_value(c, to, from);
    call_remove(c, from);
    return true;
}

void keys_rename(struct call *c)
{
    if (rename_key(c, false))
        call_ok(c);
}

void keys_renamenx(struct call *c)
{
    bool moved = rename_key(c, true);

    if (!c->failed)
        call_int(c, moved);
}

struct copy_options {
    bool replace;
    bool elsewhere; /* into another database */
};

static bool copy_database(struct call *c, size_t arg, struct copy_options *ret)
{
    int64_t db;

    if (!call_int_arg(c, arg, &db))
        return false;
    if (db < INT32_MIN || db > INT32_MAX) {
        call_error(c, "ERR value is out of range, value must between -2147483648 and 2147483647");
        return false;
    }
    if (db < 0 || db >= DATABASES) {
        call_error(c, "ERR DB index is out of range");
        return false;
    }
    ret->elsewhere = db != 0;
    return true;
}

static bool copy_options(struct call *c, struct copy_options *ret)
{
    *ret = (struct copy_options){0};
    for (size_t i = 3; i < c->argc; i++) {
        if (call_is(c, i, "replace")) {
            ret->replace = true;
        } else if (call_is(c, i, "db") && i + 1 < c->argc) {
            if (!copy_database(c, ++i, ret))
                return false;
        } else {
            call_syntax_error(c);
            return false;
        }
    }
    if (ret->elsewhere)
        call_error(c, "ERR COPY to another database is not supported by the archive");
    return !ret->elsewhere;
}

void keys_copy(struct call *c)
{
    struct copy_options options;

    if (!copy_options(c, &options))
        return;
    if (slice_equal(c->argv[1], c->argv[2])) {
        call_error(c, "ERR source and destination objects are the same");
        return;
    }
    const struct object *from = call_lookup(c, c->argv[1]);
    struct object *to = call_place(c, c->argv[2]);
    if (from == NULL || (to->type != OBJECT_NONE && !options.replace)) {
        call_int(c, 0);
        return;
    }
    take_value(c, to, from);
    object_own(to, c->arena);
    call_int(c, 1);
}

/* ---- OBJECT ---- */

/* The object that the sub-command is about; nil is answered when there is none. */
static const struct object *subject(struct call *c)
{
    const struct object *o = call_lookup(c, c->argv[2]);

    if (o == NULL)
        call_null(c);
    return o;
}

void keys_object_encoding(struct call *c)
{
    const struct object *o = subject(c);

    if (o != NULL)
        build_text(c->out, object_encoding_name(o->encoding));
}

void keys_object_refcount(struct call *c)
{
    const struct object *o = subject(c);
    int64_t value;

    if (o == NULL)
        return;
    bool shared = o->type == OBJECT_STRING && o->encoding == ENC_INT && number_int(o->v.string, &value) &&
                  value >= 0 && value < SHARED_INTEGERS;
    call_int(c, shared ? SHARED_REFCOUNT : 1);
}

/* Nobody notes when a document was last read: this very command reads it. */
void keys_object_idletime(struct call *c)
{
    if (subject(c) != NULL)
        call_int(c, 0);
}

void keys_object_freq(struct call *c)
{
    if (subject(c) != NULL)
        call_error(
            c, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
               "when switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

/* Clients compare it with the server's, line for line. */
void keys_object_help(struct call *c)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Prints this help.",
    };

    build_array(c->out, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        build_status(c->out, lines[i]);
}
