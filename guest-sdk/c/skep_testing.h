/* Unit tests for workers in C without wasm: an in-memory double of the host.
 *
 *     #include "skep_testing.h"
 *
 *     static void counts(void)
 *     {
 *         skep_output output;
 *         SKEP_CHECK(skep_test_send("text/plain", "hello", &output) == SKEP_OK);
 *         SKEP_CHECK(skep_equals(output.body, "1"));
 *     }
 *
 *     int main(void)
 *     {
 *         SKEP_RUN(counts);
 *         return skep_test_end();
 *     }
 *
 * Include this file in one source file of a test program, which is linked with the worker and with
 * `skep_guest.c` and `skep_fetch.c`. Each SKEP_RUN begins with an empty state, no config and a
 * fixed identity. The double follows the rules that a worker can notice (keys, kinds, limits,
 * rollback), but nothing is durable and there is no deadline. A trap ends the test program. */
#ifndef SKEP_TESTING_H
#define SKEP_TESTING_H

#include "skep_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#include <direct.h>
#include <process.h>
#define skep_test_mkdir(path) _mkdir(path)
#define skep_test_pid() _getpid()
#else
#include <sys/stat.h>
#include <unistd.h>
#define skep_test_mkdir(path) mkdir(path, 0700)
#define skep_test_pid() getpid()
#endif

/* The host's defaults. */
#define SKEP_TEST_STATE_BYTES ((uint64_t)64 << 20)
#define SKEP_TEST_EVENT_BYTES ((uint64_t)256 << 10)
#define SKEP_TEST_EVENTS_PER_TURN ((uint64_t)10000)
#define SKEP_TEST_KEY_BYTES 512
#define SKEP_TEST_KIND_BYTES 64
#define SKEP_TEST_PAGE 1000
#define SKEP_TEST_TEXT "text/plain; charset=utf-8"

/* ---- Checks ----------------------------------------------------------------------------------- */

static int skep_test_passed, skep_test_failed, skep_test_faults;

/* Records a fault of the running test, with file and line, if a condition is false. */
#define SKEP_CHECK(condition)                                                                      \
    ((condition) ? (void)0 : skep_test_fault(__FILE__, __LINE__, #condition))

/* Runs a test function on a new double. */
#define SKEP_RUN(test) skep_test_run(#test, test)

static inline void skep_test_fault(const char *file, int line, const char *condition)
{
    skep_test_faults++;
    fprintf(stderr, "%s:%d: error: the check failed: %s\n", file, line, condition);
}

/* ---- The double ------------------------------------------------------------------------------- */

typedef struct skep_test_pair {
    char *key, *value;
    size_t len;
} skep_test_pair;

/* Keys and values, sorted by key. */
typedef struct skep_test_map {
    skep_test_pair *pairs;
    size_t len, room;
} skep_test_map;

/* An emitted event, or another entry of the transcript. `seq` is 0 until the turn ends. */
typedef struct skep_test_list {
    skep_entry *entries;
    size_t len, room;
} skep_test_list;

/* Answers an HTTP request of the worker. */
typedef skep_error (*skep_test_server)(const skep_request *request, skep_response *response);

static struct skep_test_double {
    uint32_t attempt;
    bool has_deadline, state_writable;
    uint64_t remaining_ms;
    skep_test_map config, state, before;
    skep_test_list transcript, emitted, events;
    char input_id[40], data_dir[300];
    unsigned inputs;
    skep_test_server server;
} skep_test;

static inline void *skep_test_grown(void *items, size_t size, size_t len, size_t *room)
{
    if (len < *room)
        return items;
    *room = *room > 0 ? *room * 2 : 16;
    items = realloc(items, *room * size);
    if (items == NULL)
        abort();
    return items;
}

/* Returns a copy that outlives the turn, followed by a zero byte. */
static inline char *skep_test_kept(const char *data, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

/* Returns a copy in the memory of the turn, as a component gets it. */
static inline skep_slice skep_test_handed(const char *data, size_t len)
{
    char *copy = skep_alloc(len);
    if (len > 0)
        memcpy(copy, data, len);
    return (skep_slice){copy, len};
}

/* Returns the position of the first key that is not less. */
static inline size_t skep_test_position(const skep_test_map *map, const char *key)
{
    size_t from = 0, to = map->len;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(map->pairs[middle].key, key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static inline skep_test_pair *skep_test_find(const skep_test_map *map, const char *key)
{
    size_t at = skep_test_position(map, key);
    return at < map->len && strcmp(map->pairs[at].key, key) == 0 ? &map->pairs[at] : NULL;
}

static inline void skep_test_put(skep_test_map *map, const char *key, const char *value, size_t len)
{
    skep_test_pair *found = skep_test_find(map, key);
    if (found == NULL) {
        size_t at = skep_test_position(map, key);
        map->pairs = skep_test_grown(map->pairs, sizeof *map->pairs, map->len, &map->room);
        memmove(&map->pairs[at + 1], &map->pairs[at], (map->len - at) * sizeof *map->pairs);
        map->len++;
        found = &map->pairs[at];
        *found = (skep_test_pair){skep_test_kept(key, strlen(key)), NULL, 0};
    }
    char *kept = skep_test_kept(value, len);
    free(found->value);
    found->value = kept;
    found->len = len;
}

static inline void skep_test_clear(skep_test_map *map)
{
    for (size_t i = 0; i < map->len; i++) {
        free(map->pairs[i].key);
        free(map->pairs[i].value);
    }
    free(map->pairs);
    *map = (skep_test_map){NULL, 0, 0};
}

static inline skep_test_map skep_test_copy(const skep_test_map *map)
{
    skep_test_map copy = {NULL, 0, 0};
    for (size_t i = 0; i < map->len; i++)
        skep_test_put(&copy, map->pairs[i].key, map->pairs[i].value, map->pairs[i].len);
    return copy;
}

static inline void skep_test_add(skep_test_list *list, skep_entry entry)
{
    list->entries = skep_test_grown(list->entries, sizeof entry, list->len, &list->room);
    list->entries[list->len++] = entry;
}

static inline skep_entry skep_test_entry(const char *kind, const char *event,
                                         const char *content_type, skep_slice body)
{
    return (skep_entry){
        .at_ms = (uint64_t)time(NULL) * 1000,
        .kind = skep_test_kept(kind, strlen(kind)),
        .event = event != NULL ? skep_test_kept(event, strlen(event)) : NULL,
        .input_id = skep_test_kept(skep_test.input_id, strlen(skep_test.input_id)),
        .content_type = skep_test_kept(content_type, strlen(content_type)),
        .body = {skep_test_kept(body.data, body.len), body.len},
    };
}

static inline void skep_test_settle(skep_entry entry)
{
    entry.seq = skep_test.transcript.len + 1;
    skep_test_add(&skep_test.transcript, entry);
}

/* ---- What a test sets ------------------------------------------------------------------------- */

/* Makes a new double: empty state, no config. Entries and events of the old one stay readable. */
static inline void skep_test_reset(void)
{
    skep_memory_release((skep_mark){NULL});
    skep_test_clear(&skep_test.state);
    skep_test_clear(&skep_test.before);
    skep_test_clear(&skep_test.config);
    memset(&skep_test, 0, sizeof skep_test);
    skep_test.attempt = 1;
    skep_test.has_deadline = true;
    skep_test.remaining_ms = 30000;
    skep_test.state_writable = true;
}

/* Sets a value of the config bundle. */
static inline void skep_test_config(const char *key, const char *value)
{
    skep_test_put(&skep_test.config, key, value, strlen(value));
}

/* Sets the result of `skep_attempt`, which is 1 by default. */
static inline void skep_test_attempt(uint32_t attempt)
{
    skep_test.attempt = attempt;
}

/* Sets the result of `skep_remaining_ms`, which is 30 seconds by default. */
static inline void skep_test_remaining(uint64_t ms)
{
    skep_test.remaining_ms = ms;
}

/* Makes `skep_remaining_ms` say that there is no deadline. */
static inline void skep_test_no_deadline(void)
{
    skep_test.has_deadline = false;
}

/* Sets the function that answers HTTP requests. Without one, they are denied. */
static inline void skep_test_fetch(skep_test_server server)
{
    skep_test.server = server;
}

/* ---- What a test looks at --------------------------------------------------------------------- */

/* Returns the value of a key of the state. `data` is NULL if there is none. */
static inline skep_slice skep_test_state(const char *key)
{
    const skep_test_pair *found = skep_test_find(&skep_test.state, key);
    return found != NULL ? (skep_slice){found->value, found->len} : (skep_slice){NULL, 0};
}

/* Returns the number of emitted events, with those of failed turns. */
static inline size_t skep_test_event_count(void)
{
    return skep_test.events.len;
}

/* Returns an emitted event: its name is `event`. */
static inline const skep_entry *skep_test_event(size_t position)
{
    return position < skep_test.events.len ? &skep_test.events.entries[position] : NULL;
}

/* ---- What a test does ------------------------------------------------------------------------- */

static inline void skep_test_end_turn(const char *kind, const char *content_type, skep_slice body)
{
    for (size_t i = 0; i < skep_test.emitted.len; i++)
        skep_test_settle(skep_test.emitted.entries[i]);
    skep_test.emitted.len = 0;
    skep_test_settle(skep_test_entry(kind, NULL, content_type, body));
    skep_test.input_id[0] = '\0';
}

/* Runs one turn as the host does: with an input id, and a rollback of the state if the worker
 * fails. Events stay. The output and the error are valid until the next turn or reset. */
static inline skep_error skep_test_turn(skep_input input, skep_output *output)
{
    skep_memory_release((skep_mark){NULL});
    snprintf(skep_test.input_id, sizeof skep_test.input_id, "00000000-0000-7000-8000-%012u",
             ++skep_test.inputs);
    skep_test_settle(skep_test_entry("input", NULL, input.content_type, input.body));
    skep_test_clear(&skep_test.before);
    skep_test.before = skep_test_copy(&skep_test.state);

    *output = (skep_output){SKEP_TEST_TEXT, {"", 0}};
    skep_error error = skep_handle(&input, output);
    if (error == SKEP_OK) {
        skep_test_end_turn("output", output->content_type, output->body);
    } else {
        skep_test_clear(&skep_test.state);
        skep_test.state = skep_test.before;
        skep_test.before = (skep_test_map){NULL, 0, 0};
        skep_test_end_turn("failure", SKEP_TEST_TEXT,
                           skep_text(skep_format("%s: %s", error->code, error->message)));
    }
    return error;
}

/* Runs one turn with a text as its body. */
static inline skep_error skep_test_send(const char *content_type, const char *body,
                                        skep_output *output)
{
    return skep_test_turn((skep_input){content_type, skep_text(body)}, output);
}

/* Calls the hook for a new instance, in which the state cannot be written. */
static inline void skep_test_connected(skep_connect_reason reason)
{
    skep_test.state_writable = false;
    skep_connected(reason);
    skep_test.state_writable = true;
}

/* Calls the hook before an instance is dropped, in which the state cannot be written. */
static inline void skep_test_disconnecting(void)
{
    skep_test.state_writable = false;
    skep_disconnecting();
    skep_test.state_writable = true;
}

/* Runs a test on a new double, and says on stdout how it went. */
static inline void skep_test_run(const char *name, void (*test)(void))
{
    skep_test_reset();
    skep_test_faults = 0;
    test();
    printf("%s %s\n", skep_test_faults == 0 ? "ok    " : "FAILED", name);
    if (skep_test_faults == 0)
        skep_test_passed++;
    else
        skep_test_failed++;
}

/* Prints the sums and returns the exit code of the test program. */
static inline int skep_test_end(void)
{
    printf("%d passed, %d failed\n", skep_test_passed, skep_test_failed);
    return skep_test_failed > 0 || skep_test_passed == 0;
}

/* ---- The host's functions --------------------------------------------------------------------- */

static inline skep_raw_error skep_test_limit(uint8_t kind, uint64_t limit)
{
    skep_raw_error error = {.kind = kind};
    error.of.limit = limit;
    return error;
}

static inline skep_raw_error skep_test_story(uint8_t kind, const char *text)
{
    skep_raw_error error = {.kind = kind};
    error.of.text = skep_test_handed(text, strlen(text));
    return error;
}

void skep_host_runtime_id(skep_slice *id)
{
    *id = skep_text("00000000-0000-7000-8000-000000000001");
}

void skep_host_worker_id(skep_slice *id)
{
    *id = skep_text("00000000-0000-7000-8000-000000000002");
}

void skep_host_input_id(skep_raw_option *id)
{
    size_t len = strlen(skep_test.input_id);
    *id = (skep_raw_option){len > 0, skep_test_handed(skep_test.input_id, len)};
}

uint32_t skep_host_attempt(void)
{
    return skep_test.attempt;
}

void skep_host_remaining_ms(skep_raw_option_u64 *remaining)
{
    *remaining = (skep_raw_option_u64){skep_test.has_deadline, skep_test.remaining_ms};
}

void skep_host_config_get(const char *key, size_t key_len, skep_raw_option *value)
{
    const skep_test_pair *found = skep_test_find(&skep_test.config, key);
    (void)key_len;
    value->some = found != NULL;
    if (found != NULL)
        value->value = skep_test_handed(found->value, found->len);
}

void skep_host_config_get_all(skep_raw_pairs *values)
{
    size_t len = skep_test.config.len;
    skep_raw_pair *pairs = skep_alloc(len * sizeof *pairs);
    for (size_t i = 0; i < len; i++) {
        const skep_test_pair *pair = &skep_test.config.pairs[i];
        pairs[i].name = skep_test_handed(pair->key, strlen(pair->key));
        pairs[i].value = skep_test_handed(pair->value, pair->len);
    }
    *values = (skep_raw_pairs){pairs, len};
}

/* Returns whether a key is valid and, for a write, whether the state can be written. */
static inline bool skep_test_allowed(size_t key_len, bool is_write, skep_raw_error *error)
{
    if (key_len < 1 || key_len > SKEP_TEST_KEY_BYTES)
        *error = skep_test_limit(0, 0);
    else if (is_write && !skep_test.state_writable)
        *error = skep_test_story(2, "state cannot be written outside of a turn");
    else
        return true;
    return false;
}

void skep_host_state_get(const char *key, size_t key_len, skep_raw_value *result)
{
    result->failed = !skep_test_allowed(key_len, false, &result->of.error);
    if (result->failed)
        return;
    const skep_test_pair *found = skep_test_find(&skep_test.state, key);
    result->of.value.some = found != NULL;
    if (found != NULL)
        result->of.value.value = skep_test_handed(found->value, found->len);
}

void skep_host_state_set(const char *key, size_t key_len, const char *value, size_t value_len,
                         skep_raw_done *result)
{
    result->failed = !skep_test_allowed(key_len, true, &result->error);
    if (result->failed)
        return;
    uint64_t bytes = key_len + value_len;
    for (size_t i = 0; i < skep_test.state.len; i++)
        if (strcmp(skep_test.state.pairs[i].key, key) != 0)
            bytes += strlen(skep_test.state.pairs[i].key) + skep_test.state.pairs[i].len;
    result->failed = bytes > SKEP_TEST_STATE_BYTES;
    if (result->failed)
        result->error = skep_test_limit(1, SKEP_TEST_STATE_BYTES);
    else
        skep_test_put(&skep_test.state, key, value, value_len);
}

void skep_host_state_delete(const char *key, size_t key_len, skep_raw_bool *result)
{
    result->failed = !skep_test_allowed(key_len, true, &result->of.error);
    if (result->failed)
        return;
    skep_test_map *map = &skep_test.state;
    skep_test_pair *found = skep_test_find(map, key);
    result->of.value = found != NULL;
    if (found == NULL)
        return;
    free(found->key);
    free(found->value);
    map->len--;
    memmove(found, found + 1, (size_t)(map->pairs + map->len - found) * sizeof *found);
}

void skep_host_state_list(const char *prefix, size_t prefix_len, uint32_t has_cursor,
                          const char *cursor, size_t cursor_len, skep_raw_keys *result)
{
    const skep_test_map *map = &skep_test.state;
    size_t at = skep_test_position(map, has_cursor ? cursor : prefix), len = 0;
    (void)cursor_len;
    if (has_cursor && at < map->len && strcmp(map->pairs[at].key, cursor) == 0)
        at++;
    skep_slice *keys = skep_alloc(SKEP_TEST_PAGE * sizeof *keys);
    for (; at < map->len && strncmp(map->pairs[at].key, prefix, prefix_len) == 0; at++) {
        if (len == SKEP_TEST_PAGE)
            break;
        keys[len++] = skep_test_handed(map->pairs[at].key, strlen(map->pairs[at].key));
    }
    bool more = len == SKEP_TEST_PAGE && at < map->len &&
                strncmp(map->pairs[at].key, prefix, prefix_len) == 0;
    result->failed = 0;
    result->of.page.data = keys;
    result->of.page.len = len;
    result->of.page.next.some = more;
    if (more)
        result->of.page.next.value = keys[len - 1];
}

static inline bool skep_test_is_kind(const char *kind, size_t len)
{
    return len >= 1 && len <= SKEP_TEST_KIND_BYTES &&
           strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

void skep_host_transcript_emit(const char *kind, size_t kind_len, const char *content_type,
                               size_t content_type_len, const char *body, size_t body_len,
                               skep_raw_done *result)
{
    (void)content_type_len;
    result->failed = 1;
    if (!skep_test_is_kind(kind, kind_len)) {
        result->error = skep_test_limit(2, 0);
    } else if (body_len > SKEP_TEST_EVENT_BYTES) {
        result->error = skep_test_limit(0, SKEP_TEST_EVENT_BYTES);
    } else if (skep_test.emitted.len >= SKEP_TEST_EVENTS_PER_TURN) {
        result->error = skep_test_limit(1, SKEP_TEST_EVENTS_PER_TURN);
    } else {
        skep_entry entry = skep_test_entry("event", kind, content_type, skep_bytes(body, body_len));
        skep_test_add(&skep_test.emitted, entry);
        skep_test_add(&skep_test.events, entry);
        result->failed = 0;
    }
}

static inline skep_raw_option skep_test_option(const char *text)
{
    skep_raw_option option = {text != NULL && *text != '\0', {"", 0}};
    if (option.some)
        option.value = skep_test_handed(text, strlen(text));
    return option;
}

void skep_host_transcript_read(uint64_t after, uint32_t limit, skep_raw_entries *result)
{
    size_t all = skep_test.transcript.len, start = after < all ? (size_t)after : all;
    size_t len = limit < SKEP_TEST_PAGE ? limit : SKEP_TEST_PAGE;
    if (len > all - start)
        len = all - start;
    skep_raw_entry *entries = skep_alloc(len * sizeof *entries);
    for (size_t i = 0; i < len; i++) {
        const skep_entry *entry = &skep_test.transcript.entries[start + i];
        entries[i] = (skep_raw_entry){
            .seq = entry->seq,
            .at_ms = entry->at_ms,
            .kind = skep_test_handed(entry->kind, strlen(entry->kind)),
            .event = skep_test_option(entry->event),
            .input_id = skep_test_option(entry->input_id),
            .content_type = skep_test_handed(entry->content_type, strlen(entry->content_type)),
            .body = skep_test_handed(entry->body.data, entry->body.len),
        };
    }
    result->failed = 0;
    result->of.page.data = entries;
    result->of.page.len = len;
    result->of.page.next = (skep_raw_option_u64){start + len < all, start + len};
}

void skep_host_fetch_send(const char *method, size_t method_len, const char *url, size_t url_len,
                          const skep_raw_pair *headers, size_t headers_len, const char *body,
                          size_t body_len, uint32_t has_timeout, uint32_t timeout_ms,
                          skep_raw_response *result)
{
    (void)method_len, (void)url_len;
    result->failed = 1;
    if (skep_test.server == NULL) {
        result->of.error = skep_test_story(1, "the test has no server: see skep_test_fetch");
        return;
    }
    skep_header *copies = skep_alloc(headers_len * sizeof *copies);
    for (size_t i = 0; i < headers_len; i++)
        copies[i] = (skep_header){headers[i].name.data, headers[i].value.data};
    skep_request request = {.url = url, .method = method, .headers = copies,
                            .headers_len = headers_len, .body = {body, body_len},
                            .timeout_ms = has_timeout ? timeout_ms : 0};
    skep_response response = {0, NULL, 0, {"", 0}, url};
    skep_error error = skep_test.server(&request, &response);
    if (error != SKEP_OK) {
        static const char *const CODES[] = {"fetch-invalid-request", "fetch-denied",
                                            "fetch-too-large", "fetch-timed-out"};
        uint8_t kind = 0;
        while (kind < 4 && !skep_error_is(error, CODES[kind]))
            kind++;
        result->of.error = kind == 2 ? skep_test_limit(kind, error->limit)
                                     : skep_test_story(kind, error->message);
        return;
    }
    skep_raw_pair *pairs = skep_alloc(response.headers_len * sizeof *pairs);
    for (size_t i = 0; i < response.headers_len; i++) {
        pairs[i].name = skep_text(response.headers[i].name);
        pairs[i].value = skep_text(response.headers[i].value);
    }
    result->failed = 0;
    result->of.response.status = response.status;
    result->of.response.headers = (skep_raw_pairs){pairs, response.headers_len};
    result->of.response.body = skep_test_handed(response.body.data, response.body.len);
}

/* Makes the directory that replaces `/data` at the first use, in `$SKEP_TEST_DIR` or in the working
 * directory. `skep test` removes it. */
const char *skep_data_dir(void)
{
    static unsigned count;
    const char *parent = getenv("SKEP_TEST_DIR");
    if (skep_test.data_dir[0] == '\0') {
        snprintf(skep_test.data_dir, sizeof skep_test.data_dir, "%s/data-%d-%u",
                 parent != NULL ? parent : ".", (int)skep_test_pid(), ++count);
        if (skep_test_mkdir(skep_test.data_dir) != 0) {
            perror(skep_test.data_dir);
            abort();
        }
    }
    return skep_test.data_dir;
}

#endif
