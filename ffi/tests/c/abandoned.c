/* Whoever waits in a call goes on when the handle is closed, whichever call it is; and closing from within a callback.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "test.h"

/* Nobody answers: whatever needs credentials waits. */
static void never(ssmwire_request request, void *context) {
    (void)request;
    (void)context;
}

struct waiter {
    const char *name;
    uint64_t id;
    ssmwire_status (*wait)(uint64_t id);
    pthread_t thread;
    ssmwire_status status;
};

static ssmwire_status client_ready(uint64_t id) {
    return ssmwire_client_ready((ssmwire_client){id}, -1, NULL);
}
static ssmwire_status session_ready(uint64_t id) {
    return ssmwire_session_ready((ssmwire_session){id}, -1, NULL);
}
static ssmwire_status session_exit_code(uint64_t id) {
    return ssmwire_session_exit_code((ssmwire_session){id}, -1, NULL, NULL, NULL);
}
static ssmwire_status session_event(uint64_t id) {
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    return ssmwire_session_event((ssmwire_session){id}, -1, &event, NULL);
}
static ssmwire_status run_wait(uint64_t id) {
    return ssmwire_run_wait((ssmwire_run){id}, -1, NULL, NULL);
}
static ssmwire_status stream_ready(uint64_t id) {
    return ssmwire_stream_ready((ssmwire_stream){id}, -1, NULL);
}
static ssmwire_status stream_read(uint64_t id) {
    uint8_t byte;
    size_t count;
    return ssmwire_stream_read((ssmwire_stream){id}, &byte, 1, -1, &count, NULL);
}
static ssmwire_status stream_write(uint64_t id) {
    size_t count;
    return ssmwire_stream_write((ssmwire_stream){id}, (const uint8_t *)"x", 1, -1, &count, NULL);
}
static ssmwire_status stream_flush(uint64_t id) {
    return ssmwire_stream_flush((ssmwire_stream){id}, -1, NULL);
}
static ssmwire_status forward_ready(uint64_t id) {
    return ssmwire_forward_ready((ssmwire_forward){id}, -1, NULL);
}
static ssmwire_status forward_event(uint64_t id) {
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    return ssmwire_forward_event((ssmwire_forward){id}, -1, &event, NULL);
}
static ssmwire_status queue_wait(uint64_t id) {
    uint64_t tag;
    size_t count;
    return ssmwire_queue_wait((ssmwire_queue){id}, &tag, 1, -1, &count, NULL);
}

static void *run_it(void *argument) {
    struct waiter *waiter = argument;
    waiter->status = waiter->wait(waiter->id);
    return NULL;
}

static ssmwire_session start(ssmwire_client client) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_session session;
    options.target = TARGET;
    CHECK_OK(ssmwire_session_start(client, &options, &session, &error));
    return session;
}

static uint64_t dial(ssmwire_client client) {
    ssmwire_port_options options = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_stream stream;
    options.target = TARGET;
    options.port = 22;
    CHECK_OK(ssmwire_dial_start(client, &options, &stream, &error));
    return stream.id;
}

static char region[64];

/* From now on a client without a region is not made for a while: it asks for one where nobody answers. */
static void hide_region(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    char url[64];
    CHECK(bind(silent, (struct sockaddr *)&address, length) == 0 && listen(silent, 16) == 0);
    CHECK(getsockname(silent, (struct sockaddr *)&address, &length) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    snprintf(region, sizeof region, "%s", getenv("AWS_REGION"));
    /* Before the first call of the library: no other thread looks at the environment. */
    CHECK(unsetenv("AWS_REGION") == 0 && unsetenv("AWS_DEFAULT_REGION") == 0);
    CHECK(setenv("AWS_CONFIG_FILE", "/dev/null", 1) == 0);
    CHECK(setenv("AWS_EC2_METADATA_DISABLED", "false", 1) == 0);
    CHECK(setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1) == 0);
}

static void close_under_a_client(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    struct waiter waiter = {"client_ready", 0, client_ready, 0, 0};
    int tries = 0;
    do {
        ssmwire_client client;
        CHECK_OK(ssmwire_client_open(&options, &client, &error));
        waiter.id = client.id;
        CHECK(pthread_create(&waiter.thread, NULL, run_it, &waiter) == 0);
        usleep(100000);
        CHECK_OK(ssmwire_client_close(client, 0, &error));
        CHECK(pthread_join(waiter.thread, NULL) == 0);
        /* On a very busy machine the search for a region may be over first, without success. */
    } while (waiter.status == SSMWIRE_INVALID_ARGUMENT && ++tries < 20);
    CHECK(waiter.status == SSMWIRE_BAD_HANDLE);
}

static void close_under_all(ssmwire_client client) {
    ssmwire_port_options port = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_session session = start(client);
    ssmwire_forward forward;
    ssmwire_queue queue;
    ssmwire_run run;
    size_t i;
    port.target = command.target = TARGET;
    port.port = 22;
    command.line = "true";
    CHECK_OK(ssmwire_forward_start(client, &port, &forward, &error));
    CHECK_OK(ssmwire_run_start(client, &command, &run, &error));
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    struct waiter waiters[] = {
        {"session_ready", session.id, session_ready, 0, 0},
        {"session_exit_code", start(client).id, session_exit_code, 0, 0},
        {"session_event", session.id, session_event, 0, 0},
        {"run_wait", run.id, run_wait, 0, 0},
        {"stream_ready", dial(client), stream_ready, 0, 0},
        {"stream_read", dial(client), stream_read, 0, 0},
        {"stream_write", dial(client), stream_write, 0, 0},
        {"stream_flush", dial(client), stream_flush, 0, 0},
        {"forward_ready", forward.id, forward_ready, 0, 0},
        {"forward_event", forward.id, forward_event, 0, 0},
        {"queue_wait", queue.id, queue_wait, 0, 0},
    };
    size_t count = sizeof waiters / sizeof *waiters;
    for (i = 0; i < count; i++) {
        CHECK(pthread_create(&waiters[i].thread, NULL, run_it, &waiters[i]) == 0);
    }
    usleep(300000);
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_session_close((ssmwire_session){waiters[1].id}, 0, &error));
    CHECK_OK(ssmwire_run_close(run, &error));
    for (i = 4; i < 8; i++) {
        CHECK_OK(ssmwire_stream_close((ssmwire_stream){waiters[i].id}, &error));
    }
    CHECK_OK(ssmwire_forward_close(forward, 0, &error));
    CHECK_OK(ssmwire_queue_close(queue, &error));
    for (i = 0; i < count; i++) {
        CHECK(pthread_join(waiters[i].thread, NULL) == 0);
        if (waiters[i].status != SSMWIRE_BAD_HANDLE) {
            fprintf(stderr, "%s: %d\n", waiters[i].name, (int)waiters[i].status);
            abort();
        }
    }
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static ssmwire_client asking;
static bool is_done;

/* Closes everything of its own client, itself among it; and what it must not do, it is told. */
static void close_all(ssmwire_request request, void *context) {
    ssmwire_credentials credentials = SSMWIRE_CREDENTIALS_INIT;
    credentials.access_key_id = "";
    credentials.secret_access_key = "x";
    CHECK_STATUS(SSMWIRE_INVALID_ARGUMENT, ssmwire_credentials_answer(request, &credentials, NULL));
    credentials.access_key_id = "x";
    credentials.expires_at = -1;
    CHECK_STATUS(SSMWIRE_INVALID_ARGUMENT, ssmwire_credentials_answer(request, &credentials, NULL));
    pthread_mutex_lock(&lock);
    CHECK_OK(ssmwire_session_close(*(ssmwire_session *)context, 0, NULL));
    CHECK_OK(ssmwire_client_close(asking, SOON, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_client_close(asking, SOON, NULL));
    is_done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void close_in_a_callback(void) {
    static ssmwire_session session;
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    options.region = region;
    options.credentials = close_all;
    options.credentials_context = &session;
    pthread_mutex_lock(&lock);
    CHECK_OK(ssmwire_client_open(&options, &asking, &error));
    session = start(asking);
    while (!is_done) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static ssmwire_status of_shutdown;

static void shut_down(ssmwire_request request, void *context) {
    (void)request;
    (void)context;
    pthread_mutex_lock(&lock);
    of_shutdown = ssmwire_shutdown(-1, NULL);
    is_done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void shut_down_in_a_callback(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    options.region = region;
    options.credentials = shut_down;
    is_done = false;
    pthread_mutex_lock(&lock);
    CHECK_OK(ssmwire_client_open(&options, &asking, &error));
    start(asking);
    while (!is_done) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    CHECK(of_shutdown == SSMWIRE_BUSY);
}

int main(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_client client;
    hide_region();
    close_under_a_client();
    options.region = region;
    options.credentials = never;
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    close_under_all(client);
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    close_in_a_callback();
    shut_down_in_a_callback();
    finish();
    return 0;
}
