#include "tools/rdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC   "REDIS"
#define LEAST   (9 + 1 + 8) /* magic and version, the end's opcode, the checksum */
#define END     0xff
#define POLY    0x95ac9329ac4bc9b5u /* 0xad93d23594c935a9 with its bits reversed */
#define COMMAND "redis-check-rdb"

/* CRC-64 with Jones' coefficients: reflected, starts at 0, no final change. */
static void crc_table(uint64_t table[256])
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = (c & 1) != 0 ? c >> 1 ^ POLY : c >> 1;
        table[i] = c;
    }
}

static bool says(char *why, const char *what)
{
    snprintf(why, RDB_WHY, "%s", what);
    return false;
}

/* The CRC of all but the last 8 bytes; these go to tail, and the one in front of them to *ret_end. */
static bool read_all(FILE *in, uint64_t *ret_crc, unsigned char tail[9])
{
    static unsigned char room[1 << 16];
    uint64_t table[256], crc = 0;
    unsigned char held[8] = {0};
    size_t nheld = 0, n;

    crc_table(table);
    while ((n = fread(room, 1, sizeof room, in)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (nheld == sizeof held) {
                crc = table[(unsigned char)crc ^ held[0]] ^ crc >> 8;
                tail[0] = held[0];
                memmove(held, held + 1, sizeof held - 1);
                nheld--;
            }
            held[nheld++] = room[i];
        }
    }
    memcpy(tail + 1, held, sizeof held);
    *ret_crc = crc;
    return !ferror(in);
}

static bool check_bytes(FILE *in, char *why)
{
    char head[10] = "";
    unsigned char tail[9] = {0};
    uint64_t crc, stored = 0;

    if (fread(head, 1, 9, in) != 9 || memcmp(head, MAGIC, strlen(MAGIC)) != 0)
        return says(why, "it does not begin as a file of Redis does");
    if (strspn(head + strlen(MAGIC), "0123456789") != 4)
        return says(why, "its version is no number");
    rewind(in);
    if (!read_all(in, &crc, tail))
        return says(why, "it can't be read");
    for (int i = 8; i >= 1; i--)
        stored = stored << 8 | tail[i];
    if (tail[0] != END)
        return says(why, "its end is missing: it was cut");
    if (stored != 0 && stored != crc) /* 0: Redis was told not to make one */
        return says(why, "its checksum is wrong: it was damaged");
    return true;
}

/* Where it is not installed, nothing is said against the file. */
static bool ask_redis(const char *path, char *why)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0) {
            dup2(null, STDOUT_FILENO);
            dup2(null, STDERR_FILENO);
        }
        execlp(COMMAND, COMMAND, path, (char *)NULL);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 127)
        return true;
    return says(why, COMMAND " says that it is damaged");
}

bool rdb_check(const char *path, char *why)
{
    FILE *in = fopen(path, "re");

    if (in == NULL)
        return says(why, strerror(errno));
    bool ok = fseek(in, 0, SEEK_END) == 0 && ftell(in) >= LEAST ? (rewind(in), check_bytes(in, why))
                                                                : says(why, "it is too short to be one");
    fclose(in);
    return ok && ask_redis(path, why);
}
