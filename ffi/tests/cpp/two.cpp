/* Half of a program of two sources, which need not be of one kind; the other is `two_other.cpp`. */
#include "test.hpp"

std::string other(ssmwire_client client);

int main() {
    const auto client = open_client();
    const auto output = MUST(client.run(TARGET, {"echo", "here"}));
    CHECK(output.out == "here\n");
    CHECK(other(client.handle()) == "there\n");
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.shell(""));
    MUST(ssmwire::shutdown(SOON));
    return 0;
}
