/* Everything once: a run, a command, a shell, an echo, ports, and what can be asked of them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static void run(ssmwire_client client) {
    const char *arguments[] = {"sh", "-c", "printf 'it is \"me\"'; printf oops >&2; exit 3"};
    ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
    ssmwire_run run;
    char text[64];
    size_t count;
    int64_t limit;
    options.target = TARGET;
    options.arguments = arguments;
    options.arguments_len = 3;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.is_over && result.has_exit_code && result.exit_code == 3 && !result.is_enveloped);
    CHECK(result.stdout_len == 10 && result.stderr_len == 4);
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDOUT, 0, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 10 && memcmp(text, "it is \"me\"", count) == 0);
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDERR, 2, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 2 && memcmp(text, "ps", count) == 0);
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_run_read(run, SSMWIRE_STDERR, 4, (uint8_t *)text, 4, &count, &error));
    CHECK_OK(ssmwire_run_close(run, &error));

    /* Every byte arrives as it is, if asked for. */
    options.arguments_len = 0;
    options.line = "printf '\\377\\000\\200'";
    options.is_binary = true;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.is_enveloped && result.exit_code == 0);
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDOUT, 0, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 3 && memcmp(text, "\377\000\200", 3) == 0);
    CHECK_OK(ssmwire_run_close(run, &error));

    /* What had arrived before the time was over can be read. */
    options.is_binary = false;
    options.line = "echo early; sleep 60";
    result.stdout_len = 0;
    for (limit = 1500; result.stdout_len == 0; limit *= 2) {
        /* Valgrind beside others may need longer to start it. */
        CHECK(limit < SOON);
        options.run_timeout_ms = limit;
        CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
        CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_run_wait(run, 1, &result, &error));
        CHECK(!result.is_over);
        CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_run_wait(run, SOON, &result, &error));
        CHECK(result.is_over && (result.stdout_len == 6 || result.stdout_len == 0));
        CHECK_OK(ssmwire_run_close(run, &error));
    }

    /* It reads what it is given, and then its end. */
    options.run_timeout_ms = 0;
    options.is_binary = true;
    options.line = "cat; echo end";
    options.input = (const uint8_t *)"a\000\003\377";
    options.input_len = 4;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, &result, &error));
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDOUT, 0, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 8 && memcmp(text, "a\000\003\377end\n", 8) == 0);
    CHECK_OK(ssmwire_run_close(run, &error));
    options.input_len = 0;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.stdout_len == 4);
    CHECK_OK(ssmwire_run_close(run, &error));
    options.input = NULL;
    options.is_binary = false;
    options.line = "echo early; sleep 60";

    /* And what had arrived before it was stopped. */
    options.run_timeout_ms = 0;
    for (limit = 1500;; limit *= 2) {
        CHECK(limit < SOON);
        CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
        CHECK_STATUS(SSMWIRE_TIMEOUT, ssmwire_run_wait(run, limit, NULL, &error));
        CHECK_OK(ssmwire_run_stop(run, &error));
        CHECK_STATUS(SSMWIRE_CANCELLED, ssmwire_run_wait(run, SOON, &result, &error));
        CHECK(result.is_over && !result.has_exit_code);
        if (result.stdout_len == 6) {
            break;
        }
        CHECK_OK(ssmwire_run_close(run, &error));
    }
    CHECK_OK(ssmwire_run_stop(run, &error));
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDOUT, 0, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 6 && memcmp(text, "early\n", 6) == 0);
    CHECK_OK(ssmwire_run_close(run, &error));

    /* One that writes more than the caller takes is ended, and leaves as much as he does. */
    options.line = "yes";
    options.output_max = 5;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_STATUS(SSMWIRE_OUTPUT_TOO_LARGE, ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.is_over && !result.has_exit_code && result.stdout_len == 5 && result.stderr_len == 0);
    CHECK_OK(ssmwire_run_read(run, SSMWIRE_STDOUT, 0, (uint8_t *)text, sizeof text, &count, &error));
    CHECK(count == 5 && memcmp(text, "y\ny\ny", 5) == 0);
    CHECK_OK(ssmwire_run_close(run, &error));
    options.line = "printf 12345";
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_OK(ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.stdout_len == 5);
    CHECK_OK(ssmwire_run_close(run, &error));
    options.output_max = 0;

    options.line = "exit 4";
    options.is_checked = true;
    CHECK_OK(ssmwire_run_start(client, &options, &run, &error));
    CHECK_STATUS(SSMWIRE_COMMAND_FAILED, ssmwire_run_wait(run, SOON, &result, &error));
    CHECK(result.is_over && result.has_exit_code && result.exit_code == 4);
    CHECK_STATUS(SSMWIRE_COMMAND_FAILED, ssmwire_run_wait(run, SOON, NULL, &error));
    CHECK_OK(ssmwire_run_close(run, &error));
}

static void command(ssmwire_client client) {
    ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_session session;
    ssmwire_stream out, err;
    char text[64];
    size_t count;
    int32_t code = -1;
    bool is_known = false;
    options.target = TARGET;
    options.line = "echo out; echo err >&2; sleep 0.5; exit 7";
    options.reason = "a test";
    CHECK_OK(ssmwire_command_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_stdio(session, &out, &error));
    CHECK_OK(ssmwire_session_stderr(session, &err, &error));
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    read_until(out, "out\n");
    read_until(err, "err\n");
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_stream_read(out, (uint8_t *)text, sizeof text, SOON, &count, &error));
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_stream_read(err, (uint8_t *)text, sizeof text, SOON, &count, &error));
    CHECK_OK(ssmwire_session_exit_code(session, SOON, &code, &is_known, &error));
    CHECK(is_known && code == 7);
    CHECK_OK(ssmwire_stream_close(out, &error));
    CHECK_OK(ssmwire_stream_close(err, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));

    options.line = "sleep 60";
    CHECK_OK(ssmwire_command_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_stderr(session, &err, &error));
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    CHECK_STATUS(SSMWIRE_UNSUPPORTED, ssmwire_stream_write(err, (const uint8_t *)"x", 1, SOON, &count, &error));
    CHECK_OK(ssmwire_stream_close(err, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
}

static void shell(ssmwire_client client) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_session_info info = SSMWIRE_SESSION_INFO_INIT;
    ssmwire_session_stats stats = SSMWIRE_SESSION_STATS_INIT;
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    ssmwire_session session;
    ssmwire_stream stdio;
    bool is_known = true;
    options.target = TARGET;
    options.columns = 100;
    options.rows = 30;
    CHECK_OK(ssmwire_shell_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    CHECK_OK(ssmwire_session_get_info(session, &info, &error));
    CHECK(info.kind == SSMWIRE_SESSION_SHELL && strlen(info.session_id) > 4);
    CHECK_OK(ssmwire_session_stdio(session, &stdio, &error));
    write_all(stdio, "stty size\r", 10);
    read_until(stdio, "30 100");
    CHECK_OK(ssmwire_session_resize(session, 90, 20, &error));
    write_all(stdio, "sleep 0.3; stty size\r", 21);
    read_until(stdio, "20 90");
    CHECK_OK(ssmwire_stream_flush(stdio, SOON, &error));
    CHECK_OK(ssmwire_session_get_stats(session, &stats, &error));
    CHECK(stats.bytes_out >= 31 && stats.bytes_in > 0 && stats.reconnects == 0);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_session_event(session, 0, &event, &error));
    /* The shell has read its line, and the terminal is as programs want it, before anything is typed for cat. */
    write_all(stdio, "echo re''ady; exec cat\r", 23);
    read_until(stdio, "ready");
    write_all(stdio, "meow\r", 5);
    read_until(stdio, "meow\r\nmeow");
    CHECK_OK(ssmwire_stream_finish(stdio, &error));
    CHECK_OK(ssmwire_session_exit_code(session, SOON, NULL, &is_known, &error));
    CHECK(!is_known);
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_session_event(session, SOON, &event, &error));
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_session_event(session, 0, &event, &error));
    CHECK_STATUS(SSMWIRE_EOF, ssmwire_session_event(session, 0, &event, &error));
    CHECK_OK(ssmwire_stream_close(stdio, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
}

/* Sends back what one connection after the other sends, in capitals. */
static void *serve(void *argument) {
    int listener = *(int *)argument, near;
    while ((near = accept(listener, NULL, NULL)) >= 0) {
        char text[64];
        ssize_t count, at;
        while ((count = read(near, text, sizeof text)) > 0) {
            for (at = 0; at < count; at++) {
                text[at] = (char)(text[at] - 32);
            }
            CHECK(write(near, text, (size_t)count) == count);
        }
        close(near);
    }
    return NULL;
}

static void talk(int fd) {
    char text[4];
    size_t total = 0;
    CHECK(write(fd, "abcd", 4) == 4);
    while (total < 4) {
        ssize_t count = read(fd, text + total, 4 - total);
        CHECK(count > 0);
        total += (size_t)count;
    }
    CHECK(memcmp(text, "ABCD", 4) == 0);
}

static void ports(ssmwire_client client) {
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    ssmwire_port_options options = SSMWIRE_PORT_OPTIONS_INIT;
    ssmwire_session_options session_options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_forward_stats stats = SSMWIRE_FORWARD_STATS_INIT;
    ssmwire_event event = SSMWIRE_EVENT_INIT;
    ssmwire_parameter parameter;
    ssmwire_session session;
    ssmwire_forward forward;
    ssmwire_stream stream;
    pthread_t server;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
    char text[64], port[8];
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    CHECK(pthread_create(&server, NULL, serve, &listener) == 0);
    options.target = TARGET;
    options.port = ntohs(address.sin_port);

    CHECK_OK(ssmwire_dial_start(client, &options, &stream, &error));
    write_all(stream, "abc", 3);
    read_until(stream, "ABC");
    CHECK_OK(ssmwire_stream_close(stream, &error));

    CHECK_OK(ssmwire_dial_start(client, &options, &stream, &error));
    CHECK_OK(ssmwire_stream_ready(stream, SOON, &error));
    CHECK_OK(ssmwire_stream_into_fd(stream, &fd, &error));
    CHECK_STATUS(SSMWIRE_BAD_HANDLE, ssmwire_stream_close(stream, &error));
    talk(fd);
    close(fd);

    CHECK_OK(ssmwire_forward_start(client, &options, &forward, &error));
    CHECK_OK(ssmwire_forward_ready(forward, SOON, &error));
    CHECK_STATUS(SSMWIRE_INVALID_ARGUMENT, ssmwire_forward_address(forward, text, 4, &error));
    CHECK_OK(ssmwire_forward_address(forward, text, sizeof text, &error));
    CHECK(strncmp(text, "127.0.0.1:", 10) == 0);
    address.sin_port = htons((uint16_t)atoi(text + 10));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    talk(fd);
    close(fd);
    CHECK_OK(ssmwire_forward_get_stats(forward, &stats, &error));
    CHECK(stats.connections == 1 && stats.sent == 4);
    CHECK_STATUS(SSMWIRE_AGAIN, ssmwire_forward_event(forward, 0, &event, &error));
    CHECK_OK(ssmwire_forward_close(forward, SOON, &error));

    snprintf(port, sizeof port, "%u", options.port);
    parameter.name = "portNumber";
    parameter.value = port;
    session_options.target = TARGET;
    session_options.document = "AWS-StartPortForwardingSession";
    session_options.parameters = &parameter;
    session_options.parameters_len = 1;
    CHECK_OK(ssmwire_session_start(client, &session_options, &session, &error));
    CHECK_OK(ssmwire_session_connect(session, &stream, &error));
    write_all(stream, "xyz", 3);
    read_until(stream, "XYZ");
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));

    shutdown(listener, SHUT_RDWR);
    pthread_join(server, NULL);
    close(listener);

    /* Nobody listens there. */
    options.port = 1;
    CHECK_OK(ssmwire_dial_start(client, &options, &stream, &error));
    size_t count;
    CHECK_STATUS(SSMWIRE_REMOTE_CONNECT_FAILED, ssmwire_stream_read(stream, (uint8_t *)text, 1, SOON, &count, &error));
    CHECK(strlen(error.message) > 0 && strlen(error.hint) > 0 && strlen(error.session_id) > 0);
    CHECK_OK(ssmwire_stream_close(stream, &error));
}

static void container(ssmwire_client client) {
    ssmwire_ecs_exec_options options = SSMWIRE_ECS_EXEC_OPTIONS_INIT;
    ssmwire_session session;
    ssmwire_stream stdio;
    options.cluster = "shop";
    options.task = "0123456789abcdef";
    CHECK_STATUS(SSMWIRE_INVALID_ARGUMENT, ssmwire_ecs_exec_start(client, &options, &session, &error));
    CHECK(session.id == 0 && strstr(error.message, "command"));
    options.command = "echo inside";
    CHECK_OK(ssmwire_ecs_exec_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_stdio(session, &stdio, &error));
    read_until(stdio, "inside");
    CHECK_OK(ssmwire_stream_close(stdio, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
}

/* A session that is kept alive sends what is no input. */
static void kept_alive(void) {
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_session_stats stats = SSMWIRE_SESSION_STATS_INIT;
    ssmwire_client client;
    ssmwire_session session;
    ssmwire_stream stream;
    options.keepalive_ms = 20;
    CHECK_OK(ssmwire_client_open(&options, &client, &error));
    session = start_echo(client, &stream);
    while (stats.messages_out < 5) {
        usleep(20000);
        CHECK_OK(ssmwire_session_get_stats(session, &stats, &error));
        CHECK(stats.bytes_out == 0);
    }
    CHECK_OK(ssmwire_stream_close(stream, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
}

int main(void) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_client client = open_client();
    ssmwire_session session;
    ssmwire_stream stream;
    CHECK(ssmwire_abi_version() == SSMWIRE_ABI_VERSION && strlen(ssmwire_version()) >= 5);
    CHECK(strcmp(ssmwire_status_name(SSMWIRE_TARGET_NOT_CONNECTED), "TargetNotConnected") == 0);
    CHECK_OK(ssmwire_client_ready(client, SOON, &error));
    run(client);
    command(client);
    shell(client);
    ports(client);
    container(client);
    kept_alive();
    session = start_echo(client, &stream);
    write_all(stream, "back and forth", 14);
    read_until(stream, "back and forth");
    CHECK_OK(ssmwire_session_close(session, 0, &error));
    CHECK_OK(ssmwire_stream_close(stream, &error));

    /* What the service says, whoever asks hears. */
    options.target = "i-00000000000000000";
    CHECK_OK(ssmwire_session_start(client, &options, &session, &error));
    CHECK_STATUS(SSMWIRE_TARGET_NOT_CONNECTED, ssmwire_session_ready(session, SOON, &error));
    CHECK(error.status == SSMWIRE_TARGET_NOT_CONNECTED && error.phase == SSMWIRE_PHASE_START && error.is_retryable);
    CHECK(strcmp(error.aws_code, "TargetNotConnected") == 0 && error.http_status == 400);
    CHECK_STATUS(SSMWIRE_TARGET_NOT_CONNECTED, ssmwire_session_resize(session, 1, 1, &error));
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    CHECK_OK(ssmwire_client_close(client, SOON, &error));
    finish();
    return 0;
}
