/* The imports of the WIT package skep:worker@0.1.0 as the canonical ABI has them. Private to the
 * SDK: `skep_guest.c` calls them; a component gets them from the host, and a unit test from
 * `skep_testing.h`.
 *
 * On wasm32 the layout of each struct is the ABI's layout of the WIT type in its comment. */
#ifndef SKEP_HOST_H
#define SKEP_HOST_H

#include "skep_guest.h"

#ifdef __wasm__
#define SKEP_IMPORT(interface, function)                                                           \
    __attribute__((import_module("skep:worker/" interface "@0.1.0"), import_name(function)))
#else
#define SKEP_IMPORT(interface, function)
#endif

/* option<string>, option<list<u8>> */
typedef struct skep_raw_option {
    uint8_t some;
    skep_slice value;
} skep_raw_option;

/* option<u64> */
typedef struct skep_raw_option_u64 {
    uint8_t some;
    uint64_t value;
} skep_raw_option_u64;

/* tuple<string, string> */
typedef struct skep_raw_pair {
    skep_slice name, value;
} skep_raw_pair;

/* list<tuple<string, string>> */
typedef struct skep_raw_pairs {
    const skep_raw_pair *data;
    size_t len;
} skep_raw_pairs;

/* The three variants `error`: the case, and a u64, a string or nothing. */
typedef struct skep_raw_error {
    uint8_t kind;
    union {
        uint64_t limit;
        skep_slice text;
    } of;
} skep_raw_error;

/* result<_, error> */
typedef struct skep_raw_done {
    uint8_t failed;
    skep_raw_error error;
} skep_raw_done;

/* result<option<list<u8>>, error> */
typedef struct skep_raw_value {
    uint8_t failed;
    union {
        skep_raw_option value;
        skep_raw_error error;
    } of;
} skep_raw_value;

/* result<bool, error> */
typedef struct skep_raw_bool {
    uint8_t failed;
    union {
        uint8_t value;
        skep_raw_error error;
    } of;
} skep_raw_bool;

/* result<keys, error> */
typedef struct skep_raw_keys {
    uint8_t failed;
    union {
        struct {
            const skep_slice *data;
            size_t len;
            skep_raw_option next;
        } page;
        skep_raw_error error;
    } of;
} skep_raw_keys;

/* entry */
typedef struct skep_raw_entry {
    uint64_t seq, at_ms;
    skep_slice kind;
    skep_raw_option event, input_id;
    skep_slice content_type, body;
} skep_raw_entry;

/* result<page, error> */
typedef struct skep_raw_entries {
    uint8_t failed;
    union {
        struct {
            const skep_raw_entry *data;
            size_t len;
            skep_raw_option_u64 next;
        } page;
        skep_raw_error error;
    } of;
} skep_raw_entries;

/* result<response, error> */
typedef struct skep_raw_response {
    uint8_t failed;
    union {
        struct {
            uint16_t status;
            skep_raw_pairs headers;
            skep_slice body;
        } response;
        skep_raw_error error;
    } of;
} skep_raw_response;

SKEP_IMPORT("context", "runtime-id") void skep_host_runtime_id(skep_slice *id);
SKEP_IMPORT("context", "worker-id") void skep_host_worker_id(skep_slice *id);
SKEP_IMPORT("context", "input-id") void skep_host_input_id(skep_raw_option *id);
SKEP_IMPORT("context", "attempt") uint32_t skep_host_attempt(void);
SKEP_IMPORT("context", "remaining-ms") void skep_host_remaining_ms(skep_raw_option_u64 *remaining);

SKEP_IMPORT("config", "get")
void skep_host_config_get(const char *key, size_t key_len, skep_raw_option *value);
SKEP_IMPORT("config", "get-all") void skep_host_config_get_all(skep_raw_pairs *values);

SKEP_IMPORT("state", "get")
void skep_host_state_get(const char *key, size_t key_len, skep_raw_value *result);
SKEP_IMPORT("state", "set")
void skep_host_state_set(const char *key, size_t key_len, const char *value, size_t value_len,
                         skep_raw_done *result);
SKEP_IMPORT("state", "delete")
void skep_host_state_delete(const char *key, size_t key_len, skep_raw_bool *result);
SKEP_IMPORT("state", "list")
void skep_host_state_list(const char *prefix, size_t prefix_len, uint32_t has_cursor,
                          const char *cursor, size_t cursor_len, skep_raw_keys *result);

SKEP_IMPORT("transcript", "emit")
void skep_host_transcript_emit(const char *kind, size_t kind_len, const char *content_type,
                               size_t content_type_len, const char *body, size_t body_len,
                               skep_raw_done *result);
SKEP_IMPORT("transcript", "read")
void skep_host_transcript_read(uint64_t after, uint32_t limit, skep_raw_entries *result);

SKEP_IMPORT("fetch", "send")
void skep_host_fetch_send(const char *method, size_t method_len, const char *url, size_t url_len,
                          const skep_raw_pair *headers, size_t headers_len, const char *body,
                          size_t body_len, uint32_t has_timeout, uint32_t timeout_ms,
                          skep_raw_response *result);

/* Returns `/data`, or the directory of a unit test. */
const char *skep_data_dir(void);

/* Tells whether bytes are UTF-8. Defined by `skep_guest.c`. */
bool skep_is_utf8(skep_slice bytes);

/* Makes the SDK's error of an `error` of the WIT interface `fetch`. Defined by `skep_guest.c`. */
skep_error skep_fetch_error(const skep_raw_error *error);

#endif
