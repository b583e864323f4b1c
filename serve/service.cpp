// SPDX-License-Identifier: Apache-2.0
#include "serve/service.hpp"

#include "infer/answer_json.hpp"
#include "serve/page.hpp"
#include "serve/refusal.hpp"
#include "serve/words.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <future>
#include <latch>
#include <nlohmann/json.hpp>
#include <utility>

namespace petnet::serve {
namespace {

// A name from outside need not be UTF-8; JSON must.
constexpr auto replace = nlohmann::json::error_handler_t::replace;

http_answer refused(int status, const std::string& reason) {
    return {.status = status, .body = nlohmann::json{{"error", reason}}.dump(-1, ' ', false, replace) + "\n"};
}

// Counts what all requests keep in memory; frees it with its end.
class held_bytes {
  public:
    explicit held_bytes(std::atomic<std::size_t>& all, std::size_t bytes) : all_(all), bytes_(bytes) {
        all_ += bytes_;
    }
    ~held_bytes() { all_ -= bytes_; }
    held_bytes(const held_bytes&) = delete; // counted
    held_bytes& operator=(const held_bytes&) = delete;

  private:
    std::atomic<std::size_t>& all_;
    std::size_t bytes_;
};

} // namespace

service::service(service_options options)
    : options_(std::move(options)), key_(options_.key), scorer_(options_.scoring, counts_) {
    options_.key.clear();
}

void service::run(const networks& use, const std::function<bool()>& stop_requested) {
    // A network stays on the thread that made it, for whose number of OpenMP threads its plans are made.
    const std::unique_ptr<infer::classifier> first = use.load();
    first->prepare();
    classes_ = first->description().classes;
    const std::size_t copies = use.copies(*first);
    const auto stopped = [this, &stop_requested] {
        if (stage_ == stage::serving && stop_requested()) stage_ = stage::over;
        return stage_ == stage::over;
    };
    std::latch loaded(static_cast<std::ptrdiff_t>(copies - 1));
    std::vector<std::future<void>> others;
    for (std::size_t i = 1; i < copies; ++i)
        others.push_back(std::async(std::launch::async, [&] {
            std::unique_ptr<infer::classifier> copy;
            try {
                copy = use.load();
                copy->prepare();
            } catch (...) {
                stage_ = stage::over;
                loaded.count_down();
                throw;
            }
            loaded.count_down();
            scorer_.help(*copy, stopped);
        }));
    loaded.wait();
    if (stage_ != stage::over) {
        stage_ = stage::serving;
        use.on_ready(*first, copies);
        scorer_.run(*first, stopped);
    }
    for (std::future<void>& other : others) other.get();
}

http_answer service::answer(http_request& request) {
    const std::string& path = request.path();
    const bool reads = request.method() == "GET" || request.method() == "HEAD";
    if (path == "/livez" && reads) return {.type = "text/plain", .body = "alive\n"};
    if (path == "/readyz" && reads)
        return stage_ == stage::serving
                   ? http_answer{.type = "text/plain", .body = "ready\n"}
                   : http_answer{.status = 503, .type = "text/plain", .body = "not ready\n"};
    if (!key_.admits(request.header("Authorization"))) {
        http_answer answer = refused(401, "a key is needed: Authorization: Bearer KEY");
        // Basic is for browsers, which ask for a name and a password then.
        answer.headers = {{"WWW-Authenticate", "Bearer realm=\"petnet\""},
                          {"WWW-Authenticate", "Basic realm=\"petnet\""}};
        return answer;
    }
    const auto not_allowed = [](const char* allowed) {
        http_answer answer = refused(405, std::string("only ") + allowed + " here");
        answer.headers = {{"Allow", allowed}};
        return answer;
    };
    if (path == "/score") {
        if (request.method() != "POST") return not_allowed("POST");
        const auto start = std::chrono::steady_clock::now();
        http_answer answer = score(request);
        counts_.count_request(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        return answer;
    }
    const bool known = path == "/" || path == "/metrics" || path == "/livez" || path == "/readyz";
    if (!known) return refused(404, "nothing here: /, /score, /livez, /readyz and /metrics are");
    if (!reads) return not_allowed("GET, HEAD");
    if (path == "/metrics")
        return {.type = "text/plain; version=0.0.4; charset=utf-8",
                .body = counts_.text(scorer_.admitted(), scorer_.limits().queue)};
    return {
        .type = "text/html; charset=utf-8",
        .body = std::string(page()),
        .headers = {{"Content-Security-Policy", std::string(page_policy)}, {"Cache-Control", "no-cache"}}};
}

http_answer service::busy() const {
    http_answer answer = refused(429, "too many photographs at once; later there will be room");
    answer.headers = {{"Retry-After", std::to_string(scorer_.seconds_until_room())}};
    return answer;
}

http_answer service::score(http_request& request) {
    if (stage_ != stage::serving) {
        http_answer answer = refused(503, "not ready");
        answer.headers = {{"Retry-After", "1"}};
        return answer;
    }
    if (request.declared_bytes() == 0U)
        return request.header("Content-Length").empty()
                   ? refused(411, "a body with a Content-Length was expected")
                   : refused(400, "a photograph was expected, and the body is empty");
    const std::string too_large = fmt::format("a body of at most {} bytes was expected", options_.body_bytes);
    if (request.declared_bytes().value_or(0) > options_.body_bytes) return refused(413, too_large);

    std::optional<scorer::admission> place = scorer_.admit();
    if (!place) return busy();
    // Of all bodies together: eight of the largest.
    const held_bytes held(bytes_held_, request.declared_bytes().value_or(options_.body_bytes));
    if (bytes_held_ > 8 * options_.body_bytes) return busy();

    std::string body;
    switch (request.read_body(options_.body_bytes, body)) {
    case body_outcome::too_large:
        return refused(413, too_large);
    case body_outcome::slow:
        return refused(408, "the body came too slowly");
    case body_outcome::broken:
        return refused(400, "the body broke off or is wrongly encoded");
    case body_outcome::complete:
        break;
    }
    try {
        return score_body(request, body, std::move(*place));
    } catch (const refusal& e) {
        return refused(e.status(), e.what());
    }
}

http_answer service::score_body(const http_request& request, std::string_view body, scorer::admission place) {
    // More than the queue holds would never have a place.
    const sent_photos photos(request.header("Content-Type"), body, scorer_.limits().queue);
    if (!place.resize(photos.list().size())) return busy();
    const std::vector<photo_answer> answers = scorer_.score(photos.list(), std::move(place));

    nlohmann::ordered_json all{{"predictions", nlohmann::ordered_json::array()}};
    bool answered = false, ours = false;
    std::string problem;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const std::string& file = photos.list()[i].file;
        if (answers[i].problem.empty()) {
            all["predictions"].push_back(infer::answer_json(file, classes_, answers[i].logits));
            answered = true;
        } else {
            all["predictions"].push_back({{"file", file}, {"error", answers[i].problem}});
            problem = answers[i].problem;
            ours = ours || answers[i].ours;
        }
    }
    if (ours && options_.on_failure) options_.on_failure(problem);
    if (!answered) all["error"] = problem;
    return {.status = answered ? 200 : ours ? 500 : 400, .body = all.dump(-1, ' ', false, replace) + "\n"};
}

} // namespace petnet::serve
