// SPDX-License-Identifier: Apache-2.0
// A run in MLflow. What is told is put into a buffer; a thread of its own brings it to the server, in order,
// as soon as the server takes it.
#pragma once

#include "train/tracking/mlflow_client.hpp"
#include "train/tracking/mlflow_run.hpp"
#include "train/tracking/sink.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace petnet::tracking {

struct mlflow_patience {
    std::chrono::milliseconds first_wait{1000};     // before the second attempt; doubles with each
    std::chrono::milliseconds longest_wait{60'000}; // bounds what a server asks for (Retry-After), too
    // Steps are told at most so often, and a batch waits for more of them so long; epochs are told at once.
    std::chrono::milliseconds between_steps{1000}, collect{10'000};
    // At the end: without any success, where the server never answered, where a stop was asked for.
    std::chrono::milliseconds end{30'000}, end_unreached{5000}, end_hurried{5000};
    std::size_t most_metrics = 100'000; // in the buffer; beyond, those of steps are left out
};

class mlflow_sink final : public sink {
  public:
    // `memory`: a file that remembers the run that was created, so that a continued training continues it.
    mlflow_sink(mlflow_settings settings, std::filesystem::path memory, mlflow_patience patience = {});
    ~mlflow_sink() override;                  // without `end`: what waits is lost
    mlflow_sink(const mlflow_sink&) = delete; // owns a thread
    mlflow_sink& operator=(const mlflow_sink&) = delete;

    void start(const run_start& run) override;
    void step(const report& done) override;
    void epoch(const report& done) override;
    void keep(const artifact& result) override;
    // A run that petnet created ends as the training did; another one is left as it is.
    void end(ending how, const std::function<bool()>& hurry) override;
    [[nodiscard]] std::vector<std::string> take_warnings() override;

  private:
    struct parameter_item : entry {};
    struct tag_item : entry {};
    struct status_item {
        std::string status;
        std::int64_t time = 0;
    };
    using item = std::variant<parameter_item, tag_item, metric_point, artifact, status_item>;
    using clock = std::chrono::steady_clock;

    void work();
    // Whether the thread is to go on; returns when there is something to send.
    [[nodiscard]] bool wait_for_items();
    void wait_before_retry(const mlflow_answer& answer);
    // Finds or creates the run; whether that is done.
    [[nodiscard]] bool open_run();
    void send_first_items();
    [[nodiscard]] mlflow_batch first_batch(std::size_t& items) const;
    void judge(const mlflow_answer& answer, std::size_t items, const std::string& about);
    void forget_first(std::size_t items);
    void give_up(const mlflow_answer& answer);
    void warn(const std::string& kind, const std::string& text); // once for each kind
    void push(std::vector<item> more, bool urgent);
    void push_metrics(const report& done, std::int64_t step, bool of_epoch);
    void tell_undelivered();
    [[nodiscard]] bool go_on(std::uint64_t moved);

    mlflow_patience patience_;

    mutable std::mutex mutex_; // guards what follows
    std::condition_variable changed_;
    std::deque<item> items_;
    std::size_t metrics_ = 0; // of the items
    bool urgent_ = false, retry_now_ = false, ending_ = false, finished_ = false, hopeless_ = false;
    clock::time_point first_item_at_{};
    std::vector<std::string> warnings_;
    std::set<std::string> warned_; // kinds
    clock::time_point progress_at_ = clock::now();
    bool ever_answered_ = false;

    std::atomic<bool> cancelled_ = false;
    clock::time_point last_step_{}; // of the training's thread

    // Of the thread:
    mlflow_client client_;
    mlflow_run run_;
    run_start start_; // since before there was a thread
    std::size_t batch_limit_;
    int fruitless_ = 0; // attempts in a row
    std::uint64_t moved_ = 0;

    std::thread thread_; // last: it uses all the others
};

} // namespace petnet::tracking
