// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "base/version.hpp"
#include "data/decode.hpp"
#include "data/fetch.hpp"
#include "kernels/backend.hpp"
#include "train/places.hpp"

#include <fmt/core.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

namespace petnet::app {
namespace {

void show(const std::string& what, const std::string& text) { fmt::print("{:<27}  {}\n", what, text); }

std::string sample() {
    try {
        return train::sample_folder().string();
    } catch (const error& e) {
        return e.what();
    }
}

void run_doctor() {
    show("petnet", version());
    utsname system{};
    if (::uname(&system) == 0)
        show("system", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
    struct sysinfo memory {};
    if (::sysinfo(&memory) == 0) {
        const double gigabytes = static_cast<double>(memory.mem_unit) / 1e9;
        show("memory",
             fmt::format("{:.1f} GB, {:.1f} GB free", static_cast<double>(memory.totalram) * gigabytes,
                         static_cast<double>(memory.freeram) * gigabytes));
    }
    for (const kernels::backend_status& status : kernels::list_backends())
        show("device " + status.name, (status.available ? "" : "not available: ") + status.text);
    const auto automatic = kernels::make_backend("auto");
    show("auto takes", fmt::format("{}, {}", automatic->name(), kernels::name_of(automatic->fastest())));
    show("photographs", std::string(data::image_formats));
    show("embedded sample", sample());
    for (const data::fetch_item& item : data::fetch_items()) {
        const auto place = data::fetched(item, cache_folder());
        show(item.title, place ? place->string()
                               : fmt::format("not here yet: petnet data fetch {} gets them", item.name));
    }
    for (const std::string& feature : disabled_features()) show("switched off", feature);
}

} // namespace

void add_doctor(CLI::App& program, exit_status&) {
    program
        .add_subcommand("doctor",
                        "what this machine offers: devices, libraries, what is switched off and why")
        ->callback(run_doctor);
}

} // namespace petnet::app
