/* An event loop: one thread, one descriptor, many sessions, and no call that waits. */
#include <poll.h>
#include <pthread.h>

#include "test.h"

#define SESSIONS 4
#define BYTES (1 << 20)

struct echo {
    ssmwire_session session;
    ssmwire_stream stream;
    size_t sent, received;
};

static char pattern(size_t at) {
    return (char)('a' + at % 23);
}

static void go_on(struct echo *echo) {
    char data[16384];
    size_t count, at;
    ssmwire_status status = SSMWIRE_OK;
    while (echo->sent < BYTES && status == SSMWIRE_OK) {
        size_t length = sizeof data < BYTES - echo->sent ? sizeof data : BYTES - echo->sent;
        for (at = 0; at < length; at++) {
            data[at] = pattern(echo->sent + at);
        }
        status = ssmwire_stream_write(echo->stream, (uint8_t *)data, length, 0, &count, &error);
        CHECK(status == SSMWIRE_OK || (status == SSMWIRE_AGAIN && count == 0));
        echo->sent += count;
    }
    while ((status = ssmwire_stream_read(echo->stream, (uint8_t *)data, sizeof data, 0, &count, &error)) ==
           SSMWIRE_OK) {
        for (at = 0; at < count; at++) {
            CHECK(data[at] == pattern(echo->received + at));
        }
        echo->received += count;
    }
    CHECK(status == SSMWIRE_AGAIN);
}

static void *wake_later(void *queue) {
    CHECK_OK(ssmwire_queue_wake(*(ssmwire_queue *)queue, NULL));
    return NULL;
}

int main(void) {
    ssmwire_client client = open_client();
    ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
    ssmwire_session_options session_options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_port_options port_options = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    struct echo echoes[SESSIONS];
    struct pollfd ready = {-1, POLLIN, 0};
    ssmwire_queue quiet, queue, none = {0};
    ssmwire_session session;
    ssmwire_forward forward;
    ssmwire_run run;
    uint64_t tags[2];
    size_t i, count, left = SESSIONS;
    pthread_t waker;
    bool has_run = false, is_ready = false, is_forwarding = false, has_ended = false;
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    ready.fd = ssmwire_queue_fd(queue);
    CHECK(ready.fd >= 0 && poll(&ready, 1, 0) == 0);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_queue_wait(queue, tags, 2, 0, &count, &error));
    CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_queue_wait(queue, tags, 2, 20, &count, &error));
    for (i = 0; i < SESSIONS; i++) {
        echoes[i].session = start_echo(client, &echoes[i].stream);
        echoes[i].sent = echoes[i].received = 0;
        CHECK_OK(ssmwire_stream_watch(echoes[i].stream, queue, i, &error));
    }
    options.target = session_options.target = port_options.target = TARGET;
    options.line = "sleep 0.2; echo done";
    port_options.port = 9;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_watch(run, queue, 100, &error));
    CHECK_OK(ssmwire_shell_start(client, &session_options, &session, &error));
    CHECK_OK(ssmwire_session_watch(session, queue, 101, &error));
    CHECK_OK(ssmwire_forward_start(client, &port_options, &forward, &error));
    CHECK_OK(ssmwire_forward_watch(forward, queue, 102, &error));
    while (left > 0 || !has_run || !has_ended || !is_forwarding) {
        CHECK(poll(&ready, 1, SOON) == 1);
        CHECK_OK(ssmwire_queue_wait(queue, tags, 2, 0, &count, &error));
        for (i = 0; i < count; i++) {
            if (tags[i] < SESSIONS) {
                struct echo *echo = &echoes[tags[i]];
                bool was_over = echo->received == BYTES;
                go_on(echo);
                left -= !was_over && echo->received == BYTES;
            } else if (tags[i] == 100 && !has_run) {
                ssmwire_status status = ssmwire_run_wait(run, 0, &result, &error);
                CHECK(status == SSMWIRE_OK || status == SSMWIRE_AGAIN);
                has_run = status == SSMWIRE_OK;
            } else if (tags[i] == 102 && !is_forwarding) {
                ssmwire_status status = ssmwire_forward_ready(forward, 0, &error);
                CHECK(status == SSMWIRE_OK || status == SSMWIRE_AGAIN);
                is_forwarding = status == SSMWIRE_OK;
            } else if (tags[i] == 101) {
                ssmwire_status status = ssmwire_session_ready(session, 0, &error);
                ssmwire_stream stdio;
                CHECK(status == SSMWIRE_OK || status == SSMWIRE_AGAIN);
                if (status == SSMWIRE_OK && !is_ready) {
                    is_ready = true;
                    CHECK_OK(ssmwire_session_stdio(session, &stdio, &error));
                    write_all(stdio, "exit\r", 5);
                    CHECK_OK(ssmwire_stream_close(stdio, &error));
                }
                status = ssmwire_session_event(session, 0, &event, &error);
                CHECK(status == SSMWIRE_AGAIN || status == SSMWIRE_EOF);
                has_ended = status == SSMWIRE_EOF;
            }
        }
    }
    CHECK(result.stdout_len == 5);
    /* In a queue of its own: a tag that comes for nothing would take the wake along. */
    CHECK_OK(ssmwire_queue_open(&quiet, &error));
    CHECK(pthread_create(&waker, NULL, wake_later, &quiet) == 0);
    CHECK_OK(ssmwire_queue_wait(quiet, tags, 2, SOON, &count, &error));
    CHECK(count == 0);
    pthread_join(waker, NULL);
    CHECK_OK(ssmwire_queue_close(quiet, &error));
    CHECK_OK(ssmwire_stream_watch(echoes[0].stream, none, 0, &error));
    CHECK_OK(ssmwire_run_close(run, &error));
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_forward_close(forward, 0, &error));
    for (i = 0; i < SESSIONS; i++) {
        CHECK_OK(ssmwire_stream_close(echoes[i].stream, &error));
        CHECK_OK(ssmwire_session_close(echoes[i].session, 0, &error));
    }
    CHECK_OK(ssmwire_queue_close(queue, &error));
    CHECK(ssmwire_queue_fd(queue) == -1);
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    finish();
    return 0;
}
