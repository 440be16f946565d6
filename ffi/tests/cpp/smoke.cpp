/* Everything once: a run, a command, a shell, ports, a container, and what can be asked of them. */
#include "test.hpp"

static void run(const ssmwire::client &client) {
    ssmwire::output output = MUST(client.run(TARGET, {"sh", "-c", "printf 'it is \"me\"'; printf oops >&2; exit 3"}));
    CHECK(output.code == 3 && output.out == "it is \"me\"" && output.err == "oops" && !output.is_enveloped);

    /* Every byte arrives as it is, if asked for. An argument may be empty. */
    auto command = ssmwire::command::shell("printf '\\377\\000\\200'");
    command.is_binary = true;
    output = MUST(client.run(TARGET, command));
    CHECK(output.code == 0 && output.out == std::string("\377\0\200", 3) && output.is_enveloped);
    output = MUST(client.run(TARGET, {"printf", "<%s>", "", "b"}));
    CHECK(output.out == "<><b>" && output.err.empty());

    /* What had arrived before the time was over is in the error. */
    command = ssmwire::command::shell("echo early; echo odd >&2; sleep 60");
    for (auto limit = 1500ms;; limit *= 2) {
        /* Valgrind beside others may need longer to start it. */
        CHECK(limit < SOON);
        command.run_timeout = limit;
        const ssmwire::error late = FAILS(SSMWIRE_TIMEOUT, client.run(TARGET, command));
        CHECK(late.retryable());
        if (late.output() != nullptr && late.output()->err == "odd\n") {
            CHECK(late.output()->out == "early\n" && !late.output()->code);
            break;
        }
    }

    command = ssmwire::command::shell("echo why >&2; exit 4");
    command.is_checked = true;
    const ssmwire::error failed = FAILS(SSMWIRE_COMMAND_FAILED, client.run(TARGET, command));
    CHECK(failed.output() != nullptr && failed.output()->code == 4 && failed.output()->err == "why\n");

    /* A wait that ends does not end the run. */
    auto run = MUST(client.start_run(TARGET, ssmwire::command::shell("echo begun; sleep 0.5; echo done")));
    CHECK(!MUST(run.try_wait()));
    CHECK(FAILS(SSMWIRE_TIMEOUT, run.wait(1ms)).output() == nullptr);
    CHECK(FAILS(SSMWIRE_AGAIN, run.wait(0ms)).message() == "nothing yet");
    output = MUST(run.wait(SOON));
    CHECK(output.code == 0 && output.out == "begun\ndone\n");
    CHECK(MUST(run.try_wait())->out == output.out);
    char text[8];
    CHECK(MUST(run.try_read(SSMWIRE_STDOUT, 6, text, sizeof text)) == 5U);
    CHECK(MUST(run.try_read(SSMWIRE_STDOUT, 11, text, sizeof text)) == 0U);
    MUST(run.close());
    MUST(run.close());

    /* It reads what it is given. */
    command = ssmwire::command::shell("cat; echo end");
    command.input = "given ";
    CHECK(MUST(client.run(TARGET, command)).out == "given end\n");

    /* One that writes too much leaves as much as is allowed. */
    command = ssmwire::command::shell("yes");
    command.output_max = 5;
    const ssmwire::error large = FAILS(SSMWIRE_OUTPUT_TOO_LARGE, client.run(TARGET, command));
    CHECK(large.output() != nullptr && large.output()->out == "y\ny\ny");

    /* One that is stopped leaves what had arrived. */
    for (auto limit = 1500ms;; limit *= 2) {
        CHECK(limit < SOON);
        auto stopped = MUST(client.start_run(TARGET, ssmwire::command::shell("echo begun; sleep 600")));
        FAILS(SSMWIRE_TIMEOUT, stopped.wait(limit));
        MUST(stopped.stop());
        const ssmwire::error ended = FAILS(SSMWIRE_CANCELLED, stopped.wait(SOON));
        MUST(stopped.close());
        if (ended.output() != nullptr && ended.output()->out == "begun\n") {
            break;
        }
    }
    FAILS(SSMWIRE_BAD_HANDLE, run.wait());
}

static void command(const ssmwire::client &client) {
    auto command = ssmwire::command::shell("echo out; echo err >&2; sleep 0.5; exit 7");
    command.reason = "a test";
    auto running = MUST(client.command(TARGET, command));
    std::string out, err;
    MUST(running.session.ready(SOON));
    MUST(running.out.read_all(out, SOON));
    MUST(running.err.read_all(err, SOON));
    CHECK(out == "out\n" && err == "err\n");
    CHECK(MUST(running.session.exit_code(SOON)) == 7);
    CHECK(**MUST(running.session.try_exit_code()) == 7);
    MUST(running.session.close(SOON));

    running = MUST(client.command(TARGET, {"sleep", "60"}));
    MUST(running.session.ready(SOON));
    CHECK(!MUST(running.session.try_exit_code()));
    FAILS(SSMWIRE_UNSUPPORTED, running.err.write("x", SOON));
    MUST(running.interrupt(SOON));
    MUST(running.session.exit_code(SOON));
}

static void shell(const ssmwire::client &client) {
    ssmwire::session_options options;
    options.columns = 100;
    options.rows = 30;
    auto shell = MUST(client.shell(TARGET, options));
    MUST(shell.session.ready(SOON));
    MUST(shell.stdio.ready(SOON));
    CHECK(MUST(shell.session.try_ready()) && MUST(shell.stdio.try_ready()));
    const auto info = MUST(shell.session.info());
    CHECK(info.kind == SSMWIRE_SESSION_SHELL && info.session_id.size() > 4);
    MUST(shell.stdio.write_all("stty size\r", SOON));
    read_until(shell.stdio, "30 100");
    MUST(shell.session.resize(90, 20));
    MUST(shell.stdio.write_all("sleep 0.3; stty size\r", SOON));
    read_until(shell.stdio, "20 90");
    MUST(shell.stdio.flush(SOON));
    CHECK(MUST(shell.stdio.try_flush()));
    const auto stats = MUST(shell.session.stats());
    CHECK(stats.bytes_out >= 31 && stats.bytes_in > 0 && stats.reconnects == 0);
    CHECK(!MUST(shell.session.try_event()));
    /* The shell has read its line, and the terminal is as programs want it, before anything is typed for cat. */
    MUST(shell.stdio.write_all("echo re''ady; exec cat\r"));
    read_until(shell.stdio, "ready");
    CHECK(MUST(shell.stdio.write("meow\r", SOON)) == 5);
    read_until(shell.stdio, "meow\r\nmeow");
    MUST(shell.stdio.finish());
    CHECK(!MUST(shell.session.exit_code(SOON)));
    CHECK(!MUST(shell.session.event(SOON)));
    std::optional<ssmwire::event> last;
    while (!last) {
        last = MUST(shell.session.try_event());
    }
    CHECK(!*last);
    MUST(shell.session.close(SOON));
}

static void streams(const ssmwire::client &client) {
    ssmwire::session_options options;
    options.document = "Emulator-Chargen";
    options.parameters = {{"bytes", "300000"}};
    auto session = MUST(client.start_session(TARGET, options));
    auto stdio = MUST(session.stdio());
    std::string text = "before ";
    MUST(stdio.read_all(text, ssmwire::forever));
    CHECK(text.size() == 300007 && text.compare(0, 7, "before ") == 0);

    /* What comes before a time-out is kept. */
    options.document = "Emulator-Echo";
    options.parameters = {{"greeting", "hello"}};
    session = MUST(client.start_session(TARGET, options));
    stdio = MUST(session.stdio());
    MUST(stdio.ready(SOON));
    text.clear();
    const ssmwire::error late = FAILS(SSMWIRE_TIMEOUT, stdio.read_all(text, 2s));
    CHECK(text == "hello" && late.message().size() > 4);
    char byte;
    CHECK(!MUST(stdio.try_read(&byte, 1)));
    FAILS(SSMWIRE_AGAIN, stdio.read(&byte, 1, -5ms));
    FAILS(SSMWIRE_INVALID_ARGUMENT, stdio.read(&byte, 0, 0ms));
    CHECK(MUST(stdio.write("")) == 0 && MUST(stdio.try_write("")) == 0);
    std::size_t written = 0;
    MUST(stdio.write_all(std::string(300000, 'x'), SOON, &written));
    CHECK(written == 300000);

    /* Nobody reads what comes back: in the end nothing more can be written. */
    const std::string more(std::size_t(64) << 20, 'y');
    FAILS(SSMWIRE_TIMEOUT, stdio.write_all(more, 300ms, &written));
    CHECK(written < more.size());
}

static void ports(const ssmwire::client &client) {
    ssmwire::port_options options;
    {
        server server;
        options.port = server.port;
        options.host = "127.0.0.1";
        auto stream = MUST(client.dial(TARGET, server.port));
        MUST(stream.write_all("abc", SOON));
        read_until(stream, "ABC");
        MUST(stream.close());
        stream = MUST(client.dial(TARGET, options));
        MUST(stream.ready(SOON));
        talk(MUST(stream.into_fd()));
        FAILS(SSMWIRE_BAD_HANDLE, stream.flush());

        auto forward = MUST(client.forward(TARGET, server.port));
        MUST(forward.ready(SOON));
        CHECK(MUST(forward.try_ready()));
        const std::string address = MUST(forward.address());
        CHECK(address.compare(0, 10, "127.0.0.1:") == 0);
        sockaddr_in far = local(static_cast<std::uint16_t>(std::atoi(address.c_str() + 10)));
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(fd, reinterpret_cast<sockaddr *>(&far), sizeof far) == 0);
        talk(fd);
        CHECK(MUST(forward.stats()).connections == 1 && MUST(forward.stats()).sent == 4);
        CHECK(!MUST(forward.try_event()));
        FAILS(SSMWIRE_TIMEOUT, forward.event(1ms));
        MUST(forward.close(SOON));
        options.bind = "127.0.0.1:" + std::to_string(server.port);
        forward = MUST(client.forward(TARGET, options));
        FAILS(SSMWIRE_LISTEN_FAILED, forward.ready(SOON));

        ssmwire::session_options many;
        many.document = "AWS-StartPortForwardingSession";
        many.parameters = {{"portNumber", std::to_string(server.port)}};
        auto session = MUST(client.start_session(TARGET, many));
        stream = MUST(session.connect());
        MUST(stream.write_all("xyz", SOON));
        read_until(stream, "XYZ");
        auto errors = MUST(session.errors());
        MUST(session.close(SOON));
    }

    /* Nobody listens there. */
    const auto stream = MUST(client.dial(TARGET, 1));
    char byte;
    const ssmwire::error refused = FAILS(SSMWIRE_REMOTE_CONNECT_FAILED, stream.read(&byte, 1, SOON));
    CHECK(!refused.message().empty() && !refused.hint().empty() && !refused.session_id().empty());
}

static void container(const ssmwire::client &client) {
    ssmwire::ecs_exec_options options;
    options.cluster = "shop";
    options.task = "0123456789abcdef";
    CHECK(FAILS(SSMWIRE_INVALID_ARGUMENT, client.ecs_exec(options)).message().find("command") != std::string::npos);
    options.command = "echo inside";
    const auto shell = MUST(client.ecs_exec(options));
    read_until(shell.stdio, "inside");
}

/* A session that is kept alive sends what is no input. */
static void kept_alive() {
    ssmwire::client_options options;
    options.keepalive = 20ms;
    const auto client = MUST(ssmwire::client::open(options));
    const auto shell = MUST(client.shell(TARGET));
    MUST(shell.session.ready(SOON));
    while (MUST(shell.session.stats()).messages_out < 5) {
        CHECK(MUST(shell.session.stats()).bytes_out == 0);
        std::this_thread::sleep_for(20ms);
    }
    MUST(client.close(SOON));
}

int main() {
    CHECK(ssmwire::abi_version() == SSMWIRE_ABI_VERSION && ssmwire::version().size() >= 5);
    CHECK(ssmwire::status_name(SSMWIRE_TARGET_NOT_CONNECTED) == "TargetNotConnected");
    const auto client = open_client();
    MUST(client.ready(SOON));
    run(client);
    command(client);
    shell(client);
    streams(client);
    ports(client);
    container(client);
    kept_alive();
    MUST(client.close(SOON));
    MUST(ssmwire::shutdown(SOON));
    return 0;
}
