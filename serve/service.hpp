// SPDX-License-Identifier: Apache-2.0
// What is answered to whom: the routes, the key, the limits. It knows nothing of sockets.
#pragma once

#include "serve/bearer_key.hpp"
#include "serve/http_server.hpp"
#include "serve/metrics.hpp"
#include "serve/scorer.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::serve {

struct service_options {
    scorer_limits scoring;
    std::size_t body_bytes = 32 * 1024 * 1024;          // of one request, decompressed
    std::string key;                                    // empty: everybody may ask
    std::function<void(const std::string&)> on_failure; // a line about what failed on our side; may be empty
};

//     GET  /         the page
//     POST /score    photographs as of sent_photos.hpp, answered by {"predictions": [...]} in their order:
//     each as
//                    of infer/answer_json.hpp, or {"file", "error"}. 200 where one at least could be
//                    classified
//     GET  /livez    200 as long as there is a process
//     GET  /readyz   200 while photographs are answered; 503 before and after
//     GET  /metrics  Prometheus
// Whatever is refused is answered by {"error": "..."}: 400 not what was expected, 401 no key or another (all
// but /livez and /readyz), 404, 405, 408 sent too slowly, 411 a body without an end, 413 too large, 429 (with
// Retry-After) no place in the queue, 503 not ready, 500 the device failed.
class service {
  public:
    explicit service(service_options options);

    // Any thread, any number at once.
    [[nodiscard]] http_answer answer(http_request& request);
    void count_answer(int status) { counts_.count_answer(status); }

    struct networks {
        std::function<std::unique_ptr<infer::classifier>()> load;    // on any thread
        std::function<std::size_t(const infer::classifier&)> copies; // in all; asked when the first is there
        std::function<void(const infer::classifier&, std::size_t copies)> on_ready;
    };
    // Loads the network on the caller's thread and its copies on threads of their own; calls on_ready;
    // answers photographs until `stop_requested` (any thread asks), and those that wait then. Throws what
    // `load` throws.
    void run(const networks& use, const std::function<bool()>& stop_requested);

  private:
    [[nodiscard]] http_answer score(http_request& request);
    [[nodiscard]] http_answer score_body(const http_request& request, std::string_view body,
                                         scorer::admission place);
    [[nodiscard]] http_answer busy() const;

    service_options options_;
    bearer_key key_;
    metrics counts_;
    scorer scorer_;
    std::atomic<std::size_t> bytes_held_ = 0; // bodies in memory
    enum class stage : std::uint8_t { loading, serving, over };
    std::atomic<stage> stage_ = stage::loading;
    std::vector<std::string> classes_; // once serving
};

} // namespace petnet::serve
