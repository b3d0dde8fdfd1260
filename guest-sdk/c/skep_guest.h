/* Write a Skep worker in C: define `skep_handle`, build with `skep build`.
 *
 *     #include "skep_guest.h"
 *
 *     skep_error skep_handle(const skep_input *input, skep_output *output)
 *     {
 *         const char *name;
 *         SKEP_TRY(skep_input_text(input, &name));
 *         SKEP_TRY(skep_state_set_text("last", name));
 *         return skep_reply(output, "hello, %s", name);
 *     }
 *
 * Memory: nothing has to be freed. Whatever the SDK hands out (inputs, values, texts, errors) and
 * whatever `skep_alloc` and `skep_format` return lives until the turn ends. See "Memory" below for
 * a turn that reads much more than it keeps.
 *
 * Text is UTF-8. Whatever the host hands over is followed by a zero byte, so that text is a C
 * string. A key or a config value that has a zero character inside is cut there.
 *
 * Errors: a function that can fail returns a `skep_error`, which is `SKEP_OK` or a failure with a
 * code. `SKEP_TRY` passes it on; the turn then ends with that failure, and its writes to the state
 * are undone. */
#ifndef SKEP_GUEST_H
#define SKEP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SKEP_FORMAT(text, arguments) __attribute__((format(printf, text, arguments)))
#define SKEP_MUST_USE __attribute__((warn_unused_result))
#else
#define SKEP_FORMAT(text, arguments)
#define SKEP_MUST_USE
#endif

#ifdef __wasm__
#define SKEP_EXPORT(name) __attribute__((export_name(name)))
#else
#define SKEP_EXPORT(name)
#endif

/* ---- Bytes ------------------------------------------------------------------------------------ */

/* Bytes or text of a known length. */
typedef struct skep_slice {
    const char *data;
    size_t len;
} skep_slice;

/* Makes a slice of these bytes, which are not copied. */
skep_slice skep_bytes(const void *data, size_t len);

/* Makes a slice of a C string, which is not copied. */
skep_slice skep_text(const char *text);

/* Tells whether a slice is exactly this text. */
bool skep_equals(skep_slice slice, const char *text);

/* ---- Errors ----------------------------------------------------------------------------------- */

/* The reason why something was not done, and of a turn that fails: the turn's writes to the state
 * are undone, and the worker continues with its next input. */
typedef struct skep_failure {
    /* A short stable word that callers can match on, such as `bad-request`. */
    const char *code;
    /* One sentence for the sender of the input. */
    const char *message;
    /* The limit that was reached, for the codes that end in `-too-large` and `-too-many`. */
    uint64_t limit;
} skep_failure;

/* `SKEP_OK`, or a failure. The codes of this SDK:
 *
 *     not-text                  a body, a key or a media type is not UTF-8 text
 *     io                        `skep_fail_io`
 *     state-invalid-key         the key is empty or longer than 512 bytes
 *     state-too-large           the write would exceed `state_bytes` (`limit`)
 *     state-not-text            `skep_state_get_text` found bytes that are not text
 *     state-unavailable         the host could not access its store, or this is a lifecycle hook
 *     transcript-too-large      the body is longer than `event_bytes` (`limit`)
 *     transcript-too-many       the turn has emitted `events_per_turn` events (`limit`)
 *     transcript-invalid-kind   the kind is not 1 to 64 characters of a-z, 0-9, -, _ and .
 *     transcript-unavailable    the host could not access its store
 *     fetch-invalid-request     the method, the URL or a header is not valid
 *     fetch-denied              no grant of this worker allows the request
 *     fetch-too-large           a body is longer than allowed (`limit`)
 *     fetch-timed-out           there was no answer in time
 *     fetch-failed              the exchange failed */
typedef const skep_failure *skep_error;

#define SKEP_OK ((skep_error)0)

/* Returns from the calling function with the error of an expression, if it has one. */
#define SKEP_TRY(expression)                                                                       \
    do {                                                                                           \
        skep_error skep_try_error = (expression);                                                  \
        if (skep_try_error != SKEP_OK)                                                             \
            return skep_try_error;                                                                 \
    } while (0)

/* Makes a failure with this code and a message in the manner of printf. */
SKEP_MUST_USE skep_error skep_fail(const char *code, const char *format, ...) SKEP_FORMAT(2, 3);

/* Makes a failure with the code `io` from `errno`. `what` names the operation and the file. */
SKEP_MUST_USE skep_error skep_fail_io(const char *what);

/* Tells whether an error has this code. `SKEP_OK` has none. */
bool skep_error_is(skep_error error, const char *code);

/* ---- The turn --------------------------------------------------------------------------------- */

/* A message that was accepted for this worker. */
typedef struct skep_input {
    /* The media type from the sender, `application/octet-stream` by default. The body is not
     * checked against it. */
    const char *content_type;
    /* The message itself, at most `input_bytes` long (4 MiB by default). */
    skep_slice body;
} skep_input;

/* The answer to an input. It is an empty `text/plain; charset=utf-8` until it is set. */
typedef struct skep_output {
    /* The media type of `body`. */
    const char *content_type;
    /* The answer itself, at most `output_bytes` long (4 MiB by default). It must outlive the
     * handler: static memory or memory of the turn, not a local array. */
    skep_slice body;
} skep_output;

/* The worker, defined by the author: handles one input. Inputs come one at a time, in the order of
 * acceptance. The host may drop the instance between any two turns, so lasting data belongs in the
 * state; a static variable is only a cache. A trap, such as abort(), ends the turn as `trapped` and
 * drops the instance. */
skep_error skep_handle(const skep_input *input, skep_output *output);

/* Returns the body as a C string, whatever its media type. Fails with `not-text` if it is not UTF-8
 * or has a zero byte inside. */
SKEP_MUST_USE skep_error skep_input_text(const skep_input *input, const char **text);

/* Sets the answer to text in the manner of printf, and returns `SKEP_OK`. */
skep_error skep_reply(skep_output *output, const char *format, ...) SKEP_FORMAT(2, 3);

/* Sets the answer to a copy of these bytes, and returns `SKEP_OK`. */
skep_error skep_reply_bytes(skep_output *output, const char *content_type, skep_slice body);

/* ---- Lifecycle (optional) --------------------------------------------------------------------- */

/* The reason why an instance was created. */
typedef enum skep_connect_reason {
    /* The worker has never been connected before. */
    SKEP_CREATED = 0,
    /* An input arrived for a worker whose instance had been dropped. */
    SKEP_INPUT = 1,
    /* The host restarted with unfinished inputs for this worker. */
    SKEP_RESTART = 2,
    /* The worker was switched to another component or config bundle. */
    SKEP_UPDATE = 3,
} skep_connect_reason;

/* Defined by an author who wants it: called once on each new instance, before its first input. The
 * state can be read, not written; the time spent here counts towards the deadline of the turn that
 * follows. */
void skep_connected(skep_connect_reason reason)
    SKEP_EXPORT("skep:worker/lifecycle@0.1.0#connected");

/* Defined by an author who wants it: called before a healthy instance is dropped. Do not rely on
 * it. The state cannot be written here. */
void skep_disconnecting(void) SKEP_EXPORT("skep:worker/lifecycle@0.1.0#disconnecting");

/* ---- Context ---------------------------------------------------------------------------------- */

/* Returns the id of the runtime that this worker belongs to. */
const char *skep_runtime_id(void);

/* Returns this worker's id within its runtime, a UUID. */
const char *skep_worker_id(void);

/* Returns the id of the current input, or NULL outside of a turn. */
const char *skep_input_id(void);

/* Returns the number of this attempt at the input, from 1. It is above 1 if the host died during an
 * earlier attempt: that attempt's writes to the state are gone, its files are not. */
uint32_t skep_attempt(void);

/* Sets the time left until the turn's deadline, in milliseconds. Returns false if there is no
 * deadline. */
bool skep_remaining_ms(uint64_t *remaining);

/* ---- Config ----------------------------------------------------------------------------------- */

/* One key and value of the worker's config bundle. */
typedef struct skep_config_value {
    const char *key;
    const char *value;
} skep_config_value;

/* All keys and values. */
typedef struct skep_config {
    const skep_config_value *values;
    size_t len;
} skep_config;

/* Returns the value of a key, or NULL. The config is fixed while the worker runs. */
const char *skep_config_get(const char *key);

/* Returns all keys and values, sorted by key. */
skep_config skep_config_all(void);

/* ---- State ------------------------------------------------------------------------------------ */

/* Sets `value` to the value of a key, including this turn's own writes. `value->data` is NULL if
 * there is no such key. */
SKEP_MUST_USE skep_error skep_state_get(const char *key, skep_slice *value);

/* Sets `text` to the value of a key as a C string, or to NULL if there is no such key. Fails with
 * `state-not-text` if the value is not UTF-8 or has a zero byte inside. */
SKEP_MUST_USE skep_error skep_state_get_text(const char *key, const char **text);

/* Sets a key to a value. All writes of a turn are committed with its outcome, or not at all. */
SKEP_MUST_USE skep_error skep_state_set(const char *key, skep_slice value);

/* Sets a key to a text. */
SKEP_MUST_USE skep_error skep_state_set_text(const char *key, const char *text);

/* Removes a key. Sets `existed`, which may be NULL. */
SKEP_MUST_USE skep_error skep_state_delete(const char *key, bool *existed);

/* The keys that begin with a prefix, fetched from the host in pages of at most 1,000. */
typedef struct skep_keys {
    /* The reason why the list ended early, or `SKEP_OK`. */
    skep_error error;
    /* Private. */
    const char *prefix, *cursor;
    const skep_slice *page;
    size_t page_len, position;
    bool last;
} skep_keys;

/* Starts a list of the keys that begin with `prefix`, or of all keys for "":
 *
 *     skep_keys keys = skep_state_keys("user/");
 *     for (const char *key; (key = skep_next_key(&keys)) != NULL;)
 *         puts(key);
 *     SKEP_TRY(keys.error); */
skep_keys skep_state_keys(const char *prefix);

/* Returns the next key in ascending order of the bytes, or NULL at the end or after an error. */
const char *skep_next_key(skep_keys *keys);

/* A page of keys, in ascending order of their bytes. */
typedef struct skep_key_page {
    const skep_slice *keys;
    size_t len;
    /* The `cursor` of the next page, or NULL at the end. */
    const char *next;
} skep_key_page;

/* Reads one page of at most 1,000 keys: from the beginning for a `cursor` of NULL, or from a `next`
 * that an earlier call returned. */
SKEP_MUST_USE skep_error skep_state_list(const char *prefix, const char *cursor,
                                         skep_key_page *page);

/* ---- Transcript ------------------------------------------------------------------------------- */

/* Appends an event of this turn; readers of the worker see it once it is durable. `kind` is the
 * worker's name for it, such as `progress`. A turn that fails later keeps its events. */
SKEP_MUST_USE skep_error skep_emit(const char *kind, const char *content_type, skep_slice body);

/* Appends an event with a `text/plain; charset=utf-8` body. */
SKEP_MUST_USE skep_error skep_emit_text(const char *kind, const char *text);

/* One entry of the worker's own durable record. */
typedef struct skep_entry {
    /* The entry's position in the record. Positions have no gaps unless old entries were trimmed. */
    uint64_t seq;
    /* The time at which it was written, in milliseconds since 1970-01-01T00:00:00Z. */
    uint64_t at_ms;
    /* The kind: `input`, `event`, `output`, `log`, `failure` and so on. */
    const char *kind;
    /* The worker's name for the event, for an entry of kind `event`; otherwise NULL. */
    const char *event;
    /* The input whose turn wrote it, or NULL. */
    const char *input_id;
    /* The media type of `body`. */
    const char *content_type;
    /* The content; empty for kinds that have none. */
    skep_slice body;
} skep_entry;

/* A page of entries, in ascending order of `seq`. */
typedef struct skep_entry_page {
    const skep_entry *entries;
    size_t len;
    /* Whether there is a next page, and its `after`. */
    bool more;
    uint64_t next;
} skep_entry_page;

/* Reads this worker's own entries with `seq` greater than `after` (0 for all): at most `limit`, and
 * never more than 1,000. This turn's own events are not among them yet. */
SKEP_MUST_USE skep_error skep_transcript_read(uint64_t after, uint32_t limit,
                                              skep_entry_page *page);

/* ---- Fetch ------------------------------------------------------------------------------------ */

/* One header of a request or a response. */
typedef struct skep_header {
    const char *name;
    const char *value;
} skep_header;

/* An HTTP request. Members that are left out are 0: a GET without headers and body. */
typedef struct skep_request {
    const char *url;
    /* `GET` if NULL. */
    const char *method;
    const skep_header *headers;
    size_t headers_len;
    skep_slice body;
    /* The time for each exchange, or 0 for the host's own limit. */
    uint32_t timeout_ms;
    /* Returns a redirect as it is. Otherwise at most 20 are followed. */
    bool keep_redirects;
} skep_request;

/* An HTTP response with its whole body. Any status is a response, not an error. */
typedef struct skep_response {
    uint16_t status;
    const skep_header *headers;
    size_t headers_len;
    skep_slice body;
    /* The URL that answered, after redirects. */
    const char *url;
} skep_response;

/* Sends a request and waits for the response. The worker needs an `http` grant for it. A component
 * whose code does not call this function does not import `skep:worker/fetch`. */
SKEP_MUST_USE skep_error skep_fetch(const skep_request *request, skep_response *response);

/* Returns the value of the first header of this name, in any case, or NULL. */
const char *skep_response_header(const skep_response *response, const char *name);

/* ---- Files ------------------------------------------------------------------------------------ */

/* Returns the path of a file in the worker's own directory, `/data/NAME`, for fopen() and the like.
 * Files that a turn writes there stay if the turn fails. In a unit test it is a directory of the
 * test. */
const char *skep_data_path(const char *name);

/* ---- Memory ----------------------------------------------------------------------------------- */

/* Returns memory that lives until the turn ends, followed by a zero byte. Never NULL: a worker that
 * is out of memory says so on stderr and traps. */
void *skep_alloc(size_t len);

/* Returns text in the manner of printf, in memory that lives until the turn ends. */
char *skep_format(const char *format, ...) SKEP_FORMAT(1, 2);

/* A position in the memory of the turn. */
typedef struct skep_mark {
    void *newest;
} skep_mark;

/* Returns the current position. */
skep_mark skep_memory_mark(void);

/* Frees what was handed out since a mark: for a loop over many values in one turn. */
void skep_memory_release(skep_mark mark);

#ifdef __cplusplus
}
#endif

#endif
