// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>
#include <utility>

namespace petnet::serve {
namespace {

std::string described(const char* name, const char* type, const char* help) {
    return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

std::string value(const char* name, const char* type, const char* help, double number) {
    return described(name, type, help) + fmt::format("{} {}\n", name, number);
}

double resident_bytes() {
    std::ifstream file("/proc/self/statm");
    double all = 0, resident = 0;
    file >> all >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

} // namespace

histogram::histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void histogram::add(double value) {
    ++counts_[static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin())];
    sum_ += value;
}

std::string histogram::text(const std::string& name) const {
    std::string lines;
    std::uint64_t up_to = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        up_to += counts_[i];
        const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
        lines += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bound, up_to);
    }
    return lines + fmt::format("{}_sum {}\n{}_count {}\n", name, sum_, name, up_to);
}

void metrics::count_answer(int status) {
    const std::lock_guard lock(mutex_);
    ++answers_[status];
}

void metrics::count_request(double seconds) {
    const std::lock_guard lock(mutex_);
    request_seconds_.add(seconds);
}

void metrics::count_decoding(double seconds) {
    const std::lock_guard lock(mutex_);
    ++decoded_;
    decode_seconds_ += seconds;
}

void metrics::count_batch(std::size_t photographs, double seconds) {
    const std::lock_guard lock(mutex_);
    batch_photographs_.add(static_cast<double>(photographs));
    network_seconds_ += seconds;
}

std::string metrics::text(std::size_t waiting, std::size_t most) const {
    const std::lock_guard lock(mutex_);
    std::string text = described("petnet_http_answers_total", "counter", "Answers by status.");
    for (const auto& [status, count] : answers_)
        text += fmt::format("petnet_http_answers_total{{code=\"{}\"}} {}\n", status, count);
    text += described("petnet_score_seconds", "histogram",
                      "From the head of a request to /score to its answer, refusals included.");
    text += request_seconds_.text("petnet_score_seconds");
    text += described("petnet_batch_photographs", "histogram",
                      "Photographs that went through the network at once; the sum is all of them.");
    text += batch_photographs_.text("petnet_batch_photographs");
    text += value("petnet_network_seconds_total", "counter", "Time in the network.", network_seconds_);
    text += value("petnet_decoded_photographs_total", "counter",
                  "Photographs decoded, or refused in decoding.", static_cast<double>(decoded_));
    text += value("petnet_decode_seconds_total", "counter", "Time of decoding and resizing, of all threads.",
                  decode_seconds_);
    text += value("petnet_queue_photographs", "gauge", "Photographs admitted and not answered yet.",
                  static_cast<double>(waiting));
    text += value("petnet_queue_limit", "gauge", "The most that are admitted: --queue.",
                  static_cast<double>(most));
    text += value("process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    return text;
}

} // namespace petnet::serve
