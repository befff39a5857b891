// The lowering pass of stage_ahead.
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using namespace Halide::Internal;  // of Halide's IR alone; what follows is written in its terms
using Halide::Expr;

using Names = std::set<std::string>;

bool is_barrier(const Stmt& s) {
  const auto* evaluate = s.as<Evaluate>();
  const Call* call = evaluate ? evaluate->value.as<Call>() : nullptr;
  return call && call->is_intrinsic(Call::gpu_thread_barrier);
}

struct Touches : IRVisitor {
  explicit Touches(const Names& shared_memory) : shared(shared_memory) {}
  const Names& shared;
  bool loads_shared = false;
  bool is_plain = true;  // no loops, no barriers, no conditions or names within an expression
  Names loads, own;      // own: stored to, but for shared memory

  using IRVisitor::visit;
  void visit(const Load* op) override {
    loads_shared = loads_shared || shared.count(op->name) > 0;
    loads.insert(op->name);
    IRVisitor::visit(op);
  }
  void visit(const Store* op) override {
    is_plain = is_plain && is_const_one(op->predicate);
    if (shared.count(op->name) == 0) own.insert(op->name);
    IRVisitor::visit(op);
  }
  void visit(const For* op) override {
    is_plain = false;
    IRVisitor::visit(op);
  }
  void visit(const Let* op) override {
    is_plain = false;
    IRVisitor::visit(op);
  }
  void visit(const Call* op) override {
    is_plain = is_plain && !op->is_intrinsic(Call::gpu_thread_barrier) && !op->is_intrinsic(Call::if_then_else);
    IRVisitor::visit(op);
  }
};

// What the staging loads from memory goes to registers (`bring`), or comes from there. A load that stands several times
// under the same conditions has one place.
class ThroughRegisters : public IRMutator {
 public:
  ThroughRegisters(const Names& own, const std::string& registers, bool bring)
      : own_(own), registers_(registers), bring_(bring) {}
  int count = 0;

 private:
  const Names& own_;
  const std::string& registers_;
  bool bring_;
  std::map<Expr, Expr, IRDeepCompare> places_;
  std::vector<Stmt> brought_;
  using IRMutator::visit;

  Expr visit(const Load* op) override {
    if (own_.count(op->name) > 0) return IRMutator::visit(op);
    const int lanes = op->type.lanes();
    const auto [found, is_new] = places_.emplace(op, lanes == 1 ? Expr(count) : Ramp::make(count, 1, lanes));
    if (is_new) {
      count += lanes;
      brought_.push_back(
          Store::make(registers_, op, found->second, Halide::Parameter(), op->predicate, ModulusRemainder()));
    }
    return Load::make(op->type, registers_, found->second, Halide::Buffer<>(), Halide::Parameter(), op->predicate,
                      ModulusRemainder());
  }
  Stmt visit(const Store* op) override {
    brought_.clear();
    const Stmt put = IRMutator::visit(op);
    if (!bring_) return put;
    return brought_.empty() ? Evaluate::make(0) : Block::make(brought_);
  }
  Stmt visit(const Allocate* op) override { return bring_ ? mutate(op->body) : IRMutator::visit(op); }
  Stmt visit(const Free* op) override { return bring_ ? Evaluate::make(0) : IRMutator::visit(op); }
  Stmt visit(const LetStmt* op) override { return in_scope(op); }
  Stmt visit(const IfThenElse* op) override { return in_scope(op); }

  template <class Scope>
  Stmt in_scope(const Scope* op) {
    const auto outside = std::exchange(places_, {});
    const Stmt result = IRMutator::visit(op);
    places_ = outside;
    return result;
  }
};

class StageAhead : public IRMutator {
 private:
  Names shared_;
  using IRMutator::visit;

  Stmt visit(const Allocate* op) override {
    if (op->memory_type == Halide::MemoryType::GPUShared) shared_.insert(op->name);
    return IRMutator::visit(op);
  }

  Stmt visit(const For* op) override {
    if (op->for_type == ForType::Serial)
      if (const std::optional<Stmt> ahead = staged_ahead(op)) return *ahead;
    return IRMutator::visit(op);
  }

  std::optional<Stmt> staged_ahead(const For* op) const {
    std::vector<const LetStmt*> lets;
    Stmt body = substitute_in_all_lets(op->body);
    while (const auto* let = body.as<LetStmt>()) lets.push_back(let), body = let->body;
    std::vector<Stmt> steps;
    while (const auto* block = body.as<Block>()) steps.push_back(block->first), body = block->rest;
    steps.push_back(body);

    std::vector<Stmt> staging;
    Names own;  // what only the staging may use, for it is done twice
    size_t next = 0;
    for (; next < steps.size(); next++) {
      if (is_barrier(steps[next])) continue;
      Touches touches(shared_);
      steps[next].accept(&touches);
      if (touches.loads_shared) break;
      if (!touches.is_plain) return {};
      own.insert(touches.own.begin(), touches.own.end());
      staging.push_back(steps[next]);
    }
    for (size_t i = next; i < steps.size(); i++) {
      Touches touches(shared_);
      steps[i].accept(&touches);
      for (const std::string& name : own)
        if (touches.loads.count(name) > 0) return {};
    }
    if (staging.empty() || next == steps.size() || !is_barrier(steps[next - 1]) || !is_barrier(steps.back())) return {};

    const std::string registers = unique_name("ahead");
    ThroughRegisters bring(own, registers, true), put(own, registers, false);
    std::vector<Stmt> bringing, looped;
    for (const Stmt& step : staging) {
      bringing.push_back(bring.mutate(step));
      looped.push_back(put.mutate(step));
    }
    const auto within_lets = [&](const std::vector<Stmt>& stmts) {
      Stmt result = Block::make(stmts);
      for (size_t i = lets.size(); i-- > 0;) result = LetStmt::make(lets[i]->name, lets[i]->value, result);
      return result;
    };
    const Stmt bring_stage = within_lets(bringing);
    const Expr stage = Variable::make(Halide::Int(32), op->name);
    looped.push_back(steps[next - 1]);
    looped.push_back(IfThenElse::make(stage < op->min + op->extent - 1, substitute(op->name, stage + 1, bring_stage)));
    looped.insert(looped.end(), steps.begin() + static_cast<std::ptrdiff_t>(next), steps.end());
    const Stmt loop = For::make(op->name, op->min, op->extent, op->for_type, op->partition_policy, op->device_api,
                                within_lets(looped));
    const Stmt all = Block::make({substitute(op->name, op->min, bring_stage), loop, Free::make(registers)});
    return Allocate::make(registers, Halide::Float(32), Halide::MemoryType::Register, {bring.count}, const_true(), all);
  }
};

}  // namespace

std::string stage_ahead(Halide::Pipeline& pipeline) {
  pipeline.add_custom_lowering_pass(new StageAhead);  // the pipeline deletes it
  return ", loads brought ahead";
}

}  // namespace resnetc
