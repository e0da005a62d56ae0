/* config/events — libyaml's events one by one, with places in bytes and errors that name file and line.
 * Owns:       the parser and the current event, from events_open to events_close.
 * Invariants: no event with an anchor, alias, tag or NUL byte comes through.
 * Threads:    any.          Used by: config/yaml only. */
#ifndef CONFIG_EVENTS_H
#define CONFIG_EVENTS_H

#include "config/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

/* Zeroed but for path, text, len and err before events_open. */
struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const char *path;   /* for errors */
    const char *text;
    size_t len;
    size_t seen_chars, seen_bytes; /* where the last conversion of a mark ended */
    struct yaml_doc *doc;          /* what config/yaml makes of the events */
    struct config_error *err;
};

/* False: out of memory. */
bool events_open(struct reader *r);
void events_close(struct reader *r);
/* Moves to the next event. False: r->err says why. */
bool events_next(struct reader *r);

/* Fills r->err with "PATH:LINE: …". Returns false. */
__attribute__((format(printf, 3, 4))) bool events_fail(struct reader *r, size_t line, const char *format,
                                                       ...);

/* About the current event: its line (from 1), its scalar's text, whether it is the nothing behind "key:", and
 * what to call it in an error. */
size_t events_line(const struct reader *r);
const char *events_text(const struct reader *r);
bool events_nothing(const struct reader *r);
const char *events_shape(const struct reader *r);
/* The byte of a mark; libyaml's marks count characters. */
size_t events_byte(struct reader *r, const yaml_mark_t *mark);

#endif
