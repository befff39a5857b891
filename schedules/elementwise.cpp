// Ops without a window or with one that is read once: bound by memory, vectorised over channels, parallel over rows.
#include "schedules/cost.h"
#include "schedules/elementwise_ops.h"

namespace resnetc {
namespace {

// Below this many elements a parallel loop costs more than it saves (1 to 2 us against some 8 floats a cycle).
constexpr int64_t parallel_threshold = 1 << 15;

double cycles(const KernelKey& key, const Choice&, const Machine& machine) {
  return traffic_cycles(key, machine);
}

std::vector<Choice> only(const char* name) {
  return {{name, {}}};
}

void schedule_image(Halide::Func& result, const TensorType& type, const Halide::Var& c, const Halide::Var& y,
                    const Machine& machine) {
  bound_result(result, type);
  result.bound(c, 0, type.channels()).vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
  if (element_count(type) >= parallel_threshold) result.parallel(y);
}

KernelPipeline build_elementwise(const KernelKey& key, const Choice&, const Machine& machine) {
  Halide::Var c("c"), x("x"), y("y"), n("n");
  Halide::Func result("result");
  KernelPipeline kernel;
  const Halide::Expr value = elementwise_value(key, c, x, y, n, machine.lanes, kernel.arguments);
  if (key.result.is_image()) {
    result(c, x, y, n) = value;
    schedule_image(result, key.result, c, y, machine);
  } else {
    result(c, n) = value;
    bound_result(result, key.result);
    result.vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
  }
  kernel.pipeline = Halide::Pipeline(result);
  return kernel;
}

KernelPipeline build_max_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const TensorType& type = key.operands[0];
  const Halide::ImageParam input = activation_param(type, "input");
  Halide::Func best = largest_of_window(std::get<MaxPool>(key.op), type, input), result("result");
  Halide::Var c("c"), x("x"), y("y"), n("n");
  result(c, x, y, n) = best(c, x, y, n);
  schedule_image(result, key.result, c, y, machine);
  best.compute_at(result, c).vectorize(c);
  best.update().vectorize(c);
  return {Halide::Pipeline(result), {input}};
}

KernelPipeline build_average_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const auto& pool = std::get<AveragePool>(key.op);
  const TensorType& type = key.operands[0];
  Halide::ImageParam input = activation_param(type, "input");
  Halide::Var c("c"), x("x"), y("y"), n("n");
  Halide::Func sum("sum"), result("result");
  Halide::RDom r(0, pool.kernel.w, 0, pool.kernel.h, "r");
  const Halide::Expr first_x = x * pool.stride.w - pool.padding.left, first_y = y * pool.stride.h - pool.padding.top;
  Halide::Expr pixel, pixels;
  if (pool.padding == Sides{}) {
    pixel = input(c, first_x + r.x, first_y + r.y, n);
    pixels = pool.kernel.w * pool.kernel.h;
  } else {
    // Whatever the border holds, it does not count.
    const Halide::Expr x_in = first_x + r.x, y_in = first_y + r.y;
    const auto inside = [](const Halide::Expr& at, int size) { return at >= 0 && at < size; };
    const auto count = [](const Halide::Expr& first, int kernel, int size) {
      return Halide::min(first + kernel, size) - Halide::max(first, 0);
    };
    pixel = Halide::select(
        inside(x_in, type.width()) && inside(y_in, type.height()),
        input(c, Halide::clamp(x_in, 0, type.width() - 1), Halide::clamp(y_in, 0, type.height() - 1), n), 0.0f);
    pixels = count(first_x, pool.kernel.w, type.width()) * count(first_y, pool.kernel.h, type.height());
  }
  sum(c, x, y, n) = 0.0f;
  sum(c, x, y, n) += pixel;
  // Strict, or else the quotient becomes a product with the rounded reciprocal.
  result(c, x, y, n) = Halide::strict_float(sum(c, x, y, n) / Halide::cast<float>(pixels));
  schedule_image(result, key.result, c, y, machine);
  sum.compute_at(result, c).vectorize(c);
  sum.update().vectorize(c);
  return {Halide::Pipeline(result), {input}};
}

KernelPipeline build_global_average_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const TensorType& type = key.operands[0];
  Halide::ImageParam input = activation_param(type, "input");
  Halide::Var c("c"), n("n");
  Halide::Func sum("sum"), result("result");
  Halide::RDom p(0, type.width(), 0, type.height(), "p");
  sum(c, n) = 0.0f;
  sum(c, n) += input(c, p.x, p.y, n);
  result(c, n) = sum(c, n) / static_cast<float>(type.width() * type.height());
  bound_result(result, key.result);
  result.bound(c, 0, type.channels()).vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
  sum.compute_at(result, c).vectorize(c);
  sum.update().vectorize(c);
  return {Halide::Pipeline(result), {input}};
}

// The caller's planar tensor to an interleaved image and back.
KernelPipeline build_layout(const KernelKey& key, const Choice&, const Machine& machine) {
  Halide::Var c("c"), x("x"), y("y"), n("n");
  Halide::Func result("result");
  if (std::holds_alternative<Input>(key.op)) {
    Halide::ImageParam input = caller_param(key.result, "input");
    result(c, x, y, n) = input(x, y, c, n);
    bound_result(result, key.result);
    result.bound(c, 0, key.result.channels());
    if (key.result.channels() <= 4) {
      result.reorder(c, x, y, n).unroll(c);
    } else {
      result.vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
    }
    if (element_count(key.result) >= parallel_threshold) result.parallel(y);
    return {Halide::Pipeline(result), {input}};
  }
  Halide::ImageParam input = activation_param(key.operands[0], "input");
  result(x, y, c, n) = input(c, x, y, n);
  bound_caller_result(result, key.operands[0]);
  if (element_count(key.result) >= parallel_threshold) result.parallel(c);
  return {Halide::Pipeline(result), {input}};
}

}  // namespace

const Strategy elementwise = {
    "elementwise",     is_elementwise, [](const KernelKey&, const Machine&) { return only("elementwise"); },
    build_elementwise, pack_plain,     cycles};
const Strategy max_pool = {
    "max_pool",     is_op<MaxPool>, [](const KernelKey&, const Machine&) { return only("max_pool"); },
    build_max_pool, pack_plain,     cycles};
const Strategy average_pool = {
    "average_pool",     is_op<AveragePool>, [](const KernelKey&, const Machine&) { return only("average_pool"); },
    build_average_pool, pack_plain,         cycles};
const Strategy global_average_pool = {"global_average_pool",
                                      is_op<GlobalAveragePool>,
                                      [](const KernelKey&, const Machine&) { return only("global_average_pool"); },
                                      build_global_average_pool,
                                      pack_plain,
                                      cycles};
const Strategy layout = {"layout",     is_layout,  [](const KernelKey&, const Machine&) { return only("layout"); },
                         build_layout, pack_plain, cycles};

}  // namespace resnetc
