// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/mlflow_sink.hpp"

#include <algorithm>
#include <utility>

namespace petnet::tracking {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using kind = mlflow_answer::kind;

// Azure takes 250 values of one metric and 100 parameters in a request; plain servers more.
constexpr std::size_t most_metrics_in_batch = 200, most_parameters_in_batch = 100, most_tags_in_batch = 50;
constexpr std::size_t full_batch = most_metrics_in_batch + most_parameters_in_batch + most_tags_in_batch;
constexpr std::uint64_t upload_progress = 64 * 1024; // bytes of a file that show that it comes along
constexpr auto longest_end = 10min;

std::string counted(std::size_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

} // namespace

mlflow_sink::mlflow_sink(mlflow_settings settings, fs::path memory, mlflow_patience patience)
    : patience_(patience),
      client_(std::move(settings), [this](std::uint64_t moved) { return go_on(moved); }),
      run_(client_, std::move(memory)),
      batch_limit_(full_batch) {
    const auto timeout = client_.settings().timeout;
    patience_.end = std::min(patience_.end, timeout);
    patience_.end_unreached = std::min(patience_.end_unreached, timeout);
}

mlflow_sink::~mlflow_sink() {
    {
        const std::lock_guard lock(mutex_);
        cancelled_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

// --- of the training's thread

void mlflow_sink::start(const run_start& run) {
    start_ = run;
    std::vector<item> items;
    for (const entry& each : run.tags) items.emplace_back(tag_item{each});
    items.emplace_back(tag_item{{"mlflow.autologging", "petnet"}});
    items.emplace_back(tag_item{{"petnet.identity", run.identity}});
    for (const entry& each : run.parameters) items.emplace_back(parameter_item{each});
    push(std::move(items), true);
    thread_ = std::thread([this] { work(); });
}

void mlflow_sink::step(const report& done) {
    const clock::time_point now = clock::now();
    if (last_step_ != clock::time_point{} && now - last_step_ < patience_.between_steps) return;
    last_step_ = now;
    push_metrics(done, done.step, false);
}

void mlflow_sink::epoch(const report& done) { push_metrics(done, done.epoch, true); }

void mlflow_sink::push_metrics(const report& done, std::int64_t step, bool of_epoch) {
    bool full = false;
    {
        const std::lock_guard lock(mutex_);
        full = !of_epoch && metrics_ + done.values.size() > patience_.most_metrics;
    }
    if (full)
        return warn("buffer", ": the buffer of what could not be delivered yet is full: steps are left out "
                              "there from here on");
    std::vector<item> items;
    const std::int64_t time = now_ms();
    for (const measurement& each : done.values)
        items.emplace_back(metric_point{each.name, each.value, step, time});
    push(std::move(items), of_epoch);
}

void mlflow_sink::keep(const artifact& result) { push({result}, true); }

void mlflow_sink::push(std::vector<item> more, bool urgent) {
    const std::lock_guard lock(mutex_);
    if (hopeless_) return;
    if (items_.empty()) first_item_at_ = clock::now();
    for (item& each : more) {
        if (std::holds_alternative<metric_point>(each)) ++metrics_;
        items_.push_back(std::move(each));
    }
    urgent_ = urgent_ || urgent;
    changed_.notify_all();
}

void mlflow_sink::end(ending how, const std::function<bool()>& hurry) {
    if (!thread_.joinable()) return;
    push({status_item{how == ending::finished ? "FINISHED"
                      : how == ending::failed ? "FAILED"
                                              : "KILLED",
                      now_ms()}},
         true);
    const clock::time_point begun = clock::now();
    clock::time_point hurried_at = how == ending::stopped ? begun : clock::time_point::max();
    {
        std::unique_lock lock(mutex_);
        ending_ = retry_now_ = true;
        progress_at_ = begun;
        changed_.notify_all();
        while (!changed_.wait_for(lock, 50ms, [this] { return finished_; })) {
            const clock::time_point now = clock::now();
            if (hurried_at > now && hurry && hurry()) hurried_at = now;
            const auto patience = ever_answered_ ? patience_.end : patience_.end_unreached;
            if ((hurried_at <= now && now - hurried_at > patience_.end_hurried) ||
                now - progress_at_ > patience || now - begun > longest_end)
                break;
        }
        cancelled_ = true;
        changed_.notify_all();
    }
    thread_.join();
    tell_undelivered();
}

void mlflow_sink::tell_undelivered() {
    std::size_t files = 0, values = 0;
    for (const item& each : items_) {
        files += std::holds_alternative<artifact>(each) ? 1U : 0U;
        values += std::holds_alternative<metric_point>(each) || std::holds_alternative<parameter_item>(each)
                      ? 1U
                      : 0U;
    }
    if (files + values == 0 && !items_.empty() && run_.created())
        return warn("end", ": that the run has ended could not be delivered");
    if (files + values == 0) return;
    warn("end", ": " + counted(values, "value", "values") + " and " + counted(files, "file", "files") +
                    " could not be delivered before the end");
}

std::vector<std::string> mlflow_sink::take_warnings() {
    const std::lock_guard lock(mutex_);
    return std::exchange(warnings_, {});
}

// --- of both threads

void mlflow_sink::warn(const std::string& kind, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (warned_.insert(kind).second) warnings_.push_back(client_.settings().shown + text);
}

// --- of the thread that sends

void mlflow_sink::work() {
    while (wait_for_items()) {
        try {
            if (run_.is_open() || open_run()) send_first_items();
        } catch (const std::exception& problem) { // by this no training ends
            give_up({.reason = problem.what()});
        }
    }
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
}

bool mlflow_sink::wait_for_items() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (cancelled_) return false;
        if (ending_) return !items_.empty();
        const clock::time_point due = first_item_at_ + patience_.collect;
        if (items_.empty())
            changed_.wait(lock);
        else if (urgent_ || metrics_ >= most_metrics_in_batch || clock::now() >= due)
            return true;
        else
            changed_.wait_until(lock, due);
    }
}

bool mlflow_sink::go_on(std::uint64_t moved) {
    if (moved < moved_) moved_ = 0; // another call
    if (moved - moved_ >= upload_progress) {
        moved_ = moved;
        const std::lock_guard lock(mutex_);
        progress_at_ = clock::now();
    }
    return !cancelled_;
}

bool mlflow_sink::open_run() {
    const mlflow_answer answer = run_.open(start_);
    if (answer.what == kind::refused)
        give_up(answer);
    else
        judge(answer, 0, "");
    return answer.ok();
}

mlflow_batch mlflow_sink::first_batch(std::size_t& items) const {
    mlflow_batch batch;
    const std::lock_guard lock(mutex_);
    for (const item& each : items_) {
        if (items == batch_limit_) break;
        if (const auto* metric = std::get_if<metric_point>(&each)) {
            if (batch.metrics.size() == most_metrics_in_batch) break;
            if (!run_.has(*metric)) batch.metrics.push_back(*metric);
        } else if (const auto* parameter = std::get_if<parameter_item>(&each)) {
            if (batch.parameters.size() == most_parameters_in_batch) break;
            batch.parameters.push_back(*parameter);
        } else if (const auto* tag = std::get_if<tag_item>(&each)) {
            if (batch.tags.size() == most_tags_in_batch) break;
            batch.tags.push_back(*tag);
        } else {
            break;
        }
        ++items;
    }
    return batch;
}

void mlflow_sink::send_first_items() {
    std::unique_lock lock(mutex_);
    if (const auto* found = std::get_if<artifact>(&items_.front())) {
        const artifact result = *found;
        lock.unlock();
        if (run_.uploads_itself(result)) return forget_first(1);
        return judge(client_.upload(run_.artifact_uri(), result), 1, "the file " + result.name);
    }
    if (const auto* found = std::get_if<status_item>(&items_.front())) {
        const status_item status = *found;
        lock.unlock();
        if (!run_.created()) return forget_first(1);
        return judge(client_.update_run(run_.id(), status.status, status.time), 1, "the end of the run");
    }
    lock.unlock();
    std::size_t items = 0;
    const mlflow_batch batch = first_batch(items);
    if (batch.size() == 0) return forget_first(items);
    const mlflow_answer answer = client_.log_batch(run_.id(), batch);
    if (answer.what == kind::refused && answer.code == "RESOURCE_DOES_NOT_EXIST") return give_up(answer);
    if (answer.what == kind::refused && items > 1) { // one of them is to blame
        batch_limit_ = items / 2;
        return;
    }
    batch_limit_ = std::min(2 * batch_limit_, full_batch);
    judge(answer, items,
          "the " + (!batch.parameters.empty() ? "parameter " + batch.parameters[0].name
                    : !batch.tags.empty()     ? "tag " + batch.tags[0].name
                                              : "metric " + batch.metrics[0].name));
}

void mlflow_sink::judge(const mlflow_answer& answer, std::size_t items, const std::string& about) {
    if (answer.what == kind::cancelled) return;
    const std::string later =
        " (" + answer.reason + "): the training goes on; what it logs follows when that works again";
    if (answer.what == kind::unreachable) {
        warn("reach", " cannot be reached" + later);
        return wait_before_retry(answer);
    }
    if (answer.what == kind::unauthorised) {
        warn("access", " does not let petnet in" + later);
        return wait_before_retry(answer);
    }
    if (answer.what == kind::passing) {
        warn("order", " is out of order" + later);
        return wait_before_retry(answer);
    }
    if (answer.what == kind::unsupported)
        warn("store", " gets no files: " + answer.reason);
    else if (answer.what == kind::refused)
        warn("refusal", " does not take " + about + " (" + answer.reason + "): it is left out there");
    fruitless_ = 0;
    forget_first(items);
}

void mlflow_sink::forget_first(std::size_t items) {
    const std::lock_guard lock(mutex_);
    for (; items > 0; --items) {
        if (std::holds_alternative<metric_point>(items_.front())) --metrics_;
        items_.pop_front();
    }
    if (items_.empty()) urgent_ = false;
    ever_answered_ = true;
    progress_at_ = clock::now();
}

void mlflow_sink::give_up(const mlflow_answer& answer) {
    warn("run", ": there is no run to log to (" + answer.reason + "): this training is not tracked there");
    const std::lock_guard lock(mutex_);
    hopeless_ = true;
    metrics_ = 0;
    items_.clear();
}

void mlflow_sink::wait_before_retry(const mlflow_answer& answer) {
    const int doublings = std::min(fruitless_++, 16);
    const auto wait = std::min<std::chrono::milliseconds>(
        std::max<std::chrono::milliseconds>(patience_.first_wait * (1 << doublings), answer.retry_after),
        patience_.longest_wait);
    std::unique_lock lock(mutex_);
    if (answer.status != 0) ever_answered_ = true;
    changed_.wait_for(lock, wait, [this] { return cancelled_ || retry_now_; });
    retry_now_ = false;
}

} // namespace petnet::tracking
