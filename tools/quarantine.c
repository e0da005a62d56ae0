#include "tools/quarantine.h"

#include "tools/paint.h"
#include "tools/screen.h"

#include <stdlib.h>
#include <string.h>

#define PATH       "/api/v1/quarantine"
#define ITEM_SHOWN 160 /* bytes of an item, as text */

/* ---- ls ---- */

static void say_entry(const cJSON *e)
{
    printf("%-6.0f ", screen_number(e, "number"));
    if (paint_find(e, "damaged") != NULL) {
        printf("can't be read: %s\n", screen_text(e, "damaged"));
        return;
    }
    paint_value(stdout, paint_find(e, "key"), ITEM_SHOWN);
    printf("   %s of %s   %s   %s\n", screen_text(e, "type"), paint_count(screen_number(e, "length")), screen_text(e, "at"),
           screen_text(e, "why"));
}

/* One document of all pages; doc becomes its first. */
static void add_page(cJSON **all, cJSON *own_doc)
{
    cJSON *to = cJSON_GetObjectItemCaseSensitive(*all, "entries"), *from = cJSON_GetObjectItemCaseSensitive(own_doc, "entries"), *entry;

    if (*all == NULL) {
        *all = own_doc;
        return;
    }
    while ((entry = cJSON_DetachItemFromArray(from, 0)) != NULL)
        cJSON_AddItemToArray(to, entry);
    cJSON_Delete(own_doc);
}

/* NULL after a message. */
static cJSON *all_pages(const struct options *o, int *ret_code)
{
    char path[80];
    cJSON *all = NULL, *doc;
    double after = 0;

    do {
        snprintf(path, sizeof path, PATH "?after=%.0f&count=100", after);
        if ((doc = ctl_document(o, path, ret_code)) == NULL) {
            cJSON_Delete(all);
            return NULL;
        }
        after = screen_number(doc, "next");
        add_page(&all, doc);
    } while (after > 0);
    cJSON_DeleteItemFromObjectCaseSensitive(all, "next");
    return all;
}

static int list(const struct options *o)
{
    int code = EXIT_OK;
    cJSON *doc = all_pages(o, &code);
    const cJSON *entry;

    if (doc == NULL)
        return code;
    cJSON_ArrayForEach(entry, paint_find(doc, "entries"))
    {
        if (!o->json)
            say_entry(entry);
    }
    if (o->json)
        ctl_print(doc);
    else
        printf(screen_number(doc, "total") > 0 ? "%s in quarantine\n" : "nothing is in quarantine%.0s\n", paint_count(screen_number(doc, "total")));
    cJSON_Delete(doc);
    return EXIT_OK;
}

/* ---- show ---- */

static void say_state(const char *title, const cJSON *state)
{
    const cJSON *item;

    printf("%s", title);
    if (state == NULL || cJSON_IsFalse(paint_find(state, "present"))) {
        puts("   no such key");
        return;
    }
    if (cJSON_IsFalse(paint_find(state, "answers"))) {
        printf("   does not answer: %s\n", screen_text(state, "why"));
        return;
    }
    printf("   %s of %s\n", screen_text(state, "type"), paint_count(screen_number(state, "length")));
    cJSON_ArrayForEach(item, paint_find(state, "items"))
    {
        fputs("  ", stdout);
        paint_value(stdout, item, ITEM_SHOWN);
        putchar('\n');
    }
}

static int show(const struct options *o, const char *path)
{
    int code;
    cJSON *doc = ctl_order(o, "GET", path, NULL, &code);

    if (doc == NULL || o->json) {
        cJSON_Delete(doc);
        return code;
    }
    printf("entry %.0f of key ", screen_number(doc, "number"));
    paint_value(stdout, paint_find(doc, "key"), ITEM_SHOWN);
    printf("\n%s, %s\n", screen_text(doc, "why"), screen_text(doc, "at"));
    say_state("put aside", paint_find(doc, "entry"));
    say_state("Redis", paint_find(doc, "redis"));
    say_state("archive", paint_find(doc, "archive"));
    paint_list(stdout, doc, "differences", "differs");
    printf("convctl quarantine restore %.0f makes it the key's value (--as KEY: another key's); convctl quarantine drop %.0f forgets it\n",
           screen_number(doc, "number"), screen_number(doc, "number"));
    cJSON_Delete(doc);
    return code;
}

/* ---- restore, drop ---- */

static int restore(const struct options *o, double number, const char *as)
{
    char question[400], path[80];
    int code;

    if (as != NULL)
        snprintf(question, sizeof question, "Entry %.0f becomes the value of %s, which must not exist yet. Go on?", number, as);
    else
        snprintf(question, sizeof question,
                 "Entry %.0f becomes the value of its key; what the key holds now goes to quarantine, so that it can be undone. Go on?",
                 number);
    code = ctl_confirm(o->yes, "a restore", question);
    if (code != EXIT_OK)
        return code;
    cJSON *body = cJSON_CreateObject();
    if (as != NULL)
        cJSON_AddStringToObject(body, "as", as);
    snprintf(path, sizeof path, PATH "/%.0f/restore", number);
    cJSON *doc = ctl_order(o, "POST", path, body, &code);
    if (doc != NULL && !o->json) {
        printf("restored   entry %.0f as ", number);
        paint_value(stdout, paint_find(doc, "key"), ITEM_SHOWN);
        printf("\nto undo    %s\n", screen_text(doc, "undo"));
    }
    cJSON_Delete(doc);
    return code;
}

static int drop(const struct options *o, double number)
{
    char question[160], path[80];
    int code;

    snprintf(question, sizeof question, "Entry %.0f is forgotten for good: this can't be undone. Go on?", number);
    code = ctl_confirm(o->yes, "a drop", question);
    if (code != EXIT_OK)
        return code;
    snprintf(path, sizeof path, PATH "/%.0f", number);
    cJSON *doc = ctl_order(o, "DELETE", path, NULL, &code);
    if (doc != NULL && !o->json)
        printf("dropped    entry %.0f\n", number);
    cJSON_Delete(doc);
    return code;
}

int run_quarantine(struct options *o, const struct args *args)
{
    const char *verb = args_word(args, 0), *text = args_word(args, 1);
    char path[80];
    double number = text != NULL ? args_id(text) : 0;
    bool numbered = number >= 1;

    if (verb == NULL || (strcmp(verb, "ls") == 0 && text == NULL))
        return list(o);
    snprintf(path, sizeof path, PATH "/%.0f", number);
    if (strcmp(verb, "show") == 0 && numbered)
        return show(o, path);
    if (strcmp(verb, "restore") == 0 && numbered)
        return restore(o, number, args_value(args, "as"));
    if (strcmp(verb, "drop") == 0 && numbered)
        return drop(o, number);
    return ctl_usage_error("expected quarantine ls, or show, restore or drop with the number of an entry, not quarantine ", verb);
}
