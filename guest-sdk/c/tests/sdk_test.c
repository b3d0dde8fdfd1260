/* The SDK's own tests: the rules of the double, the errors' codes, the text rules, redirects. */
#include "skep_testing.h"

/* A worker that does what its input says. */
skep_error skep_handle(const skep_input *input, skep_output *output)
{
    const char *text;
    SKEP_TRY(skep_input_text(input, &text));
    if (strcmp(text, "write") == 0) {
        SKEP_TRY(skep_state_set_text("key", "value"));
    } else if (strcmp(text, "write and fail") == 0) {
        SKEP_TRY(skep_state_set_text("key", "other"));
        SKEP_TRY(skep_state_set_text("more", "other"));
        SKEP_TRY(skep_emit_text("tried", "it"));
        return skep_fail("asked", "the input asked for %s", "it");
    } else if (strcmp(text, "flood") == 0) {
        for (;;)
            SKEP_TRY(skep_emit_text("tick", ""));
    } else if (strcmp(text, "who") == 0) {
        return skep_reply(output, "%s %u", skep_input_id(), (unsigned)skep_attempt());
    }
    return skep_reply(output, "ok");
}

static skep_error hook_error;

void skep_connected(skep_connect_reason reason)
{
    (void)reason;
    hook_error = skep_state_set_text("key", "from a hook");
}

void skep_disconnecting(void)
{
}

static skep_error send(const char *text)
{
    static skep_output output;
    return skep_test_send("text/plain", text, &output);
}

static void a_turn_that_fails_leaves_the_state_and_keeps_its_events(void)
{
    SKEP_CHECK(send("write") == SKEP_OK);
    skep_error error = send("write and fail");
    SKEP_CHECK(skep_error_is(error, "asked"));
    SKEP_CHECK(strcmp(error->message, "the input asked for it") == 0);
    SKEP_CHECK(skep_equals(skep_test_state("key"), "value"));
    SKEP_CHECK(skep_test_state("more").data == NULL);
    SKEP_CHECK(skep_test_event_count() == 1);
}

static void hooks_read_the_state_and_cannot_write_it(void)
{
    skep_test_connected(SKEP_CREATED);
    SKEP_CHECK(skep_error_is(hook_error, "state-unavailable"));
    SKEP_CHECK(skep_state_set_text("key", "after") == SKEP_OK);
}

static void keys_are_listed_in_order_over_several_pages(void)
{
    for (int i = 0; i < 2500; i++)
        SKEP_CHECK(skep_state_set_text(skep_format("n/%04d", i), "") == SKEP_OK);
    SKEP_CHECK(skep_state_set_text("o", "") == SKEP_OK);
    skep_keys keys = skep_state_keys("n/");
    int count = 0;
    for (const char *key; (key = skep_next_key(&keys)) != NULL; count++)
        SKEP_CHECK(strcmp(key, skep_format("n/%04d", count)) == 0);
    SKEP_CHECK(keys.error == SKEP_OK && count == 2500);
    keys = skep_state_keys("p");
    SKEP_CHECK(skep_next_key(&keys) == NULL && skep_next_key(&keys) == NULL);

    bool existed = false;
    SKEP_CHECK(skep_state_delete("o", &existed) == SKEP_OK && existed);
    SKEP_CHECK(skep_state_delete("o", &existed) == SKEP_OK && !existed);
}

static void a_missing_value_is_not_an_empty_one(void)
{
    skep_slice value;
    const char *text;
    SKEP_CHECK(skep_state_get("key", &value) == SKEP_OK && value.data == NULL);
    SKEP_CHECK(skep_state_set("key", skep_bytes(NULL, 0)) == SKEP_OK);
    SKEP_CHECK(skep_state_get("key", &value) == SKEP_OK && value.data != NULL && value.len == 0);
    SKEP_CHECK(skep_state_get_text("key", &text) == SKEP_OK && strcmp(text, "") == 0);
}

static char *repeated(char c, size_t len)
{
    return memset(skep_alloc(len), c, len);
}

static void keys_and_kinds_outside_the_rules_are_refused(void)
{
    skep_slice value;
    SKEP_CHECK(skep_error_is(skep_state_set_text("", ""), "state-invalid-key"));
    SKEP_CHECK(skep_error_is(skep_state_get(repeated('k', 513), &value), "state-invalid-key"));
    SKEP_CHECK(skep_state_set_text(repeated('k', 512), "") == SKEP_OK);
    const char *kinds[] = {"", "Upper", "with space", "\xff", repeated('k', 65)};
    for (size_t i = 0; i < 5; i++)
        SKEP_CHECK(skep_error_is(skep_emit_text(kinds[i], ""), "transcript-invalid-kind"));
}

static void excess_sizes_and_counts_are_refused_with_the_limit(void)
{
    skep_slice large = skep_bytes(repeated('x', 64 << 20), 64 << 20);
    skep_error error = skep_state_set("k", large);
    SKEP_CHECK(skep_error_is(error, "state-too-large") && error->limit == 64 << 20);
    SKEP_CHECK(strstr(error->message, "limit of 67108864 bytes") != NULL);
    error = skep_emit("blob", "application/octet-stream", skep_bytes(large.data, (256 << 10) + 1));
    SKEP_CHECK(skep_error_is(error, "transcript-too-large") && error->limit == 256 << 10);
    SKEP_CHECK(skep_error_is(send("flood"), "transcript-too-many"));
    SKEP_CHECK(skep_test_event_count() == 10000);
}

static void a_worker_reads_its_own_earlier_turns(void)
{
    static const char *const KINDS[] = {"input", "output", "input", "event", "failure"};
    skep_entry_page page;
    SKEP_CHECK(send("write") == SKEP_OK);
    SKEP_CHECK(send("write and fail") != SKEP_OK);
    SKEP_CHECK(skep_transcript_read(0, 100, &page) == SKEP_OK && page.len == 5 && !page.more);
    for (size_t i = 0; i < 5; i++)
        SKEP_CHECK(strcmp(page.entries[i].kind, KINDS[i]) == 0);
    SKEP_CHECK(strcmp(page.entries[3].event, "tried") == 0 && page.entries[4].event == NULL);
    SKEP_CHECK(skep_transcript_read(1, 2, &page) == SKEP_OK && page.len == 2);
    SKEP_CHECK(page.entries[0].seq == 2 && page.more && page.next == 3);
}

static void only_utf8_is_text(void)
{
    static const char *const NO_TEXT[] = {"\xff",         "\xc0\x80",         "\xe0\x80\x80",
                                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3"};
    static const char *const TEXT[] = {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9d"};
    for (size_t i = 0; i < 6; i++) {
        SKEP_CHECK(!skep_is_utf8(skep_text(NO_TEXT[i])));
        SKEP_CHECK(skep_error_is(send(NO_TEXT[i]), "not-text"));
        SKEP_CHECK(skep_error_is(skep_state_set_text(NO_TEXT[i], ""), "not-text"));
    }
    for (size_t i = 0; i < 5; i++)
        SKEP_CHECK(skep_is_utf8(skep_text(TEXT[i])));
}

static void config_and_context_are_as_the_test_set_them(void)
{
    uint64_t remaining = 0;
    skep_output output;
    skep_test_config("b", "2");
    skep_test_config("a", "1");
    skep_config all = skep_config_all();
    SKEP_CHECK(all.len == 2 && strcmp(all.values[0].key, "a") == 0);
    SKEP_CHECK(strcmp(skep_config_get("b"), "2") == 0 && skep_config_get("c") == NULL);
    SKEP_CHECK(skep_remaining_ms(&remaining) && remaining == 30000);
    skep_test_no_deadline();
    SKEP_CHECK(!skep_remaining_ms(&remaining));
    skep_test_attempt(2);
    SKEP_CHECK(skep_test_send("text/plain", "who", &output) == SKEP_OK);
    SKEP_CHECK(skep_equals(output.body, "00000000-0000-7000-8000-000000000001 2"));
    SKEP_CHECK(skep_input_id() == NULL);
}

static void memory_is_freed_back_to_a_mark(void)
{
    char *kept = skep_format("%s", "kept");
    skep_mark mark = skep_memory_mark();
    for (int i = 0; i < 1000; i++) {
        repeated('x', 1 << 20);
        skep_memory_release(mark);
    }
    SKEP_CHECK(strcmp(kept, "kept") == 0);
}

/* ---- Fetch ------------------------------------------------------------------------------------ */

/* What the server saw last, and where and how it redirects the first request. */
static const char *seen, *redirect_to;
static int redirect_status;

static skep_error serve(const skep_request *request, skep_response *response)
{
    seen = skep_format("%s %s %.*s", request->method, request->url, (int)request->body.len,
                       request->body.len > 0 ? request->body.data : "");
    for (size_t i = 0; i < request->headers_len; i++)
        seen = skep_format("%s %s", seen, request->headers[i].name);
    if (redirect_to == NULL)
        return response->status = 200, SKEP_OK;
    skep_header *header = skep_alloc(sizeof *header);
    *header = (skep_header){"Location", redirect_to};
    if (strcmp(redirect_to, "/for-ever") != 0)
        redirect_to = NULL;
    response->status = (uint16_t)redirect_status;
    response->headers = header;
    response->headers_len = 1;
    return SKEP_OK;
}

static const char *after(int status, const char *method, const char *to)
{
    static const skep_header HEADERS[] = {{"Authorization", "x"}, {"Content-Type", "x"}};
    skep_request request = {.url = "http://a.test/b/c?q#f", .method = method,
                            .headers = HEADERS, .headers_len = 2, .body = skep_text("body")};
    skep_response response;
    skep_test_fetch(serve);
    redirect_status = status, redirect_to = to;
    SKEP_CHECK(skep_fetch(&request, &response) == SKEP_OK && response.status == 200);
    SKEP_CHECK(strstr(seen, response.url) != NULL);
    return seen;
}

static void check_seen(const char *found, const char *expected)
{
    if (strcmp(found, expected) != 0)
        fprintf(stderr, "found `%s`, expected `%s`\n", found, expected);
    SKEP_CHECK(strcmp(found, expected) == 0);
}

static void redirects_change_the_method_as_in_a_browser(void)
{
    check_seen(after(302, "POST", "d"), "GET http://a.test/b/d  Authorization");
    check_seen(after(303, "PUT", "d"), "GET http://a.test/b/d  Authorization");
    check_seen(after(301, "PUT", "d"), "PUT http://a.test/b/d body Authorization Content-Type");
    check_seen(after(307, "POST", "d"), "POST http://a.test/b/d body Authorization Content-Type");
    check_seen(after(308, "POST", "http://b.test/"), "POST http://b.test/ body Content-Type");
    check_seen(after(307, "POST", "//a.test:81/x"), "POST http://a.test:81/x body Content-Type");
}

static void locations_are_resolved(void)
{
    static const char *const CASES[][2] = {
        {"/x#y", "http://a.test/x"},        {"../x", "http://a.test/x"},
        {"../../x", "http://a.test/x"},     {"./x/./y/..", "http://a.test/b/x/"},
        {"?r", "http://a.test/b/c?r"},      {"x?y=/../z", "http://a.test/b/x?y=/../z"},
        {"#g", "http://a.test/b/c?q"},      {".", "http://a.test/b/"},
        {"HTTP://A.test/", "HTTP://A.test/"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_seen(after(307, "GET", CASES[i][0]),
                   skep_format("GET %s body Authorization Content-Type", CASES[i][1]));
}

static void redirects_end(void)
{
    skep_request request = {.url = "http://a.test"};
    skep_response response;
    skep_test_fetch(serve);
    redirect_status = 302, redirect_to = "/for-ever";
    SKEP_CHECK(skep_error_is(skep_fetch(&request, &response), "fetch-failed"));
    request.keep_redirects = true;
    SKEP_CHECK(skep_fetch(&request, &response) == SKEP_OK && response.status == 302);
    SKEP_CHECK(strcmp(skep_response_header(&response, "location"), "/for-ever") == 0);
    skep_test_fetch(NULL);
    SKEP_CHECK(skep_error_is(skep_fetch(&request, &response), "fetch-denied"));
    request.url = "http://\xff/";
    SKEP_CHECK(skep_error_is(skep_fetch(&request, &response), "fetch-invalid-request"));
}

int main(void)
{
    SKEP_RUN(a_turn_that_fails_leaves_the_state_and_keeps_its_events);
    SKEP_RUN(hooks_read_the_state_and_cannot_write_it);
    SKEP_RUN(keys_are_listed_in_order_over_several_pages);
    SKEP_RUN(a_missing_value_is_not_an_empty_one);
    SKEP_RUN(keys_and_kinds_outside_the_rules_are_refused);
    SKEP_RUN(excess_sizes_and_counts_are_refused_with_the_limit);
    SKEP_RUN(a_worker_reads_its_own_earlier_turns);
    SKEP_RUN(only_utf8_is_text);
    SKEP_RUN(config_and_context_are_as_the_test_set_them);
    SKEP_RUN(memory_is_freed_back_to_a_mark);
    SKEP_RUN(redirects_change_the_method_as_in_a_browser);
    SKEP_RUN(locations_are_resolved);
    SKEP_RUN(redirects_end);
    return skep_test_end();
}
