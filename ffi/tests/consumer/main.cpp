/* A program in C++ of somebody who has installed the library. */
#include <iostream>

#include <ssmwire.hpp>

int main() {
    using namespace std::chrono_literals;
    if (ssmwire::abi_version() != SSMWIRE_ABI_VERSION) {
        return 1;
    }
    try {
        ssmwire::client().ready();
        return 2;
    } catch (const ssmwire::error &error) {
        if (error.status() != SSMWIRE_BAD_HANDLE || error.message().empty()) {
            return 3;
        }
    }
    std::cout << "ssmwire " << ssmwire::version() << '\n';
    ssmwire::shutdown(1s);
    return 0;
}
