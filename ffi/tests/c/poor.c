/* A process that has little: no standard streams, threads with small stacks, no descriptors left, many signals. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
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

static volatile sig_atomic_t alarms;

static void count_alarm(int number) {
    (void)number;
    alarms++;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Signals that interrupt every call of the system end no wait before its time, and fail nothing. */
static void under_signals(void) {
    const struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action, before;
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    ssmwire_queue queue;
    uint64_t tag;
    uint8_t byte;
    size_t count;
    int64_t began;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_alarm;
    CHECK(sigaction(SIGALRM, &action, &before) == 0);
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    began = now_ms();
    CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_queue_wait(queue, &tag, 1, 300, &count, &error));
    CHECK(now_ms() - began >= 299);
    began = now_ms();
    CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_stream_read(stream, &byte, 1, 300, &count, &error));
    CHECK(now_ms() - began >= 299);
    talk(NULL);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(alarms > 10 && sigaction(SIGALRM, &before, NULL) == 0);
    CHECK_OK(ssmwire_queue_close(queue, &error));
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
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
    under_signals();
    finish();
    return 0;
}
