#include "shim.h"

#include <string.h>

#include "_cgo_export.h"

static void credentials(ssmwire_request request, void *context) {
    goCredentials(request.id, (uintptr_t)context);
}

static void record(int level, const char *target, const char *message, void *context) {
    (void)context;
    goLog(level, (char *)target, (char *)message);
}

ssmwire_status ssmwirego_client_open(
    ssmwire_client_options *options,
    uintptr_t context,
    ssmwire_client *client,
    ssmwire_error *error) {
    if (context != 0) {
        options->credentials = credentials;
        options->credentials_context = (void *)context;
    }
    return ssmwire_client_open(options, client, error);
}

ssmwire_status ssmwirego_set_log(int max_level, ssmwire_error *error) {
    return ssmwire_set_log(max_level == SSMWIRE_LOG_OFF ? NULL : record, NULL, max_level, error);
}

void ssmwirego_wipe(char *text) {
    volatile char *at = text;
    size_t left;
    for (left = text == NULL ? 0 : strlen(text); left > 0; left--) {
        *at++ = 0;
    }
    free(text);
}
