// PTX as Halide embeds it in a module.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using namespace Halide::Internal;  // of Halide's IR alone

// Kernels by name, with the threads of a block; those of which only the run tells are left out.
class Launches : public IRVisitor {
 public:
  std::map<std::string, int64_t> threads;

 private:
  using IRVisitor::visit;

  // The kernel's name is followed by three numbers of blocks and three of threads.
  void visit(const Call* op) override {
    IRVisitor::visit(op);
    if (op->name != "halide_cuda_run") return;
    size_t name = 0;
    while (name < op->args.size() && !op->args[name].as<StringImm>()) name++;
    if (name + 6 >= op->args.size()) return;
    int64_t count = 1;
    for (size_t i = name + 4; i <= name + 6; i++) {
      const auto along = as_const_int(simplify(op->args[i]));
      if (!along) return;
      count *= *along;
    }
    int64_t& most = threads[op->args[name].as<StringImm>()->value];
    most = std::max(most, count);
  }
};

std::string without_comments(const std::string& ptx) {
  std::string result;
  for (size_t start = 0; start < ptx.size();) {
    const size_t end = std::min(ptx.find('\n', start), ptx.size());
    std::string line = ptx.substr(start, end - start);
    line = line.substr(0, line.find("//"));
    line.erase(line.find_last_not_of(" \t") + 1);
    if (!line.empty()) result += line + "\n";
    start = end + 1;
  }
  return result;
}

}  // namespace

int64_t most_registers(int64_t threads) {
  constexpr int64_t of_multiprocessor = 65536, of_thread = 255, unit = 8, threads_of_warps = 128;
  const int64_t most = of_multiprocessor / ((threads + threads_of_warps - 1) / threads_of_warps * threads_of_warps);
  return most > of_thread ? of_thread : most / unit * unit;
}

std::string with_register_limits(const std::string& ptx, const std::map<std::string, int64_t>& threads) {
  std::string result = without_comments(ptx);
  bool any = false;
  for (const auto& [name, count] : threads) {
    const int64_t most = most_registers(count);
    const size_t entry = result.find(fmt::format(".entry {}(", name)), body = result.find("\n{", entry);
    if (most == most_registers(1) || entry == std::string::npos || body == std::string::npos) continue;
    result.insert(body, fmt::format("\n.maxnreg {}", most));
    any = true;
  }
  return any ? result : ptx;
}

void limit_registers(const Halide::Module& module) {
  Launches launches;
  for (const Halide::Internal::LoweredFunc& function : module.functions()) function.body.accept(&launches);
  for (const Halide::Buffer<>& buffer : module.buffers()) {
    auto* text = static_cast<char*>(buffer.data());
    const std::string ptx(text, strnlen(text, buffer.size_in_bytes()));
    if (ptx.find("\n.version ") == std::string::npos) continue;
    std::string limited = with_register_limits(ptx, launches.threads);
    // The buffer stays as long as it is: comments leave more room than is needed.
    if (limited.size() > ptx.size()) continue;
    limited.resize(ptx.size(), '\n');
    limited.copy(text, limited.size());
  }
}

}  // namespace resnetc
