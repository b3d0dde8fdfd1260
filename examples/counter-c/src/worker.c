/* Counts its inputs. Every input, whatever its type and content, adds 1 and is answered with the
 * number so far. The body `save` also writes the number to `/data/count.txt`. */
#include "skep_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The key of the number, which is stored as decimal text. */
static const char KEY[] = "count";

static skep_error read_count(unsigned long long *count)
{
    const char *text;
    char *end;
    SKEP_TRY(skep_state_get_text(KEY, &text));
    if (text == NULL) {
        *count = 0;
        return SKEP_OK;
    }
    errno = 0;
    *count = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return skep_fail("bad-state", "%s", text);
    return SKEP_OK;
}

static skep_error save(const char *count)
{
    const char *path = skep_data_path("count.txt");
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return skep_fail_io(path);
    int written = fprintf(file, "%s\n", count);
    if (fclose(file) != 0 || written < 0)
        return skep_fail_io(path);
    return SKEP_OK;
}

skep_error skep_handle(const skep_input *input, skep_output *output)
{
    unsigned long long number;
    SKEP_TRY(read_count(&number));
    const char *count = skep_format("%llu", number + 1);

    SKEP_TRY(skep_state_set_text(KEY, count));
    SKEP_TRY(skep_emit_text("counted", count));
    if (skep_equals(input->body, "save"))
        SKEP_TRY(save(count));
    return skep_reply(output, "%s", count);
}
