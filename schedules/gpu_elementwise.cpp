// Ops without a window, pools and changes of layout on a device: a thread for each element, bound by memory.
#include "schedules/elementwise_ops.h"
#include "schedules/gpu.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

double cycles(const KernelKey& key, const Choice&, const Machine& machine) {
  return gpu_cycles(1, {}, operand_bytes(key, machine.batch), machine);
}

KernelPipeline build_elementwise(const KernelKey& key, const Choice&, const Machine& machine) {
  Var c("c"), x("x"), y("y"), n("n");
  Func element("element"), result("result");
  KernelPipeline kernel;
  const Expr value = elementwise_value(key, c, x, y, n, 1, kernel.arguments);
  if (key.result.is_image()) {
    element(c, x, y, n) = value;
    result = image_on_gpu(element, key.result, machine);
  } else {
    result(c, n) = value;
    bound_result(result, key.result);
    schedule_vector_on_gpu(result, key.result.channels(), c, n, machine);
  }
  kernel.pipeline = Halide::Pipeline(result);
  return kernel;
}

KernelPipeline build_max_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const TensorType& type = key.operands[0];
  const Halide::ImageParam input = activation_param(type, "input");
  const Func best = largest_of_window(std::get<MaxPool>(key.op), type, input);
  Var c("c"), x("x"), y("y"), n("n");
  Func element("element");
  element(c, x, y, n) = best(c, x, y, n);
  return {Halide::Pipeline(image_on_gpu(element, key.result, machine)), {input}};
}

KernelPipeline build_average_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const auto& pool = std::get<AveragePool>(key.op);
  const TensorType& type = key.operands[0];
  Halide::ImageParam input = activation_param(type, "input");
  Var c("c"), x("x"), y("y"), n("n");
  Func sum("sum"), element("element");
  Halide::RDom r(0, pool.kernel.w, 0, pool.kernel.h, "r");
  const Expr first_x = x * pool.stride.w - pool.padding.left, first_y = y * pool.stride.h - pool.padding.top;
  const Expr x_in = first_x + r.x, y_in = first_y + r.y;
  // Whatever the border holds, it does not count.
  const auto inside = [](const Expr& at, int size) { return at >= 0 && at < size; };
  const auto count = [](const Expr& first, int kernel, int size) {
    return Halide::min(first + kernel, size) - Halide::max(first, 0);
  };
  sum(c, x, y, n) = 0.0f;
  sum(c, x, y, n) += Halide::select(
      inside(x_in, type.width()) && inside(y_in, type.height()),
      input(c, Halide::clamp(x_in, 0, type.width() - 1), Halide::clamp(y_in, 0, type.height() - 1), n), 0.0f);
  const Expr pixels = count(first_x, pool.kernel.w, type.width()) * count(first_y, pool.kernel.h, type.height());
  element(c, x, y, n) = sum(c, x, y, n) / Halide::cast<float>(pixels);
  return {Halide::Pipeline(image_on_gpu(element, key.result, machine)), {input}};
}

KernelPipeline build_global_average_pool(const KernelKey& key, const Choice&, const Machine& machine) {
  const TensorType& type = key.operands[0];
  Halide::ImageParam input = activation_param(type, "input");
  Var c("c"), n("n");
  Func sum("sum"), result("result");
  Halide::RDom r(0, type.width(), 0, type.height(), "r");
  sum(c, n) = 0.0f;
  sum(c, n) += input(c, r.x, r.y, n);
  result(c, n) = sum(c, n) / static_cast<float>(type.width() * type.height());
  bound_result(result, key.result);
  schedule_vector_on_gpu(result, key.result.channels(), c, n, machine);
  return {Halide::Pipeline(result), {input}};
}

// The caller's planar tensor to an interleaved image and back. Where there are few channels, neighbouring threads take
// neighbouring columns, which the caller has side by side.
KernelPipeline build_layout(const KernelKey& key, const Choice&, const Machine& machine) {
  Var c("c"), x("x"), y("y"), n("n"), lane("lane"), row("row");
  Func element("element");
  if (std::holds_alternative<Output>(key.op)) {
    const TensorType& type = key.operands[0];
    Halide::ImageParam input = activation_param(type, "input");
    Func result("result");
    result(x, y, c, n) = input(c, x, y, n);
    bound_caller_result(result, type);
    result.split(x, x, lane, covering_power(type.width(), 64), Halide::TailStrategy::GuardWithIf)
        .reorder(lane, x, y, c, n)
        .fuse(x, y, row)
        .gpu_blocks(row, c, n)
        .gpu_threads(lane);
    return {Halide::Pipeline(result), {input}};
  }
  const TensorType& type = key.result;
  Halide::ImageParam input = caller_param(type, "input");
  element(c, x, y, n) = input(x, y, c, n);
  if (type.channels() > 4) return {Halide::Pipeline(image_on_gpu(element, type, machine)), {input}};
  Interior to(element, type);
  Halide::RVar x_tile("x_tile"), pixel("pixel"), tiles("tiles");
  to.result.bound(to.c, 0, type.channels());
  to.store.split(to.x, x_tile, pixel, covering_power(type.width(), 64), Halide::TailStrategy::GuardWithIf)
      .reorder(to.c, pixel, x_tile, to.y, to.n)
      .fuse(x_tile, to.y, tiles)
      .gpu_blocks(tiles, to.n)
      .gpu_threads(pixel)
      .unroll(to.c);
  return {Halide::Pipeline(to.result), {input}};
}

template <const char* name>
std::vector<Choice> only(const KernelKey&, const Machine&) {
  return {{name, {}}};
}

constexpr char elementwise_name[] = "gpu_elementwise", max_pool_name[] = "gpu_max_pool",
               average_pool_name[] = "gpu_average_pool", global_average_pool_name[] = "gpu_global_average_pool",
               layout_name[] = "gpu_layout";

}  // namespace

const Strategy gpu_elementwise = {elementwise_name,  is_elementwise, only<elementwise_name>,
                                  build_elementwise, pack_plain,     cycles};
const Strategy gpu_max_pool = {max_pool_name, is_op<MaxPool>, only<max_pool_name>, build_max_pool, pack_plain, cycles};
const Strategy gpu_average_pool = {average_pool_name,  is_op<AveragePool>, only<average_pool_name>,
                                   build_average_pool, pack_plain,         cycles};
const Strategy gpu_global_average_pool = {global_average_pool_name,
                                          is_op<GlobalAveragePool>,
                                          only<global_average_pool_name>,
                                          build_global_average_pool,
                                          pack_plain,
                                          cycles};
const Strategy gpu_layout = {layout_name, is_layout, only<layout_name>, build_layout, pack_plain, cycles};

}  // namespace resnetc
