/* What somebody would pass who wants to break in: kinds, sizes, lengths, times and texts that can't be. */
#include <limits.h>
#include <stddef.h>

#include "test.h"

#define WRONG SSMWIRE_INVALID_ARGUMENT
/* Not UTF-8, in any place of a text. */
#define ODD "a\xc3(b"

static ssmwire_client client;
static ssmwire_session session;
static ssmwire_stream stream;
static ssmwire_forward forward;
static ssmwire_queue queue;
static ssmwire_run run;

static ssmwire_status ask_client(uint64_t id) {
    return ssmwire_client_ready((ssmwire_client){id}, 0, NULL);
}
static ssmwire_status ask_session(uint64_t id) {
    return ssmwire_session_resize((ssmwire_session){id}, 80, 24, NULL);
}
static ssmwire_status ask_stream(uint64_t id) {
    return ssmwire_stream_ready((ssmwire_stream){id}, 0, NULL);
}
static ssmwire_status ask_forward(uint64_t id) {
    return ssmwire_forward_ready((ssmwire_forward){id}, 0, NULL);
}
static ssmwire_status ask_queue(uint64_t id) {
    return ssmwire_queue_wake((ssmwire_queue){id}, NULL);
}
static ssmwire_status ask_run(uint64_t id) {
    return ssmwire_run_wait((ssmwire_run){id}, 0, NULL, NULL);
}

/* Every id in place of every other kind, and every id with any one bit changed. */
static void forged(void) {
    ssmwire_status (*const ask[])(uint64_t) = {ask_client, ask_session, ask_stream, ask_forward, ask_queue, ask_run};
    const uint64_t ids[] = {client.id, session.id, stream.id, forward.id, queue.id, run.id};
    int asked, given, bit;
    for (asked = 0; asked < 6; asked++) {
        CHECK(ask[asked](ids[asked]) < 100);
        for (given = 0; given < 6; given++) {
            CHECK(asked == given || ask[asked](ids[given]) == SSMWIRE_BAD_HANDLE);
        }
        for (bit = 0; bit < 64; bit++) {
            CHECK_STATUS(SSMWIRE_BAD_HANDLE, ask[asked](ids[asked] ^ (uint64_t)1 << bit));
        }
    }
}

/* Times of any sign and size, where there is no need to wait. */
static void times(void) {
    const int64_t all[] = {INT64_MIN, -1, 0, 1000, INT64_MAX / 1000000, INT64_MAX};
    size_t i, count;
    uint64_t tag;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_OK(ssmwire_client_ready(client, all[i], NULL));
        CHECK_OK(ssmwire_session_ready(session, all[i], NULL));
        CHECK_OK(ssmwire_stream_ready(stream, all[i], NULL));
        CHECK_OK(ssmwire_forward_ready(forward, all[i], NULL));
        CHECK_OK(ssmwire_run_wait(run, all[i], NULL, NULL));
        CHECK_OK(ssmwire_queue_wake(queue, NULL));
        CHECK_OK(ssmwire_queue_wait(queue, &tag, 1, all[i], &count, NULL));
        CHECK(count == 0);
    }
}

static void lengths(void) {
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_parameter parameter = {NULL, "1"};
    const char *argument = "true";
    _Alignas(8) uint8_t bytes[32] = {0};
    uint64_t *askew = (uint64_t *)(void *)(bytes + 1);
    ssmwire_session other;
    ssmwire_run none;
    char address[64];
    size_t count = 1;
    CHECK_OK(ssmwire_stream_write(stream, NULL, 0, -1, &count, NULL));
    CHECK(count == 0);
    CHECK_STATUS(WRONG, ssmwire_stream_write(stream, bytes, SIZE_MAX, -1, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_stream_write(stream, bytes, 1, -1, NULL, NULL));
    CHECK_STATUS(WRONG, ssmwire_stream_read(stream, NULL, 0, -1, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, SSMWIRE_STDOUT, 0, bytes, SIZE_MAX, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, SSMWIRE_STDOUT, 0, bytes, 0, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, SSMWIRE_STDOUT, 0, NULL, 0, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, SSMWIRE_STDOUT, 0, bytes, 1, NULL, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, 0, 0, bytes, 1, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_run_read(run, INT_MIN, 0, bytes, 1, &count, NULL));
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_run_read(run, SSMWIRE_STDOUT, UINT64_MAX, bytes, 1, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_forward_address(forward, address, SIZE_MAX, NULL));
    CHECK_STATUS(WRONG, ssmwire_forward_address(forward, address, 0, NULL));
    CHECK_STATUS(WRONG, ssmwire_forward_address(forward, NULL, 64, NULL));
    CHECK_STATUS(WRONG, ssmwire_queue_wait(queue, askew, 1, 0, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_queue_wait(queue, (uint64_t *)(void *)bytes, SIZE_MAX, 0, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_queue_wait(queue, (uint64_t *)(void *)bytes, 0, 0, &count, NULL));
    CHECK_STATUS(WRONG, ssmwire_queue_wait(queue, (uint64_t *)(void *)bytes, 1, 0, NULL, NULL));
    start.target = command.target = TARGET;
    start.parameters = &parameter;
    start.parameters_len = SIZE_MAX;
    CHECK_STATUS(WRONG, ssmwire_session_start(client, &start, &other, NULL));
    start.parameters_len = 1;
    CHECK_STATUS(WRONG, ssmwire_session_start(client, &start, &other, NULL));
    command.arguments = &argument;
    command.arguments_len = SIZE_MAX;
    CHECK_STATUS(WRONG, ssmwire_run_start(client, &command, &none, NULL));
    command.arguments_len = 1;
    command.input_len = 1;
    CHECK_STATUS(WRONG, ssmwire_run_start(client, &command, &none, NULL));
    command.input = bytes;
    command.input_len = SIZE_MAX;
    CHECK_STATUS(WRONG, ssmwire_run_start(client, &command, &none, NULL));
    command.input_len = 1;
    CHECK_STATUS(WRONG, ssmwire_command_start(client, &command, &other, NULL));
    CHECK(other.id == 0 && none.id == 0);
}

/* Sets each text in turn to one that is none. */
#define ODD_TEXT(options, field, call)                                                                                 \
    do {                                                                                                               \
        const char *before_ = (options).field;                                                                         \
        (options).field = ODD;                                                                                         \
        CHECK_STATUS(WRONG, call);                                                                                     \
        CHECK(strstr(error.message, "`" #field "`") != NULL);                                                          \
        (options).field = before_;                                                                                     \
    } while (0)

static void texts(void) {
    ssmwire_client_options open = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_session_options start = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_port_options port = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_ecs_exec_options exec = SSMWIRE_ECS_EXEC_OPTIONS_INIT;
    ssmwire_attach_options attach = SSMWIRE_ATTACH_OPTIONS_INIT;
    ssmwire_client other;
    ssmwire_session begun;
    ssmwire_forward opened;
    ssmwire_stream dialled;
    ssmwire_run started;
    open.access_key_id = open.secret_access_key = "x";
    start.target = command.target = port.target = TARGET;
    command.line = exec.task = exec.command = attach.session_id = attach.stream_url = attach.token = "x";
    port.port = 1;
    ODD_TEXT(open, region, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, profile, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, access_key_id, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, secret_access_key, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, session_token, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, ssm_endpoint, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, ssmmessages_endpoint, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, kms_endpoint, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, ecs_endpoint, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, ca_bundle, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(open, proxy, ssmwire_client_open(&open, &other, &error));
    ODD_TEXT(start, target, ssmwire_session_start(client, &start, &begun, &error));
    ODD_TEXT(start, document, ssmwire_shell_start(client, &start, &begun, &error));
    ODD_TEXT(start, reason, ssmwire_session_start(client, &start, &begun, &error));
    ODD_TEXT(command, target, ssmwire_command_start(client, &command, &begun, &error));
    ODD_TEXT(command, line, ssmwire_run_start(client, &command, &started, &error));
    ODD_TEXT(command, document, ssmwire_run_start(client, &command, &started, &error));
    ODD_TEXT(command, reason, ssmwire_command_start(client, &command, &begun, &error));
    ODD_TEXT(port, target, ssmwire_dial_start(client, &port, &dialled, &error));
    ODD_TEXT(port, host, ssmwire_forward_start(client, &port, &opened, &error));
    ODD_TEXT(port, document, ssmwire_forward_start(client, &port, &opened, &error));
    ODD_TEXT(port, reason, ssmwire_dial_start(client, &port, &dialled, &error));
    ODD_TEXT(port, bind, ssmwire_forward_start(client, &port, &opened, &error));
    ODD_TEXT(exec, cluster, ssmwire_ecs_exec_start(client, &exec, &begun, &error));
    ODD_TEXT(exec, task, ssmwire_ecs_exec_start(client, &exec, &begun, &error));
    ODD_TEXT(exec, container, ssmwire_ecs_exec_start(client, &exec, &begun, &error));
    ODD_TEXT(exec, command, ssmwire_ecs_exec_start(client, &exec, &begun, &error));
    ODD_TEXT(attach, session_id, ssmwire_session_attach(client, &attach, &begun, &error));
    ODD_TEXT(attach, stream_url, ssmwire_session_attach(client, &attach, &begun, &error));
    ODD_TEXT(attach, token, ssmwire_session_attach(client, &attach, &begun, &error));
    ODD_TEXT(attach, target, ssmwire_session_attach(client, &attach, &begun, &error));
}

/* Sizes that can't be, and a program that was built for a later library. */
static void sizes(void) {
    struct {
        ssmwire_session_options known;
        uint64_t later;
    } start = {SSMWIRE_SESSION_OPTIONS_INIT, 0};
    const size_t bad[] = {0, 1, sizeof(size_t) - 1, SIZE_MAX, SIZE_MAX / 2, 1 << 20};
    ssmwire_session_info info = SSMWIRE_SESSION_INFO_INIT;
    ssmwire_session_stats stats = SSMWIRE_SESSION_STATS_INIT;
    ssmwire_forward_stats forward_stats = SSMWIRE_FORWARD_STATS_INIT;
    ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    ssmwire_error none = SSMWIRE_ERROR_INIT;
    ssmwire_session other;
    size_t i;
    start.known.target = TARGET;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        start.known.size = bad[i];
        CHECK_STATUS(WRONG, ssmwire_session_start(client, &start.known, &other, NULL));
    }
    start.known.size = sizeof start;
    CHECK_OK(ssmwire_session_start(client, &start.known, &other, NULL));
    CHECK_OK(ssmwire_session_close(other, 0, NULL));
    start.later = 1;
    CHECK_STATUS(WRONG, ssmwire_session_start(client, &start.known, &other, &error));
    CHECK(strstr(error.message, "this version") != NULL);
    info.size = stats.size = forward_stats.size = result.size = event.size = none.size = 0;
    none.status = 7;
    CHECK_STATUS(WRONG, ssmwire_session_get_info(session, &info, &none));
    CHECK_STATUS(WRONG, ssmwire_session_get_stats(session, &stats, &none));
    CHECK_STATUS(WRONG, ssmwire_session_event(session, 0, &event, &none));
    CHECK_STATUS(WRONG, ssmwire_forward_get_stats(forward, &forward_stats, &none));
    CHECK_STATUS(WRONG, ssmwire_forward_event(forward, 0, &event, &none));
    CHECK_STATUS(WRONG, ssmwire_run_wait(run, 0, &result, &none));
    CHECK(none.status == 7);
}

/* Switches that are neither 0 nor 1. */
static void switches(void) {
    const uint8_t on[] = {1, 2, 255};
    size_t i, count;
    for (i = 0; i < sizeof on; i++) {
        ssmwire_client_options open = SSMWIRE_CLIENT_OPTIONS_INIT;
        ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
        ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
        ssmwire_client other;
        ssmwire_run checked, binary;
        uint8_t byte = 0;
        open.no_resume = on[i];
        open.resume_timeout_ms = 1;
        CHECK_STATUS(WRONG, ssmwire_client_open(&open, &other, &error));
        open.resume_timeout_ms = 0;
        open.skip_tls_verification = open.attach_only = on[i];
        CHECK_OK(ssmwire_client_open(&open, &other, &error));
        CHECK_OK(ssmwire_client_ready(other, SOON, &error));
        CHECK_OK(ssmwire_client_close(other, SOON, &error));
        command.target = TARGET;
        command.line = "exit 3";
        command.is_checked = on[i];
        CHECK_OK(ssmwire_run_start(client, &command, &checked, &error));
        CHECK_STATUS(SSMWIRE_COMMAND_FAILED, ssmwire_run_wait(checked, SOON, NULL, &error));
        command.is_checked = 0;
        command.line = "printf '\\377'";
        command.is_binary = on[i];
        CHECK_OK(ssmwire_run_start(client, &command, &binary, &error));
        CHECK_OK(ssmwire_run_wait(binary, SOON, &result, &error));
        CHECK_OK(ssmwire_run_read(binary, SSMWIRE_STDOUT, 0, &byte, 1, &count, &error));
        CHECK(result.stdout_len == 1 && byte == 255);
    }
}

/* A program that was built for an earlier library: what is behind its structs is none of theirs. */
static void smaller(void) {
    ssmwire_client_options open;
    ssmwire_command_options command;
    ssmwire_port_options port;
    ssmwire_client other;
    ssmwire_stream dialled;
    ssmwire_run started;
    memset(&open, 0xA5, sizeof open);
    memset(&open, 0, offsetof(ssmwire_client_options, skip_tls_verification));
    open.size = offsetof(ssmwire_client_options, skip_tls_verification);
    CHECK_OK(ssmwire_client_open(&open, &other, &error));
    CHECK_OK(ssmwire_client_ready(other, SOON, &error));
    memset(&command, 0xA5, sizeof command);
    memset(&command, 0, offsetof(ssmwire_command_options, is_binary));
    command.size = offsetof(ssmwire_command_options, is_binary);
    command.target = TARGET;
    command.line = "exit 3";
    CHECK_OK(ssmwire_run_start(other, &command, &started, &error));
    CHECK_OK(ssmwire_run_wait(started, SOON, NULL, &error));
    memset(&port, 0xA5, sizeof port);
    memset(&port, 0, offsetof(ssmwire_port_options, document));
    port.size = offsetof(ssmwire_port_options, document);
    port.target = TARGET;
    port.port = 9;
    CHECK_OK(ssmwire_dial_start(other, &port, &dialled, &error));
    CHECK_OK(ssmwire_client_close(other, SOON, &error));
}

static void watches(void) {
    ssmwire_queue second, closed;
    uint64_t tag;
    size_t count;
    CHECK_OK(ssmwire_queue_open(&second, NULL));
    CHECK_OK(ssmwire_queue_open(&closed, NULL));
    CHECK_OK(ssmwire_queue_close(closed, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_session_watch(session, closed, 1, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_stream_watch(stream, closed, 1, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_forward_watch(forward, closed, 1, NULL));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_run_watch(run, closed, 1, NULL));
    /* The second queue takes a stream over; then it goes away while the stream has something to say. */
    CHECK_OK(ssmwire_stream_watch(stream, queue, 1, NULL));
    CHECK_OK(ssmwire_queue_wait(queue, &tag, 1, SOON, &count, NULL));
    CHECK(count == 1 && tag == 1);
    CHECK_OK(ssmwire_stream_watch(stream, second, 2, NULL));
    CHECK_OK(ssmwire_queue_wait(second, &tag, 1, SOON, &count, NULL));
    CHECK(count == 1 && tag == 2);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_stream_read(stream, (uint8_t *)&tag, 1, 0, &count, NULL));
    CHECK_OK(ssmwire_queue_close(second, NULL));
    write_all(stream, "there", 5);
    read_until(stream, "there");
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_queue_wait(queue, &tag, 1, 0, &count, NULL));
}

int main(void) {
    ssmwire_port_options port = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    client = open_client();
    session = start_echo(client, &stream);
    port.target = command.target = TARGET;
    port.port = 9;
    command.line = "true";
    CHECK_OK(ssmwire_forward_start(client, &port, &forward, &error));
    CHECK_OK(ssmwire_forward_ready(forward, SOON, &error));
    CHECK_OK(ssmwire_run_start(client, &command, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, NULL, &error));
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    forged();
    times();
    lengths();
    texts();
    sizes();
    switches();
    smaller();
    watches();
    CHECK_STATUS(WRONG, ssmwire_set_log(NULL, NULL, -1, NULL));
    finish();
    return 0;
}
