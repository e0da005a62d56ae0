#include "config/rewrite.h"

#include "config/internal.h"
#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes at..at+remove are replaced by own_insert. */
struct edit {
    size_t at, remove;
    char *own_insert;
};

/* ---- finding the place ---- */

/* value as a YAML text: as it is where nothing in it could mean something else, or in double quotes. */
static char *quoted(const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./";
    char *out, *to;

    if (value[0] != '\0' && value[strspn(value, plain)] == '\0')
        return must_dup(value);
    out = to = must_alloc(strlen(value) * 2 + 3);
    *to++ = '"';
    for (; *value != '\0'; value++) {
        if (strchr("\"\\\n", *value) != NULL)
            *to++ = '\\';
        *to++ = (char)(*value == '\n' ? 'n' : *value); /* users are lines */
    }
    *to = '"';
    return out;
}

/* Where the line of byte at ends, before its line break. */
static size_t end_of_line(const char *text, size_t at)
{
    size_t end = at + strcspn(text + at, "\n");
    return end > at && text[end] == '\n' && text[end - 1] == '\r' ? end - 1 : end;
}

static const char *line_break(const char *text)
{
    const char *lf = strchr(text, '\n');
    return lf != NULL && lf > text && lf[-1] == '\r' ? "\r\n" : "\n";
}

static struct edit into_block(const char *text, const struct yaml_block *block, const char *key,
                              const char *value)
{
    const char *eol = line_break(text);

    if (block->flow && block->count == 0)
        return (struct edit){block->begin + 1, 0, must_print(" %s: %s ", key, value)};
    if (block->flow)
        return (struct edit){block->last, 0, must_print(", %s: %s", key, value)};
    int column = block->count == 0 ? 2 : (int)block->column;
    return (struct edit){end_of_line(text, block->last), 0,
                         must_print("%s%*s%s: %s", eol, column, "", key, value)};
}

/* At the end of the text, on a line of its own. */
static struct edit append(const char *text, char *own_lines)
{
    size_t len = strlen(text);
    bool fresh = len == 0 || text[len - 1] == '\n';
    struct edit edit = {len, 0, must_print("%s%s", fresh ? "" : line_break(text), own_lines)};
    free(own_lines);
    return edit;
}

/* The file has no such policy: it is the built-in one. */
static struct edit new_policy(const char *text, const struct yaml_doc *doc, const char *policy,
                              const char *key, const char *value)
{
    const struct yaml_block *list = yaml_block_find(doc, "policies", false);
    const char *eol = line_break(text);

    if (list != NULL && list->flow)
        return (struct edit){list->begin + 1, 0, must_print("{ name: %s, %s: %s }", policy, key, value)};
    char *item = must_print("  - name: %s%s    %s: %s", policy, eol, key, value);
    struct edit edit;
    if (list != NULL)
        edit = (struct edit){end_of_line(text, list->begin), 0, must_print("%s%s", eol, item)};
    else
        edit = append(text, must_print("policies:%s%s%s", eol, item, eol));
    free(item);
    return edit;
}

/* name is not in the file yet. */
static struct edit insert(const char *text, const struct yaml_doc *doc, const char *name, const char *value)
{
    const char *eol = line_break(text), *dot = strchr(name, '.');
    bool policy = settings_row_find(name, false) == NULL;
    struct edit edit;

    if (dot == NULL)
        return append(text, must_print("%s: %s%s", name, value, eol));
    char *outer = must_copy(name, (size_t)(dot - name));
    const struct yaml_block *block = yaml_block_find(doc, outer, policy);
    if (block != NULL)
        edit = into_block(text, block, dot + 1, value);
    else if (policy)
        edit = new_policy(text, doc, outer, dot + 1, value);
    else
        edit = append(text, must_print("%s:%s  %s: %s%s", outer, eol, dot + 1, value, eol));
    free(outer);
    return edit;
}

/* ---- reading back ---- */

static bool same_policies(const struct yaml_doc *old, const struct yaml_doc *now)
{
    size_t n = 0;
    for (size_t i = 0; i < old->block_count; i++) {
        if (!old->blocks[i].policy)
            continue;
        while (n < now->block_count && !now->blocks[n].policy)
            n++;
        if (n == now->block_count || strcmp(old->blocks[i].name, now->blocks[n].name) != 0)
            return false;
        n++;
    }
    return true;
}

/* True when now says all that old said, and value for name. */
static bool holds(const struct yaml_doc *old, const struct yaml_doc *now, const char *name, const char *value)
{
    const struct yaml_entry *set = yaml_find(now, name);
    size_t expected = old->entry_count + (yaml_find(old, name) == NULL ? 1 : 0);

    if (set == NULL || strcmp(set->value, value) != 0 || now->entry_count != expected ||
        !same_policies(old, now))
        return false;
    for (size_t i = 0; i < old->entry_count; i++) {
        const struct yaml_entry *entry = yaml_find(now, old->entries[i].name);
        if (entry == NULL || (entry != set && strcmp(entry->value, old->entries[i].value) != 0))
            return false;
    }
    return true;
}

static enum err read_back(const char *path, const char *text, const struct yaml_doc *old, const char *name,
                          const char *value, struct config_error *err)
{
    struct yaml_doc now;
    bool good = false;

    if (yaml_parse(path, text, strlen(text), &now, err) == ERR_NONE) {
        good = holds(old, &now, name, value);
        yaml_doc_done(&now);
    }
    if (good)
        return ERR_NONE;
    struct reason why;
    because(&why,
            "'%s' could not be written into this file's layout; expected sections with one setting a line",
            name);
    config_error_set(err, path, name, why.text);
    return ERR_CONFIG;
}

enum err rewrite_value(const char *path, const char *text, const char *name, const char *value,
                       char **ret_text, struct config_error *err)
{
    struct yaml_doc doc;
    enum err rc = yaml_parse(path, text, strlen(text), &doc, err);

    if (rc != ERR_NONE)
        return rc;
    const struct yaml_entry *entry = yaml_find(&doc, name);
    char *shown = quoted(value);
    struct edit edit;
    if (entry != NULL)
        edit = (struct edit){entry->begin, entry->end - entry->begin, must_dup(shown)};
    else
        edit = insert(text, &doc, name, shown);
    char *edited = must_print("%.*s%s%s", (int)edit.at, text, edit.own_insert, text + edit.at + edit.remove);
    rc = read_back(path, edited, &doc, name, value, err);
    if (rc == ERR_NONE)
        *ret_text = edited;
    else
        free(edited);
    free(edit.own_insert);
    free(shown);
    yaml_doc_done(&doc);
    return rc;
}
