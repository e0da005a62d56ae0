#include "proxy/coded.h"

#include "proxy/policing.h"

#include <stdio.h>
#include <string.h>

/* Words with which a store says that it does not know the proxy, or does not let it. */
static const char *const denials[] = {"NOAUTH", "WRONGPASS", "NOPERM"};
#define DENIED "MEM-007"

static const struct {
    enum err error;
    const char *code;
} codes[] = {
    {ERR_TIMEOUT, "MEM-001"},     {ERR_REDISDOWN, "MEM-001"},         {ERR_REDISLOST, "MEM-001"},
    {ERR_OVERLOAD, "MEM-001"},    {ERR_UPSTREAM_PROTOCOL, "MEM-001"}, {ERR_STRANGER, "MEM-001"},
    {ERR_ARCHIVEDOWN, "MEM-001"}, {ERR_ARCHIVELOST, "MEM-001"},       {ERR_ARCHIVEBUSY, "MEM-001"},
    {ERR_ARCHIVEBAD, "MEM-001"},  {ERR_JSON, "MEM-002"},              {ERR_TOO_LARGE, "MEM-002"},
};

static bool is_denial(const char *text)
{
    for (size_t i = 0; text != NULL && i < sizeof denials / sizeof denials[0]; i++)
        if (strncmp(text, denials[i], strlen(denials[i])) == 0)
            return true;
    return false;
}

const char *coded_of(enum err e, const char *detail)
{
    if (e == ERR_REDISDOWN && is_denial(detail))
        return DENIED;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].error == e)
            return codes[i].code;
    return NULL;
}

static void put(struct chain *out, bool coded, enum err e, const char *detail)
{
    char line[512], with_code[560];
    const char *code = coded ? coded_of(e, detail) : NULL;

    if (code == NULL) {
        build_err(out, e, detail);
        return;
    }
    err_line(line, sizeof line, e, detail);
    const char *sentence = strchr(line, ' ');
    snprintf(with_code, sizeof with_code, "ERR %s%s", code, sentence != NULL ? sentence : "");
    build_error(out, with_code);
}

void coded_error(struct chain *out, const struct policy_conf *policy, enum err e, const char *detail)
{
    put(out, policy != NULL && policy->error_codes == CODES_MEM, e, detail);
}

void coded_job_error(struct chain *out, struct loop *l, const struct job *job, enum err e, const char *detail)
{
    coded_error(out, l->policing != NULL ? policing_policy(l, job) : NULL, e, detail);
}

void coded_slot_error(struct chain *out, const struct loop *l, uint8_t policy, enum err e, const char *detail)
{
    bool coded = false;

    for (size_t i = 0; l->policing != NULL && !coded && i < l->settings->policy_count; i++) {
        const struct policy_conf *p = &l->settings->policies[i];
        coded = p->error_codes == CODES_MEM && loop_policy_id(l, p) == policy;
    }
    put(out, coded, e, detail);
}

const char *coded_denial(struct loop *l, const struct job *job, const char *line, char *buf, size_t cap)
{
    const struct policy_conf *p = l->policing != NULL && is_denial(line) ? policing_policy(l, job) : NULL;

    if (p == NULL || p->error_codes != CODES_MEM)
        return line;
    snprintf(buf, cap, "ERR " DENIED " Authentication failed: %s", line);
    return buf;
}
