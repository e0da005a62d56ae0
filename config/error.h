/* config/error — what is wrong with a setting, for the person who wrote it.
 * Owns:    nothing.
 * Threads: any.          Used by: every module of config; main, proxy/dispatch, proxy/admin. */
#ifndef CONFIG_ERROR_H
#define CONFIG_ERROR_H

/* What is wrong with a value and what was expected: "'30x' is not a duration; expected …". Secrets are never
 * quoted. */
struct reason {
    char text[400];
};

/* One refused setting, or one unreadable file. All texts are single lines. */
struct config_error {
    char name[96];    /* the setting, "" when the error isn't about one */
    char reason[400]; /* without the place: fit for an HTTP answer beside the name */
    char text[1024];  /* place, name and reason: fit for a log, stderr or a RESP error */
};

#endif
