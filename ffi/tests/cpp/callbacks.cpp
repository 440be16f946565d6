/* The two functions of the caller: for the log, and for credentials. */
#include <condition_variable>
#include <mutex>

#include "test.hpp"

namespace {

/* Keeps the requests, for another thread to answer. */
class keeper {
  public:
    void operator()(ssmwire::request request) {
        const std::lock_guard<std::mutex> lock(mutex_);
        requests_.push_back(request);
        changed_.notify_all();
    }
    ssmwire::request next() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return !requests_.empty(); });
        const ssmwire::request request = requests_.back();
        requests_.pop_back();
        return request;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ssmwire::request> requests_;
};

/* Counts records, and looks for what must not be in them. */
class log {
  public:
    void operator()(int level, std::string_view target, std::string_view message) const {
        const std::lock_guard<std::mutex> lock(mutex_);
        CHECK(level >= SSMWIRE_LOG_ERROR && level <= SSMWIRE_LOG_TRACE && target.substr(0, 7) == "ssmwire");
        CHECK(message.find(std::getenv("AWS_SECRET_ACCESS_KEY")) == std::string_view::npos);
        CHECK(message.find("hunter2") == std::string_view::npos);
        count_++;
        changed_.notify_all();
    }
    void wait() const {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return count_ > 0; });
    }
    int count() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return count_;
    }

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    mutable int count_ = 0;
};

} // namespace

int main() {
    const log log;
    keeper keeper;
    ssmwire::client_options options;
    FAILS(SSMWIRE_INVALID_ARGUMENT, ssmwire::set_log(log, 6));
    MUST(ssmwire::set_log(log, SSMWIRE_LOG_TRACE));
    options.ask(keeper);
    {
        auto first = MUST(ssmwire::client::open(options));
        const auto shell = MUST(first.shell(TARGET));
        const ssmwire::request request = keeper.next();
        CHECK(!MUST(shell.session.try_ready()));
        /* The function knows nothing of its client, which may move. */
        const ssmwire::client client = std::move(first);
        ssmwire::credentials keys;
        keys.access_key_id = std::string("a\0b", 3);
        FAILS(SSMWIRE_INVALID_ARGUMENT, request.answer(keys));
        keys.access_key_id = std::getenv("AWS_ACCESS_KEY_ID");
        keys.secret_access_key = std::getenv("AWS_SECRET_ACCESS_KEY");
        keys.expires_at = std::chrono::system_clock::now() + 1h;
        CHECK(MUST(request.answer(keys)));
        CHECK(!MUST(request.answer(keys)));
        CHECK(!MUST(request.refuse("too late")));
        MUST(shell.session.ready(SOON));
        MUST(shell.stdio.write_all("echo hunter2; exit\r", SOON));
        MUST(shell.session.exit_code(SOON));

        /* Nobody listens there, which the log tells, and not the token. */
        const auto attached = MUST(client.attach({"s-1", "ws://127.0.0.1:9/", "hunter2"}));
        FAILS(SSMWIRE_TIMEOUT, attached.ready(100ms));
        log.wait();
    }
    {
        /* The client goes away without an answer, and the request with it. */
        const auto client = MUST(ssmwire::client::open(options));
        const auto session = MUST(client.start_session(TARGET));
        keeper.next();
    }
    auto refuse = [](ssmwire::request request) { CHECK(MUST(request.refuse("the vault is shut"))); };
    options.ask(refuse);
    {
        const auto client = MUST(ssmwire::client::open(options));
        const auto session = MUST(client.start_session(TARGET));
        const auto error = FAILS(SSMWIRE_CREDENTIALS_UNAVAILABLE, session.ready(SOON));
        CHECK(error.message().find("the vault is shut") != std::string_view::npos);
    }
    MUST(ssmwire::unset_log());
    const int before = log.count();
    {
        const auto client = open_client();
        ssmwire::stream stream;
        const auto session = start_echo(client, stream);
    }
    MUST(ssmwire::shutdown(SOON));
    CHECK(before == log.count());
    return 0;
}
