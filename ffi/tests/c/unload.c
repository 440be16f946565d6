/* The library is loaded, used, and unloaded again; then it is really gone, and forks and exits do well without it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ssmwire.h"

#define NAME "libssmwire.so.0"
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct functions {
    ssmwire_status (*client_open)(const ssmwire_client_options *, ssmwire_client *, ssmwire_error *);
    ssmwire_status (*run_start)(ssmwire_client, const ssmwire_command_options *, ssmwire_run *, ssmwire_error *);
    ssmwire_status (*run_wait)(ssmwire_run, int64_t, ssmwire_run_result *, ssmwire_error *);
    ssmwire_status (*shut_down)(int64_t, ssmwire_error *);
};

/* Standard C has no way from a pointer to a function but its bytes. */
static void find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

static void *use(void *library) {
    struct functions call;
    ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
    ssmwire_command_options command = SSMWIRE_COMMAND_OPTIONS_INIT;
    ssmwire_error error = SSMWIRE_ERROR_INIT;
    ssmwire_client client;
    ssmwire_run run;
    find(library, "ssmwire_client_open", &call.client_open);
    find(library, "ssmwire_run_start", &call.run_start);
    find(library, "ssmwire_run_wait", &call.run_wait);
    find(library, "ssmwire_shutdown", &call.shut_down);
    command.target = "i-0123456789abcdef0";
    command.line = "true";
    CHECK(call.client_open(&options, &client, &error) == SSMWIRE_OK);
    CHECK(call.run_start(client, &command, &run, &error) == SSMWIRE_OK);
    CHECK(call.run_wait(run, 60000, NULL, &error) == SSMWIRE_OK);
    CHECK(call.shut_down(60000, &error) == SSMWIRE_OK);
    return NULL;
}

int main(void) {
    int round, status;
    for (round = 0; round < 3; round++) {
        void *library = dlopen(NAME, RTLD_NOW | RTLD_LOCAL);
        pthread_t thread;
        pid_t process;
        CHECK(library != NULL);
        /* A thread that has called it keeps it, until that thread ends. */
        CHECK(pthread_create(&thread, NULL, use, library) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(dlclose(library) == 0);
        CHECK(dlopen(NAME, RTLD_NOW | RTLD_NOLOAD) == NULL);
        process = fork();
        CHECK(process >= 0);
        if (process == 0) {
            _exit(0);
        }
        CHECK(waitpid(process, &status, 0) == process && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return 0;
}
