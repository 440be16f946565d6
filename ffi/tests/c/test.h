/* What the tests share: a client of the emulator that the environment names, and checks that say where they failed. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ssmwire.h"

#define TARGET "i-0123456789abcdef0"
/* Longer than anything here may take. */
#define SOON 60000

static ssmwire_error error = SSMWIRE_ERROR_INIT;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\nlast error: %d %s\n", __FILE__, __LINE__, #condition, (int)error.status,       \
                    error.message);                                                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
#define CHECK_STATUS(expected, call)                                                                                   \
    do {                                                                                                               \
        ssmwire_status got_ = (call);                                                                                  \
        if (got_ != (expected)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s is %d %s\nlast error: %d %s\n", __FILE__, __LINE__, #call, (int)got_,           \
                    ssmwire_status_name(got_), (int)error.status, error.message);                                      \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
#define CHECK_OK(call) CHECK_STATUS(SSMWIRE_OK, call)

/* The credentials come from the environment, as the endpoints do. */
static inline ssmwire_client open_client(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_client client;
    options.start_timeout_ms = SOON;
    options.handshake_timeout_ms = SOON;
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    return client;
}

/* A session of the emulator's echo program, which has greeted. */
static inline ssmwire_session start_echo(ssmwire_client client, ssmwire_stream *stream) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_parameter greeting = {"greeting", "hello"};
    ssmwire_session session;
    char text[16];
    size_t count, total = 0;
    options.target = TARGET;
    options.document = "Emulator-Echo";
    options.parameters = &greeting;
    options.parameters_len = 1;
    CHECK_OK(ssmwire_session_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_stdio(session, stream, &error));
    while (total < 5) {
        CHECK_OK(ssmwire_stream_read(*stream, (uint8_t *)text + total, 5 - total, SOON, &count, &error));
        total += count;
    }
    CHECK(memcmp(text, "hello", 5) == 0);
    return session;
}

static inline void write_all(ssmwire_stream stream, const char *data, size_t length) {
    size_t count;
    while (length > 0) {
        CHECK_OK(ssmwire_stream_write(stream, (const uint8_t *)data, length, SOON, &count, &error));
        CHECK(count > 0 && count <= length);
        data += count;
        length -= count;
    }
}

/* Reads until `wanted` has come. */
static inline void read_until(ssmwire_stream stream, const char *wanted) {
    char text[65536];
    size_t count, total = 0;
    do {
        CHECK(total + 1 < sizeof text);
        CHECK_OK(ssmwire_stream_read(stream, (uint8_t *)text + total, sizeof text - 1 - total, SOON, &count, &error));
        total += count;
        text[total] = 0;
    } while (strstr(text, wanted) == NULL);
}

static inline void finish(void) {
    CHECK_OK(ssmwire_shutdown(SOON, &error));
}

#endif
