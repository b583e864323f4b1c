// SPDX-License-Identifier: Apache-2.0
// Backends by name.
#include "kernels/backend.hpp"

#include "base/errors.hpp"
#include "kernels/check_backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/reference/reference_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace petnet::kernels {
namespace {

struct known_backend {
    std::string_view name;
    std::unique_ptr<backend> (*make)(const backend_options&);
    backend_status (*status)();
};

// In the order in which `auto` tries them.
constexpr std::array known_backends{
    known_backend{"cuda", make_cuda_backend, cuda_backend_status},
    known_backend{"cpu", make_cpu_backend, cpu_backend_status},
    known_backend{"reference", [](const backend_options&) { return make_reference_backend(); },
                  [] {
                      return backend_status{"reference", "plain loops in float32, one thread, slow", true};
                  }},
    known_backend{
        "reference-double", [](const backend_options&) { return make_reference_double_backend(); },
        [] {
            return backend_status{"reference-double", "plain loops in float64, one thread, slow", true};
        }},
};

[[noreturn]] void refuse(std::string_view name) {
    std::string names = "auto";
    for (const known_backend& known : known_backends) names.append(", ").append(known.name);
    throw usage_error("unknown backend '" + std::string(name) + "': expected " + names +
                      ", or check:A,B with two of these");
}

std::unique_ptr<backend> make_single_backend(std::string_view name, const backend_options& options) {
    for (const known_backend& known : known_backends)
        if (name == known.name || (name == "auto" && known.status().available)) return known.make(options);
    refuse(name);
}

} // namespace

out_of_device_memory::out_of_device_memory(std::size_t needed, std::size_t free, const std::string& device)
    : environment_error(fmt::format("out of memory: {:.2f} GB were needed and {} has {:.2f} GB free",
                                    static_cast<double>(needed) / 1e9, device,
                                    static_cast<double>(free) / 1e9)),
      needed_(needed),
      free_(free) {}

std::unique_ptr<operation> backend::sequence(std::vector<operation*> operations) {
    class one_by_one final : public operation {
      public:
        explicit one_by_one(std::vector<operation*> operations) : operations_(std::move(operations)) {}
        [[nodiscard]] std::size_t workspace_bytes() const override {
            std::size_t largest = 0;
            for (const operation* op : operations_) largest = std::max(largest, op->workspace_bytes());
            return largest;
        }
        void execute(std::byte* workspace) override {
            for (operation* op : operations_) op->execute(workspace);
        }

      private:
        std::vector<operation*> operations_;
    };
    return std::make_unique<one_by_one>(std::move(operations));
}

std::unique_ptr<backend> make_backend(std::string_view name, const backend_options& options) {
    constexpr std::string_view check = "check:";
    if (!name.starts_with(check)) return make_single_backend(name, options);
    const std::string_view pair = name.substr(check.size());
    const std::size_t comma = pair.find(',');
    if (comma == std::string_view::npos) refuse(name);
    auto trusted = make_single_backend(pair.substr(0, comma), options);
    auto judged = make_single_backend(pair.substr(comma + 1), options);
    return make_check_backend(std::move(trusted), std::move(judged), options.on_departure);
}

std::vector<backend_status> list_backends() {
    std::vector<backend_status> list;
    list.reserve(std::size(known_backends));
    for (const known_backend& known : known_backends) list.push_back(known.status());
    return list;
}

} // namespace petnet::kernels
