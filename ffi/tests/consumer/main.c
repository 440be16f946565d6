/* A program of somebody who has installed the library. */
#include <stdio.h>
#include <string.h>

#include <ssmwire.h>

int main(void) {
    ssmwire_error error = SSMWIRE_ERROR_INIT;
    ssmwire_client client;
    if (ssmwire_abi_version() != SSMWIRE_ABI_VERSION) {
        return 1;
    }
    if (ssmwire_client_open(NULL, &client, &error) != SSMWIRE_INVALID_ARGUMENT || strlen(error.message) == 0) {
        return 2;
    }
    printf("ssmwire %s\n", ssmwire_version());
    return ssmwire_shutdown(1000, &error) == SSMWIRE_OK ? 0 : 3;
}
