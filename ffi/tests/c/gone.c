/* A local reader that goes away costs its stream, and not the program: no SIGPIPE comes of it. */
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "test.h"

/* A write to a connection that is gone would end this program, on a thread that does not block the signal. */
static int threads_that_take_sigpipe(void) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int taking = 0, seen = 0;
    CHECK(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[256];
        bool is_ours = false;
        FILE *status;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        status = fopen(path, "r");
        while (status != NULL && fgets(line, sizeof line, status) != NULL) {
            if (strncmp(line, "Name:\tssmwire-io", 16) == 0) {
                is_ours = true;
                seen++;
            } else if (is_ours && strncmp(line, "SigBlk:\t", 8) == 0) {
                taking += (strtoull(line + 8, NULL, 16) >> (SIGPIPE - 1) & 1) == 0;
            }
        }
        if (status != NULL) {
            fclose(status);
        }
    }
    closedir(tasks);
    CHECK(seen > 0);
    return taking;
}

int main(void) {
    ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
    ssmwire_parameter bytes = {"bytes", "4000000"};
    ssmwire_client client = open_client();
    ssmwire_session session;
    ssmwire_stream stream;
    ssmwire_status status;
    char text[1024];
    int fd;
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    options.target = TARGET;
    options.document = "Emulator-Chargen";
    options.parameters = &bytes;
    options.parameters_len = 1;
    CHECK_OK(ssmwire_session_start(client, &options, &session, &error));
    CHECK_OK(ssmwire_session_ready(session, SOON, &error));
    CHECK(threads_that_take_sigpipe() == 0);
    CHECK_OK(ssmwire_session_stdio(session, &stream, &error));
    CHECK_OK(ssmwire_stream_ready(stream, SOON, &error));
    CHECK_OK(ssmwire_stream_into_fd(stream, &fd, &error));
    CHECK(read(fd, text, sizeof text) > 0);
    close(fd);
    status = ssmwire_session_exit_code(session, 2000, NULL, NULL, &error);
    CHECK(status == SSMWIRE_OK || status == SSMWIRE_TIMEOUT);
    CHECK_OK(ssmwire_session_close(session, SOON, &error));
    finish();
    return 0;
}
