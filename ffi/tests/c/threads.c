/* Many threads: each with sessions of its own, and some on one handle that is closed under them. */
#include <pthread.h>
#include <unistd.h>

#include "test.h"

#define THREADS 8
#define ROUNDS 3

static ssmwire_client client;

static void *talk(void *unused) {
    int round;
    (void)unused;
    for (round = 0; round < ROUNDS; round++) {
        ssmwire_error mine = SSMWIRE_ERROR_INIT;
        ssmwire_stream stream;
        ssmwire_session session = start_echo(client, &stream);
        size_t count, total = 0;
        char back[3];
        CHECK_OK(ssmwire_stream_write(stream, (const uint8_t *)"abc", 3, SOON, &count, &mine));
        CHECK(count == 3);
        while (total < 3) {
            CHECK_OK(ssmwire_stream_read(stream, (uint8_t *)back + total, 3 - total, SOON, &count, &mine));
            total += count;
        }
        CHECK(memcmp(back, "abc", 3) == 0);
        CHECK_OK(ssmwire_session_close(session, round % 2 ? SOON : 0, &mine));
        CHECK_OK(ssmwire_stream_close(stream, &mine));
    }
    return NULL;
}

static void *read_on(void *argument) {
    ssmwire_stream stream = *(ssmwire_stream *)argument;
    char byte;
    size_t count;
    ssmwire_status status;
    do {
        status = ssmwire_stream_read(stream, (uint8_t *)&byte, 1, -1, &count, NULL);
    } while (status == SSMWIRE_BUSY);
    return (void *)(intptr_t)status;
}

static void *wait_on(void *argument) {
    return (void *)(intptr_t)ssmwire_session_exit_code(*(ssmwire_session *)argument, -1, NULL, NULL, NULL);
}

static void *wait_for_event(void *argument) {
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    return (void *)(intptr_t)ssmwire_session_event(*(ssmwire_session *)argument, -1, &event, NULL);
}

static void *wait_for_tag(void *argument) {
    uint64_t tag;
    size_t count;
    return (void *)(intptr_t)ssmwire_queue_wait(*(ssmwire_queue *)argument, &tag, 1, -1, &count, NULL);
}

static ssmwire_status status_of(pthread_t thread) {
    void *status;
    CHECK(pthread_join(thread, &status) == 0);
    return (ssmwire_status)(intptr_t)status;
}

static void close_under_readers(void) {
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    ssmwire_queue queue;
    pthread_t reader, waiter, listener, taker, other;
    char byte;
    size_t count;
    ssmwire_status status;
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    CHECK(pthread_create(&reader, NULL, read_on, &stream) == 0);
    CHECK(pthread_create(&waiter, NULL, wait_on, &session) == 0);
    CHECK(pthread_create(&listener, NULL, wait_for_event, &session) == 0);
    CHECK(pthread_create(&taker, NULL, wait_for_tag, &queue) == 0);
    CHECK(pthread_create(&other, NULL, wait_for_tag, &queue) == 0);
    /* Once the reader waits, nobody else can. */
    do {
        status = ssmwire_stream_read(stream, (uint8_t *)&byte, 1, 1, &count, &error);
        CHECK(status == SSMWIRE_BUSY || status == SSMWIRE_TIMEOUT);
    } while (status != SSMWIRE_BUSY);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_stream_read(stream, (uint8_t *)&byte, 1, 0, &count, &error));
    usleep(50000);
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(reader));
    CHECK_OK(ssmwire_queue_close(queue, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(taker));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(other));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(waiter));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(listener));
}

static void *close_it(void *argument) {
    return (void *)(intptr_t)ssmwire_stream_close(*(ssmwire_stream *)argument, NULL);
}

static void close_together(void) {
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    pthread_t threads[4];
    int i, closed = 0;
    for (i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, close_it, &stream) == 0);
    }
    for (i = 0; i < 4; i++) {
        ssmwire_status status = status_of(threads[i]);
        CHECK(status == SSMWIRE_OK || status == SSMWIRE_BAD_HANDLE);
        closed += status == SSMWIRE_OK;
    }
    CHECK(closed == 1);
    CHECK_OK(ssmwire_session_close(session, 0, &error));
}

int main(void) {
    pthread_t threads[THREADS], reader;
    ssmwire_stream stream;
    int i;
    client = open_client();
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, talk, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    close_under_readers();
    close_together();
    /* A shutdown ends every wait, and the library works again after it. */
    start_echo(client, &stream);
    CHECK(pthread_create(&reader, NULL, read_on, &stream) == 0);
    usleep(50000);
    finish();
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, status_of(reader));
    client = open_client();
    talk(NULL);
    finish();
    return 0;
}
