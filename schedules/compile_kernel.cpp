#include "schedules/compile_kernel.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Halide::Target;

// The hooks of a kernel are runtime/'s: no Halide runtime, its first argument is the worker that runs it.
Target object_target(const Machine& machine) {
  return machine.target.with_feature(Target::NoRuntime)
      .with_feature(Target::UserContext)
      .with_feature(Target::NoAsserts)
      .with_feature(Target::NoBoundsQuery);
}

std::string sha256_hex(const std::vector<std::string_view>& parts) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  for (std::string_view part : parts) EVP_DigestUpdate(context, part.data(), part.size());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_DigestFinal_ex(context, digest, &length);
  EVP_MD_CTX_free(context);
  std::string hex;
  for (unsigned i = 0; i < length; i++) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

class HeapBytes : public Halide::Internal::IRVisitor {
 public:
  uint64_t bytes = 0;
  std::string unknown;  // what allocates an amount that only the run tells

 private:
  using IRVisitor::visit;
  void visit(const Halide::Internal::Allocate* op) override {
    if (op->memory_type == Halide::MemoryType::Auto || op->memory_type == Halide::MemoryType::Heap) {
      const int32_t elements = Halide::Internal::Allocate::constant_allocation_size(op->extents, op->name);
      if (elements == 0) unknown = op->name;
      // Rounded up to 64 bytes, with room for the reads past the end that Halide allows itself and for a block's head.
      bytes +=
          (static_cast<uint64_t>(elements + op->padding) * static_cast<uint64_t>(op->type.bytes()) + 255) / 64 * 64;
    }
    IRVisitor::visit(op);
  }
};

// A cached object is the object with a line in front that says its scratch bytes and the digest of both. One that does
// not fit its line (a disk that was full, say) is compiled anew.
constexpr std::string_view magic = "resnetc object, scratch bytes and SHA-256: ";

bool read_cached(const fs::path& cached, const fs::path& object, CompiledKernel& result) {
  std::ifstream in(cached, std::ios::binary);
  std::string line;
  if (!in || !std::getline(in, line) || !line.starts_with(magic)) return false;
  std::istringstream words(line.substr(magic.size()));
  std::ostringstream contents;
  uint64_t scratch = 0;
  std::string digest;
  if (!(words >> scratch >> digest) || !(contents << in.rdbuf())) return false;
  const std::string bytes = contents.str();
  if (digest != sha256_hex({std::to_string(scratch), bytes})) return false;
  std::ofstream out(object, std::ios::binary);
  out << bytes;
  out.close();
  if (!out) throw Error(fmt::format("{}: cannot write; is the disk full?", object.string()));
  result = {scratch, true};
  return true;
}

// A cache that cannot be written to is no reason to fail.
void write_cached(const fs::path& cached, const fs::path& object, const CompiledKernel& kernel) {
  std::error_code ignored;
  fs::create_directories(cached.parent_path(), ignored);
  const fs::path temporary = cached.string() + fmt::format(".{}", getpid());
  {
    std::ostringstream contents;
    contents << std::ifstream(object, std::ios::binary).rdbuf();
    const std::string scratch = std::to_string(kernel.scratch_bytes), bytes = contents.str();
    std::ofstream out(temporary, std::ios::binary);
    out << magic << scratch << ' ' << sha256_hex({scratch, bytes}) << '\n' << bytes;
    out.close();
    if (!out) {
      fs::remove(temporary, ignored);
      return;
    }
  }
  fs::rename(temporary, cached, ignored);
  if (ignored) fs::remove(temporary, ignored);
}

}  // namespace

std::string kernel_symbol(const KernelKey& key, Device device) {
  return to_string(key) + (device == Device::cpu ? "" : "_on_device");
}

CompiledKernel compile_kernel(const KernelKey& key, const Choice& choice, const Machine& machine,
                              const fs::path& object, const fs::path& cache) {
  const std::string symbol = kernel_symbol(key, machine.device);
  const Target target = object_target(machine);
  KernelPipeline kernel = strategy_named(choice.strategy).build(key, choice, machine);
  // Drivers make file names of a kernel's: no longer than those may be.
  if (machine.device != Device::cpu)
    kernel.passes += name_device_kernels(kernel.pipeline, to_string(key).substr(0, 120));
  if (machine.device == Device::cuda) kernel.passes += ", registers limited";

  fs::path cached;
  CompiledKernel result;
  if (!cache.empty()) {
    std::vector<uint8_t> serialised;
    Halide::serialize_pipeline(kernel.pipeline, serialised);
    const std::string versions =
        fmt::format("\n{}\n{}\n{}.{}.{}\n{}\n{}\n", symbol, target.to_string(), HALIDE_VERSION_MAJOR,
                    HALIDE_VERSION_MINOR, HALIDE_VERSION_PATCH, object_format, kernel.passes);
    const std::string hash =
        sha256_hex({{reinterpret_cast<const char*>(serialised.data()), serialised.size()}, versions});
    cached = cache / "objects" / hash.substr(0, 2) / hash;
    if (read_cached(cached, object, result)) return result;
  }
  const Halide::Module module = kernel.pipeline.compile_to_module(kernel.arguments, symbol, target);
  if (machine.device == Device::cuda) limit_registers(module);
  HeapBytes heap;
  for (const auto& function : module.functions()) function.body.accept(&heap);
  result.scratch_bytes = heap.bytes;
  if (!heap.unknown.empty()) {
    // Halide's autoschedulers do so. Their kernels are only measured, with as much as that takes.
    if (!is_baseline(choice.strategy))
      throw Error(fmt::format("{} allocates an amount that is not known when compiling", heap.unknown));
    result.scratch_bytes += uint64_t{64} << 20;
  }
  module.compile({{Halide::OutputFileType::object, object.string()}});
  if (!cached.empty()) write_cached(cached, object, result);
  return result;
}

void compile_device_runtime(const Machine& machine, const fs::path& object) {
  Halide::compile_standalone_runtime({{Halide::OutputFileType::object, object.string()}},
                                     machine.target.with_feature(Target::UserContext));
}

}  // namespace resnetc
