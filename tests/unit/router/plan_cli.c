/* plan_cli — router/plan for the system tests, over pipes.
 *   plan_cli name=pattern,ttl_ms,max_messages,max_bytes …   the policies
 * Requests come in RESP on stdin; each is answered at once on stdout by a line of JSON. A line that is
 * followed by requests for Redis gives their lengths; their bytes come right behind it.
 *   ROWS                                          every row of the command table, in one line
 *   PLAN resp in_multi now_ms verb arguments…     the plan, and the request of each step
 *   WRITTEN conditional reply                     plan_nothing_written of the reply's bytes
 *   UNDO key set_ms old_ms                        the request of plan_undo */
#include "router/plan.h"
#include "tests/unit/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POLICIES 8

struct cli {
    struct policy_set *policies;
    struct chunk_pool pool;
    struct plan plan;
};

static const char *const kinds[] = {"raw", "single", "script", "block", "marked_script", "refused"};
static const char *const roles[] = {"old", "client", "trim", "expire"};
static const char *const replies[] = {"as_is", "push", "setnx", "null_array"};

static int64_t number(struct slice text)
{
    char buf[32] = "";
    memcpy(buf, text.p, text.len < sizeof buf - 1 ? text.len : sizeof buf - 1);
    return strtoll(buf, NULL, 10);
}

static void print_chain(struct chain *c)
{
    struct slice all = chain_flat(c);
    fwrite(all.p, 1, all.len, stdout);
}

static void print_rows(void)
{
    putchar('[');
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        bool writes_key = false;
        for (unsigned i = 0; i < cmd->nspecs; i++)
            writes_key |= cmd->specs[i].write;
        printf("%s{\"name\":\"%s\",\"write\":%s,\"writes_key\":%s,\"blocking\":%s}", id > 0 ? "," : "",
               cmd->name, cmd->flags & CMD_WRITE ? "true" : "false", writes_key ? "true" : "false",
               cmd->flags & CMD_BLOCKING ? "true" : "false");
    }
    puts("]");
}

static void print_plan(const struct plan *p, int64_t now_ms)
{
    struct chain all;
    size_t before = 0;

    chain_init(&all, p->rewrite.pieces.pool);
    printf("{\"kind\":\"%s\",\"reply\":\"%s\",\"conditional\":%s,\"error\":\"%s\",\"policy\":\"%s\"",
           kinds[p->kind], replies[p->reply], p->conditional ? "true" : "false",
           p->error != ERR_NONE ? err_name(p->error) : "", p->policy != NULL ? p->policy->name : "");
    printf(",\"json\":[%u,%u,%u],\"steps\":[", p->json.trimmed, p->json.not_array, p->json.invalid);
    for (size_t i = 0; i < p->nsteps; i++) {
        plan_emit(p, i, &all, now_ms);
        printf("%s{\"role\":\"%s\",\"key\":%u,\"len\":%zu}", i > 0 ? "," : "", roles[p->steps[i].role],
               p->steps[i].key, all.len - before);
        before = all.len;
    }
    puts("]}");
    print_chain(&all);
    chain_clear(&all);
}

static void answer_plan(struct cli *cli, const struct slice *argv, size_t argc)
{
    const struct command *cmd = argc > 4 ? command_of(argv + 4, argc - 4) : NULL;
    if (cmd == NULL) {
        puts("null");
        return;
    }
    int64_t now_ms = number(argv[3]);
    plan_make(&cli->plan, cli->policies, cmd, argv + 4, argc - 4, number(argv[1]) == 3 ? RESP3 : RESP2,
              number(argv[2]) != 0, now_ms);
    print_plan(&cli->plan, now_ms);
}

static void answer_undo(struct cli *cli, const struct slice *argv)
{
    struct chain out;
    chain_init(&out, &cli->pool);
    plan_undo(&out, argv[1], number(argv[2]), number(argv[3]), false);
    printf("{\"len\":%zu}\n", out.len);
    print_chain(&out);
    chain_clear(&out);
}

static void answer(void *ctx, const struct slice *argv, size_t argc)
{
    struct cli *cli = ctx;

    if (slice_is(argv[0], "rows"))
        print_rows();
    else if (slice_is(argv[0], "plan"))
        answer_plan(cli, argv, argc);
    else if (slice_is(argv[0], "written") && argc == 3)
        puts(plan_nothing_written(number(argv[1]) != 0, argv[2].p, argv[2].len) ? "false" : "true");
    else if (slice_is(argv[0], "undo") && argc == 4)
        answer_undo(cli, argv);
    else
        puts("null");
}

/* name=pattern,ttl_ms,max_messages,max_bytes */
static bool read_policy(struct policy_conf *policy, char *text)
{
    policy->name = strsep(&text, "=");
    policy->match = strsep(&text, ",");
    if (text == NULL)
        return false;
    return sscanf(text, "%ld,%ld,%ld", &policy->ttl, &policy->max_messages, &policy->max_bytes) == 3;
}

int main(int argc, char **argv)
{
    struct policy_conf policies[MAX_POLICIES] = {0};
    struct settings settings = {.policies = policies};
    struct cli cli;

    for (int i = 1; i < argc && i <= MAX_POLICIES; i++) {
        if (!read_policy(&policies[i - 1], argv[i])) {
            fprintf(stderr, "plan_cli: name=pattern,ttl_ms,max_messages,max_bytes expected\n");
            return 2;
        }
        settings.policy_count++;
    }
    cli.policies = policy_set_new(&settings);
    chunk_pool_init(&cli.pool);
    plan_init(&cli.plan, &cli.pool);
    int status = requests_serve(answer, &cli);
    plan_done(&cli.plan);
    policy_set_free(cli.policies);
    chunk_pool_done(&cli.pool);
    return status;
}
