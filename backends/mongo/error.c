/* What libmongoc's errors mean for callers: domains first, then the codes of servers. */
#include "backends/mongo/internal.h"

#include <stdarg.h>
#include <stdio.h>

enum outcome {
    NOT_DONE, /* ERR_ARCHIVEDOWN */
    UNKNOWN,  /* it may have been done: ERR_ARCHIVELOST for writes */
    REFUSED,  /* ERR_ARCHIVEBAD */
    RACED,    /* ERR_RACE */
};

struct row {
    uint32_t code;
    enum outcome outcome;
};

/* https://www.mongodb.com/docs/manual/reference/error-codes/; what is not here was refused. */
static const struct row server_codes[] = {
    {1, UNKNOWN},      /* InternalError */
    {6, UNKNOWN},      /* HostUnreachable: of a shard */
    {7, UNKNOWN},      /* HostNotFound */
    {8, UNKNOWN},      /* UnknownError */
    {13, NOT_DONE},    /* Unauthorized: rights can be granted while we run */
    {18, NOT_DONE},    /* AuthenticationFailed */
    {24, NOT_DONE},    /* LockTimeout */
    {50, UNKNOWN},     /* MaxTimeMSExpired */
    {64, UNKNOWN},     /* WriteConcernFailed: written, but not by a majority in time */
    {89, UNKNOWN},     /* NetworkTimeout */
    {91, UNKNOWN},     /* ShutdownInProgress */
    {100, UNKNOWN},    /* UnsatisfiableWriteConcern */
    {112, RACED},      /* WriteConflict */
    {133, NOT_DONE},   /* FailedToSatisfyReadPreference */
    {134, UNKNOWN},    /* ReadConcernMajorityNotAvailableYet */
    {189, UNKNOWN},    /* PrimarySteppedDown */
    {251, RACED},      /* NoSuchTransaction: it was ended by the server */
    {262, UNKNOWN},    /* ExceededTimeLimit */
    {9001, UNKNOWN},   /* SocketException */
    {10058, NOT_DONE}, /* LegacyNotPrimary */
    {10107, NOT_DONE}, /* NotWritablePrimary */
    {11000, RACED},    /* DuplicateKey */
    {11600, UNKNOWN},  /* InterruptedAtShutdown */
    {11601, UNKNOWN},  /* Interrupted */
    {11602, UNKNOWN},  /* InterruptedDueToReplStateChange */
    {13388, NOT_DONE}, /* StaleConfig */
    {13435, NOT_DONE}, /* NotPrimaryNoSecondaryOk */
    {13436, NOT_DONE}, /* NotPrimaryOrSecondary */
};

static const struct row domains[] = {
    {MONGOC_ERROR_CLIENT, NOT_DONE},           /* authentication, TLS, sessions: before anything is sent */
    {MONGOC_ERROR_STREAM, UNKNOWN},            /* see stream_codes */
    {MONGOC_ERROR_PROTOCOL, UNKNOWN},          /* the answer made no sense */
    {MONGOC_ERROR_SASL, NOT_DONE},             /* authentication */
    {MONGOC_ERROR_SCRAM, NOT_DONE},            /* authentication */
    {MONGOC_ERROR_SERVER_SELECTION, NOT_DONE}, /* no server to send it to */
    {MONGOC_ERROR_WRITE_CONCERN, UNKNOWN},     /* written, but not as safely as asked */
    {MONGOC_ERROR_POOL, NOT_DONE},
};

static const struct row stream_codes[] = {
    {MONGOC_ERROR_STREAM_NAME_RESOLUTION, NOT_DONE},
    {MONGOC_ERROR_STREAM_CONNECT, NOT_DONE},
    {MONGOC_ERROR_STREAM_NOT_ESTABLISHED, NOT_DONE},
};

#define OUTCOME(rows, code, otherwise) outcome_in(rows, sizeof(rows) / sizeof(rows)[0], code, otherwise)

static enum outcome outcome_in(const struct row *rows, size_t n, uint32_t code, enum outcome otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].code == code)
            return rows[i].outcome;
    return otherwise;
}

static enum outcome outcome_of(const bson_error_t *error)
{
    if (error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_QUERY)
        return OUTCOME(server_codes, error->code, REFUSED);
    if (error->domain == MONGOC_ERROR_STREAM)
        return OUTCOME(stream_codes, error->code, UNKNOWN);
    return OUTCOME(domains, error->domain, REFUSED);
}

enum err mongo_fail(struct mongo_handle *h, enum err e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(h->base.why, sizeof h->base.why, format, args);
    va_end(args);
    for (char *p = h->base.why; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return e;
}

enum err mongo_error(struct mongo_handle *h, const bson_error_t *error, bool writing)
{
    const enum err errors[] = {
        [NOT_DONE] = ERR_ARCHIVEDOWN,
        [UNKNOWN] = writing ? ERR_ARCHIVELOST : ERR_ARCHIVEDOWN,
        [REFUSED] = ERR_ARCHIVEBAD,
        [RACED] = ERR_RACE,
    };

    return mongo_fail(h, errors[outcome_of(error)], "%s", error->message);
}
