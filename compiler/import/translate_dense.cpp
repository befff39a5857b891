// Gemm and MatMul.
#include <fmt/format.h>

#include "compiler/import/translation.h"
#include "compiler/json_reader.h"

namespace resnetc {
namespace {

struct Matrix {
  size_t rows, columns;
  std::vector<float> values;
};

Matrix matrix_of(const OnnxNode& node, size_t operand) {
  const Shape& shape = node.constant(operand).shape;
  if (shape.size() != 2)
    node.fail(fmt::format("input {}, {}, has shape {}; it must be a matrix", operand, quote(node.input_name(operand)),
                          shape_text(shape)));
  return {static_cast<size_t>(shape[0]), static_cast<size_t>(shape[1]), node.floats(operand)};
}

Matrix transposed(const Matrix& m) {
  Matrix result{m.columns, m.rows, std::vector<float>(m.values.size())};
  for (size_t r = 0; r < m.rows; r++)
    for (size_t c = 0; c < m.columns; c++) result.values[c * m.rows + r] = m.values[r * m.columns + c];
  return result;
}

Activation vector_of(Translation& to, const OnnxNode& node) {
  const Activation& x = node.activation(0);
  if (x.axes != std::vector{Axis::batch, Axis::channel})
    node.fail(fmt::format("input 0, {}, has shape {}; it must be N x C, such as a global average pool and Flatten make",
                          quote(node.input_name(0)), shape_text(to.shape_of(x))));
  return to.settled(node, x);
}

}  // namespace

Activation add_dense(Translation& to, const OnnxNode& node, const Activation& x, const std::string& weight_name,
                     std::vector<float> weight, size_t outputs, const std::string& bias_name, std::vector<float> bias) {
  const auto inputs = static_cast<int64_t>(to.type(x.value).channels());
  if (outputs == 0 || weight.size() != outputs * static_cast<size_t>(inputs))
    node.fail(fmt::format("weight {} has {} values for {} inputs and {} outputs", quote(weight_name), weight.size(),
                          inputs, outputs));
  std::vector<Value> operands = {x.value};
  const auto rows = static_cast<int64_t>(outputs);
  operands.push_back(to.weight(node, weight_name, {rows, inputs}, std::move(weight)));
  if (!bias.empty()) {
    if (bias.size() == 1) bias.resize(outputs, bias[0]);
    if (bias.size() != outputs)
      node.fail(fmt::format("bias {} has {} values for {} outputs", quote(bias_name), bias.size(), outputs));
    operands.push_back(to.weight(node, bias_name, {rows}, std::move(bias)));
  }
  Activation y = x;
  y.value = to.builder.add(node.name(), Dense{}, std::move(operands));
  return y;
}

Activation translate_gemm(Translation& to, const OnnxNode& node) {
  const auto alpha = static_cast<float>(node.number("alpha", 1)), beta = static_cast<float>(node.number("beta", 1));
  node.require("transA", 0, 0);
  node.ignore("broadcast");  // of opset 6, which some writers still give
  Matrix weight = matrix_of(node, 1);
  if (node.integer("transB", 0) == 0) weight = transposed(weight);
  std::vector<float> bias;
  if (node.find(2)) {
    const Shape& shape = node.constant(2).shape;
    if (shape.size() > 2 || (shape.size() == 2 && shape[0] != 1))
      node.fail(fmt::format("bias {} has shape {}; it must be a number for each output", quote(node.input_name(2)),
                            shape_text(shape)));
    bias = node.floats(2);
  }
  for (float& v : weight.values) v *= alpha;
  for (float& v : bias) v *= beta;
  return add_dense(to, node, vector_of(to, node), node.input_name(1), std::move(weight.values), weight.rows,
                   node.find(2) ? node.input_name(2) : "", std::move(bias));
}

Activation translate_matmul(Translation& to, const OnnxNode& node) {
  Matrix weight = transposed(matrix_of(node, 1));
  return add_dense(to, node, vector_of(to, node), node.input_name(1), std::move(weight.values), weight.rows, "", {});
}

}  // namespace resnetc
