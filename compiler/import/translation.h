// From ONNX to the IR: the graph in the making, and the translation of each operation.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/import/onnx_node.h"
#include "compiler/safetensors_write.h"

namespace resnetc {

class Translation {
 public:
  // normalised_elsewhere: images are preprocessed, so that a normalisation of the input moves there.
  Translation(std::string graph_name, bool normalised_elsewhere)
      : builder(std::move(graph_name)), normalises(normalised_elsewhere) {}

  Builder builder;
  const bool normalises;
  int64_t file_batch = run_time_batch;  // the size of the batch that the file has, if it has one
  std::optional<Affine> normalisation;  // of the input, once a node has read it normalised
  std::vector<TensorToWrite> tensors;   // of the weights file

  const TensorType& type(Value value) const { return builder.graph()[value].type; }
  // Elements in each dimension that ONNX sees.
  Shape shape_of(const Activation& x) const;
  bool is_image(const Activation& x) const { return type(x.value).is_image(); }

  // A weight of that shape, as files have it: a convolution's OIHW.
  Value weight(const OnnxNode& node, const std::string& name, Shape shape, std::vector<float> values);

  // x with all that waits done to it. Fails for zeros beside its channels, and around it.
  Activation settled(const OnnxNode& node, Activation x);
  // The same, but the zeros around it keep waiting.
  Activation settled_but_zeros(const OnnxNode& node, Activation x);
  // Fails unless x is N x C x H x W, or its channels alone.
  void require_nchw(const OnnxNode& node, const Activation& x) const;

 private:
  std::map<std::pair<std::string, Shape>, Value> weights_;
  std::map<Value, size_t> index_;  // in `tensors`, of every weight
  std::map<Value, std::pair<std::optional<Affine>, Value>> affine_results_;
  bool input_is_read_ = false;

  Activation with_affine(const OnnxNode& node, Activation x);
  Value apply(const OnnxNode& node, const Activation& x, const Affine& affine);
  Value scaled(const OnnxNode& node, const Node& producer, const Affine& affine);
  void normalise_input(const OnnxNode& node, const std::optional<Affine>& affine);
};

// Each takes a node with at least one operand that is computed.
Activation translate_add(Translation& to, const OnnxNode& node);  // Add, Sub, Mul, Div
Activation translate_average_pool(Translation& to, const OnnxNode& node);
Activation translate_batch_normalization(Translation& to, const OnnxNode& node);
Activation translate_clip(Translation& to, const OnnxNode& node);
Activation translate_conv(Translation& to, const OnnxNode& node);
Activation translate_gemm(Translation& to, const OnnxNode& node);
Activation translate_global_average_pool(Translation& to, const OnnxNode& node);
Activation translate_matmul(Translation& to, const OnnxNode& node);
Activation translate_max_pool(Translation& to, const OnnxNode& node);
Activation translate_pad(Translation& to, const OnnxNode& node);
Activation translate_reduce_mean(Translation& to, const OnnxNode& node);
Activation translate_relu(Translation& to, const OnnxNode& node);
Activation translate_slice(Translation& to, const OnnxNode& node);

// Those that change dimensions only: Cast, Dropout, Flatten, Identity, Reshape, Softmax, Squeeze, Transpose, Unsqueeze.
Activation translate_layout(Translation& to, const OnnxNode& node);

// A dense layer: y = x * weight^T + bias, weight [out, in]; no bias if it is empty.
Activation add_dense(Translation& to, const OnnxNode& node, const Activation& x, const std::string& weight_name,
                     std::vector<float> weight, size_t outputs, const std::string& bias_name, std::vector<float> bias);

}  // namespace resnetc
