#include "preprocess.h"

#include <limits.h>
#include <stdlib.h>

// Compile without contraction of a * b + c (-ffp-contract=off): a fused multiply-add rounds once less than Pillow does.

namespace {

// Weights are fixed point with 22 bits after the point, as Pillow's are: 8 bits hold the pixel, 2 the overshoot of
// bicubic's negative lobes.
constexpr int precision_bits = 22;
constexpr uint32_t half = 1u << (precision_bits - 1);

// The inputs that one output reads: [start, start + count). Starts and ends never decrease from output to output.
struct Span {
  int64_t start;
  int64_t count;
  size_t weights;  // index of the first in Axis::weights
};

// One direction of the resize, for the outputs that the crop keeps.
struct Axis {
  int outputs;
  int padding;  // zeros that the crop puts before the first output
  Span* spans;
  int32_t* weights;
};

struct Window {
  int64_t first;  // of the resized image
  int outputs, padding;
};

double filter_value(int interpolation, double x) {
  x = x < 0.0 ? -x : x;
  if (interpolation == rn_interpolate_bilinear) return x < 1.0 ? 1.0 - x : 0.0;
  // Keys' cubic convolution with a = -1/2.
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// torchvision's center_crop: offset round((size - crop) / 2), halves to the even side; a smaller image is padded.
Window crop_window(int64_t size, int crop) {
  if (crop <= 0) return {0, static_cast<int>(size), 0};
  if (crop > size) return {0, static_cast<int>(size), static_cast<int>((crop - size) / 2)};
  const int64_t offset = (size - crop) / 2;
  const bool up = (size - crop) % 2 != 0 && offset % 2 != 0;
  return {offset + (up ? 1 : 0), crop, 0};
}

void free_axis(Axis* axis) {
  free(axis->spans);
  free(axis->weights);
}

// Which pixel each output copies. Pillow walks by adding the scale, so its rounding errors add up: so do ours.
void find_nearest(Axis* axis, int in, double scale, int64_t first) {
  double position = scale * 0.5;
  for (int64_t i = 0; i < first; i++) position += scale;
  for (int i = 0; i < axis->outputs; i++, position += scale) {
    const bool inside = position < in;
    axis->spans[i] = {inside ? static_cast<int64_t>(position) : in, inside ? 1 : 0, static_cast<size_t>(i)};
    axis->weights[i] = 1 << precision_bits;
  }
}

// Fills spans and weights for outputs [first, first + axis->outputs) of `in` pixels resized to `resized`.
int build_axis(Axis* axis, int interpolation, int in, int64_t resized, int64_t first) {
  // Pillow keeps the box that it resizes in floats, and skips a direction whose size does not change.
  const double box = static_cast<double>(static_cast<float>(in));
  const double scale = in == resized ? 1.0 : box / static_cast<double>(resized);
  const size_t outputs = static_cast<size_t>(axis->outputs);
  axis->spans = static_cast<Span*>(calloc(outputs, sizeof(Span)));
  if (axis->spans == nullptr) return rn_preprocess_memory;
  if (interpolation == rn_interpolate_nearest || in == resized) {
    axis->weights = static_cast<int32_t*>(calloc(outputs, sizeof(int32_t)));
    if (axis->weights == nullptr) return rn_preprocess_memory;
    find_nearest(axis, in, scale, first);
    return rn_preprocess_ok;
  }

  const double filter_scale = scale < 1.0 ? 1.0 : scale;
  const double support = (interpolation == rn_interpolate_bilinear ? 1.0 : 2.0) * filter_scale;
  const double step = 1.0 / filter_scale;
  size_t total = 0;
  for (int i = 0; i < axis->outputs; i++) {
    const double center = (static_cast<double>(first + i) + 0.5) * scale;
    int64_t start = static_cast<int64_t>(center - support + 0.5);  // NOLINT(bugprone-incorrect-roundings): as Pillow
    int64_t end = static_cast<int64_t>(center + support + 0.5);    // NOLINT(bugprone-incorrect-roundings): as Pillow
    start = start < 0 ? 0 : (start > in ? in : start);
    end = end > in ? in : end;
    axis->spans[i] = {start, end > start ? end - start : 0, total};
    total += static_cast<size_t>(axis->spans[i].count);
  }
  axis->weights = static_cast<int32_t*>(calloc(total + 1, sizeof(int32_t)));
  if (axis->weights == nullptr) return rn_preprocess_memory;

  for (int i = 0; i < axis->outputs; i++) {
    const Span span = axis->spans[i];
    const double center = (static_cast<double>(first + i) + 0.5) * scale;
    double sum = 0.0;
    for (int64_t t = 0; t < span.count; t++) {
      sum += filter_value(interpolation, (static_cast<double>(t + span.start) - center + 0.5) * step);
    }
    for (int64_t t = 0; t < span.count; t++) {
      double weight = filter_value(interpolation, (static_cast<double>(t + span.start) - center + 0.5) * step);
      if (sum != 0.0) weight /= sum;
      const double rounded = weight * (1 << precision_bits) + (weight < 0 ? -0.5 : 0.5);
      axis->weights[span.weights + static_cast<size_t>(t)] = static_cast<int32_t>(rounded);
    }
  }
  return rn_preprocess_ok;
}

// Sums wrap in uint32 where Pillow's int would overflow, which takes millions of taps.
uint8_t round_sum(uint32_t sum) {
  const int32_t value = static_cast<int32_t>(sum) >> precision_bits;
  return static_cast<uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

template <int channels>
void resample_row(const uint8_t* row, const Axis& axis, uint8_t* out) {
  for (int i = 0; i < axis.outputs; i++) {
    const Span span = axis.spans[i];
    const uint8_t* pixel = row + span.start * channels;
    const int32_t* weights = axis.weights + span.weights;
    uint32_t sums[channels];
    for (int c = 0; c < channels; c++) sums[c] = half;
    for (int64_t t = 0; t < span.count; t++, pixel += channels) {
      const uint32_t weight = static_cast<uint32_t>(weights[t]);
      for (int c = 0; c < channels; c++) sums[c] += pixel[c] * weight;
    }
    for (int c = 0; c < channels; c++) *out++ = round_sum(sums[c]);
  }
}

// ITU-R 601-2 luma in 16 bits, Pillow's convert("L").
void convert_to_gray(const uint8_t* rgb, int64_t count, uint8_t* gray) {
  for (int64_t i = 0; i < count; i++, rgb += 3) {
    gray[i] = static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
  }
}

// The most outputs that any one input row contributes to: that many rows of sums are kept.
int most_active(const Axis& axis) {
  int most = 1;
  for (int i = 0, oldest = 0; i < axis.outputs; i++) {
    while (axis.spans[oldest].start + axis.spans[oldest].count <= axis.spans[i].start && oldest < i) oldest++;
    if (i + 1 - oldest > most) most = i + 1 - oldest;
  }
  return most;
}

struct Target {
  float* input;
  int height, width, channels;
  bool reversed;  // BGR
  float table[3][256];
};

}  // namespace

// Each input row that counts is resampled across once and added to the sums of the output rows that read it.
struct rn_resampling {
  Axis down, across;
  Target target;
  int64_t left, right;  // the source columns that count; across.spans start from left
  int64_t height;
  int64_t next_row;       // of the source
  int started, finished;  // output rows
  int rows;               // of sums
  uint8_t* line;          // one row across
  uint8_t* gray;
  uint32_t* sums;
};

namespace {

void write_row(const Target& target, const Axis& across, int y, const uint32_t* sums) {
  for (int c = 0; c < target.channels; c++) {
    const size_t row = static_cast<size_t>(c) * static_cast<size_t>(target.height) + static_cast<size_t>(y);
    float* out = target.input + row * static_cast<size_t>(target.width) + across.padding;
    const uint32_t* in = sums + (target.reversed ? target.channels - 1 - c : c);
    for (int x = 0; x < across.outputs; x++, in += target.channels) out[x] = target.table[c][round_sum(*in)];
  }
}

// y: the row's number; rgb may be NULL behind the last row, where outputs that read no row at all are finished.
void resample_across_and_down(rn_resampling* r, int64_t y, const uint8_t* rgb) {
  const Axis &down = r->down, &across = r->across;
  const Target& target = r->target;
  const size_t line_size = static_cast<size_t>(across.outputs) * static_cast<size_t>(target.channels);
  for (; r->started < down.outputs && down.spans[r->started].start <= y; r->started++) {
    uint32_t* row = r->sums + static_cast<size_t>(r->started % r->rows) * line_size;
    for (size_t i = 0; i < line_size; i++) row[i] = half;
  }
  if (r->started > r->finished && rgb != nullptr) {
    const uint8_t* source = rgb + r->left * 3;
    if (target.channels == 1) {
      convert_to_gray(source, r->right - r->left, r->gray);
      resample_row<1>(r->gray, across, r->line);
    } else {
      resample_row<3>(source, across, r->line);
    }
  }
  for (int i = r->finished; i < r->started; i++) {
    const Span span = down.spans[i];
    if (y - span.start >= span.count) continue;
    const uint32_t weight = static_cast<uint32_t>(down.weights[span.weights + static_cast<size_t>(y - span.start)]);
    uint32_t* row = r->sums + static_cast<size_t>(i % r->rows) * line_size;
    for (size_t k = 0; k < line_size; k++) row[k] += r->line[k] * weight;
  }
  while (r->finished < r->started && down.spans[r->finished].start + down.spans[r->finished].count <= y + 1) {
    write_row(target, across, down.padding + r->finished,
              r->sums + static_cast<size_t>(r->finished % r->rows) * line_size);
    r->finished++;
  }
}

// Once both axes are built.
int allocate_rows(rn_resampling* r) {
  const Axis& across = r->across;
  r->left = r->right = across.spans[0].start;
  for (int i = 0; i < across.outputs; i++) {
    const int64_t end = across.spans[i].start + across.spans[i].count;
    r->right = end > r->right ? end : r->right;
    across.spans[i].start -= r->left;
  }
  r->rows = most_active(r->down);
  const size_t line_size = static_cast<size_t>(across.outputs) * static_cast<size_t>(r->target.channels);
  r->line = static_cast<uint8_t*>(calloc(line_size, 1));
  r->gray = static_cast<uint8_t*>(calloc(static_cast<size_t>(r->right - r->left) + 1, 1));
  if (line_size <= SIZE_MAX / sizeof(uint32_t)) {
    r->sums = static_cast<uint32_t*>(calloc(static_cast<size_t>(r->rows), line_size * sizeof(uint32_t)));
  }
  const bool enough = r->line != nullptr && r->gray != nullptr && r->sums != nullptr;
  return enough ? rn_preprocess_ok : rn_preprocess_memory;
}

// torchvision's resize: the longer side is truncated.
void resized_size(const rn_preprocess& how, int width, int height, int64_t* resized_width, int64_t* resized_height) {
  *resized_width = width;
  *resized_height = height;
  if (how.resize == rn_resize_none) return;
  *resized_width = how.resize_width;
  *resized_height = how.resize_height;
  if (how.resize == rn_resize_exact) return;
  const int64_t side = how.resize_height;
  *resized_width = width <= height ? side : side * width / height;
  *resized_height = width <= height ? side * height / width : side;
}

int clamp_to_int(int64_t value) {
  return value > INT_MAX ? INT_MAX : static_cast<int>(value);
}

}  // namespace

int rn_preprocess_begin(rn_resampling** resampling, const rn_preprocess* how, int width, int height, int input_height,
                        int input_width, float* input, int* result_height, int* result_width) {
  int64_t resized_width = 0, resized_height = 0;
  const bool has_pixels = width > 0 && height > 0;
  if (has_pixels) resized_size(*how, width, height, &resized_width, &resized_height);
  const int out_height = has_pixels && how->crop_height > 0 ? how->crop_height : clamp_to_int(resized_height);
  const int out_width = has_pixels && how->crop_width > 0 ? how->crop_width : clamp_to_int(resized_width);
  if (result_height != nullptr) *result_height = out_height;
  if (result_width != nullptr) *result_width = out_width;
  const bool fits = out_height == input_height && out_width == input_width && out_height > 0 && out_width > 0;
  // Pillow's own sides are ints.
  if (!fits || resized_height <= 0 || resized_width <= 0 || resized_height > INT_MAX || resized_width > INT_MAX) {
    return rn_preprocess_size;
  }

  rn_resampling* r = static_cast<rn_resampling*>(calloc(1, sizeof(rn_resampling)));
  if (r == nullptr) return rn_preprocess_memory;
  const int channels = how->order == rn_order_gray ? 1 : 3;
  r->target.input = input;
  r->target.height = out_height;
  r->target.width = out_width;
  r->target.channels = channels;
  r->target.reversed = how->order == rn_order_bgr;
  for (int c = 0; c < channels; c++) {
    for (int u = 0; u < 256; u++) {
      r->target.table[c][u] = static_cast<float>((u * how->scale - how->mean[c]) / how->std[c]);
    }
  }
  const Window rows = crop_window(resized_height, how->crop_height);
  const Window columns = crop_window(resized_width, how->crop_width);
  if (rows.outputs < out_height || columns.outputs < out_width) {
    const size_t plane = static_cast<size_t>(out_height) * static_cast<size_t>(out_width);
    for (int c = 0; c < channels; c++) {
      for (size_t i = 0; i < plane; i++) input[static_cast<size_t>(c) * plane + i] = r->target.table[c][0];
    }
  }

  r->height = height;
  r->down = {rows.outputs, rows.padding, nullptr, nullptr};
  r->across = {columns.outputs, columns.padding, nullptr, nullptr};
  int status = build_axis(&r->down, how->interpolation, height, resized_height, rows.first);
  if (status == rn_preprocess_ok) {
    status = build_axis(&r->across, how->interpolation, width, resized_width, columns.first);
  }
  if (status == rn_preprocess_ok) status = allocate_rows(r);
  if (status == rn_preprocess_ok) {
    *resampling = r;
  } else {
    rn_preprocess_end(r);
  }
  return status;
}

void rn_preprocess_row(rn_resampling* r, const uint8_t* rgb) {
  if (r->next_row == r->height) return;
  resample_across_and_down(r, r->next_row++, rgb);
  if (r->next_row == r->height) resample_across_and_down(r, r->height, nullptr);
}

void rn_preprocess_end(rn_resampling* r) {
  if (r == nullptr) return;
  free_axis(&r->down);
  free_axis(&r->across);
  free(r->line);
  free(r->gray);
  free(r->sums);
  free(r);
}

int rn_preprocess_image(const rn_preprocess* how, const uint8_t* rgb, int width, int height, size_t row_bytes,
                        int input_height, int input_width, float* input, int* result_height, int* result_width) {
  const bool has_pixels = rgb != nullptr && width > 0 && height > 0 && row_bytes / 3 >= static_cast<size_t>(width);
  rn_resampling* resampling = nullptr;
  const int status = rn_preprocess_begin(&resampling, how, has_pixels ? width : 0, has_pixels ? height : 0,
                                         input_height, input_width, input, result_height, result_width);
  if (status != rn_preprocess_ok) return status;
  for (int y = 0; y < height; y++) rn_preprocess_row(resampling, rgb + static_cast<size_t>(y) * row_bytes);
  rn_preprocess_end(resampling);
  return rn_preprocess_ok;
}
