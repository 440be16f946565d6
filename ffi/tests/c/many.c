/* A thousand sessions at once, on one thread; and a hundred thousand handles, one after the other. */
#include <sys/resource.h>

#include "test.h"

#define SESSIONS 1000

static long resident_pages(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident;
}

/* An id is never given out again, and what it took is. */
static void one_after_the_other(void) {
    ssmwire_queue first, queue;
    long before = 0;
    int i;
    CHECK_OK(ssmwire_queue_open(&first, &error));
    CHECK_OK(ssmwire_queue_close(first, &error));
    for (i = 0; i < 100000; i++) {
        if (i == 1000) {
            before = resident_pages();
        }
        CHECK_OK(ssmwire_queue_open(&queue, &error));
        CHECK(queue.id != first.id);
        CHECK_OK(ssmwire_queue_close(queue, &error));
    }
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_queue_wake(first, &error));
    /* 8 MiB, of which a leak of a hundred bytes each would make 10. */
    CHECK(resident_pages() - before < 2048);
}

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
    one_after_the_other();
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
