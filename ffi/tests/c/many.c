/* A thousand sessions at once, on one thread. */
#include <sys/resource.h>

#include "test.h"

#define SESSIONS 1000

int main(void) {
    static ssmwire_session sessions[SESSIONS];
    static ssmwire_stream streams[SESSIONS];
    static bool has_greeted[SESSIONS];
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_parameter greeting = {"greeting", "hi"};
    ssmwire_client client = open_client();
    struct rlimit files;
    ssmwire_queue queue;
    uint64_t tags[64];
    size_t i, count, length, left = SESSIONS;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    options.target = TARGET;
    options.document = "Emulator-Echo";
    options.parameters = &greeting;
    options.parameters_len = 1;
    for (i = 0; i < SESSIONS; i++) {
        CHECK_OK(ssmwire_session_start(client, &options, &sessions[i], &error));
        CHECK_OK(ssmwire_session_stdio(sessions[i], &streams[i], &error));
        CHECK_OK(ssmwire_stream_watch(streams[i], queue, i, &error));
    }
    while (left > 0) {
        CHECK_OK(ssmwire_queue_wait(queue, tags, 64, SOON, &count, &error));
        for (i = 0; i < count; i++) {
            ssmwire_stream stream = streams[tags[i]];
            ssmwire_status status;
            char text[16];
            while ((status = ssmwire_stream_read(stream, (uint8_t *)text, sizeof text, 0, &length, &error)) ==
                   SSMWIRE_OK) {
                if (!has_greeted[tags[i]]) {
                    has_greeted[tags[i]] = true;
                    left--;
                }
            }
            CHECK(status == SSMWIRE_AGAIN);
        }
    }
    for (i = 0; i < SESSIONS; i++) {
        CHECK_OK(ssmwire_stream_close(streams[i], &error));
    }
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    for (i = 0; i < SESSIONS; i++) {
        CHECK_OK(ssmwire_session_close(sessions[i], 0, &error));
    }
    finish();
    return 0;
}
