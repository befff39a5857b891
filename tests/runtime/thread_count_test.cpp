#include "runtime/thread_count.h"

#include <doctest/doctest.h>

#include "temporary_folder.h"

using namespace resnetc::runtime;

namespace {

// 16 CPUs, capped by what lies in a machine with one cgroup, /a/b, that this process is in.
struct Machine {
  resnetc::test::TemporaryFolder root;
  explicit Machine(const std::string& cgroup = "0::/a/b\n") { root.write("proc/self/cgroup", cgroup); }
  void limit(const std::string& folder, const std::string& text) const {
    root.write("sys/fs/cgroup" + folder + "/cpu.max", text);
  }
  int cpus() const { return capped_by_quota(root.path.c_str(), 16); }
};

}  // namespace

TEST_CASE("thread count: without a quota all CPUs are used") {
  CHECK(capped_by_quota("/nowhere", 16) == 16);
  Machine machine;
  CHECK(machine.cpus() == 16);
  machine.limit("/a/b", "max 100000\n");
  CHECK(machine.cpus() == 16);
}

TEST_CASE("thread count: a quota counts, parts of a CPU as one") {
  Machine machine;
  machine.limit("/a/b", "200000 100000\n");
  CHECK(machine.cpus() == 2);
  machine.limit("/a/b", "150000 100000\n");
  CHECK(machine.cpus() == 2);
  machine.limit("/a/b", "1000 100000\n");
  CHECK(machine.cpus() == 1);
  machine.limit("/a/b", "9223372036854775807 1\n");
  CHECK(machine.cpus() == 16);
}

TEST_CASE("thread count: the least quota of the folders above counts") {
  Machine machine;
  machine.limit("/a/b", "800000 100000\n");
  machine.limit("/a", "300000 100000\n");
  CHECK(machine.cpus() == 3);
  machine.limit("", "100000 100000\n");
  CHECK(machine.cpus() == 1);
}

TEST_CASE("thread count: what is no quota is passed over") {
  Machine machine;
  for (const char* text : {"", "\n", "max", "12", "-1 100000", "100000 0", "100000 -5", "many few"}) {
    INFO(text);
    machine.limit("/a/b", text);
    CHECK(machine.cpus() == 16);
  }
  const Machine at_the_root("0::/\n");
  at_the_root.limit("", "400000 100000\n");
  CHECK(at_the_root.cpus() == 4);
}

TEST_CASE("thread count: quotas of cgroup version 1") {
  Machine machine("12:pids:/a/b\n5:cpuset:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/c\n0::/c\n");
  machine.limit("/a/b", "100000 100000\n");  // not this process's
  const auto limit = [&](const std::string& folder, const std::string& quota, const std::string& period) {
    machine.root.write("sys/fs/cgroup/cpu" + folder + "/cpu.cfs_quota_us", quota);
    machine.root.write("sys/fs/cgroup/cpu" + folder + "/cpu.cfs_period_us", period);
  };
  CHECK(machine.cpus() == 16);
  limit("/a/b", "-1\n", "100000\n");
  CHECK(machine.cpus() == 16);
  limit("/a/b", "250000\n", "100000\n");
  CHECK(machine.cpus() == 3);
  limit("/a", "50000\n", "50000\n");
  CHECK(machine.cpus() == 1);
  limit("/a", "many\n", "50000\n");
  CHECK(machine.cpus() == 3);
  // In a container, whose own folder is mounted as the root of all.
  limit("", "200000\n", "100000\n");
  CHECK(machine.cpus() == 2);
  for (const char* lines : {"4:cpu", "4:cpu:", "cpu", "", "4:cpuset,cpuacct:/a\n", "::\n", ":::/\n"}) {
    INFO(lines);
    machine.root.write("proc/self/cgroup", lines);
    CHECK(machine.cpus() == 2);
  }
}
