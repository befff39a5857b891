#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/graph.h"

namespace resnetc {
namespace {

using Types = std::vector<TensorType>;

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw std::invalid_argument(fmt::format(format, std::forward<Args>(args)...));
}

void require_operands(const Types& inputs, size_t least, size_t most) {
  if (inputs.size() < least || inputs.size() > most) {
    const std::string wanted = least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
    fail("takes {} operand{}, got {}", wanted, most == 1 ? "" : "s", inputs.size());
  }
}

void require_image(const TensorType& type, const char* what) {
  if (!type.is_image()) fail("{} must be an image [n,h,w,c], got {}", what, to_string(type));
}

void require_dims(const TensorType& type, const std::vector<int>& dims, const char* what) {
  if (type.dims != dims) fail("{} must be [{}], got {}", what, fmt::join(dims, ","), to_string(type));
}

// floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1
int window_count(int size, int before, int after, int kernel, int stride, int dilation, const char* side) {
  if (stride < 1 || dilation < 1 || kernel < 1) fail("kernel, stride and dilation must be at least 1");
  if (before < 0 || after < 0) fail("padding must not be negative");
  const int64_t padded = int64_t{size} + before + after;
  if (padded > std::numeric_limits<int>::max())
    fail("{} {} padded by {} and {} is too large", side, size, before, after);
  const int64_t span = padded - int64_t{dilation} * (kernel - 1) - 1;
  if (span < 0)
    fail("kernel {} (dilation {}) does not fit {} {} padded by {} and {}; make the input larger or the kernel smaller",
         kernel, dilation, side, size, before, after);
  return static_cast<int>(span / stride) + 1;
}

// Of a MaxPool or an AveragePool.
template <class Pool>
TensorType pooled(const Pool& pool, const TensorType& x) {
  require_image(x, "operand");
  const Sides& p = pool.padding;
  // A window wholly inside the padding would have no maximum and no mean.
  if (p.top >= pool.kernel.h || p.bottom >= pool.kernel.h || p.left >= pool.kernel.w || p.right >= pool.kernel.w)
    fail("padding must be smaller than the kernel");
  const int h = window_count(x.height(), p.top, p.bottom, pool.kernel.h, pool.stride.h, 1, "height");
  const int w = window_count(x.width(), p.left, p.right, pool.kernel.w, pool.stride.w, 1, "width");
  return image_type(h, w, x.channels());
}

void require_addable(const Add& add, const TensorType& x, const TensorType& y) {
  if (add == Add{}) {
    if (x.dims != y.dims || !x.is_activation())
      fail("operands must be activations of one shape, got {} and {}", to_string(x), to_string(y));
    return;
  }
  require_image(x, "first operand");
  require_image(y, "second operand");
  if (add.subsample < 1 || add.channels_before < 0) fail("subsample must be at least 1, channels_before at least 0");
  const auto sampled = [&](int size) { return (size - 1) / add.subsample + 1; };
  if (sampled(y.height()) != x.height() || sampled(y.width()) != x.width() ||
      add.channels_before > x.channels() - y.channels())
    fail("shortcut {} with subsample={} channels_before={} does not fit {}", to_string(y), add.subsample,
         add.channels_before, to_string(x));
}

void require_maximum(const Relu& relu) {
  if (relu.maximum < 0) fail("maximum must not be negative");
}

// Weights of convolutions and dense layers alone may be stored as bf16.
void require_dtypes(const Op& op, const Types& inputs) {
  const bool has_weight = std::holds_alternative<Conv2d>(op) || std::holds_alternative<Dense>(op);
  for (size_t i = 0; i < inputs.size(); i++)
    if (inputs[i].dtype != DType::f32 && !(has_weight && i == 1))
      fail("operand {} must be f32, got {}", i, to_string(inputs[i]));
}

void require_projectable(const Project& project, const TensorType& out, const TensorType& y) {
  const int h = window_count(y.height(), 0, 0, 1, project.stride.h, 1, "height");
  const int w = window_count(y.width(), 0, 0, 1, project.stride.w, 1, "width");
  if (h != out.height() || w != out.width())
    fail("{} projected with stride=[{},{}] does not fit {}", to_string(y), project.stride.h, project.stride.w,
         to_string(out));
}

// That each step stands where it may. Returns how many operands they take together.
size_t require_steps(const Conv2d& conv) {
  for (size_t i = 0; i < conv.epilogue.size(); i++) {
    const Epilogue& step = conv.epilogue[i];
    if (std::holds_alternative<Project>(step) && i > 0)
      fail("project must be the first step of an epilogue; make the shortcut a node of its own");
    if (std::holds_alternative<MaxPool>(step) && i + 1 < conv.epilogue.size())
      fail("max_pool must be the last step of an epilogue; make what follows it a node of its own");
    if (std::holds_alternative<MaxPool>(step) && projection_of(conv))
      fail("max_pool cannot follow project; make it a node of its own");
    if (std::holds_alternative<MaxPool>(step) && conv.interleave > 1)
      fail("max_pool cannot follow interleaved groups; make it a node of its own");
  }
  const size_t operands = epilogue_operands(conv);
  if (operands > most_epilogue_operands)
    fail("the steps of an epilogue take at most {} operands, got {}; make the others nodes of their own",
         most_epilogue_operands, operands);
  return operands;
}

struct Infer {
  const Types& in;

  TensorType operator()(const Input&) const { fail("has the type that it is given"); }
  TensorType operator()(const Weight&) const { fail("has the type that it is given"); }

  TensorType operator()(const Conv2d& conv) const {
    const size_t more = require_steps(conv);
    require_operands(in, conv.epilogue.empty() ? 2 : 3 + more, 3 + more);
    require_image(in[0], "operand");
    const TensorType& weight = in[1];
    if (weight.dims.size() != 4 || weight.is_activation())
      fail("weight must be [oc,kh,kw,ic/groups], got {}", to_string(weight));
    const int oc = weight.dims[0];
    if (conv.groups < 1 || oc % conv.groups != 0 || in[0].channels() % conv.groups != 0)
      fail("groups={} must divide {} input and {} output channels", conv.groups, in[0].channels(), oc);
    if (conv.interleave < 1 || conv.groups % conv.interleave != 0)
      fail("interleave={} must divide groups={}", conv.interleave, conv.groups);
    const Project* projection = projection_of(conv);
    if (projection) {
      require_image(in[3], "what is projected");
      if (weight.dims[1] != 1 || weight.dims[2] != 1 || conv.groups != 1)
        fail("project needs a 1x1 convolution without groups; make the shortcut a node of its own");
    }
    const int64_t weight_ic = in[0].channels() / conv.groups + (projection ? int64_t{in[3].channels()} : 0);
    if (weight_ic > std::numeric_limits<int>::max()) fail("{} input channels are too many", weight_ic);
    require_dims(weight, {oc, weight.dims[1], weight.dims[2], static_cast<int>(weight_ic)}, "weight");
    if (in.size() > 2) require_dims(in[2], {oc}, "bias");
    const Sides& p = conv.padding;
    const int kh = weight.dims[1], kw = weight.dims[2];
    const int h = window_count(in[0].height(), p.top, p.bottom, kh, conv.stride.h, conv.dilation.h, "height");
    const int w = window_count(in[0].width(), p.left, p.right, kw, conv.stride.w, conv.dilation.w, "width");
    TensorType out = image_type(h, w, oc);
    size_t residual = 3;
    for (const Epilogue& step : conv.epilogue) {
      if (const auto* relu = std::get_if<Relu>(&step)) require_maximum(*relu);
      if (const auto* project = std::get_if<Project>(&step)) require_projectable(*project, out, in[residual++]);
      if (const auto* add = std::get_if<Add>(&step)) require_addable(*add, out, in[residual++]);
      if (const auto* pool = std::get_if<MaxPool>(&step)) out = pooled(*pool, out);
    }
    return out;
  }

  TensorType operator()(const BatchNorm& norm) const {
    require_operands(in, 5, 5);
    require_image(in[0], "operand");
    if (!(norm.epsilon >= 0)) fail("epsilon must not be negative");
    if (norm.epsilon > std::numeric_limits<double>::max()) fail("epsilon must be finite");
    for (size_t i = 1; i < 5; i++) require_dims(in[i], {in[0].channels()}, "parameter");
    return {in[0].dtype, in[0].dims, {}};
  }

  TensorType operator()(const ScaleShift&) const {
    require_operands(in, 3, 3);
    require_image(in[0], "operand");
    for (size_t i = 1; i < 3; i++) require_dims(in[i], {in[0].channels()}, "parameter");
    return {in[0].dtype, in[0].dims, {}};
  }

  TensorType operator()(const Relu& relu) const {
    require_operands(in, 1, 1);
    require_maximum(relu);
    if (!in[0].is_activation()) fail("operand must be an activation, got {}", to_string(in[0]));
    return {in[0].dtype, in[0].dims, {}};
  }

  TensorType operator()(const Add& add) const {
    require_operands(in, 2, 2);
    require_addable(add, in[0], in[1]);
    return {in[0].dtype, in[0].dims, {}};
  }

  TensorType operator()(const MaxPool& pool) const {
    require_operands(in, 1, 1);
    return pooled(pool, in[0]);
  }

  TensorType operator()(const AveragePool& pool) const {
    require_operands(in, 1, 1);
    return pooled(pool, in[0]);
  }

  TensorType operator()(const GlobalAveragePool&) const {
    require_operands(in, 1, 1);
    require_image(in[0], "operand");
    return vector_type(in[0].channels());
  }

  TensorType operator()(const Dense& dense) const {
    require_operands(in, 2, 3);
    if (dense.global_average) require_image(in[0], "operand");
    if (!dense.global_average && (in[0].dims.size() != 2 || !in[0].is_activation()))
      fail("operand must be [n,c], got {}", to_string(in[0]));
    if (in[1].dims.size() != 2 || in[1].is_activation()) fail("weight must be [oc,ic], got {}", to_string(in[1]));
    require_dims(in[1], {in[1].dims[0], in[0].channels()}, "weight");
    if (in.size() > 2) require_dims(in[2], {in[1].dims[0]}, "bias");
    return vector_type(in[1].dims[0]);
  }

  TensorType operator()(const Output&) const {
    require_operands(in, 1, 1);
    require_image(in[0], "operand");
    return {in[0].dtype, in[0].dims, {}};
  }
};

}  // namespace

TensorType infer(const Op& op, const std::vector<TensorType>& inputs) {
  require_dtypes(op, inputs);
  return std::visit(Infer{inputs}, op);
}

TensorType infer_sums(const Conv2d& conv, const TensorType& x, const TensorType& weight) {
  const Conv2d sums{conv.stride, conv.dilation, conv.padding, conv.groups, {}};
  const std::vector<int>& dims = weight.dims;
  return infer(sums, {x, weight_type({dims[0], dims[1], dims[2], x.channels() / conv.groups})});
}

}  // namespace resnetc
