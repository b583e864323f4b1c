// SPDX-License-Identifier: Apache-2.0
#include "tests/serve/served.hpp"

#include <csignal>
#include <stdexcept>

namespace petnet::testing {
namespace {

arguments words(const arguments& more) {
    arguments all{"serve", "--port", "0", "--device", "cpu", "--threads", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

surroundings with_model(surroundings where) {
    where.environment.try_emplace("AZUREML_MODEL_DIR", PETNET_MADE_UP_MODEL);
    return where;
}

} // namespace

served::served(const arguments& more, surroundings where)
    : process_(words(more), with_model(std::move(where))) {
    const std::string before = "Serving   http://127.0.0.1:";
    std::string out;
    const bool serves = process_.wait_until([&] {
        out = process_.out_so_far();
        return out.find("(Ctrl-C") != std::string::npos;
    });
    if (!serves) throw std::runtime_error("petnet serve did not start: " + out + process_.err_so_far());
    port_ = std::stoi(out.substr(out.find(before) + before.size()));
}

double served::metric(const std::string& name) const {
    const std::string text = "\n" + ask(request("GET", "/metrics")).body;
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

outcome served::stop() {
    process_.signal(SIGTERM);
    return process_.end();
}

std::string sample_photo(const std::string& name) {
    return content_of(std::filesystem::path(PETNET_SAMPLE_DIR) / "images" / name);
}

} // namespace petnet::testing
