#include "config/yaml.h"

#include "config/events.h"
#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MOST  64
#define LINES_MOST 10000 /* users */

/* A key of a mapping: its text and where it stands. */
struct key {
    char *text;
    size_t line, column, begin;
};

static bool fail_shape(struct reader *r, const char *name, const char *expected)
{
    char shown[QUOTE_TEXT];
    return events_fail(r, events_line(r), "%s is %s; expected %s", quote(name, shown), events_shape(r),
                       expected);
}

/* The next key of a mapping into *ret, or its end: then ret->text is NULL. */
static bool next_key(struct reader *r, struct key *ret)
{
    if (!events_next(r))
        return false;
    ret->text = NULL;
    if (r->event.type == YAML_MAPPING_END_EVENT)
        return true;
    if (r->event.type != YAML_SCALAR_EVENT)
        return events_fail(r, events_line(r), "a key is %s; expected a name", events_shape(r));
    ret->text = must_dup(events_text(r));
    ret->line = events_line(r);
    ret->column = r->event.start_mark.column;
    ret->begin = events_byte(r, &r->event.start_mark);
    return true;
}

/* ---- entries and blocks ---- */

const struct yaml_entry *yaml_find(const struct yaml_doc *doc, const char *name)
{
    for (size_t i = 0; i < doc->entry_count; i++)
        if (strcmp(doc->entries[i].name, name) == 0)
            return &doc->entries[i];
    return NULL;
}

const struct yaml_block *yaml_block_find(const struct yaml_doc *doc, const char *name, bool policy)
{
    for (size_t i = 0; i < doc->block_count; i++)
        if (doc->blocks[i].policy == policy && strcmp(doc->blocks[i].name, name) == 0)
            return &doc->blocks[i];
    return NULL;
}

static struct yaml_block *add_block(struct reader *r, const char *name, bool policy)
{
    struct yaml_doc *doc = r->doc;
    doc->blocks = must_grow(doc->blocks, (doc->block_count + 1) * sizeof *doc->blocks);
    struct yaml_block *block = &doc->blocks[doc->block_count++];
    *block = (struct yaml_block){.name = must_dup(name), .policy = policy, .line = events_line(r)};
    block->begin = block->last = events_byte(r, &r->event.start_mark);
    block->flow = (r->event.type == YAML_MAPPING_START_EVENT &&
                   r->event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE) ||
                  (r->event.type == YAML_SEQUENCE_START_EVENT &&
                   r->event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
    return block;
}

/* Takes the current event, a text, as the value of name. */
static struct yaml_entry *add_entry(struct reader *r, const char *name)
{
    struct yaml_doc *doc = r->doc;
    doc->entries = must_grow(doc->entries, (doc->entry_count + 1) * sizeof *doc->entries);
    struct yaml_entry *entry = &doc->entries[doc->entry_count++];
    *entry = (struct yaml_entry){.name = must_dup(name), .line = events_line(r)};
    entry->column = r->event.start_mark.column + 1;
    entry->begin = events_byte(r, &r->event.start_mark);
    entry->end = events_byte(r, &r->event.end_mark);
    entry->value = must_dup(r->event.type == YAML_SCALAR_EVENT ? events_text(r) : "");
    return entry;
}

static bool read_text(struct reader *r, const char *name)
{
    if (!events_next(r))
        return false;
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail_shape(r, name, "a single value");
    if (events_nothing(r))
        return events_fail(r, events_line(r), "'%s' has no value; an empty text is written \"\"", name);
    add_entry(r, name);
    return true;
}

/* Users are lines, other items words. */
static bool add_item(struct reader *r, struct yaml_entry *entry, bool lines)
{
    const char *item = events_text(r);

    if (r->event.type != YAML_SCALAR_EVENT)
        return events_fail(r, events_line(r), "'%s' has an item that is %s; expected a text", entry->name,
                           events_shape(r));
    if (lines && (item[0] == '\0' || strchr(item, '\n') != NULL))
        return events_fail(r, events_line(r), "'%s' has an item that is empty or more than a line", entry->name);
    if (!lines && (item[0] == '\0' || strpbrk(item, ", ") != NULL))
        return events_fail(r, events_line(r), "'%s' has an item that is empty or holds a blank or a comma",
                           entry->name);
    char *longer = must_print("%s%s%s", entry->value, entry->value[0] == '\0' ? "" : lines ? "\n" : " ", item);
    free(entry->value);
    entry->value = longer;
    return true;
}

/* listen: [a, b], or one text. */
static bool read_list(struct reader *r, const char *name)
{
    bool lines = strcmp(name, "users") == 0;
    size_t most = lines ? LINES_MOST : LIST_MOST;

    if (!events_next(r))
        return false;
    if (r->event.type == YAML_MAPPING_START_EVENT || events_nothing(r))
        return fail_shape(r, name, "a text or a list of texts");
    bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    struct yaml_entry *entry = add_entry(r, name);
    for (size_t items = 0; list; items++) {
        if (!events_next(r))
            return false;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (items == most)
            return events_fail(r, events_line(r), "'%s' has more than %zu items", name, most);
        if (!add_item(r, entry, lines))
            return false;
    }
    entry->end = events_byte(r, &r->event.end_mark);
    return true;
}

static bool read_value(struct reader *r, const struct setting_row *row, const char *name)
{
    return row->type == SETTING_TYPE_list ? read_list(r, name) : read_text(r, name);
}

/* Notes in the block that one more key was read, whose value is the newest entry. */
static void grow_block(struct yaml_block *block, const struct key *key, size_t end)
{
    if (block->count++ == 0) {
        block->column = key->column;
        if (!block->flow)
            block->begin = key->begin;
    }
    block->last = end;
}

/* ---- the known names ---- */

static bool is_section(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        if (!row->policy && len > 0 && strncmp(row->name, name, len) == 0 && row->name[len] == '.')
            return true;
    }
    return false;
}

/* A setting that stands at the top, such as listen. */
static const struct setting_row *top_row(const char *name)
{
    return strchr(name, '.') == NULL ? settings_row_find(name, false) : NULL;
}

/* The name inside its section: "url" of "redis.url" in section "redis"; NULL when the row is not one of it.
 */
static const char *inner_name(const struct setting_row *row, const char *section)
{
    size_t len = strlen(section);
    if (row->policy || strncmp(row->name, section, len) != 0 || row->name[len] != '.')
        return NULL;
    return row->name + len + 1;
}

/* section: NULL at the top, "" in a policy. Lists the names that could stand here. */
static bool fail_unknown(struct reader *r, const struct key *key, const char *section)
{
    char shown[QUOTE_TEXT], names[320] = "";
    size_t used = 0;
    const char *last = "";

    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        const char *name = section == NULL      ? (row->policy ? "policies" : row->name)
                           : section[0] == '\0' ? (row->policy ? row->name : NULL)
                                                : inner_name(row, section);
        size_t len = name == NULL ? 0 : strcspn(name, ".");
        if (len == 0 || (strncmp(name, last, len) == 0 && strcspn(last, ".") == len) ||
            used + len + 3 > sizeof names)
            continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s", used == 0 ? "" : ", ", (int)len,
                                 name);
        last = name;
    }
    return events_fail(r, key->line, "unknown name %s%s%s; expected one of: %s%s", quote(key->text, shown),
                       section == NULL || section[0] == '\0' ? "" : " in ", section == NULL ? "" : section,
                       section != NULL && section[0] == '\0' ? "name, " : "", names);
}

static bool fail_twice(struct reader *r, const struct key *key, size_t first_line)
{
    char shown[QUOTE_TEXT];
    return events_fail(r, key->line, "%s stands here a second time; the first is in line %zu",
                       quote(key->text, shown), first_line);
}

/* ---- sections ---- */

static bool read_section_key(struct reader *r, const char *section, const struct key *key)
{
    char *name = must_print("%s.%s", section, key->text);
    const struct setting_row *row = settings_row_find(name, false);
    const struct yaml_entry *first = yaml_find(r->doc, name);
    bool good = false;

    if (row == NULL)
        fail_unknown(r, key, section);
    else if (first != NULL)
        fail_twice(r, key, first->line);
    else
        good = read_value(r, row, name);
    free(name);
    return good;
}

/* The keys of a mapping whose start is the current event. */
static bool read_section_keys(struct reader *r, struct yaml_block *block)
{
    for (;;) {
        struct key key;
        if (!next_key(r, &key))
            return false;
        if (key.text == NULL)
            return true;
        bool good = read_section_key(r, block->name, &key);
        free(key.text);
        if (!good)
            return false;
        grow_block(block, &key, r->doc->entries[r->doc->entry_count - 1].end);
    }
}

static bool read_section(struct reader *r, const char *name)
{
    if (!events_next(r))
        return false;
    if (r->event.type != YAML_MAPPING_START_EVENT && !events_nothing(r))
        return fail_shape(r, name, "a mapping of settings");
    struct yaml_block *block = add_block(r, name, false);
    return events_nothing(r) || read_section_keys(r, block);
}

/* ---- policies ---- */

static bool check_policy_name(struct reader *r, const char *name)
{
    char shown[QUOTE_TEXT];

    if (name[0] == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0' ||
        strlen(name) > 64)
        return events_fail(r, events_line(r), "%s cannot name a policy; expected up to 64 of a-z 0-9 _ -",
                           quote(name, shown));
    if (is_section(name) || top_row(name) != NULL || strcmp(name, "policies") == 0)
        return events_fail(r, events_line(r), "'%s' cannot name a policy; it names a section of the settings",
                           name);
    const struct yaml_block *first = yaml_block_find(r->doc, name, true);
    if (first != NULL)
        return events_fail(r, events_line(r), "there is a policy '%s' already, in line %zu", name,
                           first->line);
    return true;
}

/* The policy's name goes into the newest block, whose name is "" until then. */
static bool read_policy_name(struct reader *r, struct yaml_block *block, const struct key *key)
{
    if (block->name[0] != '\0')
        return fail_twice(r, key, block->line);
    if (!events_next(r))
        return false;
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail_shape(r, "name", "a text");
    if (!check_policy_name(r, events_text(r)))
        return false;
    free(block->name);
    block->name = must_dup(events_text(r));
    grow_block(block, key, events_byte(r, &r->event.end_mark));
    return true;
}

/* Entries from first_entry on are this policy's; their names are bare until its own name is known. */
static bool read_policy_key(struct reader *r, struct yaml_block *block, const struct key *key,
                            size_t first_entry)
{
    if (strcmp(key->text, "name") == 0)
        return read_policy_name(r, block, key);
    const struct setting_row *row = settings_row_find(key->text, true);
    if (row == NULL)
        return fail_unknown(r, key, "");
    for (size_t i = first_entry; i < r->doc->entry_count; i++)
        if (strcmp(r->doc->entries[i].name, key->text) == 0)
            return fail_twice(r, key, r->doc->entries[i].line);
    if (!read_value(r, row, row->name))
        return false;
    grow_block(block, key, r->doc->entries[r->doc->entry_count - 1].end);
    return true;
}

static bool name_entries(struct reader *r, const struct yaml_block *block, size_t first_entry)
{
    if (block->name[0] == '\0')
        return events_fail(r, block->line,
                           "this policy has no name; expected name: and up to 64 of a-z 0-9 _ -");
    for (size_t i = first_entry; i < r->doc->entry_count; i++) {
        char *full = must_print("%s.%s", block->name, r->doc->entries[i].name);
        free(r->doc->entries[i].name);
        r->doc->entries[i].name = full;
    }
    return true;
}

static bool read_policy(struct reader *r)
{
    size_t first_entry = r->doc->entry_count;

    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fail_shape(r, "policies", "a list of mappings");
    if (r->doc->block_count > YAML_POLICIES_MOST)
        return events_fail(r, events_line(r), "there are more than %d policies and sections",
                           YAML_POLICIES_MOST);
    struct yaml_block *block = add_block(r, "", true);
    for (;;) {
        struct key key;
        if (!next_key(r, &key))
            return false;
        if (key.text == NULL)
            return name_entries(r, block, first_entry);
        bool good = read_policy_key(r, block, &key, first_entry);
        free(key.text);
        if (!good)
            return false;
    }
}

static bool read_policies(struct reader *r)
{
    if (!events_next(r))
        return false;
    if (r->event.type != YAML_SEQUENCE_START_EVENT && !events_nothing(r))
        return fail_shape(r, "policies", "a list of mappings");
    add_block(r, "policies", false);
    if (events_nothing(r))
        return true;
    size_t self = r->doc->block_count - 1;
    for (;;) {
        if (!events_next(r))
            return false;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (!read_policy(r))
            return false;
        r->doc->blocks[self].count++;
    }
}

/* ---- the document ---- */

static bool read_top_key(struct reader *r, const struct key *key)
{
    const struct setting_row *row = top_row(key->text);
    const struct yaml_block *block = yaml_block_find(r->doc, key->text, false);
    const struct yaml_entry *entry = yaml_find(r->doc, key->text);

    if (block != NULL || entry != NULL)
        return fail_twice(r, key, block != NULL ? block->line : entry->line);
    if (row != NULL)
        return read_value(r, row, row->name);
    if (strcmp(key->text, "policies") == 0)
        return read_policies(r);
    if (is_section(key->text))
        return read_section(r, key->text);
    return fail_unknown(r, key, NULL);
}

static bool read_top(struct reader *r)
{
    if (events_nothing(r))
        return true;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return events_fail(r, events_line(r), "the file is %s; expected a mapping of settings",
                           events_shape(r));
    for (;;) {
        struct key key;
        if (!next_key(r, &key))
            return false;
        if (key.text == NULL)
            return true;
        bool good = read_top_key(r, &key);
        free(key.text);
        if (!good)
            return false;
    }
}

static bool read_stream(struct reader *r)
{
    if (!events_next(r) || !events_next(r)) /* start of stream, then of the first document */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return true;
    if (!events_next(r) || !read_top(r) || !events_next(r) || !events_next(r))
        return false;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return events_fail(r, events_line(r), "a second document starts here; expected one");
    return true;
}

enum err yaml_parse(const char *path, const char *text, size_t len, struct yaml_doc *ret_doc,
                    struct config_error *err)
{
    struct yaml_doc doc = {0};
    struct reader r = {.path = path, .text = text, .len = len, .doc = &doc, .err = err};

    if (!events_open(&r)) {
        config_error_set(err, path, "", "out of memory");
        return ERR_NOMEM;
    }
    bool good = read_stream(&r);
    events_close(&r);
    if (!good) {
        yaml_doc_done(&doc);
        return ERR_CONFIG;
    }
    *ret_doc = doc;
    return ERR_NONE;
}

void yaml_doc_done(struct yaml_doc *doc)
{
    for (size_t i = 0; i < doc->entry_count; i++) {
        free(doc->entries[i].name);
        free(doc->entries[i].value);
    }
    for (size_t i = 0; i < doc->block_count; i++)
        free(doc->blocks[i].name);
    free(doc->entries);
    free(doc->blocks);
    *doc = (struct yaml_doc){0};
}
