#include "schedules/elementwise_ops.h"

namespace resnetc {

bool is_elementwise(const KernelKey& key, const Machine&) {
  return std::holds_alternative<Relu>(key.op) || std::holds_alternative<Add>(key.op) ||
         std::holds_alternative<ScaleShift>(key.op);
}

bool is_layout(const KernelKey& key, const Machine&) {
  return std::holds_alternative<Input>(key.op) || std::holds_alternative<Output>(key.op);
}

PackedWeight pack_plain(const KernelKey&, const Choice&, const Machine&, size_t, const std::vector<float>& values) {
  return padded_vector(values, static_cast<int>(values.size()));
}

Halide::Expr elementwise_value(const KernelKey& key, const Halide::Expr& c, const Halide::Expr& x,
                               const Halide::Expr& y, const Halide::Expr& n, int vector_lanes,
                               std::vector<Halide::Argument>& arguments) {
  const Halide::ImageParam input = activation_param(key.operands[0], "input");
  arguments.push_back(input);
  const bool image = key.result.is_image();
  const Halide::Expr value = input(image ? std::vector<Halide::Expr>{c, x, y, n} : std::vector<Halide::Expr>{c, n});
  if (const auto* op = std::get_if<ScaleShift>(&key.op)) {
    const Halide::ImageParam scale = weight_param({key.result.channels()}, "scale"),
                             shift = weight_param({key.result.channels()}, "shift");
    arguments.insert(arguments.end(), {scale, shift});
    const Halide::Expr shifted = value * scale(c) + shift(c);
    return op->relu ? Halide::max(shifted, 0.0f) : shifted;
  }
  if (const auto* add = std::get_if<Add>(&key.op)) {
    const Halide::ImageParam other = activation_param(key.operands[1], "other");
    arguments.push_back(other);
    return image ? add_residual(*add, key.operands[1], other, value, c, x, y, n, vector_lanes) : value + other(c, n);
  }
  return rectified(std::get<Relu>(key.op), value);
}

Halide::Func largest_of_window(const MaxPool& pool, const TensorType& type, const Halide::ImageParam& input) {
  Halide::Var c("c"), x("x"), y("y"), n("n");
  Halide::Func best("best");
  Halide::RDom r(0, pool.kernel.w, 0, pool.kernel.h, "r");
  // Clamping stays inside the window, since every window holds a pixel of the image.
  const auto clamped = [&](const Halide::Expr& dx, const Halide::Expr& dy) {
    return input(c, Halide::clamp(x * pool.stride.w - pool.padding.left + dx, 0, type.width() - 1),
                 Halide::clamp(y * pool.stride.h - pool.padding.top + dy, 0, type.height() - 1), n);
  };
  best(c, x, y, n) = clamped(0, 0);
  best(c, x, y, n) = Halide::max(best(c, x, y, n), clamped(r.x, r.y));
  return best;
}

}  // namespace resnetc
