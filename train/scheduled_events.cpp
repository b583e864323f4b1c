// SPDX-License-Identifier: Apache-2.0
#include "train/scheduled_events.hpp"

#include "net/http_client.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace petnet::train {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr const char* events_path = "/metadata/scheduledevents?api-version=2020-07-01";
constexpr const char* name_path = "/metadata/instance/compute/name?api-version=2021-02-01&format=text";
constexpr auto connecting = 2s;
constexpr auto first_answer = 130s; // the service is switched on by the first question, within two minutes

std::string text_of(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool concerns(const json& event, const std::string& machine) {
    const auto resources = event.find("Resources");
    return machine.empty() || resources == event.end() || !resources->is_array() ||
           std::ranges::find(*resources, json(machine)) != resources->end();
}

} // namespace

std::set<std::string> removals_in(std::string_view answer, const std::string& machine) {
    const json document = json::parse(answer, nullptr, false);
    std::set<std::string> ids;
    if (!document.is_object() || !document.contains("Events") || !document["Events"].is_array()) return ids;
    for (const json& event : document["Events"]) {
        if (!event.is_object()) continue;
        const std::string type = text_of(event, "EventType");
        if ((type == "Preempt" || type == "Terminate") && concerns(event, machine))
            ids.insert(text_of(event, "EventId"));
    }
    return ids;
}

scheduled_events::scheduled_events(std::string address, std::chrono::milliseconds interval)
    : address_(std::move(address)), interval_(interval), thread_([this] { watch(); }) {}

scheduled_events::~scheduled_events() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

bool scheduled_events::take_announcement() {
    const std::lock_guard lock(mutex_);
    return std::exchange(untold_, false);
}

std::string scheduled_events::take_failure() {
    const std::lock_guard lock(mutex_);
    if (failure_.empty() || std::exchange(failure_told_, true)) return "";
    return address_ + " does not tell of scheduled events (" + failure_ + ")";
}

void scheduled_events::watch() {
    net::http_client client;
    const auto ask = [&](const char* path) {
        return client.send({.url = address_ + path,
                            .headers = {"Metadata: true"},
                            .connect = connecting,
                            .silence = first_answer,
                            .proxy = false, // the service is on this machine's own link
                            .go_on = [this](std::uint64_t) { return !ending_; }});
    };
    std::string machine;
    std::set<std::string> known;
    for (;;) {
        const net::http_answer answer = ask(events_path);
        std::set<std::string> removals;
        if (answer.status == 200) removals = removals_in(answer.body, machine);
        if (!removals.empty() && machine.empty()) { // a set of machines hears of each one's events
            if (const net::http_answer name = ask(name_path); name.status == 200) machine = name.body;
            removals = removals_in(answer.body, machine);
        }
        std::unique_lock lock(mutex_);
        if (answer.status != 200)
            failure_ = answer.status == 0 ? answer.failure : "it answers " + std::to_string(answer.status);
        for (const std::string& id : removals)
            if (known.insert(id).second) announced_ = untold_ = true;
        if (changed_.wait_for(lock, interval_, [this] { return ending_.load(); })) return;
    }
}

} // namespace petnet::train
