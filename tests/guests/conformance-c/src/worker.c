/* The conformance guest in C: does what its input says. The guests of the other languages do the
 * same, and one suite of tests runs them all. */
#include "skep_guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The reason of the last call of the lifecycle hook. */
static const char *connected = "none";

/* What is left of a command: its arguments are split at single spaces. */
typedef struct arguments {
    char *rest;
} arguments;

/* Returns the next argument, "" if there is none. */
static char *next(arguments *arguments)
{
    char *argument = arguments->rest;
    char *space = strchr(argument, ' ');
    arguments->rest = argument + strlen(argument);
    if (space != NULL) {
        *space = '\0';
        arguments->rest = space + 1;
    }
    return argument;
}

static char *rest(arguments *arguments)
{
    char *argument = arguments->rest;
    arguments->rest += strlen(argument);
    return argument;
}

static size_t next_number(arguments *arguments)
{
    return strtoul(next(arguments), NULL, 10);
}

static skep_error ok(skep_output *output)
{
    return skep_reply(output, "ok");
}

/* Appends to a text, both in the memory of the turn. */
static void append(char **text, size_t *len, const char *line)
{
    size_t more = strlen(line);
    char *longer = skep_alloc(*len + more);
    memcpy(longer, *text, *len);
    memcpy(longer + *len, line, more);
    *text = longer;
    *len += more;
}

/* ---- State ------------------------------------------------------------------------------------ */

static skep_error count(arguments *arguments, skep_output *output)
{
    const char *text;
    (void)arguments;
    SKEP_TRY(skep_state_get_text("count", &text));
    unsigned long long number = text != NULL ? strtoull(text, NULL, 10) : 0;
    text = skep_format("%llu", number + 1);
    SKEP_TRY(skep_state_set_text("count", text));
    SKEP_TRY(skep_emit_text("counted", text));
    return skep_reply(output, "%s", text);
}

static skep_error set(arguments *arguments, skep_output *output)
{
    const char *key = next(arguments);
    SKEP_TRY(skep_state_set_text(key, rest(arguments)));
    return ok(output);
}

static skep_error delete(arguments *arguments, skep_output *output)
{
    bool existed;
    SKEP_TRY(skep_state_delete(rest(arguments), &existed));
    return skep_reply(output, "%s", existed ? "true" : "false");
}

static skep_error get(arguments *arguments, skep_output *output)
{
    const char *key = rest(arguments), *text;
    SKEP_TRY(skep_state_get_text(key, &text));
    if (text == NULL)
        return skep_fail("missing", "%s is not in the state", key);
    return skep_reply(output, "%s", text);
}

static skep_error keys(arguments *arguments, skep_output *output)
{
    /* Two passes: the length, and the text. */
    const char *prefix = rest(arguments);
    size_t len = 0;
    skep_keys found = skep_state_keys(prefix);
    for (const char *key; (key = skep_next_key(&found)) != NULL;)
        len += strlen(key) + 1;
    SKEP_TRY(found.error);

    char *text = skep_alloc(len), *to = text;
    found = skep_state_keys(prefix);
    for (const char *key; (key = skep_next_key(&found)) != NULL;) {
        if (to != text)
            *to++ = '\n';
        to = stpcpy(to, key);
    }
    SKEP_TRY(found.error);
    return skep_reply(output, "%s", text);
}

static skep_error set_long_key(arguments *arguments, skep_output *output)
{
    char key[514];
    (void)arguments;
    memset(key, 'k', 513);
    key[513] = '\0';
    SKEP_TRY(skep_state_set_text(key, "x"));
    return ok(output);
}

static const char *zeros(size_t len)
{
    return memset(skep_alloc(len), 0, len);
}

static skep_error set_large(arguments *arguments, skep_output *output)
{
    size_t len = next_number(arguments);
    SKEP_TRY(skep_state_set("large", skep_bytes(zeros(len), len)));
    return ok(output);
}

static skep_error fill(arguments *arguments, skep_output *output)
{
    size_t len = next_number(arguments);
    for (size_t i = 0; i < len; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%05zu", i);
        SKEP_TRY(skep_state_set_text(key, "x"));
    }
    return ok(output);
}

static skep_error set_then_fail(arguments *arguments, skep_output *output)
{
    SKEP_TRY(set(arguments, output));
    return skep_fail("asked", "as asked");
}

/* ---- Transcript ------------------------------------------------------------------------------- */

static skep_error emit(arguments *arguments, skep_output *output)
{
    const char *kind = next(arguments);
    SKEP_TRY(skep_emit_text(kind, rest(arguments)));
    return ok(output);
}

static skep_error emit_large(arguments *arguments, skep_output *output)
{
    size_t len = next_number(arguments);
    SKEP_TRY(skep_emit("large", "application/octet-stream", skep_bytes(zeros(len), len)));
    return ok(output);
}

static skep_error emit_many(arguments *arguments, skep_output *output)
{
    size_t len = next_number(arguments);
    for (size_t i = 0; i < len; i++)
        SKEP_TRY(skep_emit_text("many", "x"));
    return ok(output);
}

static const char *or_dash(const char *text)
{
    return text != NULL && *text != '\0' ? text : "-";
}

static skep_error read_entries(arguments *arguments, skep_output *output)
{
    uint64_t after = strtoull(next(arguments), NULL, 10);
    uint32_t limit = (uint32_t)next_number(arguments);
    skep_entry_page page;
    SKEP_TRY(skep_transcript_read(after, limit, &page));
    char *text = "";
    size_t len = 0;
    for (size_t i = 0; i < page.len; i++) {
        const skep_entry *entry = &page.entries[i];
        append(&text, &len,
               skep_format("%" PRIu64 " %s %s %s\n", entry->seq, entry->kind,
                           or_dash(entry->event), or_dash(entry->content_type)));
    }
    append(&text, &len, page.more ? skep_format("next %" PRIu64, page.next) : "end");
    return skep_reply(output, "%s", text);
}

/* ---- Config, context, files, lifecycle -------------------------------------------------------- */

static skep_error config(arguments *arguments, skep_output *output)
{
    const char *key = rest(arguments), *value = skep_config_get(key);
    if (value == NULL)
        return skep_fail("missing", "%s is not in the config", key);
    return skep_reply(output, "%s", value);
}

static skep_error config_all(arguments *arguments, skep_output *output)
{
    skep_config all = skep_config_all();
    char *text = "";
    size_t len = 0;
    (void)arguments;
    for (size_t i = 0; i < all.len; i++)
        append(&text, &len,
               skep_format("%s%s=%s", i > 0 ? "\n" : "", all.values[i].key, all.values[i].value));
    return skep_reply(output, "%s", text);
}

static skep_error context(arguments *arguments, skep_output *output)
{
    uint64_t remaining;
    (void)arguments;
    return skep_reply(output, "runtime=%s worker=%s input=%s attempt=%" PRIu32 " remaining=%s",
                      skep_runtime_id(), skep_worker_id(), or_dash(skep_input_id()),
                      skep_attempt(), skep_remaining_ms(&remaining) ? "yes" : "no");
}

static skep_error write_file(arguments *arguments, skep_output *output)
{
    const char *path = skep_data_path(next(arguments));
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return skep_fail_io(path);
    int written = fputs(rest(arguments), file);
    if (fclose(file) != 0 || written < 0)
        return skep_fail_io(path);
    return ok(output);
}

static skep_error read_file(arguments *arguments, skep_output *output)
{
    const char *path = skep_data_path(rest(arguments));
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return skep_fail_io(path);
    char part[4097], *text = "";
    size_t len = 0;
    for (size_t got; (got = fread(part, 1, sizeof part - 1, file)) > 0;) {
        part[got] = '\0';
        append(&text, &len, part);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return skep_fail_io(path);
    return skep_reply(output, "%s", text);
}

static skep_error lifecycle(arguments *arguments, skep_output *output)
{
    (void)arguments;
    return skep_reply(output, "%s", connected);
}

void skep_connected(skep_connect_reason reason)
{
    static const char *const NAMES[] = {"created", "input", "restart", "update"};
    connected = NAMES[reason];
}

/* ---- The system ------------------------------------------------------------------------------- */

static skep_error randomness(arguments *arguments, skep_output *output)
{
    unsigned char bytes[16];
    char text[33];
    (void)arguments;
    if (getentropy(bytes, sizeof bytes) != 0)
        return skep_fail_io("getentropy");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return skep_reply(output, "%s", text);
}

static skep_error pause_for(arguments *arguments, skep_output *output)
{
    unsigned long ms = next_number(arguments);
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    if (nanosleep(&time, NULL) != 0)
        return skep_fail_io("nanosleep");
    return skep_reply(output, "slept");
}

static skep_error log_line(arguments *arguments, skep_output *output)
{
    printf("%s\n", rest(arguments));
    return ok(output);
}

static skep_error log_error(arguments *arguments, skep_output *output)
{
    fprintf(stderr, "%s\n", rest(arguments));
    return ok(output);
}

static skep_error unsupported(arguments *arguments, skep_output *output)
{
    (void)arguments, (void)output;
    return skep_fail("unsupported", "this language has no such thing");
}

static skep_error trap(arguments *arguments, skep_output *output)
{
    (void)arguments, (void)output;
    abort();
}

static skep_error spin(arguments *arguments, skep_output *output)
{
    (void)arguments, (void)output;
    for (volatile unsigned turns = 0;; turns++)
        ;
}

/* ---- HTTP ------------------------------------------------------------------------------------- */

static skep_error fetch(arguments *arguments, skep_output *output)
{
    skep_request request = {.method = next(arguments)};
    request.url = next(arguments);
    request.body = skep_text(rest(arguments));
    skep_response response;
    SKEP_TRY(skep_fetch(&request, &response));
    return skep_reply(output, "%d\n%.*s", response.status, (int)response.body.len,
                      response.body.data);
}

/* ---- The handler ------------------------------------------------------------------------------ */

typedef struct verb {
    const char *name;
    skep_error (*run)(arguments *arguments, skep_output *output);
} verb;

static const verb VERBS[] = {
    {"count", count},
    {"set", set},
    {"delete", delete},
    {"get", get},
    {"keys", keys},
    {"set-long-key", set_long_key},
    {"set-large", set_large},
    {"fill", fill},
    {"set-then-fail", set_then_fail},
    {"emit", emit},
    {"emit-large", emit_large},
    {"emit-many", emit_many},
    {"read", read_entries},
    {"config", config},
    {"config-all", config_all},
    {"context", context},
    {"write", write_file},
    {"read-file", read_file},
    {"lifecycle", lifecycle},
    {"random", randomness},
    {"random-float", unsupported},
    {"sleep", pause_for},
    {"log", log_line},
    {"log-error", log_error},
    {"gather", unsupported},
    {"never", unsupported},
    {"throw", unsupported},
    {"trap", trap},
    {"spin", spin},
    {"fetch", fetch},
};

skep_error skep_handle(const skep_input *input, skep_output *output)
{
    if (strncmp(input->content_type, "text/plain", strlen("text/plain")) != 0) {
        *output = (skep_output){input->content_type, input->body};
        return SKEP_OK;
    }
    const char *text;
    SKEP_TRY(skep_input_text(input, &text));
    arguments arguments = {skep_format("%s", text)};
    const char *name = next(&arguments);
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        if (strcmp(VERBS[i].name, name) == 0)
            return VERBS[i].run(&arguments, output);
    return skep_fail("bad-request", "unknown verb %s", name);
}
