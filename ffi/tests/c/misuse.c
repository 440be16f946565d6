/* What callers do wrong is told, and does no harm. */
#include "test.h"

/* Calls every function with handles that lead nowhere. */
static void nowhere(uint64_t id, ssmwire_status expected) {
    ssmwire_client client = {id};
    ssmwire_session session = {id};
    ssmwire_stream stream = {id};
    ssmwire_forward forward = {id};
    ssmwire_queue queue = {id};
    ssmwire_request request = {id};
    ssmwire_run run = {id};
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_ecs_exec_options exec = SSMWIRE_ECS_EXEC_OPTIONS_INIT;
    ssmwire_attach_options attach = SSMWIRE_ATTACH_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_port_options port = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_credentials credentials = SSMWIRE_CREDENTIALS_INIT;
    ssmwire_session_info info = SSMWIRE_SESSION_INFO_INIT;
    ssmwire_session_stats stats = SSMWIRE_SESSION_STATS_INIT;
    ssmwire_forward_stats forward_stats = SSMWIRE_FORWARD_STATS_INIT;
    ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    uint8_t byte = 0;
    uint64_t tag;
    size_t count;
    char text[8];
    int fd;
    start.target = command.target = port.target = "local";
    attach.session_id = attach.stream_url = attach.token = command.line = exec.task = exec.command = "x";
    credentials.problem = "none";
    port.port = 1;
    CHECK_STATUS(expected, ssmwire_client_ready(client, 0, &error));
    CHECK_STATUS(expected, ssmwire_client_close(client, 0, &error));
    CHECK_STATUS(expected, ssmwire_credentials_answer(request, &credentials, &error));
    CHECK_STATUS(expected, ssmwire_session_start(client, &start, &session, &error));
    CHECK(session.id == 0);
    CHECK_STATUS(expected, ssmwire_session_attach(client, &attach, &session, &error));
    CHECK_STATUS(expected, ssmwire_ecs_exec_start(client, &exec, &session, &error));
    CHECK_STATUS(expected, ssmwire_shell_start(client, &start, &session, &error));
    CHECK_STATUS(expected, ssmwire_command_start(client, &command, &session, &error));
    CHECK_STATUS(expected, ssmwire_run_start(client, &command, &run, &error));
    CHECK_STATUS(expected, ssmwire_dial_start(client, &port, &stream, &error));
    CHECK_STATUS(expected, ssmwire_forward_start(client, &port, &forward, &error));
    session.id = stream.id = forward.id = run.id = id;
    CHECK_STATUS(expected, ssmwire_session_ready(session, -1, &error));
    CHECK_STATUS(expected, ssmwire_session_stdio(session, &stream, &error));
    CHECK_STATUS(expected, ssmwire_session_stderr(session, &stream, &error));
    CHECK_STATUS(expected, ssmwire_session_connect(session, &stream, &error));
    stream.id = id;
    CHECK_STATUS(expected, ssmwire_session_resize(session, 1, 1, &error));
    CHECK_STATUS(expected, ssmwire_session_exit_code(session, -1, NULL, NULL, &error));
    CHECK_STATUS(expected, ssmwire_session_event(session, -1, &event, &error));
    CHECK_STATUS(expected, ssmwire_session_get_info(session, &info, &error));
    CHECK_STATUS(expected, ssmwire_session_get_stats(session, &stats, &error));
    CHECK_STATUS(expected, ssmwire_session_watch(session, queue, 1, &error));
    CHECK_STATUS(expected, ssmwire_session_close(session, -1, &error));
    CHECK_STATUS(expected, ssmwire_run_wait(run, -1, &result, &error));
    CHECK_STATUS(expected, ssmwire_run_read(run, SSMWIRE_STDOUT, 0, &byte, 1, &count, &error));
    CHECK_STATUS(expected, ssmwire_run_watch(run, queue, 1, &error));
    CHECK_STATUS(expected, ssmwire_run_stop(run, &error));
    CHECK_STATUS(expected, ssmwire_run_close(run, &error));
    CHECK_STATUS(expected, ssmwire_stream_ready(stream, -1, &error));
    CHECK_STATUS(expected, ssmwire_stream_read(stream, &byte, 1, -1, &count, &error));
    CHECK_STATUS(expected, ssmwire_stream_write(stream, &byte, 1, -1, &count, &error));
    CHECK_STATUS(expected, ssmwire_stream_flush(stream, -1, &error));
    CHECK_STATUS(expected, ssmwire_stream_finish(stream, &error));
    CHECK_STATUS(expected, ssmwire_stream_into_fd(stream, &fd, &error));
    CHECK(fd == -1);
    CHECK_STATUS(expected, ssmwire_stream_watch(stream, queue, 1, &error));
    CHECK_STATUS(expected, ssmwire_stream_close(stream, &error));
    CHECK_STATUS(expected, ssmwire_forward_ready(forward, -1, &error));
    CHECK_STATUS(expected, ssmwire_forward_address(forward, text, sizeof text, &error));
    CHECK_STATUS(expected, ssmwire_forward_event(forward, -1, &event, &error));
    CHECK_STATUS(expected, ssmwire_forward_get_stats(forward, &forward_stats, &error));
    CHECK_STATUS(expected, ssmwire_forward_watch(forward, queue, 1, &error));
    CHECK_STATUS(expected, ssmwire_forward_close(forward, -1, &error));
    CHECK(ssmwire_queue_fd(queue) == -1);
    CHECK_STATUS(expected, ssmwire_queue_wait(queue, &tag, 1, -1, &count, &error));
    CHECK_STATUS(expected, ssmwire_queue_wake(queue, &error));
    CHECK_STATUS(expected, ssmwire_queue_close(queue, &error));
}

/* Passes NULL wherever something has to be. */
static void nothing(ssmwire_client client, ssmwire_stream stream) {
    ssmwire_status wrong = SSMWIRE_INVALID_ARGUMENT;
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_port_options port = SSMWIRE_PORT_OPTIONS_INIT;
    const char *arguments[] = {"true", NULL};
    ssmwire_session session;
    ssmwire_client other;
    ssmwire_run run;
    uint8_t byte;
    size_t count = 1;
    CHECK_STATUS(wrong, ssmwire_client_open(NULL, &other, &error));
    CHECK_STATUS(wrong, ssmwire_client_open(&options, NULL, &error));
    CHECK_STATUS(wrong, ssmwire_session_start(client, NULL, &session, &error));
    CHECK_STATUS(wrong, ssmwire_session_start(client, &start, &session, &error));
    CHECK(strstr(error.message, "`target`") != NULL);
    start.target = TARGET;
    start.parameters_len = 1;
    CHECK_STATUS(wrong, ssmwire_session_start(client, &start, &session, &error));
    start.parameters_len = 0;
    CHECK_STATUS(wrong, ssmwire_session_start(client, &start, NULL, NULL));
    start.target = "\xff";
    CHECK_STATUS(wrong, ssmwire_session_start(client, &start, &session, &error));
    command.target = TARGET;
    CHECK_STATUS(wrong, ssmwire_run_start(client, &command, &run, &error));
    command.arguments = arguments;
    command.arguments_len = 2;
    CHECK_STATUS(wrong, ssmwire_run_start(client, &command, &run, &error));
    command.arguments_len = 1;
    command.line = "true";
    CHECK_STATUS(wrong, ssmwire_run_start(client, &command, &run, &error));
    port.target = TARGET;
    CHECK_STATUS(wrong, ssmwire_dial_start(client, &port, &stream, &error));
    CHECK(stream.id == 0);
    options.access_key_id = "";
    options.secret_access_key = "whole";
    CHECK_STATUS(wrong, ssmwire_client_open(&options, &other, &error));
    CHECK(strstr(error.message, "`access_key_id`") != NULL && other.id == 0);
    options.access_key_id = "whole";
    options.secret_access_key = "";
    CHECK_STATUS(wrong, ssmwire_client_open(&options, &other, &error));
    CHECK(strstr(error.message, "`secret_access_key`") != NULL);
    options.access_key_id = options.secret_access_key = NULL;
    options.session_token = "without keys";
    CHECK_STATUS(wrong, ssmwire_client_open(&options, &other, &error));
    options.session_token = NULL;
    options.access_key_id = "half";
    CHECK_STATUS(wrong, ssmwire_client_open(&options, &other, &error));
    CHECK(strstr(error.message, "`secret_access_key`") != NULL);
    CHECK_STATUS(wrong, ssmwire_stream_read(stream, NULL, 1, 0, &count, &error));
    CHECK(count == 0);
    CHECK_STATUS(wrong, ssmwire_stream_read(stream, &byte, 0, 0, &count, &error));
    CHECK_STATUS(wrong, ssmwire_stream_read(stream, &byte, SIZE_MAX, 0, &count, &error));
    CHECK_STATUS(wrong, ssmwire_stream_read(stream, &byte, 1, 0, NULL, &error));
    CHECK_STATUS(wrong, ssmwire_stream_write(stream, NULL, 1, 0, &count, &error));
    CHECK_STATUS(wrong, ssmwire_queue_open(NULL, &error));
    CHECK_STATUS(wrong, ssmwire_set_log(NULL, NULL, 6, &error));
}

/* A program that was built when the structs were smaller. */
static void sizes(ssmwire_client client) {
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_session_stats stats = SSMWIRE_SESSION_STATS_INIT;
    ssmwire_error small = SSMWIRE_ERROR_INIT;
    ssmwire_session session;
    ssmwire_stream stream;
    /* Behind the target everything is the default, whatever is there. */
    start.size = offsetof(ssmwire_session_options, document);
    start.target = TARGET;
    start.document = "no such document";
    CHECK_OK(ssmwire_session_start(client, &start, &session, &error));
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    start.size = 0;
    CHECK_STATUS(SSMWIRE_INVALID_ARGUMENT, ssmwire_session_start(client, &start, &session, &error));
    session = start_echo(client, &stream);
    stats.size = offsetof(ssmwire_session_stats, bytes_out);
    stats.bytes_out = 12345;
    CHECK_OK(ssmwire_session_get_stats(session, &stats, &error));
    CHECK(stats.size == offsetof(ssmwire_session_stats, bytes_out) && stats.bytes_in > 0 && stats.bytes_out == 12345);
    small.size = offsetof(ssmwire_error, message);
    strcpy(small.message, "untouched");
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_session_close((ssmwire_session){1}, 0, &small));
    CHECK(small.status == SSMWIRE_BAD_HANDLE && strcmp(small.message, "untouched") == 0);
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
}

int main(void) {
    ssmwire_client client = open_client();
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    uint64_t id = 1, step;
    nothing(client, stream);
    sizes(client);
    nowhere(0, SSMWIRE_BAD_HANDLE);
    nowhere(UINT64_MAX, SSMWIRE_BAD_HANDLE);
    for (step = 0; step < 200; step++) {
        id = id * 6364136223846793005u + 1442695040888963407u;
        nowhere(id | (uint64_t)1 << 63, SSMWIRE_BAD_HANDLE);
    }
    /* An id of another kind. */
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_stream_close((ssmwire_stream){session.id}, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_session_close((ssmwire_session){stream.id}, 0, &error));
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    nowhere(session.id, SSMWIRE_BAD_HANDLE);
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    nowhere(client.id, SSMWIRE_BAD_HANDLE);
    CHECK(strcmp(ssmwire_status_name(12345), "unknown") == 0);
    finish();
    finish();
    return 0;
}
