// The lowering pass of keep_sums_in_registers.
#include <algorithm>
#include <map>
#include <sstream>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using namespace Halide::Internal;  // of Halide's IR alone; what follows is written in its terms
using Halide::Expr;

// Of an index into the sums, what remains in the thread 0: a constant.
class InFirstThread : public IRMutator {
 public:
  explicit InFirstThread(const std::map<std::string, Expr>& lets) : lets_(lets) {}

 private:
  const std::map<std::string, Expr>& lets_;
  using IRMutator::visit;

  Expr visit(const Variable* op) override {
    if (op->name.find("thread_id") != std::string::npos) return 0;
    const auto let = lets_.find(op->name);
    return let == lets_.end() ? Expr(op) : mutate(let->second);
  }
};

class RegisterSums : public IRMutator {
 public:
  explicit RegisterSums(std::string buffer) : buffer_(std::move(buffer)) {}

 private:
  std::string buffer_;
  std::string inside_;  // the allocation at hand, "" outside of it
  std::map<std::string, Expr> lets_;
  std::map<int, int> places_;  // of the block's sums, by index in the first thread

  using IRMutator::visit;

  // By the time that it is a thread's the allocation of a Func "sum$1" is called "sum_1.0" or "sum$1.0".
  bool is_of_buffer(std::string name) const {
    std::string wanted = buffer_;
    std::replace(name.begin(), name.end(), '$', '_');
    std::replace(wanted.begin(), wanted.end(), '$', '_');
    return name == wanted || name.starts_with(wanted + '.');
  }

  int place_of(const Expr& index) {
    const Expr first = simplify(InFirstThread(lets_).mutate(index));
    const auto constant = as_const_int(first);
    if (!constant) {
      std::ostringstream text;
      text << "the place of a sum of " << buffer_ << " depends on more than its thread: " << first;
      throw Halide::InternalError(text.str());
    }
    return places_.emplace(static_cast<int>(*constant), static_cast<int>(places_.size())).first->second;
  }

  Expr visit(const Let* op) override {
    const Expr value = mutate(op->value);
    lets_[op->name] = value;
    return Let::make(op->name, value, mutate(op->body));
  }
  Stmt visit(const LetStmt* op) override {
    const Expr value = mutate(op->value);
    lets_[op->name] = value;
    return LetStmt::make(op->name, value, mutate(op->body));
  }

  Stmt visit(const Allocate* op) override {
    if (!is_of_buffer(op->name)) return IRMutator::visit(op);
    inside_ = op->name;
    const Stmt body = mutate(op->body);
    inside_.clear();
    const int count = static_cast<int>(places_.size());
    return Allocate::make(op->name, op->type, Halide::MemoryType::Register, {count}, const_true(), body);
  }

  Expr visit(const Load* op) override {
    if (op->name != inside_) return IRMutator::visit(op);
    if (const Ramp* ramp = op->index.as<Ramp>()) {
      std::vector<Expr> lanes;
      for (int i = 0; i < ramp->lanes; i++)
        lanes.push_back(mutate(Load::make(op->type.element_of(), op->name, ramp->base + i * ramp->stride, op->image,
                                          op->param, const_true(), ModulusRemainder())));
      return Shuffle::make_concat(lanes);
    }
    return Load::make(op->type, op->name, place_of(op->index), op->image, op->param, op->predicate, ModulusRemainder());
  }
  Stmt visit(const Store* op) override {
    if (op->name != inside_) return IRMutator::visit(op);
    return Store::make(op->name, mutate(op->value), place_of(op->index), op->param, op->predicate, ModulusRemainder());
  }
};

}  // namespace

std::string keep_sums_in_registers(Halide::Pipeline& pipeline, const std::string& buffer) {
  pipeline.add_custom_lowering_pass(new RegisterSums(buffer));  // the pipeline deletes it
  return "sums in registers";
}

}  // namespace resnetc
