/* What the tests share. They are compiled with exceptions and without: `MUST` and `FAILS` hide the difference.
 * All functions are static: both kinds may be in one program. */
#ifndef TEST_HPP
#define TEST_HPP

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "ssmwire.hpp"

using namespace std::chrono_literals;

constexpr auto TARGET = "i-0123456789abcdef0";
/* Longer than anything here may take. */
constexpr auto SOON = 60s;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (0)
/* The value of a call that must succeed. */
#define MUST(...) must(__FILE__, __LINE__, #__VA_ARGS__, [&]() { return __VA_ARGS__; })
/* The error of a call that must fail with a status. */
#define FAILS(wanted, ...) fails(__FILE__, __LINE__, #__VA_ARGS__, wanted, [&]() { return __VA_ARGS__; })

[[noreturn]] static inline void wrong(const char *file, int line, const char *call, const ssmwire::error *error) {
    const std::string_view name = error == nullptr ? "no failure" : ssmwire::status_name(error->status());
    std::fprintf(stderr, "%s:%d: %s: %s %s\n", file, line, call, name.data(), error == nullptr ? "" : error->what());
    std::abort();
}

#ifdef SSMWIRE_NO_EXCEPTIONS
template <class Call> static inline auto must(const char *file, int line, const char *text, Call call) {
    auto result = call();
    if (!result) {
        wrong(file, line, text, &result.error());
    }
    return std::move(result).value();
}
template <class Call>
static inline ssmwire::error fails(const char *file, int line, const char *text, int status, Call call) {
    const auto result = call();
    if (result || result.error().status() != status) {
        wrong(file, line, text, result ? nullptr : &result.error());
    }
    return result.error();
}
#else
template <class Call> static inline auto must(const char *file, int line, const char *text, Call call) {
    try {
        return call();
    } catch (const ssmwire::error &error) {
        wrong(file, line, text, &error);
    }
}
template <class Call>
static inline ssmwire::error fails(const char *file, int line, const char *text, int status, Call call) {
    try {
        call();
    } catch (const ssmwire::error &error) {
        if (error.status() != status) {
            wrong(file, line, text, &error);
        }
        return error;
    }
    wrong(file, line, text, nullptr);
}
#endif

/* The credentials come from the environment, as the endpoints do. */
static inline ssmwire::client open_client() {
    ssmwire::client_options options;
    options.start_timeout = SOON;
    options.handshake_timeout = ssmwire::forever;
    return MUST(ssmwire::client::open(options));
}

/* Reads until `wanted` has come. */
static inline void read_until(const ssmwire::stream &stream, std::string_view wanted) {
    std::string text;
    do {
        char bytes[4096];
        const std::size_t count = MUST(stream.read(bytes, sizeof bytes, SOON));
        CHECK(count > 0);
        text.append(bytes, count);
    } while (text.find(wanted) == std::string::npos);
}

/* A session of the emulator's echo program, which has greeted. */
static inline ssmwire::session start_echo(const ssmwire::client &client, ssmwire::stream &stream) {
    ssmwire::session_options options;
    options.document = "Emulator-Echo";
    options.parameters = {{"greeting", "hello"}};
    auto session = MUST(client.start_session(TARGET, options));
    stream = MUST(session.stdio());
    read_until(stream, "hello");
    return session;
}

static inline sockaddr_in local(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Sends back what one connection after the other sends, in capitals. */
class server {
  public:
    server() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address = local(0);
        socklen_t length = sizeof address;
        auto *bytes = reinterpret_cast<sockaddr *>(&address);
        CHECK(bind(listener_, bytes, length) == 0 && listen(listener_, 16) == 0);
        CHECK(getsockname(listener_, bytes, &length) == 0);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            for (int near; (near = accept(listener_, nullptr, nullptr)) >= 0; close(near)) {
                char text[64];
                for (ssize_t count; (count = ::read(near, text, sizeof text)) > 0;) {
                    for (ssize_t at = 0; at < count; at++) {
                        text[at] = static_cast<char>(text[at] - 32);
                    }
                    CHECK(::write(near, text, static_cast<std::size_t>(count)) == count);
                }
            }
        });
    }
    ~server() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }

    std::uint16_t port = 0;

  private:
    int listener_;
    std::thread thread_;
};

static inline void talk(int fd) {
    std::string text;
    CHECK(::write(fd, "abcd", 4) == 4);
    while (text.size() < 4) {
        char bytes[4];
        const ssize_t count = ::read(fd, bytes, sizeof bytes);
        CHECK(count > 0);
        text.append(bytes, static_cast<std::size_t>(count));
    }
    CHECK(text == "ABCD");
    close(fd);
}

#endif
