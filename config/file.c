#include "config/file.h"

#include "config/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of fd up to one byte more than a file may have. NULL: errno says why. */
static char *read_all(int fd, size_t *ret_len)
{
    size_t len = 0, cap = 4096;
    char *text = must_alloc(cap + 1);
    ssize_t n;

    while ((n = read(fd, text + len, cap - len)) != 0 && len <= FILE_MOST) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return NULL;
        }
        len += (size_t)n;
        if (len == cap)
            text = must_grow(text, (cap *= 2) + 1);
    }
    text[len] = '\0';
    *ret_len = len;
    return text;
}

enum err file_read(const char *path, char **ret_text, size_t *ret_len, bool *ret_missing,
                   struct config_error *err)
{
    struct reason why;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : read_all(fd, &len);

    if (ret_missing != NULL)
        *ret_missing = fd < 0 && errno == ENOENT;
    if (text == NULL)
        because(&why, "cannot be read: %s", strerror(errno));
    else if (len > FILE_MOST)
        because(&why, "the file is larger than %zu bytes", FILE_MOST);
    if (fd >= 0)
        close(fd);
    if (text == NULL || len > FILE_MOST) {
        config_error_set(err, path, "", why.text);
        free(text);
        return ERR_CONFIG;
    }
    *ret_text = text;
    *ret_len = len;
    return ERR_NONE;
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR)
            return false;
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

/* Mode and owner like the old file's. Another owner can be given by root only; then the file stays ours. */
static bool dress(int fd, const char *old)
{
    struct stat st;
    if (stat(old, &st) != 0)
        return errno == ENOENT;
    if (fchown(fd, st.st_uid, st.st_gid) != 0 && errno != EPERM)
        return false;
    return fchmod(fd, st.st_mode & 07777) == 0;
}

/* After a power cut the directory must know the new file, too. A file system that cannot sync one is left
 * alone. */
static void sync_folder(const char *path)
{
    char *copy = must_dup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

enum err file_replace(const char *path, const char *text, struct config_error *err)
{
    /* A symbolic link stays one; the file it points to is replaced. */
    char *real = realpath(path, NULL);
    char *target = real != NULL ? real : must_dup(path);
    char *fresh = must_print("%s.XXXXXX", target);
    int fd = mkostemp(fresh, O_CLOEXEC);
    bool good = fd >= 0 && dress(fd, target) && write_all(fd, text) && rename(fresh, target) == 0;

    if (!good) {
        struct reason why;
        because(&why, "cannot be written: %s", strerror(errno));
        config_error_set(err, path, "", why.text);
        if (fd >= 0)
            unlink(fresh);
    } else {
        sync_folder(target);
    }
    if (fd >= 0)
        close(fd);
    free(fresh);
    free(target);
    return good ? ERR_NONE : ERR_CONFIG;
}
