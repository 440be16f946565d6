/*
 * Follows a file of a managed node, as `tail -f` does: tail TARGET FILE. Ctrl-C ends it, here and there; a second one
 * does not wait for the far side.
 *
 * One thread, one `poll` for all: what arrives, and the signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <ssmwire.h>

/* How long the far side has for its farewell, in milliseconds. */
#define FAREWELL 5000
/* What a shell says of a command that Ctrl-C has ended. */
#define INTERRUPTED 130

/* One of the two streams, and where it goes. Its place is its tag. */
struct output {
    ssmwire_stream stream;
    FILE *to;
    bool has_ended;
};

static ssmwire_error error = SSMWIRE_ERROR_INIT;
static int signals[2];

static void on_signal(int number) {
    int before = errno;
    ssize_t written = write(signals[1], "", 1);
    (void)number;
    (void)written;
    errno = before;
}

static int fail(void) {
    fprintf(stderr, "tail: %s\n", error.message);
    if (error.hint[0] != 0) {
        fprintf(stderr, "hint: %s\n", error.hint);
    }
    return 1;
}

/* Passes on what is there. Returns whether that was possible. */
static bool pass_on(struct output *output) {
    uint8_t buffer[65536];
    size_t count;
    while (!output->has_ended) {
        ssmwire_status status = ssmwire_stream_read(output->stream, buffer, sizeof buffer, 0, &count, &error);
        if (status == SSMWIRE_AGAIN) {
            break;
        }
        output->has_ended = status != SSMWIRE_OK;
        if (status == SSMWIRE_OK) {
            /* Where nobody reads what this program writes any more, there is nothing left to do, and nobody to tell. */
            if (fwrite(buffer, 1, count, output->to) < count || fflush(output->to) != 0) {
                return false;
            }
        } else if (status != SSMWIRE_EOF) {
            fail();
            return false;
        }
    }
    return true;
}

/* Follows until the far command has ended, or this one was told to. Returns the exit code. */
static int follow(ssmwire_session session, ssmwire_queue queue, struct output outputs[2]) {
    struct pollfd ready[2] = {{ssmwire_queue_fd(queue), POLLIN, 0}, {signals[0], POLLIN, 0}};
    bool is_interrupted = false, is_known = false;
    int32_t code = 0;
    while (!outputs[0].has_ended || !outputs[1].has_ended) {
        uint64_t tags[2];
        size_t i, count;
        int events = poll(ready, 2, is_interrupted ? FAREWELL : -1);
        if (events < 0 && errno != EINTR) {
            perror("tail: poll");
            return 1;
        }
        if (events == 0) {
            return INTERRUPTED;
        }
        if (events > 0 && ready[1].revents != 0) {
            uint8_t byte;
            /* This interrupts the far command. One that has not been started yet ends with its session. */
            if (read(signals[0], &byte, 1) != 1 || is_interrupted ||
                ssmwire_stream_write(outputs[0].stream, (const uint8_t *)"\x03", 1, 0, &count, NULL) != SSMWIRE_OK) {
                return INTERRUPTED;
            }
            is_interrupted = true;
        }
        ssmwire_queue_wait(queue, tags, 2, 0, &count, NULL);
        for (i = 0; i < count; i++) {
            if (!pass_on(&outputs[tags[i]])) {
                return 1;
            }
        }
    }
    if (is_interrupted) {
        return INTERRUPTED;
    }
    if (ssmwire_session_exit_code(session, FAREWELL, &code, &is_known, &error) != SSMWIRE_OK) {
        return fail();
    }
    return is_known ? (int)code : 1;
}

int main(int count, char **words) {
    ssmwire_client_options client_options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
    const char *arguments[] = {"tail", "-n", "10", "-f", "--", NULL};
    struct output outputs[2] = {{{0}, stdout, false}, {{0}, stderr, false}};
    ssmwire_client client;
    ssmwire_session session;
    ssmwire_queue queue;
    int code;
    if (count != 3) {
        fprintf(stderr, "usage: tail TARGET FILE\n");
        return 2;
    }
    if (pipe(signals) != 0 || fcntl(signals[1], F_SETFL, O_NONBLOCK) != 0) {
        perror("tail: pipe");
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);

    arguments[5] = words[2];
    options.target = words[1];
    options.arguments = arguments;
    options.arguments_len = sizeof arguments / sizeof *arguments;
    if (ssmwire_client_open(&client_options, &client, &error) != SSMWIRE_OK ||
        ssmwire_command_start(client, &options, &session, &error) != SSMWIRE_OK ||
        ssmwire_session_stdio(session, &outputs[0].stream, &error) != SSMWIRE_OK ||
        ssmwire_session_stderr(session, &outputs[1].stream, &error) != SSMWIRE_OK ||
        ssmwire_queue_open(&queue, &error) != SSMWIRE_OK ||
        ssmwire_stream_watch(outputs[0].stream, queue, 0, &error) != SSMWIRE_OK ||
        ssmwire_stream_watch(outputs[1].stream, queue, 1, &error) != SSMWIRE_OK) {
        code = fail();
    } else {
        code = follow(session, queue, outputs);
    }
    /* Closes all that is open, and tells the service. */
    if (ssmwire_shutdown(FAREWELL, &error) != SSMWIRE_OK) {
        fail();
    }
    return code;
}
