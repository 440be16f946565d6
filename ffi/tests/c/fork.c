/* A child process leaves what it has of its parent alone, and works with a client of its own. */
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static void child(ssmwire_client client, ssmwire_session session, ssmwire_stream stream, ssmwire_queue queue) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_stream own;
    uint64_t tag;
    size_t count;
    uint8_t byte;
    alarm(40);
    options.target = TARGET;
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_session_start(client, &options, &session, &error));
    session = (ssmwire_session){stream.id};
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_stream_read(stream, &byte, 1, -1, &count, &error));
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_stream_write(stream, &byte, 1, -1, &count, &error));
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_stream_close(stream, &error));
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_queue_wait(queue, &tag, 1, -1, &count, &error));
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_client_close(client, -1, &error));
    client = open_client();
    session = start_echo(client, &own);
    write_all(own, "in the child", 12);
    read_until(own, "in the child");
    CHECK_STATUS(SSMWIRE_FORKED, ssmwire_stream_close(stream, &error));
    finish();
    _exit(0);
}

int main(void) {
    ssmwire_client client = open_client();
    ssmwire_stream stream;
    ssmwire_session session = start_echo(client, &stream);
    ssmwire_queue queue;
    int i, status;
    CHECK_OK(ssmwire_queue_open(&queue, &error));
    for (i = 0; i < 3; i++) {
        pid_t process = fork();
        CHECK(process >= 0);
        if (process == 0) {
            child(client, session, stream, queue);
        }
        CHECK(waitpid(process, &status, 0) == process && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    write_all(stream, "still there", 11);
    read_until(stream, "still there");
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    finish();
    return 0;
}
