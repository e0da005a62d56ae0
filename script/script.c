#include "script/script.h"

#include "base/clock.h"
#include "script/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_EVERY 1000 /* instructions */

static const struct slice empty = {"", 0};

/* ---- the state ---- */

struct script_state *state_of(lua_State *L)
{
    void *ud;
    (void)lua_getallocf(L, &ud);
    return ud;
}

static void *allocate(void *ud, void *p, size_t old, size_t n)
{
    struct script_state *st = ud;

    if (n == 0) {
        st->used -= p != NULL ? old : 0;
        free(p);
        return NULL;
    }
    old = p != NULL ? old : 0;
    if (n > old && n - old > st->script->memory - st->used) {
        st->end = SCRIPT_NO_MEMORY;
        return NULL;
    }
    void *fresh = realloc(p, n);
    if (fresh != NULL)
        st->used += n - old;
    return fresh;
}

static void check_time(lua_State *L, lua_Debug *ar)
{
    struct script_state *st = state_of(L);

    if (st->end == SCRIPT_ANSWERED && clock_mono_us() > st->deadline_us)
        st->end = SCRIPT_TIME_OVER;
    state_check(L);
}

void state_check(lua_State *L)
{
    if (state_of(L)->end == SCRIPT_ANSWERED)
        return;
    lua_sethook(L, check_time, LUA_MASKCOUNT, 1); /* whoever catches it does not get far */
    luaL_error(L, "the script was ended");
}

int state_end(lua_State *L, enum script_end end)
{
    struct script_state *st = state_of(L);
    if (st->end == SCRIPT_ANSWERED)
        st->end = end;
    state_check(L);
    return 0;
}

/* ---- the first line ---- */

static const char *const flags[] = {"no-writes", "allow-oom", "allow-stale", "no-cluster",
                                    "allow-cross-slot-keys"};

#define FLAGS (sizeof flags / sizeof *flags)

static size_t until(struct slice s, const char *ends)
{
    size_t n = 0;
    while (n < s.len && strchr(ends, s.p[n]) == NULL)
        n++;
    return n;
}

static struct slice skip(struct slice s, size_t n)
{
    return (struct slice){s.p + n, s.len - n};
}

static bool refuse(struct script_state *st, const char *what, struct slice word)
{
    char line[256];
    snprintf(line, sizeof line, "ERR %s%.*s", what, (int)(word.len < 160 ? word.len : 160), word.p);
    build_error(st->out, line);
    return false;
}

static bool take_flags(struct script_state *st, struct slice list, bool *no_writes)
{
    while (list.len > 0) {
        struct slice word = {list.p, until(list, ",")};
        size_t i = 0;
        while (i < FLAGS && (strlen(flags[i]) != word.len || memcmp(flags[i], word.p, word.len) != 0))
            i++;
        if (i == FLAGS && word.len > 0)
            return refuse(st, "Unexpected flag in script shebang: ", word);
        *no_writes |= i == 0;
        list = skip(list, word.len < list.len ? word.len + 1 : word.len);
    }
    return true;
}

/* "#!lua flags=a,b": what stands there counts, and the code begins behind it. False: an error was answered. */
static bool take_first_line(struct script_state *st, struct slice *code)
{
    static const struct slice option = {"flags=", 6};
    bool no_writes = false;

    if (code->len < 2 || memcmp(code->p, "#!", 2) != 0)
        return true;
    struct slice line = {code->p, until(*code, "\n")};
    if (line.len == code->len)
        return refuse(st, "Invalid script shebang", empty);
    *code = skip(*code, line.len);
    for (size_t n = 0; line.len > 0; n++) {
        struct slice word = {line.p, until(line, " \t\r\v\f")};
        line = skip(line, word.len < line.len ? word.len + 1 : word.len);
        if (n == 0 && (word.len != 5 || memcmp(word.p, "#!lua", 5) != 0))
            return refuse(st, "Unexpected engine in script shebang: ", word);
        if (n == 0 || word.len == 0)
            continue;
        if (word.len < option.len || memcmp(word.p, option.p, option.len) != 0)
            return refuse(st, "Unknown lua shebang option: ", word);
        if (!take_flags(st, skip(word, option.len), &no_writes))
            return false;
    }
    if (st->script->read_only && !no_writes)
        return refuse(st, "Can not execute a script with write flag using *_ro command.", empty);
    st->read_only |= no_writes;
    return true;
}

/* ---- running ---- */

static void push_list(lua_State *L, const struct slice *list, size_t n, const char *name)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, list[i].len > 0 ? list[i].p : "", list[i].len);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setglobal(L, name);
}

/* A number or string as text; others as their type says. */
static void push_text(lua_State *L, int at)
{
    switch (lua_type(L, at)) {
    case LUA_TNIL:
        lua_pushliteral(L, "nil");
        return;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, at) ? "true" : "false");
        return;
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_pushvalue(L, at);
        lua_tostring(L, -1);
        return;
    default:
        lua_pushfstring(L, "%s: %p", luaL_typename(L, at), lua_topointer(L, at));
    }
}

/* Where it was raised: the caller of error() when that is C. */
static bool find_place(lua_State *L, lua_Debug *ar)
{
    if (!lua_getstack(L, 1, ar) || !lua_getinfo(L, "nSl", ar))
        return false;
    return strcmp(ar->what, "C") != 0 || (lua_getstack(L, 2, ar) && lua_getinfo(L, "nSl", ar));
}

/* An error becomes a table that knows its place. */
static int on_error(lua_State *L)
{
    lua_Debug ar;

    if (!lua_istable(L, 1)) {
        lua_createtable(L, 0, 3);
        lua_pushliteral(L, "ERR ");
        push_text(L, 1);
        lua_concat(L, 2);
        lua_setfield(L, -2, "err");
        lua_replace(L, 1);
    }
    if (find_place(L, &ar)) {
        lua_pushstring(L, ar.source);
        lua_setfield(L, 1, "source");
        lua_pushinteger(L, ar.currentline);
        lua_setfield(L, 1, "line");
    }
    lua_settop(L, 1);
    return 1;
}

static const char *field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    return lua_isstring(L, -1) ? lua_tostring(L, -1) : NULL;
}

/* The value on top is what the script has ended with. */
static void tell_error(lua_State *L, struct script_state *st)
{
    const char *sha = st->script->sha;

    if (!lua_istable(L, -1)) {
        const char *text = lua_isstring(L, -1) ? lua_tostring(L, -1) : "execution failure";
        lua_pushfstring(L, "ERR Error running script f_%s, %s", sha, text);
        build_error(st->out, lua_tostring(L, -1));
        return;
    }
    int table = lua_gettop(L);
    const char *err = field(L, "err");
    lua_pushvalue(L, table);
    const char *source = field(L, "source");
    lua_pushvalue(L, table);
    const char *line = field(L, "line");
    if (err == NULL)
        err = "ERR unknown error";
    if (source != NULL && line != NULL)
        err = lua_pushfstring(L, "%s script: %s, on %s:%s.", err, sha, source, line);
    build_error(st->out, err);
}

struct pieces {
    struct slice code;
    bool begun;
};

/* Lua takes code that begins with ESC as compiled. A blank in front shows that it isn't any. */
static const char *next_piece(lua_State *L, void *ud, size_t *n)
{
    struct pieces *p = ud;
    struct slice piece = p->code;

    if (!p->begun && piece.len > 0 && piece.p[0] == LUA_SIGNATURE[0]) {
        p->begun = true;
        *n = 1;
        return " ";
    }
    p->code.len = 0;
    *n = piece.len;
    return piece.len > 0 ? piece.p : NULL;
}

static bool compile(lua_State *L, struct script_state *st, struct slice code)
{
    struct pieces pieces = {.code = code};

    if (lua_load(L, next_piece, &pieces, "@user_script") == 0)
        return true;
    lua_pushfstring(L, "ERR Error compiling script (new function): %s", lua_tostring(L, -1));
    build_error(st->out, lua_tostring(L, -1));
    return false;
}

static void open_all(lua_State *L)
{
    static const struct {
        const char *name;
        void (*open)(lua_State *L);
    } libraries[] = {{"redis", library_redis},   {"cjson", library_cjson}, {"cmsgpack", library_cmsgpack},
                     {"struct", library_struct}, {"bit", library_bit}};

    sandbox_open(L);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        libraries[i].open(L);
        sandbox_add(L, libraries[i].name);
    }
}

/* Its only result is the error that it may leave. */
static int check(lua_State *L)
{
    struct script_state *st = lua_touserdata(L, 1);
    struct slice code = st->script->body;

    if (take_first_line(st, &code))
        compile(L, st, code);
    return 0;
}

static int run(lua_State *L)
{
    struct script_state *st = lua_touserdata(L, 1);
    const struct script *script = st->script;
    struct slice code = script->body;

    if (!take_first_line(st, &code))
        return 0;
    open_all(L);
    push_list(L, script->keys, script->nkeys, "KEYS");
    push_list(L, script->args, script->nargs, "ARGV");
    sandbox_close(L);
    lua_pushcfunction(L, on_error);
    if (!compile(L, st, code))
        return 0;
    lua_sethook(L, check_time, LUA_MASKCOUNT, HOOK_EVERY);
    if (lua_pcall(L, 0, 1, -2) != 0)
        tell_error(L, st);
    else
        reply_tell(L, st->out);
    return 0;
}

bool script_check(struct slice body, size_t memory, struct chain *out)
{
    struct script script = {.body = body, .sha = "", .memory = memory};
    struct script_state st = {.script = &script, .out = out};
    size_t before = out->len;
    lua_State *L = lua_newstate(allocate, &st);

    if (L == NULL || lua_cpcall(L, check, &st) != 0)
        build_error(out, "OOM the script needs more than script.memory");
    if (L != NULL)
        lua_close(L);
    return out->len == before;
}

enum script_end script_run(const struct script *script, const struct script_host *host, struct chain *out)
{
    struct script_state st = {.script = script,
                              .host = host,
                              .out = out,
                              .deadline_us = clock_mono_us() + script->timeout_us,
                              .random = (script->random << 16 | 0x330e) & 0xffffffffffff,
                              .resp = RESP2,
                              .read_only = script->read_only};
    lua_State *L = lua_newstate(allocate, &st);

    if (L == NULL)
        return SCRIPT_NO_MEMORY;
    chain_init(&st.command, out->pool);
    if (lua_cpcall(L, run, &st) != 0 && st.end == SCRIPT_ANSWERED)
        st.end = SCRIPT_NO_MEMORY; /* the only error outside of the script */
    lua_sethook(L, NULL, 0, 0);
    lua_close(L);
    chain_clear(&st.command);
    free(st.argv);
    if (st.end != SCRIPT_ANSWERED)
        chain_clear(out);
    return st.end;
}
