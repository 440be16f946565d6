/* An event loop: many echoes, a run, a shell and a forward behind one descriptor, on one thread. */
#include <array>
#include <poll.h>

#include "test.hpp"

namespace {

constexpr std::size_t ECHOES = 5;
constexpr std::size_t BYTES = 50000;

struct echo {
    ssmwire::stream stream;
    ssmwire::session session;
    std::size_t sent = 0;
    std::size_t received = 0;

    /* Does what can be done without waiting. */
    void go_on() {
        static const std::string chunk(1000, 'e');
        while (sent < BYTES) {
            const std::size_t count = MUST(stream.try_write(chunk));
            if (count == 0) {
                break;
            }
            sent += count;
        }
        char bytes[4096];
        while (const auto count = MUST(stream.try_read(bytes, sizeof bytes))) {
            CHECK(*count > 0);
            received += *count;
        }
    }
};

} // namespace

int main() {
    const auto client = open_client();
    const auto queue = MUST(ssmwire::queue::open());
    std::array<std::uint64_t, 2> tags;
    pollfd ready = {queue.fd(), POLLIN, 0};
    CHECK(ready.fd >= 0 && poll(&ready, 1, 0) == 0);
    CHECK(MUST(queue.try_wait(tags.data(), tags.size())) == 0);
    FAILS(SSMWIRE_TIMEOUT, queue.wait(tags.data(), tags.size(), 20ms));
    std::array<echo, ECHOES> echoes;
    for (std::size_t at = 0; at < ECHOES; at++) {
        echoes[at].session = start_echo(client, echoes[at].stream);
        MUST(echoes[at].stream.watch(queue, at));
    }
    const auto run = MUST(client.start_run(TARGET, ssmwire::command::shell("sleep 0.2; echo done")));
    MUST(run.watch(queue, 100));
    const auto shell = MUST(client.shell(TARGET));
    MUST(shell.session.watch(queue, 101));
    const auto forward = MUST(client.forward(TARGET, 9));
    MUST(forward.watch(queue, 102));
    std::optional<ssmwire::output> output;
    bool is_told = false, has_ended = false, is_forwarding = false;
    const auto is_over = [&] {
        bool is_so = output && has_ended && is_forwarding;
        for (const echo &each : echoes) {
            is_so = is_so && each.received >= BYTES && each.received == each.sent;
        }
        return is_so;
    };
    while (!is_over()) {
        CHECK(poll(&ready, 1, 60000) == 1);
        const std::size_t count = MUST(queue.try_wait(tags.data(), tags.size()));
        for (std::size_t at = 0; at < count; at++) {
            if (tags[at] < ECHOES) {
                echoes[tags[at]].go_on();
            } else if (tags[at] == 100 && !output) {
                output = MUST(run.try_wait());
            } else if (tags[at] == 102 && !is_forwarding) {
                is_forwarding = MUST(forward.try_ready());
            } else if (tags[at] == 101) {
                if (!is_told && MUST(shell.session.try_ready())) {
                    is_told = true;
                    MUST(shell.stdio.write_all("exit\r", SOON));
                }
                const auto event = MUST(shell.session.try_event());
                has_ended = event && !*event;
            }
        }
    }
    CHECK(output->out == "done\n" && output->code == 0);
    /* In a queue of its own: a tag that comes for nothing would take the wake along. */
    const auto quiet = MUST(ssmwire::queue::open());
    std::thread waker([&] {
        std::this_thread::sleep_for(50ms);
        MUST(quiet.wake());
    });
    CHECK(MUST(quiet.wait(tags.data(), tags.size(), SOON)) == 0);
    waker.join();
    MUST(quiet.close());
    MUST(echoes[0].stream.unwatch());
    MUST(run.unwatch());
    MUST(shell.session.unwatch());
    MUST(forward.unwatch());
    MUST(queue.close());
    MUST(client.close(SOON));
    MUST(ssmwire::shutdown(SOON));
    return 0;
}
