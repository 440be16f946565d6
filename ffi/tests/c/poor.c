/* A process that has little: no standard streams, threads with small stacks, no descriptors left. */
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test.h"

/* What a thread of the caller needs for any call. */
#define STACK (64 * 1024)

static ssmwire_client client;

static void *talk(void *unused) {
    ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    ssmwire_run run;
    char text[8];
    size_t count;
    (void)unused;
    options.target = TARGET;
    options.line = "true";
    write_all(stream, "x", 1);
    CHECK_OK(ssmwire_stream_read(stream, (uint8_t *)text, sizeof text, SOON, &count, NULL));
    CHECK_OK(ssmwire_run_start(client, &options, &run, NULL));
    CHECK_OK(ssmwire_run_wait(run, SOON, NULL, NULL));
    CHECK_OK(ssmwire_run_close(run, NULL));
    CHECK_OK(ssmwire_stream_close(stream, NULL));
    CHECK_OK(ssmwire_session_close(session, SOON, NULL));
    return NULL;
}

static void on_a_small_stack(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, talk, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

/* What needs a descriptor fails and says so; what was there goes on, and all is well once there are some again. */
static void without_descriptors(void) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_client_options quick = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream), failed;
    ssmwire_client other;
    ssmwire_queue queue;
    struct rlimit before, none;
    ssmwire_status status;
    int fd;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_STATUS(SSMWIRE_INTERNAL, ssmwire_queue_open(&queue, &error));
    CHECK(queue.id == 0 && strstr(error.message, "open files") != NULL);
    status = ssmwire_stream_into_fd(stream, &fd, &error);
    CHECK(status >= 100 && fd == -1);
    options.target = TARGET;
    quick.start_timeout_ms = 2000;
    CHECK_OK(ssmwire_client_open(&quick, &other, &error));
    CHECK_OK(ssmwire_session_start(other, &options, &failed, &error));
    status = ssmwire_session_ready(failed, SOON, &error);
    CHECK(status >= 100 && error.message[0] != 0);
    write_all(stream, "still", 5);
    read_until(stream, "still");
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_OK(ssmwire_session_close(failed, 0, &error));
    CHECK_OK(ssmwire_client_close(other, SOON, &error));
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    talk(NULL);
}

int main(void) {
    /* Descriptors of the library get these numbers, and nothing may write to them that is meant for people. */
    close(0);
    close(1);
    close(2);
    client = open_client();
    talk(NULL);
    on_a_small_stack();
    without_descriptors();
    finish();
    return 0;
}
