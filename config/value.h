/* config/value — one value by its row: text to field, field to text. One function per type, found by table.
 * Owns:    nothing; the caller owns the fields.
 * Threads: any.          Used by: config/settings only. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/error.h"
#include "config/settings.h"

const char *value_type_name(enum setting_type type);
/* True for a text or list whose row names this form ("address", "url", "pattern", "rate", "secret"). */
bool value_has_form(const struct setting_row *row, const char *form);

/* Reads text into field (zeroed, or holding a value that is released). On failure the field is unchanged. */
bool value_parse(const struct setting_row *row, const char *text, void *field, struct reason *why);
/* The text that value_parse reads back; the caller frees it. */
char *value_print(const struct setting_row *row, const void *field);
void value_done(const struct setting_row *row, void *field);

#endif
