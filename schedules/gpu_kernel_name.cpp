// The lowering pass of name_device_kernels.
#include "schedules/gpu.h"

namespace resnetc {
namespace {

using namespace Halide::Internal;  // of Halide's IR alone; what follows is written in its terms
using Halide::Expr;

// A kernel has the name of its outermost loop over blocks.
class KernelNames : public IRMutator {
 public:
  explicit KernelNames(std::string prefix) : prefix_(std::move(prefix)) {}

 private:
  std::string prefix_;
  using IRMutator::visit;

  Stmt visit(const For* op) override {
    if (op->for_type != ForType::GPUBlock) return IRMutator::visit(op);
    const std::string name = prefix_ + "." + op->name;
    return For::make(name, op->min, op->extent, op->for_type, op->partition_policy, op->device_api,
                     substitute(op->name, Variable::make(Halide::Int(32), name), op->body));
  }
};

}  // namespace

std::string name_device_kernels(Halide::Pipeline& pipeline, const std::string& prefix) {
  pipeline.add_custom_lowering_pass(new KernelNames(prefix));  // the pipeline deletes it
  return ", kernels named " + prefix;
}

}  // namespace resnetc
