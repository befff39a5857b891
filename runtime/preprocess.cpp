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

struct Picture {
  const uint8_t* rgb;
  size_t row_bytes;
  int height;
};

struct Target {
  float* input;
  int height, width, channels;
  bool reversed;  // BGR
  const float (*table)[256];
};

void write_row(const Target& target, const Axis& across, int y, const uint32_t* sums) {
  for (int c = 0; c < target.channels; c++) {
    const size_t row = static_cast<size_t>(c) * static_cast<size_t>(target.height) + static_cast<size_t>(y);
    float* out = target.input + row * static_cast<size_t>(target.width) + across.padding;
    const uint32_t* in = sums + (target.reversed ? target.channels - 1 - c : c);
    for (int x = 0; x < across.outputs; x++, in += target.channels) out[x] = target.table[c][round_sum(*in)];
  }
}

// Each input row that counts is resampled across once and added to the sums of the output rows that read it, so that
// memory follows the output's size, not the picture's. line: one row across; gray: the source columns [left, right).
void resample(const Picture& picture, const Axis& down, const Axis& across, int64_t left, int64_t right, uint8_t* line,
              uint8_t* gray, uint32_t* sums, int rows, const Target& target) {
  const size_t line_size = static_cast<size_t>(across.outputs) * static_cast<size_t>(target.channels);
  int started = 0, finished = 0;
  for (int64_t y = down.spans[0].start; finished < down.outputs; y++) {
    for (; started < down.outputs && down.spans[started].start <= y; started++) {
      uint32_t* row = sums + static_cast<size_t>(started % rows) * line_size;
      for (size_t i = 0; i < line_size; i++) row[i] = half;
    }
    if (started > finished && y < picture.height) {
      const uint8_t* source = picture.rgb + static_cast<size_t>(y) * picture.row_bytes + left * 3;
      if (target.channels == 1) {
        convert_to_gray(source, right - left, gray);
        resample_row<1>(gray, across, line);
      } else {
        resample_row<3>(source, across, line);
      }
    }
    for (int i = finished; i < started; i++) {
      const Span span = down.spans[i];
      if (y - span.start >= span.count) continue;
      const uint32_t weight = static_cast<uint32_t>(down.weights[span.weights + static_cast<size_t>(y - span.start)]);
      uint32_t* row = sums + static_cast<size_t>(i % rows) * line_size;
      for (size_t k = 0; k < line_size; k++) row[k] += line[k] * weight;
    }
    for (; finished < started && down.spans[finished].start + down.spans[finished].count <= y + 1; finished++) {
      write_row(target, across, down.padding + finished, sums + static_cast<size_t>(finished % rows) * line_size);
    }
  }
}

int resample_picture(const Picture& picture, const Axis& down, Axis* across, const Target& target) {
  const int64_t left = across->spans[0].start;
  int64_t right = left;
  for (int i = 0; i < across->outputs; i++) {
    const int64_t end = across->spans[i].start + across->spans[i].count;
    right = end > right ? end : right;
    across->spans[i].start -= left;
  }
  const int rows = most_active(down);
  const size_t line_size = static_cast<size_t>(across->outputs) * static_cast<size_t>(target.channels);
  uint8_t* line = static_cast<uint8_t*>(calloc(line_size, 1));
  uint8_t* gray = static_cast<uint8_t*>(calloc(static_cast<size_t>(right - left) + 1, 1));
  uint32_t* sums = nullptr;
  if (line_size <= SIZE_MAX / sizeof(uint32_t)) {
    sums = static_cast<uint32_t*>(calloc(static_cast<size_t>(rows), line_size * sizeof(uint32_t)));
  }
  const bool enough = line != nullptr && gray != nullptr && sums != nullptr;
  if (enough) resample(picture, down, *across, left, right, line, gray, sums, rows, target);
  free(line);
  free(gray);
  free(sums);
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

int rn_preprocess_image(const rn_preprocess* how, const uint8_t* rgb, int width, int height, size_t row_bytes,
                        int input_height, int input_width, float* input, int* result_height, int* result_width) {
  int64_t resized_width = 0, resized_height = 0;
  const bool has_pixels = rgb != nullptr && width > 0 && height > 0 && row_bytes / 3 >= static_cast<size_t>(width);
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

  const int channels = how->order == rn_order_gray ? 1 : 3;
  float table[3][256];
  for (int c = 0; c < channels; c++) {
    for (int u = 0; u < 256; u++) table[c][u] = static_cast<float>((u * how->scale - how->mean[c]) / how->std[c]);
  }
  const Window rows = crop_window(resized_height, how->crop_height);
  const Window columns = crop_window(resized_width, how->crop_width);
  if (rows.outputs < out_height || columns.outputs < out_width) {
    const size_t plane = static_cast<size_t>(out_height) * static_cast<size_t>(out_width);
    for (int c = 0; c < channels; c++) {
      for (size_t i = 0; i < plane; i++) input[static_cast<size_t>(c) * plane + i] = table[c][0];
    }
  }

  Axis down = {rows.outputs, rows.padding, nullptr, nullptr};
  Axis across = {columns.outputs, columns.padding, nullptr, nullptr};
  int status = build_axis(&down, how->interpolation, height, resized_height, rows.first);
  if (status == rn_preprocess_ok) status = build_axis(&across, how->interpolation, width, resized_width, columns.first);
  if (status == rn_preprocess_ok) {
    const Target target = {input, out_height, out_width, channels, how->order == rn_order_bgr, table};
    status = resample_picture({rgb, row_bytes, height}, down, &across, target);
  }
  free_axis(&down);
  free_axis(&across);
  return status;
}
