#include "compiler/import/constant.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <cstring>

#include "compiler/half.h"
#include "compiler/import/external_data.h"
#include "ir/graph.h"

namespace resnetc {
namespace {

using onnx::TensorProto;

constexpr size_t most_elements = size_t{1} << 31;

// Elements as they lie in raw data, little-endian.
template <class Element, class To, class Convert>
std::vector<To> from_bytes(std::string_view bytes, size_t count, const Convert& convert) {
  if (bytes.size() / sizeof(Element) != count || bytes.size() % sizeof(Element) != 0)
    throw Error(fmt::format("has {} bytes for {} elements of {}", bytes.size(), count, sizeof(Element)));
  std::vector<To> values(count);
  for (size_t i = 0; i < count; i++) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    values[i] = convert(element);
  }
  return values;
}

template <class To, class Field, class Convert>
std::vector<To> from_field(const Field& field, size_t count, const Convert& convert) {
  if (static_cast<size_t>(field.size()) != count)
    throw Error(fmt::format("has {} values for {} elements", field.size(), count));
  std::vector<To> values(count);
  for (size_t i = 0; i < count; i++) values[i] = convert(field.Get(static_cast<int>(i)));
  return values;
}

// The values of a tensor whose data stand in `field` or, as bytes, in raw data or a file of their own.
template <class Element, class To, class Field, class Convert>
std::vector<To> read_values(const TensorProto& tensor, const std::filesystem::path& model, const Field& field,
                            size_t count, const Convert& convert) {
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return from_bytes<Element, To>(read_external_data(tensor, model, count * sizeof(Element)), count, convert);
  if (tensor.has_raw_data()) return from_bytes<Element, To>(tensor.raw_data(), count, convert);
  return from_field<To>(field, count, [&](auto value) { return convert(static_cast<Element>(value)); });
}

}  // namespace

std::string shape_text(const Shape& shape) {
  constexpr size_t most_shown = 8;
  std::string text;
  for (size_t i = 0; i < shape.size(); i++) {
    if (i > 0) text += ",";
    if (i == most_shown) return "[" + text + "…]";
    text += shape[i] == run_time_batch ? "n" : fmt::format("{}", shape[i]);
  }
  return "[" + text + "]";
}

size_t element_count(const Shape& shape) {
  size_t count = 1;
  for (int64_t side : shape) {
    if (side < 0) throw Error(fmt::format("has shape {} with a negative side", shape_text(shape)));
    if (__builtin_mul_overflow(count, static_cast<size_t>(side), &count) || count > most_elements)
      throw Error(fmt::format("has shape {}, more than 2^31 elements", shape_text(shape)));
  }
  return count;
}

Constant read_tensor(const TensorProto& tensor, const std::filesystem::path& model) {
  constexpr int most_dimensions = 8;
  if (tensor.dims_size() > most_dimensions)
    throw Error(fmt::format("has {} dimensions, at most {} are possible", tensor.dims_size(), most_dimensions));
  if (tensor.has_segment()) throw Error("is a segment of a larger tensor; save the model with whole tensors");
  Shape shape(tensor.dims().begin(), tensor.dims().end());
  const size_t count = element_count(shape);
  const auto floats = [&]<class Element>(Element, const auto& field, const auto& convert) {
    return make_constant(shape, read_values<Element, float>(tensor, model, field, count, convert));
  };
  const auto integers = [&]<class Element>(Element, const auto& field) {
    return make_constant(shape, read_values<Element, int64_t>(tensor, model, field, count,
                                                              [](Element e) { return static_cast<int64_t>(e); }));
  };
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      return floats(float{}, tensor.float_data(), [](float e) { return e; });
    case TensorProto::DOUBLE:
      return floats(double{}, tensor.double_data(), [](double e) { return static_cast<float>(e); });
    case TensorProto::FLOAT16:
      return floats(uint16_t{}, tensor.int32_data(), from_f16);
    case TensorProto::BFLOAT16:
      return floats(uint16_t{}, tensor.int32_data(), from_bf16);
    case TensorProto::INT64:
      return integers(int64_t{}, tensor.int64_data());
    case TensorProto::INT32:
      return integers(int32_t{}, tensor.int32_data());
    case TensorProto::INT8:
      return integers(int8_t{}, tensor.int32_data());
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return integers(uint8_t{}, tensor.int32_data());
    default:
      throw Error(fmt::format("has data type {} of ONNX; convert it to float or int64", tensor.data_type()));
  }
}

}  // namespace resnetc
