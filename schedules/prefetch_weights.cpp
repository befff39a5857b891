#include "schedules/prefetch_weights.h"

#include <algorithm>
#include <numeric>
#include <sstream>
#include <vector>

namespace resnetc {
namespace {

using namespace Halide::Internal;
using Halide::Expr;

// Raise it when the pass comes to make other code: it is no part of the serialised pipeline that names a cached kernel.
constexpr int version = 1;

// Read, into the second-level cache (the first holds the register tile's input), data.
const std::vector<Expr> how = {0, 2, 1};

bool is_named(const For* loop, const std::string& part) {
  return loop->name.find(part) != std::string::npos;
}

bool contains(const Stmt& stmt, const std::string& loop_part) {
  struct Finder : IRVisitor {
    using IRVisitor::visit;
    void visit(const For* loop) override {
      found = found || is_named(loop, *part);
      IRVisitor::visit(loop);
    }
    const std::string* part = nullptr;
    bool found = false;
  } finder;
  finder.part = &loop_part;
  stmt.accept(&finder);
  return finder.found;
}

Stmt prefetch_line(const Expr& line) {
  const Expr weight = Reinterpret::make(Halide::UInt(64), Variable::make(Halide::Handle(), "weight"));
  const Expr address = weight + Halide::cast<uint64_t>(line) * Halide::cast<uint64_t>(4 * floats_of_line);
  // Halide's own prefetch is a non-temporal one, which the caches drop first.
  std::vector<Expr> arguments = {Reinterpret::make(Halide::Handle(), address)};
  arguments.insert(arguments.end(), how.begin(), how.end());
  return Evaluate::make(Call::make(Halide::Int(32), "llvm.prefetch.p0", arguments, Call::Extern));
}

class Pass : public IRMutator {
 public:
  explicit Pass(WeightPrefetch prefetch) : prefetch_(std::move(prefetch)) {}

 private:
  using IRMutator::visit;
  WeightPrefetch prefetch_;
  std::vector<const For*> around_;
  int places_ = 0;  // seen so far

  Stmt visit(const For* loop) override {
    around_.push_back(loop);
    Stmt body = mutate(loop->body);
    if (is_named(loop, prefetch_.place) && !contains(loop->body, prefetch_.place)) body = with_lines(body);
    around_.pop_back();
    return For::make(loop->name, loop->min, loop->extent, loop->for_type, loop->partition_policy, loop->device_api,
                     body);
  }

  Expr value(const std::string& part) const {
    for (const For* loop : around_)
      if (is_named(loop, part)) return Variable::make(Halide::Int(32), loop->name);
    return 0;
  }

  // Steps are counted through all loops inside the scope but that of the batch, whose extent is not known.
  Stmt with_lines(const Stmt& body) {
    const auto scope =
        std::find_if(around_.begin(), around_.end(), [&](const For* l) { return is_named(l, prefetch_.scope); });
    if (scope == around_.end()) return body;
    Expr step = places_++ % prefetch_.copies;
    int64_t steps = prefetch_.copies;
    for (auto loop = scope + 1; loop < around_.end(); loop++) {
      const auto* extent = (*loop)->extent.as<IntImm>();
      if (!extent) continue;
      step = step * static_cast<int>(extent->value) + (Variable::make(Halide::Int(32), (*loop)->name) - (*loop)->min);
      steps *= extent->value;
    }
    const int64_t each = (prefetch_.lines + steps - 1) / steps, common = std::gcd(int64_t{prefetch_.lines}, steps);
    // As many lines as steps, or fewer, and some steps prefetch what the one before did.
    if (each == 1)
      return Block::make(line_of(step * static_cast<int>(prefetch_.lines / common) / static_cast<int>(steps / common)),
                         body);
    const std::string name = "prefetched_line";
    const Expr n = step * static_cast<int>(each) + Variable::make(Halide::Int(32), name);
    const Stmt line = line_of(Halide::min(n, prefetch_.lines - 1));
    return Block::make(For::make(name, 0, static_cast<int>(each), ForType::Serial, Halide::Partition::Auto,
                                 Halide::DeviceAPI::None, line),
                       body);
  }

  Stmt line_of(const Expr& n) const {
    return prefetch_line(simplify(prefetch_.line([&](const std::string& part) { return value(part); }, n)));
  }
};

}  // namespace

std::string prefetch_weights(Halide::Pipeline& pipeline, WeightPrefetch prefetch) {
  const auto variable = [](const std::string& name) { return Variable::make(Halide::Int(32), name); };
  std::ostringstream text;
  text << "prefetch_weights " << version << ' ' << prefetch.scope << ' ' << prefetch.place << ' ' << prefetch.lines
       << ' ' << prefetch.copies << ' ' << prefetch.line(variable, variable("nth"));
  pipeline.add_custom_lowering_pass(new Pass(std::move(prefetch)));
  return text.str();
}

}  // namespace resnetc
