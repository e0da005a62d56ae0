#include "proxy/flush.h"

#include "proxy/dispatch.h"
#include "proxy/reader.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "router/marks.h"
#include "sync/sync.h"

#include <stdio.h>
#include <string.h>

/* Versions: Redis answers nobody else while it runs the script, a quarter of a second for as many. */
#define FLUSH_MAX  "100000"
#define PAGE_COUNT "500"
#define PLACE      64 /* "cursor epoch" */

/* One step in Redis, so no write comes between what is kept and what is put back. Versions are counted up by HINCRBY where a
 * Lua number would not be exact. ARGV: the command, its mode or "", how many versions at most. When there are more, the other
 * databases are done, and the reply says where the pages of this one begin, and the epoch they belong to. */
static const char flush_script[] =
    "#!lua flags=allow-oom\n"
    "redis.call('SELECT', '0')\n"
    "if redis.call('HLEN', '" MARKS_VERSION "') > tonumber(ARGV[3]) then\n"
    "  for db = 1, ARGV[1] == 'flushall' and 1000000 or 0 do\n"
    "    if redis.pcall('SELECT', db).err then break end\n"
    "    if ARGV[2] == '' then redis.call('FLUSHDB') else redis.call('FLUSHDB', ARGV[2]) end\n"
    "  end\n"
    "  redis.call('SELECT', '0')\n"
    "  return '0 ' .. (redis.call('GET', '" MARKS_EPOCH "') or '')\n"
    "end\n"
    "local epoch = redis.call('GET', '" MARKS_EPOCH "')\n"
    "local sessions = redis.call('HGETALL', '" MARKS_SESSION "')\n"
    "local versions = redis.call('HGETALL', '" MARKS_VERSION "')\n"
    "if ARGV[2] == '' then redis.call(ARGV[1]) else redis.call(ARGV[1], ARGV[2]) end\n"
    "if epoch then redis.call('SET', '" MARKS_EPOCH "', epoch) end\n"
    "for i = 1, #sessions, 200 do\n"
    "  redis.call('HSET', '" MARKS_SESSION "', unpack(sessions, i, math.min(i + 199, #sessions)))\n"
    "end\n"
    "for i = 1, #versions, 2000 do\n"
    "  local fields, marks, exact = {}, {}, true\n"
    "  for j = i, math.min(i + 1998, #versions - 1), 2 do\n"
    "    local version = tonumber(versions[j + 1])\n"
    "    exact = exact and version < 9007199254740991\n"
    "    fields[#fields + 1], fields[#fields + 2] = versions[j], string.format('%.0f', version + 1)\n"
    "    marks[#marks + 1] = versions[j]\n"
    "  end\n"
    "  if exact then redis.call('HSET', '" MARKS_VERSION "', unpack(fields)) else\n"
    "    for j = i, math.min(i + 1998, #versions - 1), 2 do\n"
    "      redis.call('HSET', '" MARKS_VERSION "', versions[j], versions[j + 1])\n"
    "      redis.call('HINCRBY', '" MARKS_VERSION "', versions[j], 1)\n"
    "    end\n"
    "  end\n"
    "  redis.call('SADD', '" MARKS_DIRTY "', unpack(marks))\n"
    "end\n"
    "return redis.status_reply('OK')\n";

/* ARGV: cursor, epoch, count. The reply says where the next page begins; OK: that was the last one. */
static const char page_script[] =
    "#!lua flags=allow-oom\n"
    "redis.call('SELECT', '0')\n"
    "if (redis.call('GET', '" MARKS_EPOCH "') or '') ~= ARGV[2] then\n"
    "  return redis.error_reply('TRYAGAIN the stores have changed places: what is left was not flushed')\n"
    "end\n"
    "local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[3])\n"
    "for _, key in ipairs(page[2]) do\n"
    "  if string.sub(key, 1, #'" MARKS_PREFIX "') ~= '" MARKS_PREFIX "' then\n"
    "    if redis.call('HEXISTS', '" MARKS_VERSION "', key) == 1 then\n"
    "      redis.call('HINCRBY', '" MARKS_VERSION "', key, 1)\n"
    "      redis.call('SADD', '" MARKS_DIRTY "', key)\n"
    "    end\n"
    "    redis.call('UNLINK', key)\n"
    "  end\n"
    "end\n"
    "if page[1] == '0' then return 'h0 ' .. ARGV[2] end\n"
    "return page[1] .. ' ' .. ARGV[2]\n";

/* Then the versions of keys that are not in Redis: some of them may be in the archive alone (docs/tiers.md). The cursor has an "h" before it. */
static const char rest_script[] =
    "#!lua flags=allow-oom\n"
    "redis.call('SELECT', '0')\n"
    "if (redis.call('GET', '" MARKS_EPOCH "') or '') ~= ARGV[2] then\n"
    "  return redis.error_reply('TRYAGAIN the stores have changed places: what is left was not flushed')\n"
    "end\n"
    "local page = redis.call('HSCAN', '" MARKS_VERSION "', string.sub(ARGV[1], 2), 'COUNT', ARGV[3])\n"
    "for i = 1, #page[2], 2 do\n"
    "  local key = page[2][i]\n"
    "  if redis.call('EXISTS', key) == 0 and redis.call('SISMEMBER', '" MARKS_DIRTY "', key) == 0 then\n"
    "    redis.call('HINCRBY', '" MARKS_VERSION "', key, 1)\n"
    "    redis.call('SADD', '" MARKS_DIRTY "', key)\n"
    "  end\n"
    "end\n"
    "if page[1] == '0' then return redis.status_reply('OK') end\n"
    "return 'h' .. page[1] .. ' ' .. ARGV[2]\n";

void flush_put(struct chain *out, const struct job *job)
{
    build_array(out, 6);
    build_text(out, "EVAL");
    build_bulk(out, flush_script, sizeof flush_script - 1);
    build_text(out, "0");
    build_text(out, job->cmd->name);
    build_bulk(out, job->argc > 1 ? job->argv[1].p : "", job->argc > 1 ? job->argv[1].len : 0);
    build_text(out, FLUSH_MAX);
}

const char *flush_refusal(const struct loop *l)
{
    for (size_t i = 0; i < l->settings->policy_count && i < STATS_POLICIES; i++)
        if (l->acting.phase[i] == PHASE_HOLD || l->acting.phase[i] == PHASE_CATCHUP)
            return "TRYAGAIN the stores are changing places: nothing can be flushed until they have";
    return NULL;
}

/* ---- page by page ---- */

static void put_page(struct chain *out, struct slice place)
{
    char text[PLACE];

    memcpy(text, place.p, place.len);
    text[place.len] = '\0';
    char *epoch = strchr(text, ' ');
    *epoch++ = '\0';
    build_command(out, "EVAL", text[0] == 'h' ? rest_script : page_script, "0", text, epoch, PAGE_COUNT, NULL);
}

static bool refuse(struct slot *slot, const char *line)
{
    chain_clear(&slot->reply);
    build_error(&slot->reply, line);
    slot->failed = true;
    return false;
}

/* The slot goes on as the request for the next page. */
static bool page_over(struct slot *slot)
{
    struct loop *l = slot->loop;
    struct slice place = reader_bulk(chain_flat(&slot->reply));
    struct upstream *u = pool_shared(&l->pool, LANE_SLOW, 0, RESP2, 0);
    const char *refusal = flush_refusal(l), *detail;

    bool tiers = hold_tiers(l);
    if (!slot->failed && place.len > 0 && place.p[0] == 'h' && !tiers) { /* nothing has left Redis */
        chain_clear(&slot->reply);
        build_status(&slot->reply, "OK");
        return false;
    }
    if (!slot->failed && place.p == NULL && tiers)
        warm_hide(sync_warm(server_sync(l->server)));
    if (slot->failed || place.p == NULL)
        return false;
    if (l->closed || place.len >= PLACE || memchr(place.p, ' ', place.len) == NULL)
        return refuse(slot, "ERR the flush was not finished");
    if (refusal != NULL)
        return refuse(slot, refusal);
    if (upstream_ready(u, &detail) != ERR_NONE)
        return refuse(slot, "REDISDOWN the flush was not finished: Redis is not reachable");
    put_page(upstream_out(u), place);
    chain_clear(&slot->reply);
    slot->begun = false;
    hold_count(slot);
    upstream_queue(u, &slot->up, 1, true);
    return true;
}

void flush_goes_on(struct slot *slot)
{
    slot->then = page_over;
}

bool flush_ask(struct session *s, const struct job *job, struct chain *own_request)
{
    bool taken = dispatch_ask(s, job, own_request, 1, flush_goes_on);

    if (taken && s->in_flight > 0)
        session_pause(s, PAUSE_ORDER); /* what follows comes behind the last page */
    return taken;
}
