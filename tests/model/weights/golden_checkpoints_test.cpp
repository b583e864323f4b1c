// SPDX-License-Identifier: Apache-2.0
// Files that PyTorch wrote, and files that must be refused at once.
#include "weight_test_support.hpp"

#include "base/files.hpp"
#include "tests/support/address_sanitizer.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace petnet;
using namespace petnet::model;
using namespace petnet::model::testing;
namespace fs = std::filesystem;

namespace {

nlohmann::json expected_tensors() {
    std::ifstream file(golden_checkpoints() / "tensors.json");
    return nlohmann::json::parse(file);
}

class golden_checkpoint : public ::testing::TestWithParam<const char*> {};

TEST_P(golden_checkpoint, holds_the_recorded_tensors) {
    const nlohmann::json expected = expected_tensors();
    const weight_file found = read_weight_file(golden_checkpoints() / GetParam());
    EXPECT_EQ(found.tensors.size(), expected.size());
    ASSERT_GT(expected.size(), 0u);
    for (const auto& [name, facts] : expected.items()) {
        const weight_tensor* tensor = found.find(name);
        ASSERT_NE(tensor, nullptr) << name;
        EXPECT_EQ(to_string(tensor->dtype), facts.at("dtype").get<std::string>()) << name;
        EXPECT_EQ(tensor->shape, facts.at("shape").get<std::vector<std::int64_t>>()) << name;
        EXPECT_EQ(tensor->to_float64(), facts.at("values").get<std::vector<double>>()) << name;
    }
}

INSTANTIATE_TEST_SUITE_P(files, golden_checkpoint,
                         ::testing::Values("tensors_zip.pth", "tensors_legacy.pth",
                                           "tensors_nested_model_opt.pth", "tensors.safetensors"));

TEST(golden_checkpoints, tensors_outlive_the_file_object) {
    weight_tensor kept;
    {
        weight_file file = read_weight_file(golden_checkpoints() / "tensors_zip.pth");
        kept = *file.find("conv1.weight");
    }
    EXPECT_EQ(kept.to_float64(), expected_tensors()["conv1.weight"]["values"].get<std::vector<double>>());
}

TEST(golden_checkpoints, metadata_of_safetensors) {
    const weight_file file = read_weight_file(golden_checkpoints() / "tensors.safetensors");
    EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"note", "golden"}}));
}

// Bytes of address space in use, from the system's own account.
std::size_t address_space() {
    std::ifstream status("/proc/self/statm");
    std::size_t pages = 0;
    status >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Reads the file in a process of its own, in `folder`. Exit status 0: refused by an input_error that is one
// line and names the file; 1: read; 2: refused in another way.
int exit_status_of_reading(const fs::path& file, const fs::path& folder, rusage& usage) {
    const pid_t child = ::fork();
    if (child == 0) {
        constexpr rlim_t allowance = 500u << 20;
        const rlim_t limit = address_space() + allowance;
        const rlimit memory = {limit, limit};
        // The address sanitizer itself takes terabytes of address space.
        if (!petnet::testing::address_sanitizer && ::setrlimit(RLIMIT_AS, &memory) != 0) ::_exit(3);
        if (::chdir(folder.c_str()) != 0) ::_exit(3);
        try {
            (void)read_weight_file(file);
            ::_exit(1);
        } catch (const input_error& error) {
            const std::string message = error.what();
            const bool good =
                message.starts_with(file.string() + ": ") && message.find('\n') == std::string::npos;
            std::fprintf(stderr, "%s\n",
                         message.c_str() + file.string().size() - file.filename().string().size());
            ::_exit(good ? 0 : 2);
        } catch (...) {
            ::_exit(2);
        }
    }
    int status = 0;
    if (::wait4(child, &status, 0, &usage) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(golden_checkpoints, hostile_files_are_refused_at_once) {
    const temporary_folder folder;
    const fs::path hostile = fs::absolute(golden_checkpoints() / "hostile");
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(hostile)) {
        SCOPED_TRACE(entry.path().filename().string());
        ++count;
        rusage before{}, usage{};
        ::getrusage(RUSAGE_SELF, &before);
        EXPECT_EQ(exit_status_of_reading(entry.path(), folder.path(), usage), 0);
        // Less than a second of a processor's time, not of the clock's: other tests may have them all.
        EXPECT_EQ(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec, 0);
        constexpr long allowance_kib = 500 << 10;
        EXPECT_LT(usage.ru_maxrss, before.ru_maxrss + allowance_kib);
        EXPECT_TRUE(fs::is_empty(folder.path())) << "something was run";
    }
    EXPECT_GT(count, 0u);
}

TEST(golden_checkpoints, cut_anywhere_is_refused) {
    for (const char* name : {"tensors_zip.pth", "tensors_legacy.pth", "tensors.safetensors"}) {
        const mapped_file whole(golden_checkpoints() / name);
        for (std::size_t size = 0; size < whole.bytes().size(); ++size) {
            // A copy of its own, so that the address sanitizer sees a read beyond the cut.
            const std::vector<std::byte> cut(whole.bytes().begin(),
                                             whole.bytes().begin() + static_cast<std::ptrdiff_t>(size));
            EXPECT_THROW((void)read_weight_bytes(cut, name), input_error) << name << " cut to " << size;
        }
    }
}

TEST(golden_checkpoints, any_changed_byte_is_read_or_refused) {
    for (const char* name : {"tensors_zip.pth", "tensors_legacy.pth", "tensors.safetensors"}) {
        const mapped_file whole(golden_checkpoints() / name);
        std::vector<std::byte> changed(whole.bytes().begin(), whole.bytes().end());
        for (std::byte& byte : changed) {
            const std::byte original = byte;
            for (unsigned mask : {0x01u, 0x80u, 0xffu}) {
                byte = original ^ static_cast<std::byte>(mask);
                try {
                    for (const weight_tensor& tensor : read_weight_bytes(changed, name).tensors)
                        (void)tensor.to_float64();
                } catch (const input_error&) {
                }
            }
            byte = original;
        }
    }
}

TEST(weight_files, embedded_sample_loads) {
    const weight_file file =
        read_weight_file(fs::path(PETNET_SAMPLE_DIR) / "resnet34-animals.safetensors.zst");
    std::size_t elements = 0;
    for (const weight_tensor& tensor : file.tensors)
        for (float value : tensor.to_float32()) {
            ASSERT_TRUE(std::isfinite(value)) << tensor.name;
            ++elements;
        }
    const weight_tensor* stem = file.find("conv1.weight");
    ASSERT_NE(stem, nullptr);
    EXPECT_EQ(stem->shape, (std::vector<std::int64_t>{64, 3, 7, 7}));
    EXPECT_EQ(stem->dtype, weight_dtype::f16);
    // The body's 21,267,648 convolution weights, and four numbers for each of the 4,256 * 2 batch-norm
    // channels.
    EXPECT_GT(elements, 21'267'648u);
}

TEST(weight_files, missing_file_and_folder_are_named) {
    const temporary_folder folder;
    EXPECT_THROW((void)read_weight_file(folder / "none.pth"), input_error);
    EXPECT_THROW((void)read_weight_file(folder.path()), input_error);
}

} // namespace
