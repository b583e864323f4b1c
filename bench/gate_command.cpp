// SPDX-License-Identifier: Apache-2.0
#include "bench/gate_command.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/utc_time.hpp"
#include "bench/gate.hpp"
#include "bench/machine_facts.hpp"
#include "bench/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace petnet::bench {
namespace {

using nlohmann::json;

std::filesystem::path program_in(const std::filesystem::path& place) {
    if (std::filesystem::is_regular_file(place)) return std::filesystem::absolute(place);
    for (const char* inside : {"bench/petnet-bench", "bin/petnet-bench", "petnet-bench"})
        if (std::filesystem::is_regular_file(place / inside))
            return std::filesystem::absolute(place / inside);
    throw usage_error(place.string() + " is no program and no build folder with bench/petnet-bench");
}

// A file that is gone with its owner.
class scratch_file {
  public:
    scratch_file()
        : path_(std::filesystem::temp_directory_path() /
                ("petnet-bench-gate-" + std::to_string(::getpid()) + ".json")) {}
    ~scratch_file() { remove(); }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    void remove() const {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

  private:
    std::filesystem::path path_;
};

// Both times of a case are judged, each by the name of its benchmark.
constexpr std::array temperatures{"hot", "cold"};

// The names of cases, as a regular expression that matches no others.
std::string exactly(const std::vector<std::string>& names) {
    std::string pattern;
    for (const std::string& name : names) {
        pattern += pattern.empty() ? "^(" : "|";
        for (const char c : name.substr(0, name.rfind('/'))) {
            if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '/' && c != '_') pattern += '\\';
            pattern += c;
        }
    }
    return pattern + ")$";
}

class process_runner {
  public:
    explicit process_runner(const gate_options& options)
        : options_(options), base_(program_in(options.base)), head_(program_in(options.head)) {}

    run_result operator()(side of, const std::vector<std::string>& only) {
        const std::filesystem::path& program = of == side::base ? base_ : head_;
        const std::string filter = only.empty() ? options_.filter : exactly(only);
        std::vector<std::string> words{program.string(), "--json", scratch_.path().string(), "--no-verify"};
        if (!filter.empty()) words.insert(words.end(), {"--filter", filter});
        words.insert(words.end(), options_.passed_on.begin(), options_.passed_on.end());
        scratch_.remove(); // so that none is read twice
        const process_result ended = run_process(words);
        const auto broken = [&](const std::string& why) {
            return broken_program(fmt::format(
                "{} ({}) is broken: {}", of == side::base ? "the base" : "the head", program.string(), why));
        };
        if (ended.status != 0) throw broken(fmt::format("it ended with status {}", ended.status));
        try {
            constexpr std::size_t limit = std::size_t{1} << 28;
            const std::vector<std::byte> bytes = read_file(scratch_.path(), limit);
            const char* text = reinterpret_cast<const char*>(bytes.data());
            return result_of(json::parse(text, text + bytes.size()), of);
        } catch (const input_error& e) {
            throw broken(e.what());
        } catch (const json::exception& e) {
            throw broken(std::string("its JSON is not as expected: ") + e.what());
        }
    }

    [[nodiscard]] const std::string& version_of(side of) const {
        return of == side::base ? base_version_ : head_version_;
    }

  private:
    run_result result_of(const json& record, side of) {
        run_result result{.cases = {}, .timer_seconds = record.at("timer_seconds").get<double>()};
        for (const json& each : record.at("cases")) {
            // What the harness itself takes is below what the clock can tell, 0 at times.
            if (each.value("group", "") == "harness") continue;
            for (const char* temperature : temperatures)
                if (each.contains(temperature))
                    result.cases.push_back({each.at("name").get<std::string>() + '/' + temperature,
                                            each.at(temperature).at("median").get<double>()});
        }
        (of == side::base ? base_version_ : head_version_) = record.at("version").get<std::string>();
        return result;
    }

    const gate_options& options_;
    std::filesystem::path base_, head_;
    scratch_file scratch_;
    std::string base_version_, head_version_;
};

std::string line_of(const gate_result::judged_case& each) {
    const judgement& found = each.first;
    return fmt::format("{:<8}{:+6.1f}%  noise {:.1f}%  p {:.4f}  {}\n", name_of(each.found()),
                       100 * found.change(), 100 * found.noise, found.p, each.name);
}

void print(const gate_result& result, const process_runner& run, const gate_options& options) {
    fmt::print("base  {}\nhead  {}\n", run.version_of(side::base), run.version_of(side::head));
    fmt::print("{} runs of each, the base's twice, in random order (seed {})\n\n", options.pairs,
               options.seed);
    for (const verdict shown : {verdict::slower, verdict::unclear, verdict::faster})
        for (const gate_result::judged_case& each : result.cases)
            if (each.found() == shown) fmt::print("{}", line_of(each));
    for (const std::string& name : result.vanished) fmt::print("VANISHED {}\n", name);
    for (const std::string& name : result.appeared) fmt::print("new      {}\n", name);
    fmt::print("{} SAME, {} FASTER, {} SLOWER, {} UNCLEAR, {} vanished, {} new: {}\n",
               result.count(verdict::same), result.count(verdict::faster), result.count(verdict::slower),
               result.count(verdict::unclear), result.vanished.size(), result.appeared.size(),
               result.passed() ? "passed" : "FAILED");
}

json to_json(const gate_result& result, const process_runner& run, const gate_options& options) {
    json record{{"program", "petnet-bench gate"},
                {"date", utc_now()},
                {"machine", machine_facts()},
                {"base", run.version_of(side::base)},
                {"head", run.version_of(side::head)},
                {"pairs", options.pairs},
                {"seed", options.seed},
                {"passed", result.passed()},
                {"vanished", result.vanished},
                {"new", result.appeared},
                {"cases", json::array()}};
    for (const gate_result::judged_case& each : result.cases)
        record["cases"].push_back({{"name", each.name},
                                   {"verdict", name_of(each.found())},
                                   {"change", each.first.change()},
                                   {"noise", each.first.noise},
                                   {"p", each.first.p},
                                   {"base", each.runs.base},
                                   {"base_again", each.runs.base_again},
                                   {"head", each.runs.head}});
    return record;
}

} // namespace

int run_gate_command(const gate_options& options) {
    process_runner run(options);
    gate_setup setup{.pairs = options.pairs, .seed = options.seed};
    if (::isatty(STDERR_FILENO) != 0)
        setup.progress = [](int round, int done, int runs) {
            fmt::print(stderr, "\r\033[K{}",
                       done < runs ? fmt::format("round {}: {} of {} runs", round, done, runs) : "");
        };
    try {
        const gate_result result =
            run_gate(setup, [&run](side of, const std::vector<std::string>& only) { return run(of, only); });
        print(result, run, options);
        if (!options.json.empty())
            write_file_atomically(options.json, to_json(result, run, options).dump(1) + '\n');
        return result.passed() ? 0 : 1;
    } catch (const broken_program& e) {
        fmt::print("{}\nFAILED\n", e.what());
        return 1;
    }
}

} // namespace petnet::bench
