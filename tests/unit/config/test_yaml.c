/* The configuration file: the flat list that comes out, and the exact line of each error. */
#include "config/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct yaml_doc parsed(const char *text)
{
    struct yaml_doc doc;
    struct config_error err;
    if (yaml_parse("f.yaml", text, strlen(text), &doc, &err) != ERR_NONE)
        fail_msg("%s", err.text);
    return doc;
}

static void check_entry(const struct yaml_doc *doc, size_t i, const char *name, const char *value,
                        size_t line, size_t column)
{
    assert_true(i < doc->entry_count);
    assert_string_equal(doc->entries[i].name, name);
    assert_string_equal(doc->entries[i].value, value);
    assert_int_equal(doc->entries[i].line, line);
    assert_int_equal(doc->entries[i].column, column);
}

static void test_flat_list(void **state)
{
    const char *text = "# settings\n"
                       "listen: [\"127.0.0.1:6390\", 'unix:/run/c.sock']\n"
                       "admin:  { listen: \"127.0.0.1:9390\" }\n"
                       "redis:\n"
                       "  url: redis://h:1/2   # here\n"
                       "  timeout: 750ms\n"
                       "log:\n"
                       "policies:\n"
                       "  - ttl: 1d\n"
                       "    name: chat\n"
                       "    match: \"chat:*\"\n"
                       "  - { name: conv, max_messages: 50 }\n";
    struct yaml_doc doc = parsed(text);
    assert_int_equal(doc.entry_count, 7);
    check_entry(&doc, 0, "listen", "127.0.0.1:6390 unix:/run/c.sock", 2, 9);
    check_entry(&doc, 1, "admin.listen", "127.0.0.1:9390", 3, 19);
    check_entry(&doc, 2, "redis.url", "redis://h:1/2", 5, 8);
    check_entry(&doc, 3, "redis.timeout", "750ms", 6, 12);
    check_entry(&doc, 4, "chat.ttl", "1d", 9, 10);
    check_entry(&doc, 5, "chat.match", "chat:*", 11, 12);
    check_entry(&doc, 6, "conv.max_messages", "50", 12, 33);
    const struct yaml_entry *url = yaml_find(&doc, "redis.url");
    assert_memory_equal(text + url->begin, "redis://h:1/2   #", 17);
    assert_int_equal(url->end - url->begin, strlen("redis://h:1/2"));
    assert_non_null(yaml_block_find(&doc, "chat", true));
    assert_null(yaml_block_find(&doc, "chat", false));
    assert_int_equal(yaml_block_find(&doc, "redis", false)->count, 2);
    assert_int_equal(yaml_block_find(&doc, "log", false)->count, 0);
    yaml_doc_done(&doc);
}

/* Byte places stay right behind characters of several bytes, a byte order mark and CR LF. */
static void test_places_in_bytes(void **state)
{
    const char *text = "\xEF\xBB\xBF# gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\r\nredis:\r\n  password: "
                       "\"\xE2\x82\xAC\"\r\n  timeout: 1s\r\n";
    struct yaml_doc doc = parsed(text);
    const struct yaml_entry *password = yaml_find(&doc, "redis.password"),
                            *timeout = yaml_find(&doc, "redis.timeout");
    assert_string_equal(password->value, "\xE2\x82\xAC");
    assert_int_equal(password->begin, strstr(text, "\"\xE2") - text);
    assert_int_equal(password->end - password->begin, 5);
    assert_int_equal(timeout->begin, strstr(text, "1s") - text);
    assert_int_equal(timeout->line, 4);
    yaml_doc_done(&doc);
}

static void test_empty(void **state)
{
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "# only a comment\n",
                                        "---\n",
                                        "--- \n...\n",
                                        "{}\n",
                                        "redis:\nlog: {}\n",
                                        "policies:\n",
                                        "policies: []\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct yaml_doc doc = parsed(texts[i]);
        assert_int_equal(doc.entry_count, 0);
        yaml_doc_done(&doc);
    }
}

struct bad {
    const char *text;
    const char *error;
};

/* A list of names that goes on is told up to a "*": it grows with each setting. */
static bool is_error(const char *text, const char *want)
{
    size_t len = strlen(want);
    return want[len - 1] == '*' ? strncmp(text, want, len - 1) == 0 : strcmp(text, want) == 0;
}

static void check_bad(const struct bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct yaml_doc doc = {.entry_count = 77};
        struct config_error err;
        if (yaml_parse("f.yaml", rows[i].text, strlen(rows[i].text), &doc, &err) == ERR_NONE)
            fail_msg("accepted: %s", rows[i].text);
        if (!is_error(err.text, rows[i].error))
            fail_msg("%s", err.text);
        assert_int_equal(doc.entry_count, 77);
    }
}

#define NO_ANCHORS "anchors (&) and aliases (*) are not supported; quote a text that starts with * or &"

static void test_shapes(void **state)
{
    static const struct bad rows[] = {
        {"just a text\n", "f.yaml:1: the file is a text; expected a mapping of settings"},
        {"\n- a\n", "f.yaml:2: the file is a list; expected a mapping of settings"},
        {"redis: redis://h\n", "f.yaml:1: 'redis' is a text; expected a mapping of settings"},
        {"redis:\n  - url\n", "f.yaml:2: 'redis' is a list; expected a mapping of settings"},
        {"redis:\n  url: [a]\n", "f.yaml:2: 'redis.url' is a list; expected a single value"},
        {"redis:\n  url:\n    host: h\n", "f.yaml:3: 'redis.url' is a mapping; expected a single value"},
        {"redis:\n  timeout:\n", "f.yaml:2: 'redis.timeout' has no value; an empty text is written \"\""},
        {"listen: {a: b}\n", "f.yaml:1: 'listen' is a mapping; expected a text or a list of texts"},
        {"listen:\n", "f.yaml:1: 'listen' is nothing; expected a text or a list of texts"},
        {"listen:\n  - h:1\n  - [x]\n", "f.yaml:3: 'listen' has an item that is a list; expected a text"},
        {"listen: ['h:1, h:2']\n",
         "f.yaml:1: 'listen' has an item that is empty or holds a blank or a comma"},
        {"policies: conv\n", "f.yaml:1: 'policies' is a text; expected a list of mappings"},
        {"policies:\n  conv: {ttl: 1d}\n", "f.yaml:2: 'policies' is a mapping; expected a list of mappings"},
        {"policies:\n  - conv\n", "f.yaml:2: 'policies' is a text; expected a list of mappings"},
        {"? [a, b]\n: c\n", "f.yaml:1: a key is a list; expected a name"},
        {"redis: &r {url: x}\n", "f.yaml:1: " NO_ANCHORS},
        {"policies:\n  - name: a\n    match: *all\n", "f.yaml:3: " NO_ANCHORS},
        {"redis:\n  url: !!str x\n", "f.yaml:2: tags (!) are not supported; quote a text that starts with !"},
        {"log: {level: info}\n---\nlog: {}\n", "f.yaml:2: a second document starts here; expected one"},
        {"redis: {url: \"a\\0b\"}\n", "f.yaml:1: a NUL byte in a text"},
    };
    check_bad(rows, sizeof rows / sizeof rows[0]);
}

static void test_names(void **state)
{
    static const struct bad rows[] = {
        {"redsi:\n  url: x\n", "f.yaml:1: unknown name 'redsi'; expected one of: listen, tls, proxy, requirepass, "
                               "requirepass_file, users, acl, admin, redis, archive, *"},
        {"redis.url: x\n", "f.yaml:1: unknown name 'redis.url'; expected one of: listen, tls, proxy, requirepass, "
                           "requirepass_file, users, acl, admin, redis, archive, *"},
        {"log:\n  levle: info\n", "f.yaml:2: unknown name 'levle' in log; expected one of: level, format"},
        {"slowlog: {\n  len: 5,\n  x.y: 6 }\n",
         "f.yaml:3: unknown name 'x.y' in slowlog; expected one of: time, len"},
        {"policies:\n  - name: a\n    tll: 1d\n",
         "f.yaml:3: unknown name 'tll'; expected one of: name, match, ttl, max_messages, max_bytes, primary, dual_write, ack, *"},
        {"log:\n  level: info\n  level: warn\n",
         "f.yaml:3: 'level' stands here a second time; the first is in line 2"},
        {"log:\nredis:\nlog:\n", "f.yaml:3: 'log' stands here a second time; the first is in line 1"},
        {"listen: h:1\nlisten: h:2\n",
         "f.yaml:2: 'listen' stands here a second time; the first is in line 1"},
        {"policies:\npolicies:\n", "f.yaml:2: 'policies' stands here a second time; the first is in line 1"},
        {"policies:\n  - name: a\n    ttl: 1\n    ttl: 2\n",
         "f.yaml:4: 'ttl' stands here a second time; the first is in line 3"},
        {"policies:\n  - name: a\n    name: b\n",
         "f.yaml:3: 'name' stands here a second time; the first is in line 2"},
        {"policies:\n  - name: a\n  - name: b\n  - name: a\n",
         "f.yaml:4: there is a policy 'a' already, in line 2"},
        {"policies:\n  - ttl: 1d\n",
         "f.yaml:2: this policy has no name; expected name: and up to 64 of a-z 0-9 _ -"},
        {"policies:\n  - name: Chat\n",
         "f.yaml:2: 'Chat' cannot name a policy; expected up to 64 of a-z 0-9 _ -"},
        {"policies:\n  - name: a.b\n",
         "f.yaml:2: 'a.b' cannot name a policy; expected up to 64 of a-z 0-9 _ -"},
        {"policies:\n  - name: \"\"\n",
         "f.yaml:2: '' cannot name a policy; expected up to 64 of a-z 0-9 _ -"},
        {"policies:\n  - name: redis\n",
         "f.yaml:2: 'redis' cannot name a policy; it names a section of the settings"},
        {"policies:\n  - name: listen\n",
         "f.yaml:2: 'listen' cannot name a policy; it names a section of the settings"},
    };
    check_bad(rows, sizeof rows / sizeof rows[0]);
}

static void test_not_yaml(void **state)
{
    static const struct bad rows[] = {
        {"redis:\n\turl: x\n", "f.yaml:2: a tab at the start of the line; YAML wants spaces"},
        {"redis:\n  url: x\n  \ttimeout: 1s\n",
         "f.yaml:3: a tab at the start of the line; YAML wants spaces"},
        {"log:\n  level: \"info\n",
         "f.yaml:3: not valid YAML: found unexpected end of stream, while scanning a quoted scalar"},
        {"log: {level: info\n",
         "f.yaml:2: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping"},
        {"# ok\nlog: {level: \xFFx}\n", "f.yaml:2: not a UTF-8 text: invalid leading UTF-8 octet"},
        {"\xFF\xFEl\n", "f.yaml:1: not a UTF-8 text: invalid leading UTF-8 octet"},
        {"log: {level: \x01}\n", "f.yaml:1: not a UTF-8 text: control characters are not allowed"},
    };
    check_bad(rows, sizeof rows / sizeof rows[0]);
}

/* Deep or wide input ends early, with an error, whatever the depth. */
static void test_bombs(void **state)
{
    size_t len = 500000;
    char *text = malloc(len + 1);
    static const char openers[] = "[{-";
    for (const char *c = openers; *c != '\0'; c++) {
        struct yaml_doc doc;
        struct config_error err;
        for (size_t i = 0; i < len; i++)
            text[i] = *c == '-' && i % 2 == 1 ? ' ' : *c;
        assert_int_equal(yaml_parse("f.yaml", text, len, &doc, &err), ERR_CONFIG);
        assert_memory_equal(err.text, "f.yaml:1: ", 10);
    }
    free(text);
}

static void test_many(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct yaml_doc doc;
    struct config_error err;
    fputs("policies:\n", out);
    for (int i = 0; i < 300; i++)
        fprintf(out, "- name: p%d\n", i);
    fclose(out);
    assert_int_equal(yaml_parse("f.yaml", text, len, &doc, &err), ERR_CONFIG);
    assert_string_equal(err.text, "f.yaml:258: there are more than 256 policies and sections");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat_list), cmocka_unit_test(test_places_in_bytes),
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_not_yaml),
        cmocka_unit_test(test_bombs),     cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
