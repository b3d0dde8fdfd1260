/* The SDK's functions over the host's imports, and the component's exports. */
#include "skep_host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT "text/plain; charset=utf-8"

/* ---- Memory of the turn: a list of blocks, the newest first ----------------------------------- */

typedef union block {
    union block *older;
    /* Aligns what follows for any type. */
    long double align_number;
    long long align_integer[2];
} block;

static block *newest;

void *skep_alloc(size_t len)
{
    block *made = len < SIZE_MAX - sizeof *made ? malloc(sizeof *made + len + 1) : NULL;
    if (made == NULL) {
        fprintf(stderr, "out of memory: the worker asked for %zu more bytes in this turn\n", len);
        abort();
    }
    made->older = newest;
    newest = made;
    char *data = (char *)(made + 1);
    data[len] = '\0';
    return data;
}

skep_mark skep_memory_mark(void)
{
    return (skep_mark){newest};
}

void skep_memory_release(skep_mark mark)
{
    while (newest != NULL && newest != mark.newest) {
        block *older = newest->older;
        free(newest);
        newest = older;
    }
}

static char *copy(const char *data, size_t len)
{
    char *made = skep_alloc(len);
    if (len > 0)
        memcpy(made, data, len);
    return made;
}

static char *format_list(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    if (len < 0) {
        va_end(again);
        return copy("", 0);
    }
    char *text = skep_alloc((size_t)len);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

char *skep_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = format_list(format, arguments);
    va_end(arguments);
    return text;
}

/* ---- Bytes and text --------------------------------------------------------------------------- */

skep_slice skep_bytes(const void *data, size_t len)
{
    return (skep_slice){data, len};
}

skep_slice skep_text(const char *text)
{
    return (skep_slice){text, strlen(text)};
}

bool skep_equals(skep_slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

/* Returns the length of the UTF-8 character at `at`, or 0 if there is none. */
static size_t character(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what is above U+10FFFF. */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

bool skep_is_utf8(skep_slice bytes)
{
    for (size_t i = 0, len; i < bytes.len; i += len)
        if ((len = character((const unsigned char *)bytes.data + i, bytes.len - i)) == 0)
            return false;
    return true;
}

static bool is_c_text(skep_slice bytes)
{
    return skep_is_utf8(bytes) && (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL);
}

static skep_error check_text(const char *what, const char *text)
{
    if (skep_is_utf8(skep_text(text)))
        return SKEP_OK;
    return skep_fail("not-text", "the %s is not text: it is not UTF-8", what);
}

/* The host's pointer of an empty list may be anything. */
static skep_slice received(skep_slice slice)
{
    return slice.len == 0 ? (skep_slice){"", 0} : slice;
}

static const char *received_option(const skep_raw_option *option)
{
    return option->some ? received(option->value).data : NULL;
}

/* ---- Errors ----------------------------------------------------------------------------------- */

static skep_error fail_with(const char *code, const char *message, uint64_t limit)
{
    skep_failure *failure = skep_alloc(sizeof *failure);
    *failure = (skep_failure){code, message, limit};
    return failure;
}

skep_error skep_fail(const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *message = format_list(format, arguments);
    va_end(arguments);
    return fail_with(copy(code, strlen(code)), message, 0);
}

skep_error skep_fail_io(const char *what)
{
    return skep_fail("io", "%s: %s", what, strerror(errno));
}

bool skep_error_is(skep_error error, const char *code)
{
    return error != SKEP_OK && strcmp(error->code, code) == 0;
}

/* One case of an `error` in the WIT. In a message `%llu` is the limit, `%s` the host's text. */
typedef struct error_case {
    const char *code;
    enum { PLAIN, LIMIT, STORY } payload;
    const char *message;
} error_case;

static const error_case STATE_ERRORS[] = {
    {"state-invalid-key", PLAIN, "the state key is empty or longer than 512 bytes"},
    {"state-too-large", LIMIT, "the write would take the state past its limit of %llu bytes"},
    {"state-unavailable", STORY, "the state is unavailable: %s"},
};

static const error_case TRANSCRIPT_ERRORS[] = {
    {"transcript-too-large", LIMIT, "the event is longer than %llu bytes"},
    {"transcript-too-many", LIMIT, "this turn has emitted its %llu events"},
    {"transcript-invalid-kind", PLAIN,
     "the event's kind is not 1 to 64 characters of a-z, 0-9, -, _ and ."},
    {"transcript-unavailable", STORY, "the transcript is unavailable: %s"},
};

static const error_case FETCH_ERRORS[] = {
    {"fetch-invalid-request", STORY, "the request is not valid: %s"},
    {"fetch-denied", STORY, "the request was denied: %s"},
    {"fetch-too-large", LIMIT, "the body is longer than %llu bytes"},
    {"fetch-timed-out", PLAIN, "the request was not answered in time"},
    {"fetch-failed", STORY, "the request failed: %s"},
};

#define CASES(table) table, sizeof table / sizeof *table

static skep_error host_error(const error_case *cases, size_t len, const skep_raw_error *error)
{
    if (error->kind >= len)
        return skep_fail("unknown-error", "the host gave an error that this SDK does not know");
    const error_case *found = &cases[error->kind];
    unsigned long long limit = found->payload == LIMIT ? error->of.limit : 0;
    const char *message = found->message;
    if (found->payload == LIMIT)
        message = skep_format(found->message, limit);
    if (found->payload == STORY)
        message = skep_format(found->message, received(error->of.text).data);
    return fail_with(found->code, message, limit);
}

skep_error skep_fetch_error(const skep_raw_error *error)
{
    return host_error(CASES(FETCH_ERRORS), error);
}

/* ---- The turn --------------------------------------------------------------------------------- */

skep_error skep_input_text(const skep_input *input, const char **text)
{
    if (!is_c_text(input->body))
        return skep_fail("not-text", "the body is not text: it is not UTF-8 or has a zero byte");
    *text = received(input->body).data;
    return SKEP_OK;
}

skep_error skep_reply(skep_output *output, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *output = (skep_output){TEXT, skep_text(format_list(format, arguments))};
    va_end(arguments);
    return SKEP_OK;
}

skep_error skep_reply_bytes(skep_output *output, const char *content_type, skep_slice body)
{
    output->content_type = copy(content_type, strlen(content_type));
    output->body = (skep_slice){copy(body.data, body.len), body.len};
    return SKEP_OK;
}

/* ---- Context and config ----------------------------------------------------------------------- */

const char *skep_runtime_id(void)
{
    skep_slice id;
    skep_host_runtime_id(&id);
    return received(id).data;
}

const char *skep_worker_id(void)
{
    skep_slice id;
    skep_host_worker_id(&id);
    return received(id).data;
}

const char *skep_input_id(void)
{
    skep_raw_option id;
    skep_host_input_id(&id);
    return received_option(&id);
}

uint32_t skep_attempt(void)
{
    return skep_host_attempt();
}

bool skep_remaining_ms(uint64_t *remaining)
{
    skep_raw_option_u64 found;
    skep_host_remaining_ms(&found);
    if (found.some)
        *remaining = found.value;
    return found.some;
}

const char *skep_config_get(const char *key)
{
    skep_slice name = skep_text(key);
    skep_raw_option value;
    if (!skep_is_utf8(name))
        return NULL;
    skep_host_config_get(name.data, name.len, &value);
    return received_option(&value);
}

skep_config skep_config_all(void)
{
    skep_raw_pairs pairs;
    skep_host_config_get_all(&pairs);
    skep_config_value *values = skep_alloc(pairs.len * sizeof *values);
    for (size_t i = 0; i < pairs.len; i++)
        values[i] = (skep_config_value){received(pairs.data[i].name).data,
                                        received(pairs.data[i].value).data};
    return (skep_config){values, pairs.len};
}

/* ---- State ------------------------------------------------------------------------------------ */

skep_error skep_state_get(const char *key, skep_slice *value)
{
    skep_slice name = skep_text(key);
    skep_raw_value result;
    SKEP_TRY(check_text("state key", key));
    skep_host_state_get(name.data, name.len, &result);
    if (result.failed)
        return host_error(CASES(STATE_ERRORS), &result.of.error);
    *value = result.of.value.some ? received(result.of.value.value) : (skep_slice){NULL, 0};
    return SKEP_OK;
}

skep_error skep_state_get_text(const char *key, const char **text)
{
    skep_slice value;
    SKEP_TRY(skep_state_get(key, &value));
    if (value.data != NULL && !is_c_text(value))
        return skep_fail("state-not-text", "the state value is not text");
    *text = value.data;
    return SKEP_OK;
}

skep_error skep_state_set(const char *key, skep_slice value)
{
    skep_slice name = skep_text(key);
    skep_raw_done result;
    SKEP_TRY(check_text("state key", key));
    skep_host_state_set(name.data, name.len, value.data, value.len, &result);
    return result.failed ? host_error(CASES(STATE_ERRORS), &result.error) : SKEP_OK;
}

skep_error skep_state_set_text(const char *key, const char *text)
{
    return skep_state_set(key, skep_text(text));
}

skep_error skep_state_delete(const char *key, bool *existed)
{
    skep_slice name = skep_text(key);
    skep_raw_bool result;
    SKEP_TRY(check_text("state key", key));
    skep_host_state_delete(name.data, name.len, &result);
    if (result.failed)
        return host_error(CASES(STATE_ERRORS), &result.of.error);
    if (existed != NULL)
        *existed = result.of.value;
    return SKEP_OK;
}

skep_error skep_state_list(const char *prefix, const char *cursor, skep_key_page *page)
{
    skep_slice begin = skep_text(prefix), from = skep_text(cursor != NULL ? cursor : "");
    skep_raw_keys result;
    SKEP_TRY(check_text("prefix", prefix));
    SKEP_TRY(check_text("cursor", from.data));
    skep_host_state_list(begin.data, begin.len, cursor != NULL, from.data, from.len, &result);
    if (result.failed)
        return host_error(CASES(STATE_ERRORS), &result.of.error);
    page->keys = result.of.page.data;
    page->len = result.of.page.len;
    page->next = received_option(&result.of.page.next);
    return SKEP_OK;
}

skep_keys skep_state_keys(const char *prefix)
{
    return (skep_keys){.prefix = prefix};
}

const char *skep_next_key(skep_keys *keys)
{
    while (keys->position == keys->page_len) {
        skep_key_page page;
        if (keys->last)
            return NULL;
        keys->error = skep_state_list(keys->prefix, keys->cursor, &page);
        if (keys->error != SKEP_OK) {
            keys->last = true;
            return NULL;
        }
        keys->page = page.keys;
        keys->page_len = page.len;
        keys->position = 0;
        keys->cursor = page.next;
        keys->last = page.next == NULL;
    }
    return received(keys->page[keys->position++]).data;
}

/* ---- Transcript ------------------------------------------------------------------------------- */

skep_error skep_emit(const char *kind, const char *content_type, skep_slice body)
{
    skep_slice name = skep_text(kind), type = skep_text(content_type);
    skep_raw_done result = {.failed = 1, .error = {.kind = 2}};
    SKEP_TRY(check_text("media type", content_type));
    /* A kind that is not UTF-8 is no kind either. */
    if (skep_is_utf8(name))
        skep_host_transcript_emit(name.data, name.len, type.data, type.len, body.data, body.len,
                                  &result);
    return result.failed ? host_error(CASES(TRANSCRIPT_ERRORS), &result.error) : SKEP_OK;
}

skep_error skep_emit_text(const char *kind, const char *text)
{
    return skep_emit(kind, TEXT, skep_text(text));
}

static skep_entry entry(const skep_raw_entry *raw)
{
    return (skep_entry){
        .seq = raw->seq,
        .at_ms = raw->at_ms,
        .kind = received(raw->kind).data,
        .event = received_option(&raw->event),
        .input_id = received_option(&raw->input_id),
        .content_type = received(raw->content_type).data,
        .body = received(raw->body),
    };
}

skep_error skep_transcript_read(uint64_t after, uint32_t limit, skep_entry_page *page)
{
    skep_raw_entries result;
    skep_host_transcript_read(after, limit, &result);
    if (result.failed)
        return host_error(CASES(TRANSCRIPT_ERRORS), &result.of.error);
    size_t len = result.of.page.len;
    skep_entry *entries = skep_alloc(len * sizeof *entries);
    for (size_t i = 0; i < len; i++)
        entries[i] = entry(&result.of.page.data[i]);
    *page = (skep_entry_page){entries, len, result.of.page.next.some, result.of.page.next.value};
    return SKEP_OK;
}

/* ---- Files ------------------------------------------------------------------------------------ */

const char *skep_data_path(const char *name)
{
    return skep_format("%s/%s", skep_data_dir(), name);
}

/* ---- The component's exports ------------------------------------------------------------------ */

#ifdef __wasm__

/* The sizes that the canonical ABI has for the results of the imports. */
_Static_assert(sizeof(skep_raw_value) == 24, "result<option<list<u8>>, error>");
_Static_assert(sizeof(skep_raw_done) == 24, "result<_, error>");
_Static_assert(sizeof(skep_raw_bool) == 24, "result<bool, error>");
_Static_assert(sizeof(skep_raw_keys) == 32, "result<keys, error>");
_Static_assert(sizeof(skep_raw_entry) == 64, "entry");
_Static_assert(sizeof(skep_raw_entries) == 32, "result<page, error>");
_Static_assert(sizeof(skep_raw_response) == 32, "result<response, error>");

const char *skep_data_dir(void)
{
    return "/data";
}

/* The host allocates in the memory of the turn: arguments and results. */
SKEP_EXPORT("cabi_realloc")
void *skep_realloc(void *old, size_t old_len, size_t align, size_t len)
{
    (void)align; /* Every block is aligned for any type. */
    void *made = skep_alloc(len);
    if (old_len > 0)
        memcpy(made, old, old_len < len ? old_len : len);
    return made;
}

/* The preview1 adapter keeps what it allocates. */
SKEP_EXPORT("cabi_realloc_adapter")
void *skep_realloc_adapter(void *old, size_t old_len, size_t align, size_t len)
{
    (void)old_len, (void)align;
    return realloc(old, len);
}

/* Shows each line of the author's printf at once: a trap would lose a longer buffer. */
__attribute__((constructor)) static void flush_lines(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Returns the text, with `?` for what is not UTF-8: the host would trap on that. */
static skep_slice as_utf8(const char *text)
{
    skep_slice slice = skep_text(text != NULL ? text : "");
    if (skep_is_utf8(slice))
        return slice;
    char *made = copy(slice.data, slice.len);
    for (size_t i = 0, len; i < slice.len; i += len)
        if ((len = character((unsigned char *)made + i, slice.len - i)) == 0)
            made[i] = '?', len = 1;
    return (skep_slice){made, slice.len};
}

/* result<output, failure>: a text, and bytes or a text. */
typedef struct reply {
    uint8_t failed;
    skep_slice first, second;
} reply;

SKEP_EXPORT("skep:worker/handler@0.1.0#handle")
const reply *skep_export_handle(const char *content_type, size_t content_type_len,
                                const char *body, size_t body_len)
{
    static reply made;
    skep_input input = {received((skep_slice){content_type, content_type_len}).data,
                        received((skep_slice){body, body_len})};
    skep_output output = {TEXT, {"", 0}};
    skep_error error = skep_handle(&input, &output);
    if (error != SKEP_OK)
        made = (reply){1, as_utf8(error->code), as_utf8(error->message)};
    else
        made = (reply){0, as_utf8(output.content_type), output.body};
    fflush(stdout);
    return &made;
}

SKEP_EXPORT("cabi_post_skep:worker/handler@0.1.0#handle")
void skep_export_handle_ends(const reply *made)
{
    (void)made;
    skep_memory_release((skep_mark){NULL});
}

/* The WIT interface has two functions; `build.py` adds the one that an author leaves out. */
#ifdef SKEP_DEFAULT_CONNECTED
void skep_connected(skep_connect_reason reason)
{
    (void)reason;
}
#endif

#ifdef SKEP_DEFAULT_DISCONNECTING
void skep_disconnecting(void)
{
}
#endif

#endif
