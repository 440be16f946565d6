/* The library's two functions of the caller, as Go has them. */
#ifndef SSMWIRE_GO_SHIM_H
#define SSMWIRE_GO_SHIM_H

#include <ssmwire.h>
#include <stdlib.h>

/* Opens a client whose credentials function leads to goCredentials, with that handle. */
ssmwire_status ssmwirego_client_open(
    ssmwire_client_options *options,
    uintptr_t credentials,
    ssmwire_client *client,
    ssmwire_error *error);

/* Sends log records to goLog. */
ssmwire_status ssmwirego_set_log(int max_level, ssmwire_error *error);

/* Overwrites what may be a key, and frees it. */
void ssmwirego_wipe(char *text);

#endif
