/* The other half of `two.cpp`. */
#include "test.hpp"

std::string other(ssmwire_client handle);

std::string other(ssmwire_client handle) {
    ssmwire::client client(handle);
    ssmwire::stream stream;
    const auto session = start_echo(client, stream);
    const auto output = MUST(client.run(TARGET, {"echo", "there"}));
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.shell(""));
    CHECK(client.release().id == handle.id);
    return output.out;
}
