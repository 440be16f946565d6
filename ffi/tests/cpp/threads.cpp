/* One thread closes what others wait for; and several use one owner. */
#include <atomic>

#include "test.hpp"

int main() {
    const auto client = open_client();
    ssmwire::stream stream;
    const auto session = start_echo(client, stream);
    const auto queue = MUST(ssmwire::queue::open());
    std::thread writer([&] { MUST(stream.write_all(std::string(100000, 'x'), SOON)); });
    std::size_t total = 0;
    while (total < 100000) {
        char bytes[4096];
        total += MUST(stream.read(bytes, sizeof bytes, SOON));
    }
    writer.join();

    std::atomic<int> waiting{0};
    std::atomic<bool> is_awake{false};
    std::thread reader([&] {
        char byte;
        waiting++;
        FAILS(SSMWIRE_BAD_HANDLE, stream.read(&byte, 1));
    });
    std::thread ender([&] {
        waiting++;
        FAILS(SSMWIRE_BAD_HANDLE, session.exit_code());
    });
    std::thread listener([&] {
        waiting++;
        FAILS(SSMWIRE_BAD_HANDLE, session.event());
    });
    std::thread taker([&] {
        std::uint64_t tag;
        waiting++;
        CHECK(MUST(queue.wait(&tag, 1)) == 0);
        is_awake = true;
        FAILS(SSMWIRE_BAD_HANDLE, queue.wait(&tag, 1));
    });
    while (waiting < 4) {
        std::this_thread::yield();
    }
    std::this_thread::sleep_for(50ms);
    MUST(queue.wake());
    MUST(stream.close());
    while (!is_awake) {
        std::this_thread::yield();
    }
    std::this_thread::sleep_for(50ms);
    MUST(queue.close());
    MUST(session.close(SOON));
    reader.join();
    ender.join();
    listener.join();
    taker.join();

    /* Owners may outlive the library's shutdown, and a new client works after it. */
    const auto left = start_echo(client, stream);
    MUST(ssmwire::shutdown(SOON));
    FAILS(SSMWIRE_BAD_HANDLE, left.ready());
    {
        const auto again = open_client();
        const auto echo = start_echo(again, stream);
    }
    MUST(ssmwire::shutdown(SOON));
    return 0;
}
