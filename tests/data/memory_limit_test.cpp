// SPDX-License-Identifier: Apache-2.0
#include "data/memory_limit.hpp"

#include "tests/data/test_folder.hpp"

using namespace petnet;
using petnet::data::memory_limit;

namespace {

class memory_limits : public ::testing::Test {
  protected:
    void write(const std::string& name, const std::string& content) const { folder_.write(name, content); }
    [[nodiscard]] std::size_t limit() const { return memory_limit(folder_.path()); }
    test::temporary_folder folder_;
};

constexpr std::size_t megabyte = 1'000'000;

} // namespace

TEST_F(memory_limits, without_a_group_are_the_machines) {
    EXPECT_GT(limit(), 100 * megabyte);
    EXPECT_LE(memory_limit(), limit());
}

TEST_F(memory_limits, of_version_2_are_the_least_up_to_the_root) {
    write("proc/self/cgroup", "0::/batch/job_7\n");
    write("sys/fs/cgroup/batch/job_7/memory.max", "max\n");
    EXPECT_GT(limit(), 100 * megabyte);
    write("sys/fs/cgroup/batch/memory.max", "50000000\n");
    EXPECT_EQ(limit(), 50 * megabyte);
    write("sys/fs/cgroup/batch/job_7/memory.max", "40000000\n");
    EXPECT_EQ(limit(), 40 * megabyte);
}

TEST_F(memory_limits, in_a_container_are_at_the_mount) {
    write("proc/self/cgroup", "0::/\n");
    write("sys/fs/cgroup/memory.max", "30000000\n");
    EXPECT_EQ(limit(), 30 * megabyte);
    write("proc/self/cgroup", "0::/a/path/of/the/host\n");
    EXPECT_EQ(limit(), 30 * megabyte);
}

TEST_F(memory_limits, of_version_1_are_the_memory_controllers) {
    write("proc/self/cgroup", "5:cpu,cpuacct:/slow\n4:memory:/docker/abc\n1:name=systemd:/x\n0::/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "20000000\n");
    EXPECT_EQ(limit(), 20 * megabyte);
}

TEST_F(memory_limits, that_make_no_sense_are_none) {
    write("proc/self/cgroup", "nonsense\n0::/x\n");
    for (const char* text : {"", "0", "-5", "99999999999999999999999", "1e9"}) {
        write("sys/fs/cgroup/x/memory.max", text);
        EXPECT_GT(limit(), 100 * megabyte) << text;
    }
}
