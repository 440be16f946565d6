/* The two functions of the caller: for the log, and for credentials. */
#include <pthread.h>

#include "test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, logged;
static bool has_leaked;
static ssmwire_request waiting;

static void answer(ssmwire_request request) {
    ssmwire_credentials credentials = SSMWIRE_CREDENTIALS_INIT;
    credentials.access_key_id = getenv("AWS_ACCESS_KEY_ID");
    credentials.secret_access_key = getenv("AWS_SECRET_ACCESS_KEY");
    credentials.expires_at = 4102444800;
    CHECK_OK(ssmwire_credentials_answer(request, &credentials, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_credentials_answer(request, &credentials, NULL));
}

static void supply(ssmwire_request request, void *context) {
    CHECK(context == &asked);
    pthread_mutex_lock(&lock);
    asked++;
    waiting = request;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void refuse(ssmwire_request request, void *context) {
    ssmwire_credentials credentials = SSMWIRE_CREDENTIALS_INIT;
    (void)context;
    credentials.problem = "the vault is shut";
    CHECK_OK(ssmwire_credentials_answer(request, &credentials, NULL));
}

static void note(int level, const char *target, const char *message, void *context) {
    CHECK(context == &logged && level >= SSMWIRE_LOG_ERROR && level <= SSMWIRE_LOG_TRACE);
    CHECK(strncmp(target, "ssmwire", 7) == 0);
    pthread_mutex_lock(&lock);
    logged++;
    has_leaked |= strstr(message, getenv("AWS_SECRET_ACCESS_KEY")) != NULL || strstr(message, "hunter2") != NULL;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int records(void) {
    int count;
    pthread_mutex_lock(&lock);
    count = logged;
    pthread_mutex_unlock(&lock);
    return count;
}

int main(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_attach_options attach = SSMWIRE_ATTACH_OPTIONS_INIT;
    ssmwire_client client;
    ssmwire_session session;
    ssmwire_stream stream;
    int before;
    CHECK_OK(ssmwire_set_log(note, &logged, SSMWIRE_LOG_TRACE, &error));
    options.credentials = supply;
    options.credentials_context = &asked;
    start.target = TARGET;
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    CHECK_OK(ssmwire_session_start(client, &start, &session, &error));
    pthread_mutex_lock(&lock);
    while (asked == 0) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_session_ready(session, 0, &error));
    answer(waiting);
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    CHECK_OK(ssmwire_session_stdio(session, &stream, &error));
    write_all(stream, "echo hunter2; exit\r", 19);
    read_until(stream, "hunter2");
    CHECK_OK(ssmwire_session_exit_code(session, SOON, NULL, NULL, &error));
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    CHECK(asked == 1);

    /* Nobody listens there, which the log tells, and not the token. */
    attach.session_id = "s-1";
    attach.stream_url = "ws://127.0.0.1:9/";
    attach.token = "hunter2";
    CHECK_OK(ssmwire_session_attach(client, &attach, &session, &error));
    CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_session_ready(session, 100, &error));
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    pthread_mutex_lock(&lock);
    while (logged == 0) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);

    /* Nobody answers: the client goes away, and the request with it. */
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    CHECK_OK(ssmwire_session_start(client, &start, &session, &error));
    pthread_mutex_lock(&lock);
    while (asked == 1) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_client_close(client, SOON, &error));

    options.credentials = refuse;
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    CHECK_OK(ssmwire_session_start(client, &start, &session, &error));
    CHECK_STATUS(SSMWIRE_CREDENTIALS_UNAVAILABLE, ssmwire_session_ready(session, SOON, &error));
    CHECK(strstr(error.message, "the vault is shut") != NULL);
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_client_close(client, SOON, &error));

    CHECK_OK(ssmwire_set_log(NULL, NULL, SSMWIRE_LOG_OFF, &error));
    before = records();
    client = open_client();
    session = start_echo(client, &stream);
    finish();
    CHECK(before == records() && !has_leaked);
    return 0;
}
