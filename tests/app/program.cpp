// SPDX-License-Identifier: Apache-2.0
#include "tests/app/program.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <pty.h>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ; // NOLINT: POSIX has it in no header

namespace petnet::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto poll_interval = 2ms;

fs::path new_folder() {
    std::string name = (fs::temp_directory_path() / "petnet_run_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    fs::permissions(name, fs::perms::all); // petnet may run as another user
    return name;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
    std::vector<std::string> result;
    for (char** each = environ; *each != nullptr; ++each)
        if (const std::string text = *each; !text.starts_with("PETNET_")) result.push_back(text);
    // Tests run side by side: OpenMP's threads that wait by spinning take eight times as long then.
    if (std::getenv("OMP_WAIT_POLICY") == nullptr) result.emplace_back("OMP_WAIT_POLICY=passive");
    for (const auto& [name, value] : added) result.push_back(name + "=" + value);
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

void redirect(int to, const fs::path& file, int flags) {
    const int descriptor = ::open(file.c_str(), flags, 0666);
    if (descriptor < 0 || ::dup2(descriptor, to) < 0) ::_exit(126);
}

} // namespace

program::program(const arguments& words, const surroundings& where) : folder_(new_folder()), where_(where) {
    if (address_sanitizer) where_.limit *= 10;
    std::vector<std::string> all = where.wrapper;
    all.emplace_back(PETNET_PROGRAM);
    all.insert(all.end(), words.begin(), words.end());
    std::vector<std::string> environment = environment_with(where.environment);
    const std::vector<char*> argv = pointers(all), envp = pointers(environment);
    const fs::path out = folder_ / "out", err = folder_ / "err";
    process_ = ::fork();
    if (process_ < 0) throw std::runtime_error("no process");
    if (process_ != 0) return;
    redirect(STDIN_FILENO, where.input.empty() ? "/dev/null" : where.input, O_RDONLY);
    redirect(STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_APPEND);
    redirect(STDERR_FILENO, err, O_WRONLY | O_CREAT | O_APPEND);
    if (!where.folder.empty() && ::chdir(where.folder.c_str()) != 0) ::_exit(126);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
}

program::~program() {
    if (!ended_) {
        signal(SIGKILL);
        static_cast<void>(end());
    }
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

void program::signal(int number) const {
    if (!ended_) ::kill(process_, number);
}

bool program::ended() {
    if (ended_) return true;
    int status = 0;
    rusage usage{};
    if (::wait4(process_, &status, WNOHANG, &usage) != process_) return false;
    ended_ = true;
    result_.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    const auto in_seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    result_.processor_seconds = in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
    result_.peak_megabytes = static_cast<double>(usage.ru_maxrss) / 1e3;
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    result_.out = content_of(folder_ / "out");
    result_.err = content_of(folder_ / "err");
    return true;
}

bool program::wait_until(const std::function<bool()>& holds) {
    for (;; std::this_thread::sleep_for(poll_interval)) {
        if (holds()) return true;
        if (ended()) return holds(); // it may have come true between the two questions
        if (std::chrono::steady_clock::now() - start_ > where_.limit) return false;
    }
}

outcome program::end() {
    if (!wait_until([this] { return ended(); })) {
        ADD_FAILURE() << "still running after " << where_.limit.count() << " s";
        signal(SIGKILL);
        while (!ended()) std::this_thread::sleep_for(poll_interval);
    }
    return result_;
}

std::string program::out_so_far() const { return content_of(folder_ / "out"); }
std::string program::err_so_far() const { return content_of(folder_ / "err"); }

outcome run(const arguments& words, const surroundings& where) { return program(words, where).end(); }

outcome run_until(const std::function<bool()>& holds, const arguments& words, const surroundings& where) {
    program beginning(words, where);
    EXPECT_TRUE(beginning.wait_until(holds)) << beginning.err_so_far();
    beginning.signal(SIGKILL);
    return beginning.end();
}

outcome run_on_terminal(const arguments& words, const surroundings& where) {
    arguments all{PETNET_PROGRAM};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<std::string> environment = environment_with(where.environment);
    const std::vector<char*> argv = pointers(all), envp = pointers(environment);
    int terminal = -1;
    const pid_t process = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (process < 0) throw std::runtime_error("no terminal");
    if (process == 0) {
        ::execvpe(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    outcome result;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(terminal, buffer, sizeof buffer)) > 0;)
        result.out.append(buffer, static_cast<std::size_t>(got));
    ::close(terminal);
    int status = 0;
    if (::waitpid(process, &status, 0) == process)
        result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return result;
}

::testing::AssertionResult refused(const outcome& result, int code, const std::vector<std::string>& parts) {
    const auto failure = [&] {
        return ::testing::AssertionFailure() << "exit code " << result.code << ", standard error:\n"
                                             << result.err << "\n";
    };
    if (result.code != code) return failure() << "exit code " << code << " was expected";
    const std::vector<std::string> lines = lines_of(result.err);
    if (lines.size() != 1 || !result.err.ends_with('\n') || result.err.find('\r') != std::string::npos)
        return failure() << "one line was expected";
    if (!lines[0].starts_with("petnet: ")) return failure() << "the program's name was expected first";
    for (const std::string& part : parts)
        if (lines[0].find(part) == std::string::npos) return failure() << "expected in it: " << part;
    return ::testing::AssertionSuccess();
}

std::string content_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

} // namespace petnet::testing
