// A tensor whose values are known when the model is imported: a weight, or a shape that other nodes compute with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace onnx {
class TensorProto;
}

namespace resnetc {

// Stands for the batch among the integers of a shape. No file has a use for the number itself.
inline constexpr int64_t run_time_batch = std::numeric_limits<int64_t>::min() + 0x5eed;

using Shape = std::vector<int64_t>;

struct Constant {
  using Values = std::variant<std::vector<float>, std::vector<int64_t>>;
  Shape shape;
  std::shared_ptr<const Values> values;  // as many as the shape says

  bool is_float() const { return values->index() == 0; }
  size_t byte_count() const {
    return std::visit([](const auto& list) { return list.size() * sizeof list[0]; }, *values);
  }
  // Of the right kind only.
  const std::vector<float>& floats() const { return std::get<0>(*values); }
  const std::vector<int64_t>& integers() const { return std::get<1>(*values); }
};

template <class Element>
Constant make_constant(Shape shape, std::vector<Element> values) {
  return {std::move(shape), std::make_shared<const Constant::Values>(std::move(values))};
}

// One dimension.
template <class Element>
Constant make_list(std::vector<Element> values) {
  const auto count = static_cast<int64_t>(values.size());
  return make_constant({count}, std::move(values));
}

// "[64,3,7,7]", the batch as n; cut where it is very long.
std::string shape_text(const Shape& shape);

// Elements of that shape. Throws Error if a side is negative or there are more than 2^31.
size_t element_count(const Shape& shape);

// Floating-point types become float32, integers and booleans int64. model: the file that the tensor stands in, beside
// which external data lies. Throws Error that says what is wrong, but not where.
Constant read_tensor(const onnx::TensorProto& tensor, const std::filesystem::path& model);

}  // namespace resnetc
