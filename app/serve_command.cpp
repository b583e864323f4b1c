// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/inference_options.hpp"
#include "app/input_options.hpp"
#include "app/served_model.hpp"
#include "app/stop_signal.hpp"
#include "base/errors.hpp"
#include "serve/service.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace petnet::app {
namespace {

constexpr const char* key_variable = "PETNET_SERVE_KEY";

struct serve_arguments {
    inference_options options{.model = {}, .batch_size = 16};
    std::string host = "127.0.0.1", config;
    int port = 8000, workers = 0, max_wait = 5, max_body = 32, timeout = 30;
    std::size_t queue = 256, connections = 256;
};

// Each keeps a copy of the weights, 87 MB in float32.
constexpr int most_workers = 4;

int available_threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

void check(const char* option, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most)
        throw usage_error(fmt::format("{} must be between {} and {}", option, least, most));
}

// Taken out of the environment, so that no process started later inherits it.
std::string key_from_environment() {
    const char* value = std::getenv(key_variable);
    if (value == nullptr) return {};
    std::string key = value;
    ::unsetenv(key_variable);
    if (key.empty())
        throw usage_error(std::string(key_variable) +
                          " is empty: unset it to serve everybody, or give it a value");
    return key;
}

bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string url_of(const std::string& host, int port) {
    return host.find(':') == std::string::npos ? fmt::format("http://{}:{}/", host, port)
                                               : fmt::format("http://[{}]:{}/", host, port);
}

void run_serve(serve_arguments arguments) {
    check("--port", arguments.port, 0, 65535);
    check("--workers", arguments.workers, 0, 256);
    check("--max-wait", arguments.max_wait, 0, 10000);
    check("--max-body", arguments.max_body, 1, 1024);
    check("--timeout", arguments.timeout, 1, 3600);
    check("--queue", static_cast<std::int64_t>(arguments.queue), 1, 1'000'000);
    check("--connections", static_cast<std::int64_t>(arguments.connections), 1, 1000); // cpp-httplib's select
    const std::string key = key_from_environment();
    if (key.empty() && !is_loopback(arguments.host))
        tell("Warning: whoever reaches {} may ask; {} would ask for a key\n", arguments.host, key_variable);
    arguments.options.model = served_model(arguments.options.model);

    serve::service service({.scoring = {.batch = static_cast<std::size_t>(arguments.options.batch_size),
                                        .wait = std::chrono::milliseconds(arguments.max_wait),
                                        .queue = arguments.queue,
                                        .decoders = static_cast<unsigned>(arguments.options.threads)},
                            .body_bytes = static_cast<std::size_t>(arguments.max_body) * 1024 * 1024,
                            .key = key,
                            .on_failure = [](const std::string& line) { tell("Warning: {}\n", line); }});
    serve::http_server server(
        arguments.host, arguments.port,
        {.connections = arguments.connections, .request_time = std::chrono::seconds(arguments.timeout)},
        {.answer = [&service](serve::http_request& asked) { return service.answer(asked); },
         .on_answered = [&service](int status) { service.count_answer(status); }});
    watch_stop_signals();
    server.start();
    const auto batch = static_cast<std::size_t>(arguments.options.batch_size);
    const int threads = arguments.options.threads > 0 ? arguments.options.threads : available_threads();
    const int copies = arguments.workers > 0 ? arguments.workers : std::min(threads, most_workers);
    arguments.options.threads = std::max(1, threads / copies);
    service.run(
        {.load = [&] { return load_classifier(arguments.options, batch, false); },
         .copies =
             [&](const infer::classifier& model) {
                 const bool on_processor = model.device().starts_with("cpu");
                 return static_cast<std::size_t>(arguments.workers > 0 || on_processor ? copies : 1);
             },
         .on_ready =
             [&](const infer::classifier& model, std::size_t workers) {
                 tell_result(
                     "Model     {}: {} classes, {} x {} pixels\nDevice    {}, {}, {} workers\nServing   {} "
                     "(Ctrl-C stops)\n",
                     arguments.options.model, model.classes(), model.description().size,
                     model.description().size, model.device(), model.precision(), workers,
                     url_of(arguments.host, server.port()));
             }},
        [&server] {
            if (stop_signal() == 0) return false;
            server.wind_down();
            return true;
        });
    server.stop();
}

} // namespace

void add_serve(CLI::App& program, exit_status& /*status*/) {
    CLI::App* command =
        program.add_subcommand("serve", "answer what photographs show over HTTP, with a page for browsers");
    const auto arguments = std::make_shared<serve_arguments>();
    add_inference_options(*command, arguments->options);
    const auto add = [&](const char* name, auto& value, const char* help) {
        return add_option(*command, "Network", name, value, help);
    };
    add("--host", arguments->host, "address to listen on; 0.0.0.0: every one of this machine");
    add("--port", arguments->port, "0: one that is free, which the output then names");
    add("--workers", arguments->workers,
        "copies of the network that work side by side, each on its share of --threads; 0: up to 4 on a "
        "processor, else 1")
        ->group("Machine");
    add("--max-wait", arguments->max_wait,
        "milliseconds that a photograph waits for others to go through the network with it");
    add("--queue", arguments->queue,
        "photographs in work at most; who comes then is told to come later (429)");
    add("--max-body", arguments->max_body, "megabytes (2^20 bytes) of a request at most (413)");
    add("--timeout", arguments->timeout, "seconds that a request may take to arrive (408)");
    add("--connections", arguments->connections, "connections served at once; others wait");
    add_config_option(*command, arguments->config);
    command->footer("Without --model it is the model.safetensors below AZUREML_MODEL_DIR, where that is set, "
                    "else of outputs.\n"
                    "POST /score takes a photograph's bytes, a form with files, or JSON with base64 and "
                    "answers in JSON; GET / is a\n"
                    "page to drop photographs on; /livez, /readyz and /metrics are for who looks after it. "
                    "docs/serving.md has it all.\n"
                    "Where PETNET_SERVE_KEY is set, requests must bring it: Authorization: Bearer KEY.\n"
                    "SIGTERM or Ctrl-C: what was asked is answered, then it ends with exit code 0.\n"
                    "Examples:\n"
                    "  petnet serve\n"
                    "  curl --data-binary @cat.jpg http://127.0.0.1:8000/score\n"
                    "  curl -F a=@cat.jpg -F b=@dog.png http://127.0.0.1:8000/score");
    command->callback([arguments] { run_serve(*arguments); });
}

} // namespace petnet::app
