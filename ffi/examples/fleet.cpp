// Runs a command on many managed nodes, so many at a time, and tells of each as soon as it is done:
// fleet AT-ONCE LINE TARGET…
//
// The exit code is 0 if it was that everywhere.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ssmwire.hpp>

namespace {

using namespace std::chrono_literals;

/// How long one command may take.
constexpr auto run_timeout = 10min;

/// A run that goes on, and where.
struct job {
    std::string target;
    ssmwire::run run;
};

/// Writes each line of a text with a name before it.
void write_lines(std::ostream &out, std::string_view name, std::string_view text) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        out << name << ": " << text.substr(0, end) << '\n';
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
}

void write_output(const std::string &target, const ssmwire::output &output) {
    write_lines(std::cout, target, output.out);
    write_lines(std::cerr, target, output.err);
}

/// Takes what a run has come to, if it is over, and tells of it. Returns whether it is; `is_good` becomes false if it
/// has failed.
bool finish(const job &job, bool &is_good) {
    try {
        const auto output = job.run.try_wait();
        if (!output) {
            return false;
        }
        write_output(job.target, *output);
        if (output->code != 0) {
            std::cerr << job.target << ": exit code " << output->code.value_or(-1) << '\n';
            is_good = false;
        }
    } catch (const ssmwire::error &error) {
        if (error.output() != nullptr) {
            write_output(job.target, *error.output());
        }
        std::cerr << job.target << ": " << error.what() << '\n';
        is_good = false;
    }
    return true;
}

bool run_all(std::size_t at_once, const std::string &line, const std::vector<std::string> &targets) {
    const auto client = ssmwire::client::open();
    const auto queue = ssmwire::queue::open();
    auto command = ssmwire::command::shell(line);
    command.run_timeout = run_timeout;
    // By tag: a target's place among the arguments.
    std::map<std::uint64_t, job> jobs;
    std::vector<std::uint64_t> tags(at_once);
    std::size_t next = 0;
    bool is_good = true;
    while (next < targets.size() || !jobs.empty()) {
        for (; jobs.size() < at_once && next < targets.size(); next++) {
            const auto &job = jobs[next] = {targets[next], client.start_run(targets[next], command)};
            job.run.watch(queue, next);
        }
        for (std::size_t at = 0, count = queue.wait(tags.data(), tags.size()); at < count; at++) {
            const auto job = jobs.find(tags[at]);
            if (job != jobs.end() && finish(job->second, is_good)) {
                jobs.erase(job);
            }
        }
        std::cout.flush();
    }
    client.close(5s);
    return is_good;
}

} // namespace

int main(int count, char **words) {
    const std::vector<std::string> arguments(words + 1, words + count);
    const int at_once = arguments.empty() ? 0 : std::atoi(arguments[0].c_str());
    if (at_once < 1 || arguments.size() < 3) {
        std::cerr << "usage: fleet AT-ONCE LINE TARGET...\n";
        return 2;
    }
    try {
        const std::vector<std::string> targets(arguments.begin() + 2, arguments.end());
        return run_all(static_cast<std::size_t>(at_once), arguments[1], targets) ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const std::exception &error) {
        std::cerr << "fleet: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
