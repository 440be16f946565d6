#ifndef SSMWIRE_HPP
#define SSMWIRE_HPP

/*
 * ssmwire for C++17: owners of the C interface's ids, and nothing else. There are no threads in here, no buffers and no
 * state. `ssmwire.h` is the manual of what the calls do; this one tells what is different.
 *
 *     auto client = ssmwire::client::open({});
 *     auto output = client.run("i-0123456789abcdef0", {"uname", "-a"});
 *     std::cout << output.out;
 *
 * Owners. `client`, `session`, `stream`, `run`, `forward` and `queue` each own one id: they can be moved, not copied,
 * and close what they own when they go, without waiting. `close` waits. It leaves the id where it is, and the id leads
 * nowhere then: so one thread may close what others use, as in C, and closing twice is no error. An owner that was
 * moved from, or never had anything, answers every call with SSMWIRE_BAD_HANDLE. Like a pointer's, an owner's methods
 * are const; moving it or assigning to it while another thread uses it is a race.
 *
 * Failures. A call that fails throws an `error`. With SSMWIRE_NO_EXCEPTIONS, which is defined by itself where the
 * compiler has none (-fno-exceptions), the same methods return a `result<T>` in place of T: in what follows,
 * `returns<T>` is either. Sources of both kinds can be linked into one program. Neither kind needs RTTI.
 *
 * Time. What may wait takes a `timeout`: without one it waits as long as it takes; with 0, or less, not at all, and
 * fails with SSMWIRE_AGAIN; else it waits so long, and fails with SSMWIRE_TIMEOUT. The methods whose names begin with
 * `try_` do not wait either, and say so with a value: they are for event loops.
 *
 * Texts. What is passed in is copied where C wants a zero byte behind it; one within a text is
 * SSMWIRE_INVALID_ARGUMENT. A text that is empty is the default, as NULL is in C.
 *
 * Constants are those of C: SSMWIRE_TIMEOUT, SSMWIRE_PHASE_START, SSMWIRE_EVENT_MESSAGE and so on.
 */

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "ssmwire.h"

#if !defined(SSMWIRE_NO_EXCEPTIONS) && !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#define SSMWIRE_NO_EXCEPTIONS
#endif

namespace ssmwire {

/* Two kinds of the same names, so that both can be in one program. */
#ifdef SSMWIRE_NO_EXCEPTIONS
inline namespace with_results {
#else
inline namespace with_exceptions {
#endif

/// How long to wait; none is as long as it takes. Whatever converts to milliseconds will do, such as `5s`.
using timeout = std::optional<std::chrono::milliseconds>;

/// As long as it takes, where an option's default is something else.
inline constexpr std::chrono::milliseconds forever = (std::chrono::milliseconds::max)();

/// What a command came to.
struct output {
    /// The exit code; none if it is not known.
    std::optional<int> code;
    /// Standard output.
    std::string out;
    /// Standard error.
    std::string err;
    /// Whether lines of `sh` around the command kept the streams apart, since the agent could or might not.
    bool is_enveloped = false;
};

/// Why a call has failed.
class error : public std::exception {
  public:
    /// For this header: what a call has said, with what a run had written by then.
    error(ssmwire_status status, const ssmwire_error &told, std::shared_ptr<const ssmwire::output> output) noexcept
        : told_(told), output_(std::move(output)) {
        if (told_.status == status) {
            return;
        }
        // C says nothing about the statuses that are no errors there.
        told_.status = status;
        told_.is_retryable = status != SSMWIRE_EOF;
        const char *message = status == SSMWIRE_AGAIN ? "nothing yet"
                              : status == SSMWIRE_EOF ? "there is no more"
                                                      : "this was not done in time";
        std::memcpy(told_.message, message, std::strlen(message) + 1);
    }

    /// What happened, for people.
    const char *what() const noexcept override {
        return told_.message;
    }
    /// The same as `what`.
    std::string_view message() const noexcept {
        return told_.message;
    }
    /// One of C's statuses: an error, SSMWIRE_AGAIN or SSMWIRE_EOF.
    ssmwire_status status() const noexcept {
        return told_.status;
    }
    /// Where in a session's life it happened, one of SSMWIRE_PHASE_…; 0 if that is not known.
    int phase() const noexcept {
        return told_.phase;
    }
    /// The HTTP status of AWS's answer; 0 if there was none.
    int http_status() const noexcept {
        return told_.http_status;
    }
    /// Whether trying the same thing again can help.
    bool retryable() const noexcept {
        return told_.is_retryable;
    }
    /// What to do about it; empty if nothing is known to help. The texts are good as long as the error is.
    std::string_view hint() const noexcept {
        return told_.hint;
    }
    /// AWS's code, such as `TargetNotConnected`.
    std::string_view aws_code() const noexcept {
        return told_.aws_code;
    }
    /// AWS's id of the request.
    std::string_view request_id() const noexcept {
        return told_.request_id;
    }
    /// The session's id, once there was one.
    std::string_view session_id() const noexcept {
        return told_.session_id;
    }
    /// What a run had written when it failed; NULL for any other failure, and if only the wait for the run has ended.
    const ssmwire::output *output() const noexcept {
        return output_.get();
    }

  private:
    ssmwire_error told_;
    std::shared_ptr<const ssmwire::output> output_;
};

#ifdef SSMWIRE_NO_EXCEPTIONS

/// What a call has given, or why it has failed. To ask for the one that is not there ends the program.
template <class T> class [[nodiscard]] result {
    using kept = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  public:
    /// Success.
    result(kept value = {}) : either_(std::in_place_index<0>, std::move(value)) {
    }
    /// Failure.
    result(ssmwire::error error) noexcept : either_(std::in_place_index<1>, std::move(error)) {
    }

    /// Whether the call has succeeded.
    bool has_value() const noexcept {
        return either_.index() == 0;
    }
    /// The same as `has_value`.
    explicit operator bool() const noexcept {
        return has_value();
    }
    /// What the call has given; move it out of here with `std::move(result).value()`.
    kept &value() & {
        return *there(std::get_if<0>(&either_));
    }
    /// What the call has given.
    const kept &value() const & {
        return *there(std::get_if<0>(&either_));
    }
    /// What the call has given.
    kept &&value() && {
        return std::move(*there(std::get_if<0>(&either_)));
    }
    /// The same as `value`.
    kept &operator*() & {
        return value();
    }
    /// The same as `value`.
    const kept &operator*() const & {
        return value();
    }
    /// The same as `value`.
    kept &&operator*() && {
        return std::move(*this).value();
    }
    /// A member of what the call has given.
    kept *operator->() {
        return &value();
    }
    /// A member of what the call has given.
    const kept *operator->() const {
        return &value();
    }
    /// Why the call has failed.
    const ssmwire::error &error() const {
        return *there(std::get_if<1>(&either_));
    }

  private:
    template <class Part> static Part *there(Part *part) {
        if (part == nullptr) {
            std::abort();
        }
        return part;
    }

    std::variant<kept, ssmwire::error> either_;
};

/// What a method returns.
template <class T> using returns = result<T>;

#else

/// What a method returns.
template <class T> using returns = T;

#endif

/// What the methods are made of. Not for others.
namespace detail {

/// What C makes of a time-out.
inline std::int64_t ms(const timeout &within) noexcept {
    if (!within || *within == forever) {
        return -1;
    }
    // One that has been over for a while is over.
    return within->count() > 0 ? static_cast<std::int64_t>(within->count()) : 0;
}

/// What C makes of an option that is a time: 0 is the default there, and 0 here is as good as none.
inline std::int64_t option(const timeout &time) noexcept {
    const std::int64_t count = ms(time);
    return !time ? 0 : count == 0 ? 1 : count;
}

/// The time that is left of a time-out for several calls.
class deadline {
  public:
    explicit deadline(const timeout &within) noexcept {
        using namespace std::chrono;
        // Longer is for ever, and would not fit.
        if (ms(within) >= 0 && *within < hours(24 * 365 * 100)) {
            end_ = steady_clock::now() + *within;
        }
    }
    /// Whether there is none.
    bool is_over() const noexcept {
        return end_ && std::chrono::steady_clock::now() >= *end_;
    }
    /// At least 1, so that what has run out is a time-out.
    std::int64_t left() const noexcept {
        using namespace std::chrono;
        const std::int64_t left = end_ ? ms(ceil<std::chrono::milliseconds>(*end_ - steady_clock::now())) : -1;
        return left == 0 ? 1 : left;
    }

  private:
    std::optional<std::chrono::steady_clock::time_point> end_;
};

/// Texts for C, and the name of the first that can't be passed on.
class texts {
  public:
    /// NULL for one that is empty.
    const char *optional(const char *name, const std::string &text) noexcept {
        return text.empty() ? nullptr : exact(name, text);
    }
    const char *exact(const char *name, const std::string &text) noexcept {
        if (bad_ == nullptr && text.find('\0') != std::string::npos) {
            bad_ = name;
        }
        return text.c_str();
    }
    /// SSMWIRE_OK, or why not.
    ssmwire_status check(ssmwire_error &told) const noexcept {
        if (bad_ == nullptr) {
            return SSMWIRE_OK;
        }
        const std::string_view before = "`", name = bad_, after = "` contains a zero byte";
        char *at = told.message;
        for (const std::string_view part : {before, name, after}) {
            std::memcpy(at, part.data(), part.size());
            at += part.size();
        }
        *at = 0;
        told.status = SSMWIRE_INVALID_ARGUMENT;
        return told.status;
    }

  private:
    const char *bad_ = nullptr;
};

/// A struct of C with its size.
template <class T> T sized() noexcept {
    T made{};
    made.size = sizeof made;
    return made;
}

/// One call, and what becomes of its status.
class call {
  public:
    operator ssmwire_error *() noexcept {
        return &told_;
    }
    ssmwire_error &told() noexcept {
        return told_;
    }

#ifdef SSMWIRE_NO_EXCEPTIONS
    template <class T> returns<T> fail(ssmwire_status status, std::shared_ptr<const output> output = {}) const {
        return error(status, told_, std::move(output));
    }
#else
    template <class T> [[noreturn]] T fail(ssmwire_status status, std::shared_ptr<const output> output = {}) const {
        throw error(status, told_, std::move(output));
    }
#endif

    returns<void> done(ssmwire_status status) const {
        if (status != SSMWIRE_OK) {
            return fail<void>(status);
        }
        return returns<void>();
    }
    template <class T> returns<T> give(ssmwire_status status, T value) const {
        if (status != SSMWIRE_OK) {
            return fail<T>(status);
        }
        return value;
    }
    /// Nothing for SSMWIRE_AGAIN.
    template <class T> returns<std::optional<T>> attempt(ssmwire_status status, T value) const {
        if (status == SSMWIRE_AGAIN) {
            return std::optional<T>();
        }
        return give(status, std::optional<T>(std::move(value)));
    }
    /// Whether it was not SSMWIRE_AGAIN.
    returns<bool> attempt(ssmwire_status status) const {
        return status == SSMWIRE_AGAIN ? give(SSMWIRE_OK, false) : give(status, true);
    }
    /// As `done`, for what was closed before.
    returns<void> closed(ssmwire_status status) const {
        return done(status == SSMWIRE_BAD_HANDLE ? static_cast<ssmwire_status>(SSMWIRE_OK) : status);
    }

  private:
    ssmwire_error told_ = sized<ssmwire_error>();
};

/// What is the end of something, and no failure.
inline ssmwire_status unless_end(ssmwire_status status) noexcept {
    return status == SSMWIRE_EOF ? static_cast<ssmwire_status>(SSMWIRE_OK) : status;
}

inline void let_go(ssmwire_client handle) noexcept {
    ssmwire_client_close(handle, 0, nullptr);
}
inline void let_go(ssmwire_session handle) noexcept {
    ssmwire_session_close(handle, 0, nullptr);
}
inline void let_go(ssmwire_stream handle) noexcept {
    ssmwire_stream_close(handle, nullptr);
}
inline void let_go(ssmwire_run handle) noexcept {
    ssmwire_run_close(handle, nullptr);
}
inline void let_go(ssmwire_forward handle) noexcept {
    ssmwire_forward_close(handle, 0, nullptr);
}
inline void let_go(ssmwire_queue handle) noexcept {
    ssmwire_queue_close(handle, nullptr);
}

/// The owner of an id.
template <class Handle> class owner {
  public:
    /// Owns nothing.
    owner() noexcept = default;
    /// Takes over a handle of C, with the duty to close it.
    explicit owner(Handle handle) noexcept : handle_(handle) {
    }
    owner(owner &&other) noexcept : handle_(other.release()) {
    }
    owner &operator=(owner &&other) noexcept {
        // One that is assigned to itself has let go of its handle before it is asked to close it.
        reset(other.release());
        return *this;
    }
    ~owner() {
        reset();
    }

    /// The handle, for calls of C. It stays this owner's.
    Handle handle() const noexcept {
        return handle_;
    }
    /// Gives the handle away, with the duty to close it.
    [[nodiscard]] Handle release() noexcept {
        return std::exchange(handle_, Handle{});
    }
    /// Closes what it owns, without waiting, and takes over another handle or none.
    void reset(Handle handle = {}) noexcept {
        const Handle old = std::exchange(handle_, handle);
        if (old.id != 0) {
            let_go(old);
        }
    }
    /// Whether it owns an id, which may have been closed.
    explicit operator bool() const noexcept {
        return handle_.id != 0;
    }

  private:
    Handle handle_{};
};

} // namespace detail

/// Returns the version of the interface that the library has, to be compared with SSMWIRE_ABI_VERSION.
inline std::uint32_t abi_version() noexcept {
    return ssmwire_abi_version();
}

/// Returns the library's version, such as "0.1.0".
inline std::string_view version() noexcept {
    return ssmwire_version();
}

/// Returns a status's name, such as "TargetNotConnected", or "unknown".
inline std::string_view status_name(ssmwire_status status) noexcept {
    return ssmwire_status_name(status);
}

/// Ends everything: closes all handles, ends the sessions on the service, and ends the library's threads. A program
/// that has let go of sessions calls it before it ends, or the service hears nothing of their end. Owners may outlive
/// it.
inline returns<void> shutdown(timeout within = {}) {
    detail::call call;
    return call.done(ssmwire_shutdown(detail::ms(within), call));
}

/// Sends log records of `max_level` and graver, one of SSMWIRE_LOG_…, to `function(int level, std::string_view target,
/// std::string_view message)`, in place of where they went before.
///
/// The function is not copied: it must stay good until another one was set or `unset_log` has returned. It runs on a
/// thread of the library, one record at a time. The texts are good until it returns. What it throws ends the program.
template <class Function> returns<void> set_log(Function &function, int max_level) {
    static_assert(!std::is_function_v<Function>, "an object is needed, such as a lambda");
    detail::call call;
    const auto record = [](int level, const char *target, const char *message, void *context) noexcept {
        (*static_cast<Function *>(context))(level, std::string_view(target), std::string_view(message));
    };
    void *context = const_cast<void *>(static_cast<const void *>(std::addressof(function)));
    return call.done(ssmwire_set_log(record, context, max_level, call));
}

/// Sends log records nowhere. When it returns, the previous function does not run and won't.
inline returns<void> unset_log() {
    detail::call call;
    return call.done(ssmwire_set_log(nullptr, nullptr, SSMWIRE_LOG_OFF, call));
}

/// Keys, as an answer to a request.
struct credentials {
    /// Names the key.
    std::string access_key_id{};
    /// The key. The library wipes its copy; this one is the caller's.
    std::string secret_access_key{};
    /// Belongs to temporary keys.
    std::string session_token{};
    /// When to ask again; none is never.
    std::optional<std::chrono::system_clock::time_point> expires_at{};
};

/// A request for credentials, to be answered once, then or later, by any thread. It can be copied.
class request {
  public:
    /// For this header.
    explicit request(ssmwire_request handle) noexcept : handle_(handle) {
    }

    /// Answers with keys. False if the request was answered before, or nobody waits for it any more; nothing is wrong
    /// then.
    returns<bool> answer(const credentials &keys) const {
        using namespace std::chrono;
        detail::texts texts;
        auto answer = detail::sized<ssmwire_credentials>();
        answer.access_key_id = texts.optional("access_key_id", keys.access_key_id);
        answer.secret_access_key = texts.optional("secret_access_key", keys.secret_access_key);
        answer.session_token = texts.optional("session_token", keys.session_token);
        if (keys.expires_at) {
            answer.expires_at = duration_cast<seconds>(keys.expires_at->time_since_epoch()).count();
        }
        return send(texts, answer);
    }
    /// Answers that there are none, and why. As `answer`.
    returns<bool> refuse(std::string_view problem) const {
        detail::texts texts;
        const std::string why(problem);
        auto answer = detail::sized<ssmwire_credentials>();
        answer.problem = texts.exact("problem", why);
        return send(texts, answer);
    }

  private:
    returns<bool> send(const detail::texts &texts, const ssmwire_credentials &answer) const {
        detail::call call;
        ssmwire_status status = texts.check(call.told());
        if (status == SSMWIRE_OK) {
            status = ssmwire_credentials_answer(handle_, &answer, call);
        }
        return status == SSMWIRE_BAD_HANDLE ? call.give(SSMWIRE_OK, false) : call.give(status, true);
    }

    ssmwire_request handle_;
};

/// What a client is made of. Whatever is left out has its default.
struct client_options {
    /// The region; without it AWS_REGION, the profile, the instance.
    std::string region{};
    /// The profile of the shared AWS configuration; without it AWS_PROFILE, `default`.
    std::string profile{};
    /// Keys, in place of those that the AWS tools would find; both or none.
    std::string access_key_id{};
    /// The key itself. The library wipes its copy; this one is the caller's.
    std::string secret_access_key{};
    /// Belongs to temporary keys.
    std::string session_token{};
    /// The Systems Manager API, in place of the region's own.
    std::string ssm_endpoint{};
    /// The message gateway: scheme, host and port replace the stream URL's.
    std::string ssmmessages_endpoint{};
    /// The KMS API, for encrypted sessions.
    std::string kms_endpoint{};
    /// The ECS API, for `client::ecs_exec`.
    std::string ecs_endpoint{};
    /// A PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's.
    std::string ca_bundle{};
    /// The proxy for everything, `http://HOST:PORT`, with `USER:PASSWORD@` before the host if it asks for them; in
    /// place of what HTTPS_PROXY says.
    std::string proxy{};
    /// Turns the check of the server's certificate off. Anybody on the way can read and change everything then.
    bool skip_tls_verification = false;
    /// Makes a client that only attaches: it needs neither region nor credentials.
    bool attach_only = false;
    /// Ends a session with its first connection, rather than bring a lost one back.
    bool no_resume = false;
    /// Bytes that may wait for a session's reader; then the far side is stopped. 16 MiB by default.
    std::uint64_t unread_max = 0;
    /// For StartSession, with credentials, retries and throttling. 30 s by default, as all of these are if left out,
    /// and `forever` is as long as it takes.
    timeout start_timeout{};
    /// For one attempt to open a data channel. 15 s by default.
    timeout connect_timeout{};
    /// From the open data channel until the agent is ready. 30 s by default.
    timeout handshake_timeout{};
    /// From the loss of a data channel until it is back. 3 minutes by default.
    timeout resume_timeout{};
    /// For the farewell when a session is closed. 5 s by default.
    timeout close_timeout{};
    /// How long the agent may leave a message unacknowledged. 5 minutes by default.
    timeout stall_timeout{};
    /// Silence after which a ping is sent. 30 s by default.
    timeout ping_interval{};
    /// How long a ping may stay unanswered. 20 s by default.
    timeout pong_timeout{};
    /// Keeps sessions from being idle: whenever nothing has been sent for so long, something is of which programs
    /// notice nothing. Without it, the service ends sessions that were idle for 20 minutes, or what the account has
    /// chosen.
    timeout keepalive{};
    /// C's function that is asked for credentials; `ask` sets it.
    ssmwire_credentials_fn credentials = nullptr;
    /// What it is called with.
    void *credentials_context = nullptr;

    /// Asks `function(ssmwire::request)` for credentials, first when they are needed and again whenever they have
    /// expired or were refused.
    ///
    /// The function is not copied: it must stay good until the client was closed or is gone. It runs on a thread of the
    /// library. It need not answer before it returns. What it throws ends the program.
    template <class Function> void ask(Function &function) {
        static_assert(!std::is_function_v<Function>, "an object is needed, such as a lambda");
        credentials = [](ssmwire_request request, void *context) noexcept {
            (*static_cast<Function *>(context))(ssmwire::request(request));
        };
        credentials_context = const_cast<void *>(static_cast<const void *>(std::addressof(function)));
    }
};

/// A value of a document's parameter. Parameters are lists: one that is named twice has two values.
struct parameter {
    /// The parameter's name, such as `portNumber`.
    std::string name;
    /// The value, such as `22`.
    std::string value;
};

/// What to start.
struct session_options {
    /// The session document; without one, the account's default shell.
    std::string document{};
    /// Why, for the audit log.
    std::string reason{};
    /// The document's parameters.
    std::vector<parameter> parameters{};
    /// The terminal's width, for `client::shell`; 80 by default.
    std::uint16_t columns = 0;
    /// The terminal's height; 24 by default.
    std::uint16_t rows = 0;
};

/// The answer to a StartSession or ECS ExecuteCommand call.
struct attach_options {
    /// The session's id.
    std::string session_id;
    /// Where the data channel is opened.
    std::string stream_url;
    /// What opens it. The library wipes its copy; this one is the caller's.
    std::string token;
    /// What the session was started with; needed for encrypted sessions only.
    std::string target{};
};

/// What to run in a container.
struct ecs_exec_options {
    /// The cluster's name or ARN; without one, the account's `default`.
    std::string cluster{};
    /// The task's id or ARN.
    std::string task{};
    /// The container's name; a task that has one only can do without.
    std::string container{};
    /// What to run, as one line: words, which no shell takes apart.
    std::string command{};
};

/// What to run: `{"uname", "-a"}`, or `ssmwire::command::shell("df -h | sort")`.
struct command {
    /// The program and its arguments, which arrive as they are. No shell is involved.
    std::vector<std::string> arguments{};
    /// A line for the far side's `sh`, in place of arguments.
    std::string line{};
    /// The session document; without one AWS-StartNonInteractiveCommand, and for a run then the default shell.
    std::string document{};
    /// Why, for the audit log.
    std::string reason{};
    /// For a run: ends it after so long, with SSMWIRE_TIMEOUT and what had arrived. As long as it takes by default.
    timeout run_timeout{};
    /// For a run: asks for output that is exact for every byte, not for text only. The far side needs `base64` for it.
    bool is_binary = false;
    /// For a run: makes any exit code but 0 an error, SSMWIRE_COMMAND_FAILED.
    bool is_checked = false;
    /// For a run: what the command is to read, every byte of it and then its end; without it, no input. The far side
    /// needs `sh`, `stty` and `dd` for it.
    std::optional<std::string> input{};
    /// For a run: how many bytes each of the two streams may have. One that writes more is ended, with
    /// SSMWIRE_OUTPUT_TOO_LARGE and as much as is allowed. 0 for as many as memory holds.
    std::size_t output_max = 0;

    /// Nothing yet.
    command() = default;
    /// A program and its arguments.
    command(std::initializer_list<std::string_view> words) : arguments(words.begin(), words.end()) {
    }
    /// A line for the far side's `sh`.
    static command shell(std::string_view line) {
        command made;
        made.line = line;
        return made;
    }
};

/// Where a connection or a forward leads.
struct port_options {
    /// A host that the target reaches; without one the target itself.
    std::string host{};
    /// The port, from 1 to 65535.
    std::uint16_t port = 0;
    /// The session document, such as AWS-StartSSHSession; without one AWS's own for ports.
    std::string document{};
    /// Why, for the audit log.
    std::string reason{};
    /// Where a forward listens: `HOST:PORT`, where port 0 is a free one, or `unix:PATH`; without it, a free port of
    /// 127.0.0.1.
    std::string bind{};
    /// How many sessions a forward spreads its connections over, up to 64; 1 by default.
    std::uint32_t sessions = 0;
};

/// Something that has happened; false if nothing will any more.
struct event {
    /// One of SSMWIRE_EVENT_…; 0 after the end.
    int kind = 0;
    /// The status that says why a forward's connection has failed; else 0.
    ssmwire_status status = SSMWIRE_OK;
    /// The agent's message, or what went wrong.
    std::string text{};

    /// Whether it is one.
    explicit operator bool() const noexcept {
        return kind != 0;
    }
};

/// What is known of a session.
struct session_info {
    /// One of SSMWIRE_SESSION_…; 0 until the agent has said so.
    int kind = 0;
    /// The session's id.
    std::string session_id{};
    /// The agent's version; empty where it does not tell, as for ordinary shells.
    std::string agent_version{};
};

/// A session's counters, which are C's.
using session_stats = ssmwire_session_stats;

/// A forward's counters, which are C's.
using forward_stats = ssmwire_forward_stats;

/// A queue of tags that say what can go on: for event loops, which wait for its descriptor.
///
///     auto queue = ssmwire::queue::open();
///     stream.watch(queue, 1);
///     pollfd loop = {queue.fd(), POLLIN, 0};
///     while (poll(&loop, 1, -1) >= 0) {
///         std::uint64_t tags[64];
///         for (std::size_t at = 0, count = queue.try_wait(tags, 64); at < count; at++) {
///             while (auto length = stream.try_read(buffer, sizeof buffer)) {
///                 if (*length == 0) {
///                     return;
///                 }
///                 use(buffer, *length);
///             }
///         }
///     }
class queue : public detail::owner<ssmwire_queue> {
  public:
    using owner::owner;

    /// Opens a queue.
    static returns<queue> open() {
        detail::call call;
        ssmwire_queue made{};
        const ssmwire_status status = ssmwire_queue_open(&made, call);
        return call.give(status, queue(made));
    }

    /// Returns a descriptor that can be read while a tag is queued. It is the queue's, and closed with it. -1 if the
    /// queue is not open, and on Windows.
    int fd() const noexcept {
        return ssmwire_queue_fd(handle());
    }
    /// Waits until there are tags, and takes up to `capacity` of them. Returns how many: 0 if `wake` has ended the
    /// wait, or another thread was faster.
    returns<std::size_t> wait(std::uint64_t *tags, std::size_t capacity, timeout within = {}) const {
        detail::call call;
        std::size_t count = 0;
        const auto status = ssmwire_queue_wait(handle(), tags, capacity, detail::ms(within), &count, call);
        return call.give(status, count);
    }
    /// Takes up to `capacity` tags, and returns how many.
    returns<std::size_t> try_wait(std::uint64_t *tags, std::size_t capacity) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = ssmwire_queue_wait(handle(), tags, capacity, 0, &count, call);
        return status == SSMWIRE_AGAIN ? call.give(SSMWIRE_OK, count) : call.give(status, count);
    }
    /// Ends a wait for the queue, or the next one if there is none now.
    returns<void> wake() const {
        detail::call call;
        return call.done(ssmwire_queue_wake(handle(), call));
    }
    /// Closes the queue and its descriptor. What it has watched is watched no more, and stays open.
    returns<void> close() const {
        detail::call call;
        return call.closed(ssmwire_queue_close(handle(), call));
    }
};

/// A stream of bytes from and to the far side. One thread may read while another writes.
class stream : public detail::owner<ssmwire_stream> {
  public:
    using owner::owner;

    /// Waits until the stream is open.
    returns<void> ready(timeout within = {}) const {
        detail::call call;
        return call.done(ssmwire_stream_ready(handle(), detail::ms(within), call));
    }
    /// Whether the stream is open.
    returns<bool> try_ready() const {
        detail::call call;
        return call.attempt(ssmwire_stream_ready(handle(), 0, call));
    }
    /// Reads what has arrived, up to `capacity` bytes, and returns how many: at least one, or 0 at the end, and only if
    /// nothing was lost.
    returns<std::size_t> read(void *buffer, std::size_t capacity, timeout within = {}) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = receive(buffer, capacity, detail::ms(within), count, call);
        return call.give(status, count);
    }
    /// Reads what is there. Nothing if nothing is; 0 at the end.
    returns<std::optional<std::size_t>> try_read(void *buffer, std::size_t capacity) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = receive(buffer, capacity, 0, count, call);
        return call.attempt(status, count);
    }
    /// Reads up to the end, and adds it to `text`: also what had arrived before a failure. `within` is for all of it.
    returns<void> read_all(std::string &text, timeout within = {}) const {
        const detail::deadline deadline(within);
        detail::call call;
        ssmwire_status status = SSMWIRE_OK;
        std::int64_t left = detail::ms(within);
        for (;;) {
            const std::size_t before = text.size();
            std::size_t count = 0;
            text.resize(before + 65536);
            status = receive(&text[before], text.size() - before, left, count, call);
            text.resize(before + count);
            if (status != SSMWIRE_OK || count == 0) {
                break;
            }
            if (deadline.is_over()) {
                status = SSMWIRE_TIMEOUT;
                break;
            }
            left = deadline.left();
        }
        return call.done(status);
    }
    /// Writes what may be under way, and returns how much of `data` that is: at least one byte, unless there is none.
    /// Write the rest again.
    returns<std::size_t> write(std::string_view data, timeout within = {}) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = send(data, detail::ms(within), count, call);
        return call.give(status, count);
    }
    /// Writes what may be under way now, and returns how much that is, perhaps 0.
    returns<std::size_t> try_write(std::string_view data) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = send(data, 0, count, call);
        return status == SSMWIRE_AGAIN ? call.give(SSMWIRE_OK, count) : call.give(status, count);
    }
    /// Writes all of `data`. `within` is for all of it; `written` says how much it was when it fails.
    returns<void> write_all(std::string_view data, timeout within = {}, std::size_t *written = nullptr) const {
        const detail::deadline deadline(within);
        detail::call call;
        ssmwire_status status = SSMWIRE_OK;
        std::size_t total = 0;
        std::int64_t left = detail::ms(within);
        while (total < data.size()) {
            std::size_t count = 0;
            status = send(data.substr(total), left, count, call);
            if (status != SSMWIRE_OK) {
                break;
            }
            total += count;
            if (total < data.size() && deadline.is_over()) {
                status = SSMWIRE_TIMEOUT;
                break;
            }
            left = deadline.left();
        }
        if (written != nullptr) {
            *written = total;
        }
        return call.done(status);
    }
    /// Waits until the agent has acknowledged everything that was written.
    returns<void> flush(timeout within = {}) const {
        detail::call call;
        return call.done(ssmwire_stream_flush(handle(), detail::ms(within), call));
    }
    /// Whether the agent has acknowledged everything that was written.
    returns<bool> try_flush() const {
        detail::call call;
        return call.attempt(ssmwire_stream_flush(handle(), 0, call));
    }
    /// Says that no more input comes; reading goes on. SSMWIRE_AGAIN while the stream is being opened.
    returns<void> finish() const {
        detail::call call;
        return call.done(ssmwire_stream_finish(handle(), call));
    }
    /// Turns the stream into one end of a pair of sockets, and returns it, the caller's to close. The stream's handle
    /// is closed by it. SSMWIRE_AGAIN while the stream is being opened.
    returns<int> into_fd() const {
        detail::call call;
        int fd = -1;
        const ssmwire_status status = ssmwire_stream_into_fd(handle(), &fd, call);
        return call.give(status, fd);
    }
    /// Queues `tag` in `queue` whenever a call for this stream that would have had to wait can go on, and once now.
    returns<void> watch(const ssmwire::queue &queue, std::uint64_t tag) const {
        detail::call call;
        return call.done(ssmwire_stream_watch(handle(), queue.handle(), tag, call));
    }
    /// Ends that.
    returns<void> unwatch() const {
        detail::call call;
        return call.done(ssmwire_stream_watch(handle(), ssmwire_queue{}, 0, call));
    }
    /// Closes the stream. Whoever waits for it in another thread goes on with SSMWIRE_BAD_HANDLE.
    returns<void> close() const {
        detail::call call;
        return call.closed(ssmwire_stream_close(handle(), call));
    }

  private:
    ssmwire_status receive(void *buffer, std::size_t capacity, std::int64_t timeout_ms, std::size_t &count,
                           ssmwire_error *told) const noexcept {
        auto *bytes = static_cast<std::uint8_t *>(buffer);
        return detail::unless_end(ssmwire_stream_read(handle(), bytes, capacity, timeout_ms, &count, told));
    }
    ssmwire_status send(std::string_view data, std::int64_t timeout_ms, std::size_t &count,
                        ssmwire_error *told) const noexcept {
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(data.data());
        return ssmwire_stream_write(handle(), bytes, data.size(), timeout_ms, &count, told);
    }
};

/// A session: a shell, a command, or a port's connections. Its streams are owners of their own; but with the session's
/// owner the session ends, and they with it.
class session : public detail::owner<ssmwire_session> {
  public:
    using owner::owner;

    /// Waits until the agent is ready. Fails as the start of the session did.
    returns<void> ready(timeout within = {}) const {
        detail::call call;
        return call.done(ssmwire_session_ready(handle(), detail::ms(within), call));
    }
    /// Whether the agent is ready.
    returns<bool> try_ready() const {
        detail::call call;
        return call.attempt(ssmwire_session_ready(handle(), 0, call));
    }
    /// Opens standard output to read and the terminal's input to write; for a session with one port connection, that.
    returns<ssmwire::stream> stdio() const {
        detail::call call;
        ssmwire_stream made{};
        const ssmwire_status status = ssmwire_session_stdio(handle(), &made, call);
        return call.give(status, ssmwire::stream(made));
    }
    /// Opens standard error, to read. (`stderr` is a macro.)
    returns<ssmwire::stream> errors() const {
        detail::call call;
        ssmwire_stream made{};
        const ssmwire_status status = ssmwire_session_stderr(handle(), &made, call);
        return call.give(status, ssmwire::stream(made));
    }
    /// Opens a connection to the port of a port session that carries many.
    returns<ssmwire::stream> connect() const {
        detail::call call;
        ssmwire_stream made{};
        const ssmwire_status status = ssmwire_session_connect(handle(), &made, call);
        return call.give(status, ssmwire::stream(made));
    }
    /// Tells the far terminal its size. SSMWIRE_AGAIN while the session is being started.
    returns<void> resize(std::uint16_t columns, std::uint16_t rows) const {
        detail::call call;
        return call.done(ssmwire_session_resize(handle(), columns, rows, call));
    }
    /// Waits until the session is over, and returns the exit code of its command; none where the agent does not tell,
    /// as for every session with a terminal. A command's output must be read meanwhile, or its end may never come.
    returns<std::optional<int>> exit_code(timeout within = {}) const {
        detail::call call;
        std::optional<int> code;
        const ssmwire_status status = end(detail::ms(within), code, call);
        return call.give(status, code);
    }
    /// As `exit_code`; nothing while the session goes on.
    returns<std::optional<std::optional<int>>> try_exit_code() const {
        detail::call call;
        std::optional<int> code;
        const ssmwire_status status = end(0, code, call);
        return call.attempt(status, code);
    }
    /// Waits for the next event; one that is false after the session's end.
    returns<ssmwire::event> event(timeout within = {}) const {
        detail::call call;
        ssmwire::event event;
        const ssmwire_status status = next(detail::ms(within), event, call);
        return call.give(status, std::move(event));
    }
    /// As `event`; nothing if there is none yet.
    returns<std::optional<ssmwire::event>> try_event() const {
        detail::call call;
        ssmwire::event event;
        const ssmwire_status status = next(0, event, call);
        return call.attempt(status, std::move(event));
    }
    /// Tells what is known of the session. SSMWIRE_AGAIN while it is being started.
    returns<session_info> info() const {
        detail::call call;
        auto info = detail::sized<ssmwire_session_info>();
        const ssmwire_status status = ssmwire_session_get_info(handle(), &info, call);
        return call.give(status, session_info{info.kind, info.session_id, info.agent_version});
    }
    /// Tells the session's counters. SSMWIRE_AGAIN while it is being started.
    returns<session_stats> stats() const {
        detail::call call;
        auto stats = detail::sized<ssmwire_session_stats>();
        const ssmwire_status status = ssmwire_session_get_stats(handle(), &stats, call);
        return call.give(status, stats);
    }
    /// Queues `tag` in `queue` whenever a call for this session that would have had to wait can go on, and once now.
    returns<void> watch(const ssmwire::queue &queue, std::uint64_t tag) const {
        detail::call call;
        return call.done(ssmwire_session_watch(handle(), queue.handle(), tag, call));
    }
    /// Ends that.
    returns<void> unwatch() const {
        detail::call call;
        return call.done(ssmwire_session_watch(handle(), ssmwire_queue{}, 0, call));
    }
    /// Ends the session on the service, after what was written is acknowledged. Its streams end. Waits for that; after
    /// SSMWIRE_TIMEOUT it comes in the background.
    returns<void> close(timeout within = {}) const {
        detail::call call;
        return call.closed(ssmwire_session_close(handle(), detail::ms(within), call));
    }

  private:
    ssmwire_status end(std::int64_t timeout_ms, std::optional<int> &code, ssmwire_error *told) const noexcept {
        std::int32_t number = 0;
        bool is_known = false;
        const ssmwire_status status = ssmwire_session_exit_code(handle(), timeout_ms, &number, &is_known, told);
        if (is_known) {
            code = number;
        }
        return status;
    }
    ssmwire_status next(std::int64_t timeout_ms, ssmwire::event &event, ssmwire_error *told) const {
        auto made = detail::sized<ssmwire_event>();
        const ssmwire_status status = ssmwire_session_event(handle(), timeout_ms, &made, told);
        if (status == SSMWIRE_OK) {
            event = {made.kind, made.status, made.text};
        }
        return detail::unless_end(status);
    }
};

/// A shell, or another program in a terminal.
struct shell {
    /// Resizes and ends it, and tells of it.
    ssmwire::session session{};
    /// Its output to read and its input to write.
    ssmwire::stream stdio{};
};

/// A command without a terminal, that runs. Read both streams: they share one budget of unread bytes.
struct running_command {
    /// `exit_code` waits for its end.
    ssmwire::session session{};
    /// Standard output.
    ssmwire::stream out{};
    /// Standard error.
    ssmwire::stream err{};

    /// Interrupts it, as Ctrl-C does.
    returns<void> interrupt(timeout within = {}) const {
        return out.write_all("\x03", within);
    }
};

/// A command that is run to its end. Closed, it lets go of what was written, and one that still goes on is ended.
class run : public detail::owner<ssmwire_run> {
  public:
    using owner::owner;

    /// Waits until the run is over. If it has failed, the error has what was written before. Stopping to wait does not
    /// stop the run.
    returns<ssmwire::output> wait(timeout within = {}) const {
        detail::call call;
        ssmwire::output output;
        bool is_over = false;
        const ssmwire_status status = end(detail::ms(within), output, is_over, call);
        if (status != SSMWIRE_OK && is_over) {
            return call.fail<ssmwire::output>(status, std::make_shared<const ssmwire::output>(std::move(output)));
        }
        return call.give(status, std::move(output));
    }
    /// As `wait`; nothing while the run goes on.
    returns<std::optional<ssmwire::output>> try_wait() const {
        using given = std::optional<ssmwire::output>;
        detail::call call;
        ssmwire::output output;
        bool is_over = false;
        const ssmwire_status status = end(0, output, is_over, call);
        if (status != SSMWIRE_OK && is_over) {
            return call.fail<given>(status, std::make_shared<const ssmwire::output>(std::move(output)));
        }
        return call.attempt(status, std::move(output));
    }
    /// Copies what the run has written so far: from `offset` on, up to `capacity` bytes of SSMWIRE_STDOUT or
    /// SSMWIRE_STDERR. Nothing while there is no more; 0 behind the last byte.
    returns<std::optional<std::size_t>> try_read(int which, std::uint64_t offset, void *buffer,
                                                 std::size_t capacity) const {
        detail::call call;
        std::size_t count = 0;
        const ssmwire_status status = copy(which, offset, buffer, capacity, count, call);
        return call.attempt(status, count);
    }
    /// Queues `tag` in `queue` when the run is over, and once now.
    returns<void> watch(const ssmwire::queue &queue, std::uint64_t tag) const {
        detail::call call;
        return call.done(ssmwire_run_watch(handle(), queue.handle(), tag, call));
    }
    /// Ends that.
    returns<void> unwatch() const {
        detail::call call;
        return call.done(ssmwire_run_watch(handle(), ssmwire_queue{}, 0, call));
    }
    /// Ends a run that still goes on, without waiting: its wait fails with `SSMWIRE_CANCELLED`, and what had arrived is
    /// there.
    returns<void> stop() const {
        detail::call call;
        return call.done(ssmwire_run_stop(handle(), call));
    }
    /// Lets go of the run, without waiting.
    returns<void> close() const {
        detail::call call;
        return call.closed(ssmwire_run_close(handle(), call));
    }

  private:
    ssmwire_status copy(int which, std::uint64_t offset, void *buffer, std::size_t capacity, std::size_t &count,
                        ssmwire_error *told) const noexcept {
        auto *bytes = static_cast<std::uint8_t *>(buffer);
        return detail::unless_end(ssmwire_run_read(handle(), which, offset, bytes, capacity, &count, told));
    }
    /// Fills in all that is to be known of a run that is over.
    ssmwire_status end(std::int64_t timeout_ms, ssmwire::output &output, bool &is_over, detail::call &call) const {
        auto result = detail::sized<ssmwire_run_result>();
        const ssmwire_status status = ssmwire_run_wait(handle(), timeout_ms, &result, call);
        is_over = result.is_over;
        if (!is_over) {
            return status;
        }
        if (result.has_exit_code) {
            output.code = result.exit_code;
        }
        output.is_enveloped = result.is_enveloped;
        // A failure to read is that of a handle which another thread has closed.
        detail::call reading;
        ssmwire_status read = copy_all(SSMWIRE_STDOUT, result.stdout_len, output.out, reading);
        if (read == SSMWIRE_OK) {
            read = copy_all(SSMWIRE_STDERR, result.stderr_len, output.err, reading);
        }
        if (status == SSMWIRE_OK && read != SSMWIRE_OK) {
            is_over = false;
            call = reading;
            return read;
        }
        return status;
    }
    ssmwire_status copy_all(int which, std::uint64_t length, std::string &text, ssmwire_error *told) const {
        text.resize(static_cast<std::size_t>(length));
        std::size_t total = 0;
        while (total < text.size()) {
            std::size_t count = 0;
            const ssmwire_status status = copy(which, total, &text[total], text.size() - total, count, told);
            if (status != SSMWIRE_OK || count == 0) {
                text.resize(total);
                return status;
            }
            total += count;
        }
        return SSMWIRE_OK;
    }
};

/// A forward: a local address whose connections end at a far port.
class forward : public detail::owner<ssmwire_forward> {
  public:
    using owner::owner;

    /// Waits until the first connection can be made. SSMWIRE_LISTEN_FAILED if the local address can't be had.
    returns<void> ready(timeout within = {}) const {
        detail::call call;
        return call.done(ssmwire_forward_ready(handle(), detail::ms(within), call));
    }
    /// Whether the first connection can be made.
    returns<bool> try_ready() const {
        detail::call call;
        return call.attempt(ssmwire_forward_ready(handle(), 0, call));
    }
    /// Returns the local address, `127.0.0.1:41234` or `unix:PATH`. SSMWIRE_AGAIN while the forward is being started.
    returns<std::string> address() const {
        detail::call call;
        // More than a socket's path may have.
        char text[512] = "";
        const ssmwire_status status = ssmwire_forward_address(handle(), text, sizeof text, call);
        return call.give(status, std::string(text));
    }
    /// Waits for the next event: a local connection that was reset, or could not be accepted. One that is false after
    /// the forward's end.
    returns<ssmwire::event> event(timeout within = {}) const {
        detail::call call;
        ssmwire::event event;
        const ssmwire_status status = next(detail::ms(within), event, call);
        return call.give(status, std::move(event));
    }
    /// As `event`; nothing if there is none yet.
    returns<std::optional<ssmwire::event>> try_event() const {
        detail::call call;
        ssmwire::event event;
        const ssmwire_status status = next(0, event, call);
        return call.attempt(status, std::move(event));
    }
    /// Tells the forward's counters. SSMWIRE_AGAIN while it is being started.
    returns<forward_stats> stats() const {
        detail::call call;
        auto stats = detail::sized<ssmwire_forward_stats>();
        const ssmwire_status status = ssmwire_forward_get_stats(handle(), &stats, call);
        return call.give(status, stats);
    }
    /// Queues `tag` in `queue` whenever a call for this forward that would have had to wait can go on, and once now.
    returns<void> watch(const ssmwire::queue &queue, std::uint64_t tag) const {
        detail::call call;
        return call.done(ssmwire_forward_watch(handle(), queue.handle(), tag, call));
    }
    /// Ends that.
    returns<void> unwatch() const {
        detail::call call;
        return call.done(ssmwire_forward_watch(handle(), ssmwire_queue{}, 0, call));
    }
    /// Stops listening, cuts the connections, and ends the sessions on the service. Waits for that; after
    /// SSMWIRE_TIMEOUT it comes in the background.
    returns<void> close(timeout within = {}) const {
        detail::call call;
        return call.closed(ssmwire_forward_close(handle(), detail::ms(within), call));
    }

  private:
    ssmwire_status next(std::int64_t timeout_ms, ssmwire::event &event, ssmwire_error *told) const {
        auto made = detail::sized<ssmwire_event>();
        const ssmwire_status status = ssmwire_forward_event(handle(), timeout_ms, &made, told);
        if (status == SSMWIRE_OK) {
            event = {made.kind, made.status, made.text};
        }
        return detail::unless_end(status);
    }
};

/// A client: one set of credentials, endpoints and connections, which its sessions share. All that starts something
/// returns at once; what the service says to it, the calls for what was started tell.
class client : public detail::owner<ssmwire_client> {
  public:
    using owner::owner;

    /// Begins to make a client, and returns at once. What is wrong with the configuration shows when it is used.
    static returns<client> open(const client_options &options = {}) {
        detail::call call;
        detail::texts texts;
        auto made = detail::sized<ssmwire_client_options>();
        made.region = texts.optional("region", options.region);
        made.profile = texts.optional("profile", options.profile);
        made.access_key_id = texts.optional("access_key_id", options.access_key_id);
        made.secret_access_key = texts.optional("secret_access_key", options.secret_access_key);
        made.session_token = texts.optional("session_token", options.session_token);
        made.credentials = options.credentials;
        made.credentials_context = options.credentials_context;
        made.ssm_endpoint = texts.optional("ssm_endpoint", options.ssm_endpoint);
        made.ssmmessages_endpoint = texts.optional("ssmmessages_endpoint", options.ssmmessages_endpoint);
        made.kms_endpoint = texts.optional("kms_endpoint", options.kms_endpoint);
        made.ecs_endpoint = texts.optional("ecs_endpoint", options.ecs_endpoint);
        made.ca_bundle = texts.optional("ca_bundle", options.ca_bundle);
        made.proxy = texts.optional("proxy", options.proxy);
        made.skip_tls_verification = options.skip_tls_verification;
        made.attach_only = options.attach_only;
        made.no_resume = options.no_resume;
        made.unread_max = options.unread_max;
        made.start_timeout_ms = detail::option(options.start_timeout);
        made.connect_timeout_ms = detail::option(options.connect_timeout);
        made.handshake_timeout_ms = detail::option(options.handshake_timeout);
        made.resume_timeout_ms = detail::option(options.resume_timeout);
        made.close_timeout_ms = detail::option(options.close_timeout);
        made.stall_timeout_ms = detail::option(options.stall_timeout);
        made.ping_interval_ms = detail::option(options.ping_interval);
        made.pong_timeout_ms = detail::option(options.pong_timeout);
        made.keepalive_ms = detail::option(options.keepalive);
        ssmwire_client handle{};
        ssmwire_status status = texts.check(call.told());
        if (status == SSMWIRE_OK) {
            status = ssmwire_client_open(&made, &handle, call);
        }
        return call.give(status, client(handle));
    }

    /// Waits until the client is made.
    returns<void> ready(timeout within = {}) const {
        detail::call call;
        return call.done(ssmwire_client_ready(handle(), detail::ms(within), call));
    }
    /// Ends all of the client's sessions on the service. Waits for that; after SSMWIRE_TIMEOUT they end in the
    /// background. When it returns, or the client is gone, its credentials function does not run and won't.
    returns<void> close(timeout within = {}) const {
        detail::call call;
        return call.closed(ssmwire_client_close(handle(), detail::ms(within), call));
    }

    /// Starts a session of whatever type the document says.
    returns<ssmwire::session> start_session(std::string_view target, const session_options &options = {}) const {
        detail::call call;
        ssmwire_session made{};
        const ssmwire_status status = start(ssmwire_session_start, target, options, made, call);
        return call.give(status, ssmwire::session(made));
    }
    /// Opens a shell in a terminal.
    returns<ssmwire::shell> shell(std::string_view target, const session_options &options = {}) const {
        detail::call call;
        ssmwire::shell shell;
        ssmwire_session made{};
        ssmwire_status status = start(ssmwire_shell_start, target, options, made, call);
        if (status == SSMWIRE_OK) {
            status = open_stdio(made, shell, call);
        }
        return call.give(status, std::move(shell));
    }
    /// Listens to a session that somebody else has started, such as ECS ExecuteCommand or another SDK.
    returns<ssmwire::session> attach(const attach_options &options) const {
        detail::call call;
        detail::texts texts;
        auto made = detail::sized<ssmwire_attach_options>();
        made.session_id = texts.optional("session_id", options.session_id);
        made.stream_url = texts.optional("stream_url", options.stream_url);
        made.token = texts.optional("token", options.token);
        made.target = texts.optional("target", options.target);
        ssmwire_session session{};
        ssmwire_status status = texts.check(call.told());
        if (status == SSMWIRE_OK) {
            status = ssmwire_session_attach(handle(), &made, &session, call);
        }
        return call.give(status, ssmwire::session(session));
    }
    /// Runs a command in a terminal in a container (ECS ExecuteCommand).
    returns<ssmwire::shell> ecs_exec(const ecs_exec_options &options) const {
        detail::call call;
        detail::texts texts;
        auto made = detail::sized<ssmwire_ecs_exec_options>();
        made.cluster = texts.optional("cluster", options.cluster);
        made.task = texts.optional("task", options.task);
        made.container = texts.optional("container", options.container);
        made.command = texts.optional("command", options.command);
        ssmwire::shell shell;
        ssmwire_session session{};
        ssmwire_status status = texts.check(call.told());
        if (status == SSMWIRE_OK) {
            status = ssmwire_ecs_exec_start(handle(), &made, &session, call);
        }
        if (status == SSMWIRE_OK) {
            status = open_stdio(session, shell, call);
        }
        return call.give(status, std::move(shell));
    }
    /// Starts a command without a terminal.
    returns<running_command> command(std::string_view target, const ssmwire::command &command) const {
        detail::call call;
        running_command running;
        ssmwire_session made{};
        ssmwire_stream out{}, err{};
        ssmwire_status status = start(ssmwire_command_start, target, command, made, call);
        if (status == SSMWIRE_OK) {
            running.session.reset(made);
            status = ssmwire_session_stdio(made, &out, call);
        }
        if (status == SSMWIRE_OK) {
            running.out.reset(out);
            status = ssmwire_session_stderr(made, &err, call);
            running.err.reset(err);
        }
        return call.give(status, std::move(running));
    }
    /// Runs a command to its end, by whichever way the target allows, and waits for it. It runs at most once.
    /// `command::run_timeout` bounds it; the error then has what was written before.
    returns<ssmwire::output> run(std::string_view target, const ssmwire::command &command) const {
        detail::call call;
        ssmwire_run made{};
        const ssmwire_status status = start(ssmwire_run_start, target, command, made, call);
        if (status != SSMWIRE_OK) {
            return call.fail<ssmwire::output>(status);
        }
        return ssmwire::run(made).wait();
    }
    /// As `run`, without waiting for the end.
    returns<ssmwire::run> start_run(std::string_view target, const ssmwire::command &command) const {
        detail::call call;
        ssmwire_run made{};
        const ssmwire_status status = start(ssmwire_run_start, target, command, made, call);
        return call.give(status, ssmwire::run(made));
    }
    /// Opens a connection to a port; reads and writes wait until it is there. Nothing listens here.
    returns<ssmwire::stream> dial(std::string_view target, const port_options &options) const {
        detail::call call;
        ssmwire_stream made{};
        const ssmwire_status status = start(ssmwire_dial_start, target, options, made, call);
        return call.give(status, ssmwire::stream(made));
    }
    /// Opens a connection to a port of the target.
    returns<ssmwire::stream> dial(std::string_view target, std::uint16_t port) const {
        port_options options;
        options.port = port;
        return dial(target, options);
    }
    /// Forwards a local address to a port, until it is closed: of sessions that are lost for good, the next connection
    /// starts new ones.
    returns<ssmwire::forward> forward(std::string_view target, const port_options &options) const {
        detail::call call;
        ssmwire_forward made{};
        const ssmwire_status status = start(ssmwire_forward_start, target, options, made, call);
        return call.give(status, ssmwire::forward(made));
    }
    /// Forwards a free port of 127.0.0.1 to a port of the target.
    returns<ssmwire::forward> forward(std::string_view target, std::uint16_t port) const {
        port_options options;
        options.port = port;
        return forward(target, options);
    }

  private:
    template <class Options, class Handle>
    using starter = ssmwire_status (*)(ssmwire_client, const Options *, Handle *, ssmwire_error *);

    ssmwire_status start(starter<ssmwire_session_options, ssmwire_session> function, std::string_view target,
                         const session_options &options, ssmwire_session &session, detail::call &call) const {
        detail::texts texts;
        const std::string node(target);
        std::vector<ssmwire_parameter> parameters;
        parameters.reserve(options.parameters.size());
        for (const parameter &each : options.parameters) {
            parameters.push_back({texts.exact("parameters", each.name), texts.exact("parameters", each.value)});
        }
        auto made = detail::sized<ssmwire_session_options>();
        made.target = texts.optional("target", node);
        made.document = texts.optional("document", options.document);
        made.reason = texts.optional("reason", options.reason);
        made.parameters = parameters.data();
        made.parameters_len = parameters.size();
        made.columns = options.columns;
        made.rows = options.rows;
        const ssmwire_status status = texts.check(call.told());
        return status == SSMWIRE_OK ? function(handle(), &made, &session, call) : status;
    }
    template <class Handle>
    ssmwire_status start(starter<ssmwire_command_options, Handle> function, std::string_view target,
                         const ssmwire::command &command, Handle &started, detail::call &call) const {
        detail::texts texts;
        const std::string node(target);
        std::vector<const char *> arguments;
        arguments.reserve(command.arguments.size());
        for (const std::string &each : command.arguments) {
            arguments.push_back(texts.exact("arguments", each));
        }
        auto made = detail::sized<ssmwire_command_options>();
        made.target = texts.optional("target", node);
        made.arguments = arguments.data();
        made.arguments_len = arguments.size();
        made.line = texts.optional("line", command.line);
        made.document = texts.optional("document", command.document);
        made.reason = texts.optional("reason", command.reason);
        made.run_timeout_ms = detail::option(command.run_timeout);
        made.is_binary = command.is_binary;
        made.is_checked = command.is_checked;
        if (command.input) {
            made.input = reinterpret_cast<const std::uint8_t *>(command.input->data());
            made.input_len = command.input->size();
        }
        made.output_max = command.output_max;
        const ssmwire_status status = texts.check(call.told());
        return status == SSMWIRE_OK ? function(handle(), &made, &started, call) : status;
    }
    template <class Handle>
    ssmwire_status start(starter<ssmwire_port_options, Handle> function, std::string_view target,
                         const port_options &options, Handle &started, detail::call &call) const {
        detail::texts texts;
        const std::string node(target);
        auto made = detail::sized<ssmwire_port_options>();
        made.target = texts.optional("target", node);
        made.host = texts.optional("host", options.host);
        made.port = options.port;
        made.document = texts.optional("document", options.document);
        made.reason = texts.optional("reason", options.reason);
        made.bind = texts.optional("bind", options.bind);
        made.sessions = options.sessions;
        const ssmwire_status status = texts.check(call.told());
        return status == SSMWIRE_OK ? function(handle(), &made, &started, call) : status;
    }
    static ssmwire_status open_stdio(ssmwire_session session, ssmwire::shell &shell, ssmwire_error *told) noexcept {
        ssmwire_stream made{};
        shell.session.reset(session);
        const ssmwire_status status = ssmwire_session_stdio(session, &made, told);
        shell.stdio.reset(made);
        return status;
    }
};

} // namespace with_results or with_exceptions
} // namespace ssmwire

#endif
