/* HTTP requests over the host's one exchange: this file follows redirects, as a browser's fetch
 * does. A component that does not call `skep_fetch` does not import `skep:worker/fetch`. */
#include "skep_host.h"

#include <string.h>
#include <strings.h>

#define REDIRECTS 20

/* ---- URLs ------------------------------------------------------------------------------------- */

/* Returns the length of `scheme://authority`. */
static size_t origin(const char *url)
{
    const char *authority = strstr(url, "://");
    if (authority == NULL)
        return strcspn(url, "/?#");
    authority += 3;
    return (size_t)(authority - url) + strcspn(authority, "/?#");
}

static bool same_origin(const char *one, const char *other)
{
    size_t len = origin(one);
    return len == origin(other) && strncasecmp(one, other, len) == 0;
}

static bool has_scheme(const char *reference)
{
    size_t len = strcspn(reference, ":/?#");
    return len > 0 && reference[len] == ':';
}

/* Removes `.` and `..` from a path, up to its query. Changes the path in place. */
static void remove_dots(char *path)
{
    char *end = path + strcspn(path, "?");
    char *to = path;
    for (const char *from = path; from < end;) {
        /* `from` is at a slash. */
        size_t len = 1 + strcspn(from + 1, "/?");
        bool last = from + len >= end;
        bool one = len == 2 && from[1] == '.';
        bool two = len == 3 && from[1] == '.' && from[2] == '.';
        if (two)
            while (to > path && *--to != '/')
                ;
        if (one || two) {
            if (last)
                *to++ = '/';
        } else {
            memmove(to, from, len);
            to += len;
        }
        from += len;
    }
    memmove(to, end, strlen(end) + 1);
}

/* Returns the URL that a `location` names, seen from a page at `base`. */
static const char *resolve(const char *base, const char *location)
{
    int len = (int)strcspn(location, "#");
    if (has_scheme(location))
        return skep_format("%.*s", len, location);
    if (strncmp(location, "//", 2) == 0)
        return skep_format("%.*s:%.*s", (int)strcspn(base, ":"), base, len, location);

    int site = (int)origin(base);
    int path = (int)strcspn(base + site, "?#");
    if (len == 0)
        return skep_format("%.*s", (int)strcspn(base, "#"), base);
    if (*location == '?')
        return skep_format("%.*s%.*s", site + path, base, len, location);

    int folder = 0;
    for (int i = 0; i < path && *location != '/'; i++)
        if (base[site + i] == '/')
            folder = i;
    const char *slash = *location == '/' ? "" : "/";
    char *url = skep_format("%.*s%s%.*s", site + folder, base, slash, len, location);
    remove_dots(url + site);
    return url;
}

/* ---- One exchange ----------------------------------------------------------------------------- */

static skep_error check_text(const char *what, const char *text)
{
    if (skep_is_utf8(skep_text(text)))
        return SKEP_OK;
    return skep_fail("fetch-invalid-request", "the request is not valid: its %s is not UTF-8",
                     what);
}

static skep_error exchange(const skep_request *request, skep_response *response)
{
    size_t len = request->headers_len;
    skep_raw_pair *headers = skep_alloc(len * sizeof *headers);
    for (size_t i = 0; i < len; i++) {
        SKEP_TRY(check_text("header", request->headers[i].name));
        SKEP_TRY(check_text("header", request->headers[i].value));
        headers[i].name = skep_text(request->headers[i].name);
        headers[i].value = skep_text(request->headers[i].value);
    }
    SKEP_TRY(check_text("URL", request->url));
    SKEP_TRY(check_text("method", request->method));
    skep_raw_response result;
    skep_host_fetch_send(request->method, strlen(request->method), request->url,
                         strlen(request->url), headers, len, request->body.data, request->body.len,
                         request->timeout_ms != 0, request->timeout_ms, &result);
    if (result.failed)
        return skep_fetch_error(&result.of.error);

    len = result.of.response.headers.len;
    const skep_raw_pair *raw = result.of.response.headers.data;
    skep_header *received = skep_alloc(len * sizeof *received);
    for (size_t i = 0; i < len; i++)
        received[i] = (skep_header){raw[i].name.len > 0 ? raw[i].name.data : "",
                                    raw[i].value.len > 0 ? raw[i].value.data : ""};
    skep_slice body = result.of.response.body;
    *response = (skep_response){result.of.response.status, received, len,
                                body.len > 0 ? body : skep_text(""), request->url};
    return SKEP_OK;
}

/* ---- Redirects -------------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

static void drop_headers(skep_request *request, const char *const *names)
{
    skep_header *kept = skep_alloc(request->headers_len * sizeof *kept);
    size_t len = 0;
    for (size_t i = 0; i < request->headers_len; i++)
        if (!is_one_of(request->headers[i].name, names))
            kept[len++] = request->headers[i];
    request->headers = kept;
    request->headers_len = len;
}

static const char *redirect(const skep_response *response)
{
    switch (response->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return skep_response_header(response, "location");
    default:
        return NULL;
    }
}

static void follow(skep_request *request, uint16_t status, const char *url)
{
    static const char *const OF_THE_BODY[] = {"content-encoding", "content-language",
                                              "content-location", "content-type",
                                              "content-length",   NULL};
    static const char *const CREDENTIALS[] = {"authorization", "cookie", "proxy-authorization",
                                              NULL};
    bool is_post = strcmp(request->method, "POST") == 0;
    bool is_read = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if ((status == 303 && !is_read) || ((status == 301 || status == 302) && is_post)) {
        request->method = "GET";
        request->body = (skep_slice){NULL, 0};
        drop_headers(request, OF_THE_BODY);
    }
    if (!same_origin(request->url, url))
        drop_headers(request, CREDENTIALS);
    request->url = url;
}

skep_error skep_fetch(const skep_request *request, skep_response *response)
{
    skep_request next = *request;
    if (next.method == NULL)
        next.method = "GET";
    for (int redirects = 0;; redirects++) {
        SKEP_TRY(exchange(&next, response));
        const char *location = request->keep_redirects ? NULL : redirect(response);
        if (location == NULL)
            return SKEP_OK;
        if (redirects == REDIRECTS)
            return skep_fail("fetch-failed", "the request failed: more than %d redirects",
                             REDIRECTS);
        follow(&next, response->status, resolve(next.url, location));
    }
}

const char *skep_response_header(const skep_response *response, const char *name)
{
    for (size_t i = 0; i < response->headers_len; i++)
        if (strcasecmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    return NULL;
}
