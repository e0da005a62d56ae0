/* tests/fuzz/fuzz_script — a script runs, or a library takes bytes apart.
 * Input: a byte (bits 0-2 what, bit 3 RESP3, bit 4 read only), then the bytes: 0 a script, which gets them as ARGV[1], too; 1-4 what
 * cjson.decode, cmsgpack.unpack, struct.unpack and struct.pack get; 5 a command's reply, told to the client as it came; 6 the same
 * with redis.setresp(3). Whatever redis.call asks for, the reply is its last argument when that is one whole value.
 * Properties: it ends, in time and memory; its reply is one whole value; what it did not answer is empty. */
#include "resp/frame.h"
#include "script/script.h"
#include "tests/fuzz/check.h"

#include <string.h>

static bool is_whole(struct slice reply)
{
    return reply.len > 0 && frame_length(reply.p, reply.len) == reply.len;
}

static bool on_call(void *ctx, const struct script_command *c, struct chain *out)
{
    struct slice last = c->argv[c->argc - 1];

    CHECK(c->argc > 0);
    if (is_whole(last))
        chain_append(out, last.p, last.len);
    else
        build_error(out, "ERR no");
    return last.len != 4 || memcmp(last.p, "stop", 4) != 0;
}

static int on_may(void *ctx, const struct slice *argv, size_t argc)
{
    return (int)(argc % 3) - 1;
}

static void on_log(void *ctx, int level, const char *text)
{
    CHECK(level >= 0 && level < 4 && text != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const scripts[] = {NULL,
                                          "return cjson.encode(cjson.decode(ARGV[1]))",
                                          "return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))",
                                          "return {struct.unpack(ARGV[1], ARGV[1])}",
                                          "return struct.pack(ARGV[1], 1, 2, ARGV[1], 4)",
                                          "return redis.call('get', ARGV[1])",
                                          "redis.setresp(3) return redis.pcall('get', ARGV[1])",
                                          "return {pcall(loadstring(ARGV[1]) or error)}"};
    const struct script_host host = {on_call, on_may, on_log, NULL};
    struct chunk_pool pool;
    struct chain out;

    if (size == 0)
        return 0;
    struct slice bytes = {(const char *)data + 1, size - 1};
    const char *text = scripts[data[0] & 7];
    struct script script = {.body = text != NULL ? (struct slice){text, strlen(text)} : bytes,
                            .sha = "0000000000000000000000000000000000000000",
                            .args = &bytes,
                            .nargs = 1,
                            .resp = (data[0] & 8) != 0 ? RESP3 : RESP2,
                            .read_only = (data[0] & 16) != 0,
                            .timeout_us = 20000,
                            .memory = 1 << 20};
    chunk_pool_init(&pool);
    chain_init(&out, &pool);
    enum script_end end = script_run(&script, &host, &out);
    if (end == SCRIPT_ANSWERED)
        CHECK(is_whole(chain_flat(&out)));
    else
        CHECK(out.len == 0);
    chain_clear(&out);
    chunk_pool_done(&pool);
    return 0;
}
