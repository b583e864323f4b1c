// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_cache.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

namespace fs = std::filesystem;

// A change of this text makes files of before strangers.
constexpr std::string_view first_line = "petnet: a plan of cuDNN for a convolution, format 1";
constexpr std::size_t largest_file = 4096;

std::string hash(const std::string& text) { return sha256(std::as_bytes(std::span(text))); }

bool is_line(const std::string& text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

// What a file must begin with, up to the line of the plan.
std::string head_of(const std::string& surroundings, const std::string& problem) {
    return std::string(first_line) + "\n" + surroundings + "\n" + problem + "\n";
}
std::string file_text(const std::string& head, const std::string& plan) {
    const std::string lines = head + plan + "\n";
    return lines + hash(lines) + "\n";
}

} // namespace

plan_cache::plan_cache(fs::path folder, std::string surroundings,
                       std::function<void(const std::string&)> on_warning)
    : folder_(std::move(folder)), surroundings_(std::move(surroundings)), on_warning_(std::move(on_warning)) {
    // The name of a device is the driver's text.
    std::ranges::replace_if(
        surroundings_, [](char c) { return c < ' ' || c > '~'; }, '?');
    if (folder_.empty()) return;
    std::error_code problem;
    fs::create_directories(folder_, problem);
    if (!problem && ::access(folder_.c_str(), W_OK | X_OK) != 0)
        problem.assign(errno, std::generic_category());
    can_remember_ = !problem;
    if (problem) warn(problem.message());
}

fs::path plan_cache::file_of(const std::string& problem) const {
    constexpr std::size_t digits = 32; // 128 bits
    return folder_ / (hash(head_of(surroundings_, problem)).substr(0, digits) + ".plan");
}

std::optional<std::string> plan_cache::find(const std::string& problem) const {
    if (folder_.empty()) return std::nullopt;
    std::string text;
    try {
        const std::vector<std::byte> bytes = read_file(file_of(problem), largest_file);
        text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    } catch (const input_error&) {
        return std::nullopt;
    }
    const std::string head = head_of(surroundings_, problem);
    if (!text.starts_with(head)) return std::nullopt;
    std::string plan = text.substr(head.size(), text.find('\n', head.size()) - head.size());
    if (!is_line(plan) || text != file_text(head, plan)) return std::nullopt;
    return plan;
}

std::optional<std::string> plan_cache::remember(const std::string& problem, const std::string& plan) {
    if (!can_remember_) return std::nullopt;
    const fs::path file = file_of(problem);
    // A link to an existing name fails: that is how the first process wins.
    const fs::path own = file.string() + ".of" + std::to_string(::getpid());
    try {
        write_file_atomically(own, file_text(head_of(surroundings_, problem), plan));
    } catch (const environment_error& e) {
        warn(e.what());
        return std::nullopt;
    }
    std::error_code refused, ignored;
    fs::create_hard_link(own, file, refused);
    std::optional<std::string> first = find(problem);
    if (refused && !first) { // a spoilt file, or a file system without links
        fs::rename(own, file, refused);
        first = find(problem);
    }
    fs::remove(own, ignored);
    if (!first) warn(refused ? refused.message() : "what was written cannot be read again");
    return first;
}

void plan_cache::forget(const std::string& problem) {
    std::error_code ignored;
    if (can_remember_) fs::remove(file_of(problem), ignored);
}

void plan_cache::warn(const std::string& reason) {
    can_remember_ = false; // and there is no second warning
    if (on_warning_)
        on_warning_("plans of cuDNN are taken by its own ranking and not timed, as they cannot be kept in " +
                    folder_.string() + ": " + reason);
}

} // namespace petnet::kernels::cuda
