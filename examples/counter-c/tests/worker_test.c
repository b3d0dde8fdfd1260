/* Unit tests on an in-memory double of the host, without wasm. */
#include "skep_testing.h"

static skep_output send(const char *content_type, const char *body)
{
    skep_output output;
    SKEP_CHECK(skep_test_send(content_type, body, &output) == SKEP_OK);
    return output;
}

static void every_input_adds_one_whatever_it_is(void)
{
    skep_output output;
    SKEP_CHECK(skep_equals(send("text/plain", "hello").body, "1"));
    skep_input bytes = {"application/octet-stream", skep_bytes("\xff\0", 2)};
    SKEP_CHECK(skep_test_turn(bytes, &output) == SKEP_OK);
    SKEP_CHECK(skep_equals(output.body, "2"));
    SKEP_CHECK(skep_equals(send("", "").body, "3"));
    SKEP_CHECK(skep_equals(skep_test_state("count"), "3"));
}

static void each_turn_emits_one_event(void)
{
    send("text/plain", "a");
    send("text/plain", "b");
    SKEP_CHECK(skep_test_event_count() == 2);
    SKEP_CHECK(strcmp(skep_test_event(1)->event, "counted") == 0);
    SKEP_CHECK(skep_equals(skep_test_event(1)->body, "2"));
}

static void only_save_writes_a_file(void)
{
    char text[8] = "";
    send("text/plain", "saved");
    SKEP_CHECK(fopen(skep_data_path("count.txt"), "r") == NULL);
    send("text/plain", "save");
    FILE *file = fopen(skep_data_path("count.txt"), "r");
    SKEP_CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    SKEP_CHECK(strcmp(text, "2\n") == 0);
    fclose(file);
}

static void a_state_that_is_not_a_number_is_a_failure(void)
{
    skep_output output;
    SKEP_CHECK(skep_state_set_text("count", "many") == SKEP_OK);
    skep_error error = skep_test_send("text/plain", "", &output);
    SKEP_CHECK(skep_error_is(error, "bad-state"));
    SKEP_CHECK(skep_equals(skep_test_state("count"), "many"));
}

int main(void)
{
    SKEP_RUN(every_input_adds_one_whatever_it_is);
    SKEP_RUN(each_turn_emits_one_event);
    SKEP_RUN(only_save_writes_a_file);
    SKEP_RUN(a_state_that_is_not_a_number_is_a_failure);
    return skep_test_end();
}
