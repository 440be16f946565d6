/* Who owns what; what is moved, closed twice or wrong; and all that an error tells. */
#include <array>

#include "test.hpp"

/* Calls everything of owners that own nothing. */
static void nothing(const ssmwire::client &client, const ssmwire::session &session, const ssmwire::stream &stream,
                    const ssmwire::run &run, const ssmwire::forward &forward, const ssmwire::queue &queue) {
    constexpr int bad = SSMWIRE_BAD_HANDLE;
    ssmwire::port_options port;
    std::string text;
    std::uint64_t tag;
    char byte;
    port.port = 1;
    CHECK(queue.fd() == -1);
    FAILS(bad, client.ready());
    FAILS(bad, client.start_session(TARGET));
    FAILS(bad, client.shell(TARGET));
    FAILS(bad, client.attach({"s-1", "ws://127.0.0.1:9/", "t"}));
    FAILS(bad, client.ecs_exec({"", "task", "", "sh"}));
    FAILS(bad, client.command(TARGET, {"true"}));
    FAILS(bad, client.run(TARGET, {"true"}));
    FAILS(bad, client.start_run(TARGET, {"true"}));
    FAILS(bad, client.dial(TARGET, 1));
    FAILS(bad, client.forward(TARGET, port));
    FAILS(bad, session.ready());
    FAILS(bad, session.try_ready());
    FAILS(bad, session.stdio());
    FAILS(bad, session.errors());
    FAILS(bad, session.connect());
    FAILS(bad, session.resize(1, 1));
    FAILS(bad, session.exit_code());
    FAILS(bad, session.try_exit_code());
    FAILS(bad, session.event());
    FAILS(bad, session.try_event());
    FAILS(bad, session.info());
    FAILS(bad, session.stats());
    FAILS(bad, session.watch(queue, 1));
    FAILS(bad, session.unwatch());
    FAILS(bad, stream.ready());
    FAILS(bad, stream.try_ready());
    FAILS(bad, stream.read(&byte, 1));
    FAILS(bad, stream.try_read(&byte, 1));
    FAILS(bad, stream.read_all(text));
    FAILS(bad, stream.write("x"));
    FAILS(bad, stream.try_write("x"));
    FAILS(bad, stream.write_all("x"));
    FAILS(bad, stream.flush());
    FAILS(bad, stream.try_flush());
    FAILS(bad, stream.finish());
    FAILS(bad, stream.into_fd());
    FAILS(bad, stream.watch(queue, 1));
    FAILS(bad, stream.unwatch());
    FAILS(bad, run.wait());
    FAILS(bad, run.try_wait());
    FAILS(bad, run.try_read(SSMWIRE_STDERR, 0, &byte, 1));
    FAILS(bad, run.watch(queue, 1));
    FAILS(bad, run.unwatch());
    FAILS(bad, run.stop());
    FAILS(bad, forward.ready());
    FAILS(bad, forward.try_ready());
    FAILS(bad, forward.address());
    FAILS(bad, forward.event());
    FAILS(bad, forward.try_event());
    FAILS(bad, forward.stats());
    FAILS(bad, forward.watch(queue, 1));
    FAILS(bad, forward.unwatch());
    FAILS(bad, queue.wait(&tag, 1));
    FAILS(bad, queue.try_wait(&tag, 1));
    FAILS(bad, queue.wake());
    /* What is closed already is closed. */
    MUST(client.close());
    MUST(session.close());
    MUST(stream.close());
    MUST(run.close());
    MUST(forward.close());
    MUST(queue.close());
}

static void moves(const ssmwire::client &client) {
    static_assert(!std::is_copy_constructible_v<ssmwire::stream> && !std::is_copy_assignable_v<ssmwire::stream>);
    static_assert(std::is_nothrow_move_constructible_v<ssmwire::client>);
    static_assert(std::is_nothrow_move_assignable_v<ssmwire::running_command>);
    static_assert(std::is_nothrow_copy_constructible_v<ssmwire::error>);
    static_assert(sizeof(ssmwire::stream) == sizeof(ssmwire_stream));
    ssmwire::stream stream, other;
    auto session = start_echo(client, stream);
    const auto id = stream.handle().id;
    CHECK(stream && !other);
    other = std::move(stream);
    CHECK(other.handle().id == id && !stream);
    FAILS(SSMWIRE_BAD_HANDLE, stream.write("x"));
    auto &same = other;
    other = std::move(same);
    CHECK(other.handle().id == id);
    MUST(other.write_all("still here", SOON));
    read_until(other, "still here");

    /* Who is assigned to closes what he had. */
    const auto old = other.handle();
    other = MUST(session.stdio());
    CHECK(ssmwire_stream_close(old, nullptr) == SSMWIRE_BAD_HANDLE);
    MUST(other.write_all("and here", SOON));
    read_until(other, "and here");

    /* Who gives away does not close. */
    const ssmwire_stream given = other.release();
    CHECK(!other && ssmwire_stream_finish(given, nullptr) == SSMWIRE_OK);
    ssmwire::stream taken(given);
    taken.reset();
    CHECK(ssmwire_stream_close(given, nullptr) == SSMWIRE_BAD_HANDLE);

    std::vector<ssmwire::stream> many;
    for (int at = 0; at < 20; at++) {
        many.push_back(MUST(session.stdio()));
    }
    const auto last = many.back().handle();
    many.erase(many.begin(), many.begin() + 10);
    CHECK(many.size() == 10 && many.back().handle().id == last.id);
    many.clear();
    CHECK(ssmwire_stream_close(last, nullptr) == SSMWIRE_BAD_HANDLE);

    /* An id that was closed stays, and leads nowhere. */
    auto closed = MUST(session.stdio());
    MUST(closed.close());
    MUST(closed.close());
    CHECK(closed);
    FAILS(SSMWIRE_BAD_HANDLE, closed.write("x"));
    ssmwire::client empty(std::move(const_cast<ssmwire::client &>(client)));
    CHECK(!client && empty);
    const_cast<ssmwire::client &>(client) = std::move(empty);
    CHECK(client && !empty);
    ssmwire::client(std::move(empty)).reset();
}

static void errors(const ssmwire::client &client) {
    auto session = MUST(client.start_session("i-00000000000000000"));
    const ssmwire::error error = FAILS(SSMWIRE_TARGET_NOT_CONNECTED, session.ready(SOON));
    const ssmwire::error copy = error;
    CHECK(copy.status() == SSMWIRE_TARGET_NOT_CONNECTED && copy.phase() == SSMWIRE_PHASE_START);
    CHECK(copy.aws_code() == "TargetNotConnected" && copy.http_status() == 400 && copy.retryable());
    CHECK(!copy.request_id().empty() && !copy.hint().empty() && copy.session_id().empty());
    CHECK(copy.message() == copy.what() && !copy.message().empty() && copy.output() == nullptr);
    FAILS(SSMWIRE_TARGET_NOT_CONNECTED, session.resize(1, 1));

    const std::string zero("a\0b", 3);
    const ssmwire::error cut = FAILS(SSMWIRE_INVALID_ARGUMENT, client.run(TARGET, {"echo", zero}));
    CHECK(cut.message() == "`arguments` contains a zero byte" && !cut.retryable());
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.shell(zero));
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.attach({zero, "ws://127.0.0.1:9/", "t"}));
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.ecs_exec({"shop", zero, "", "sh"}));
    ssmwire::port_options port;
    port.port = 1;
    port.host = zero;
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.dial(TARGET, port));
    ssmwire::session_options start;
    start.parameters = {{"name", zero}};
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.start_session(TARGET, start));
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.start_session(""));
    FAILS(SSMWIRE_INVALID_ARGUMENT, client.run(TARGET, {}));
    ssmwire::client_options options;
    options.access_key_id = "half";
    CHECK(FAILS(SSMWIRE_INVALID_ARGUMENT, ssmwire::client::open(options)).message().find("`secret_access_key`") !=
          std::string::npos);
    options.access_key_id = zero;
    FAILS(SSMWIRE_INVALID_ARGUMENT, ssmwire::client::open(options));
    options = {};
    options.no_resume = true;
    options.resume_timeout = 0ms;
    FAILS(SSMWIRE_INVALID_ARGUMENT, ssmwire::client::open(options));
}

#ifndef SSMWIRE_NO_EXCEPTIONS
static void exceptions(const ssmwire::client &client) {
    /* It is what any program catches, and unwinding closes. */
    ssmwire_session left{};
    try {
        const auto session = client.start_session("i-00000000000000000");
        left = session.handle();
        session.ready(SOON);
        CHECK(false);
    } catch (const std::exception &error) {
        CHECK(std::strlen(error.what()) > 0);
    }
    CHECK(ssmwire_session_close(left, 0, nullptr) == SSMWIRE_BAD_HANDLE);
}
#else
static void exceptions(const ssmwire::client &client) {
    auto result = client.start_session(TARGET);
    CHECK(result && result.has_value() && result->handle().id == (*result).handle().id);
    const ssmwire::session session = *std::move(result);
    CHECK(session && !result.value());
    ssmwire::result<int> number = 7;
    const auto &same = number;
    CHECK(*number == 7 && same.value() == 7);
    number = std::move(number);
    CHECK(number.value() == 7);
}
#endif

int main() {
    auto client = open_client();
    nothing({}, {}, {}, {}, {}, {});
    moves(client);
    errors(client);
    exceptions(client);
    MUST(client.close(SOON));
    MUST(ssmwire::shutdown(SOON));
    return 0;
}
