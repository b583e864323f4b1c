// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/progress_bar.hpp"
#include "app/stop_signal.hpp"
#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "data/fetch.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

namespace petnet::app {
namespace {

struct fetch_arguments {
    std::string name, cache, url;
};

const data::fetch_item& item_named(const std::string& name) {
    std::vector<std::string> names;
    for (const data::fetch_item& item : data::fetch_items()) {
        if (item.name == name) return item;
        names.push_back(item.name);
    }
    const std::string near = nearest(name, names);
    throw usage_error("nothing called \"" + name + "\" can be fetched, " +
                      (near.empty() ? "only " + fmt::format("{}", fmt::join(names, " and "))
                                    : "did you mean " + near + "?"));
}

void run_fetch(const fetch_arguments& arguments, exit_status& status) {
    const data::fetch_item& item = item_named(arguments.name);
    progress_bar bar(false);
    watch_stop_signals();
    const data::work_listener listener{
        .on_progress = [&](const data::work_progress& progress) { bar.show(progress); },
        .on_note =
            [&](const std::string& line) {
                bar.erase();
                tell("{}\n", line);
            },
        .stop_requested = [] { return stop_signal() != 0; }};
    try {
        const auto place = data::fetch(
            item,
            {.cache = arguments.cache.empty() ? cache_folder() : std::filesystem::path(arguments.cache),
             .mirror = arguments.url},
            listener);
        bar.erase();
        tell_result("{}\n", place.string());
    } catch (const data::work_stopped&) {
        bar.erase();
        tell("Interrupted: what was downloaded is kept, the same command continues from it.\n");
        status.code = 128 + stop_signal();
    }
}

} // namespace

void add_data(CLI::App& program, exit_status& status) {
    CLI::App* command = program.add_subcommand("data", "get data sets and weights");
    command->require_subcommand(1);
    CLI::App* fetch = command->add_subcommand(
        "fetch", "download, verify and unpack what is not in the cache folder yet; prints where it is");
    const auto arguments = std::make_shared<fetch_arguments>();
    fetch
        ->add_option(
            "name", arguments->name,
            "pets: the photographs of the Oxford-IIIT Pet data set (0.8 GB; twice that while they are "
            "unpacked); resnet34: torchvision's ImageNet weights (87 MB)")
        ->required()
        ->option_text("pets|resnet34");
    fetch->add_option("--cache", arguments->cache, "folder to keep it in; absent: ~/.cache/petnet")
        ->option_text("DIR")
        ->envname("PETNET_CACHE_DIR");
    fetch
        ->add_option("--url", arguments->url,
                     "a mirror of the file; what comes from it is verified like the original")
        ->option_text("URL");
    fetch->footer(
        "An interrupted download is continued. A file put into the cache folder by hand, under the name that "
        "it "
        "has in\nits URL, is verified and used. Proxies are taken from http_proxy, https_proxy and no_proxy, "
        "certificates from\nSSL_CERT_FILE or CURL_CA_BUNDLE, mirrors also from PETNET_PETS_URL and "
        "PETNET_RESNET34_URL.\n"
        "`petnet train --data pets` and `--weights imagenet` do the same where it is needed.");
    fetch->callback([arguments, &status] { run_fetch(*arguments, status); });
}

} // namespace petnet::app
