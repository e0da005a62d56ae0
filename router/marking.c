#include "router/marking.h"

#include "base/mutant.h"
#include "router/marks.h"

#include <string.h>

/* KEYS: those that are marked, those that get an expiry, sessions, versions, marks. ARGV: session, seq, the fresh version, how many are
 * marked, the expiries, the command. An error of the command is returned, not raised. Versions are read as text: as numbers Lua has only
 * 53 bits of them. */
/* clang-format off */
#define SCRIPT(types, unless_written)                                             \
    "#!lua flags=allow-oom\n" types                                               \
    "local m = tonumber(ARGV[4])\n"                                               \
    "local e = #KEYS - m - 3\n"                                                   \
    "local sess, ver, dirty = KEYS[m + e + 1], KEYS[m + e + 2], KEYS[m + e + 3]\n" \
    "if redis.call('HEXISTS', sess, ARGV[1]) == 0 then\n"                         \
    "  return {err = 'CVPSTRANGER it was emptied'}\n"                             \
    "end\n"                                                                       \
    "redis.call('HSET', sess, ARGV[1], ARGV[2])\n"                                \
    "local reply = redis.pcall(unpack(ARGV, e + 5))\n"                            \
    "if type(reply) == 'table' and reply.err then return reply end\n"             \
    unless_written                                                                \
    "for i = 1, e do redis.call('PEXPIREAT', KEYS[m + i], ARGV[4 + i]) end\n"     \
    "local told = {}\n"                                                           \
    "for i = 1, m do\n"                                                           \
    "  told[2 * i - 1] = redis.call('HSETNX', ver, KEYS[i], ARGV[3])\n"           \
    "  redis.call('HINCRBY', ver, KEYS[i], 1)\n"                                  \
    "  told[2 * i] = redis.call('HGET', ver, KEYS[i])\n"                          \
    "  redis.call('SADD', dirty, KEYS[i])\n"                                      \
    "end\n"                                                                       \
    "told[2 * m + 1] = reply\n"                                                   \
    "return told\n"
#define SCRIPT_RESP3  "redis.setresp(3)\n"
#define SCRIPT_UNLESS "if not reply or reply == 0 or reply == -1 then return {reply} end\n"
/* clang-format on */

/* [RESP3][conditional] */
static const char *const scripts[2][2] = {
    {SCRIPT("", ""), SCRIPT("", SCRIPT_UNLESS)},
    {SCRIPT(SCRIPT_RESP3, ""), SCRIPT(SCRIPT_RESP3, SCRIPT_UNLESS)},
};

static void put_slices(struct chain *out, const struct slice *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        build_bulk(out, list[i].p, list[i].len);
}

static void put_versions(struct chain *out, const struct marking *m)
{
    for (size_t i = 0; i < m->nkeys; i++) {
        build_array(out, 4);
        build_text(out, "HSETNX");
        build_text(out, MARKS_VERSION);
        put_slices(out, &m->keys[i], 1);
        build_number(out, m->fresh);
        build_array(out, 4);
        build_text(out, "HINCRBY");
        build_text(out, MARKS_VERSION);
        put_slices(out, &m->keys[i], 1);
        build_text(out, "1");
    }
}

void marking_put(struct chain *out, const struct marking *m)
{
    if (m->nkeys > 0) {
        put_versions(out, m);
        build_array(out, 2 + m->nkeys);
        build_text(out, "SADD");
        build_text(out, MUTANT(no_mark) ? "cvp:none" : MARKS_DIRTY);
        put_slices(out, m->keys, m->nkeys);
    }
    build_array(out, 4);
    build_text(out, "HSET");
    build_text(out, MARKS_SESSION);
    build_text(out, m->session);
    build_number(out, m->seq);
}

void marking_put_script(struct chain *out, const struct marking *m, const struct marking_script *script)
{
    size_t keys = m->nkeys + script->nexpiring + 3;

    build_array(out, 3 + keys + 4 + script->nexpiring + script->argc);
    build_text(out, "EVAL");
    build_text(out, scripts[script->resp == RESP3][script->conditional]);
    build_number(out, (int64_t)keys);
    put_slices(out, m->keys, m->nkeys);
    put_slices(out, script->expiring, script->nexpiring);
    build_text(out, MARKS_SESSION);
    build_text(out, MARKS_VERSION);
    build_text(out, MUTANT(no_mark) ? "cvp:none" : MARKS_DIRTY);
    build_text(out, m->session);
    build_number(out, m->seq);
    build_number(out, m->fresh);
    build_number(out, (int64_t)m->nkeys);
    for (size_t i = 0; i < script->nexpiring; i++)
        build_number(out, script->expire_ms[i]);
    put_slices(out, script->argv, script->argc);
}
