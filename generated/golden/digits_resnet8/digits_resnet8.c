/* The driver of digits_resnet8, by resnetc 0.1.0, Halide 21.0.0: tables that the runtime interprets. */
#include "digits_resnet8.h"
#include "runtime.h"

/* One kernel for each distinct key; several steps may share one. */
extern int input_to_i16x16x1b1_f32_argv(void** arguments);
extern int conv2d_i16x16x1b1_w16x3x3x1_w16_to_i16x16x16b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x16b1_w16x3x3x16_w16_to_i16x16x16b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x16b1_w16x3x3x16_w16_i16x16x16b1_to_i16x16x16b1_padding1_add_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x16b1_w32x3x3x16_w32_to_i8x8x32b1_stride2_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x16b1_w32x1x1x16_w32_to_i8x8x32_stride2_f32_argv(void** arguments);
extern int conv2d_i8x8x32b1_w32x3x3x32_w32_i8x8x32_to_i8x8x32b1_padding1_add_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x32b1_w64x3x3x32_w64_to_i4x4x64b1_stride2_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x32b1_w64x1x1x32_w64_to_i4x4x64_stride2_f32_argv(void** arguments);
extern int conv2d_i4x4x64b1_w64x3x3x64_w64_i4x4x64_to_i4x4x64_padding1_add_relu_f32_argv(void** arguments);
extern int dense_i4x4x64_w10x64_w10_to_v10_global_average1_f32_argv(void** arguments);

static const char* const kernel_keys[] = {
    "input_to_i16x16x1b1_f32",
    "conv2d_i16x16x1b1_w16x3x3x1_w16_to_i16x16x16b1_padding1_relu_f32",
    "conv2d_i16x16x16b1_w16x3x3x16_w16_to_i16x16x16b1_padding1_relu_f32",
    "conv2d_i16x16x16b1_w16x3x3x16_w16_i16x16x16b1_to_i16x16x16b1_padding1_add_relu_f32",
    "conv2d_i16x16x16b1_w32x3x3x16_w32_to_i8x8x32b1_stride2_padding1_relu_f32",
    "conv2d_i16x16x16b1_w32x1x1x16_w32_to_i8x8x32_stride2_f32",
    "conv2d_i8x8x32b1_w32x3x3x32_w32_i8x8x32_to_i8x8x32b1_padding1_add_relu_f32",
    "conv2d_i8x8x32b1_w64x3x3x32_w64_to_i4x4x64b1_stride2_padding1_relu_f32",
    "conv2d_i8x8x32b1_w64x1x1x32_w64_to_i4x4x64_stride2_f32",
    "conv2d_i4x4x64b1_w64x3x3x64_w64_i4x4x64_to_i4x4x64_padding1_add_relu_f32",
    "dense_i4x4x64_w10x64_w10_to_v10_global_average1_f32",
};

static const char* const kernel_choices[] = {
    "layout",
    "conv2d_direct oc_vectors=2 pixels=6 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=16 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=16 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_direct oc_vectors=2 pixels=5 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_direct oc_vectors=2 pixels=6 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=32 tile_rows=2 channel_groups=2 stored=1 prefetch=0",
    "conv2d_direct oc_vectors=2 pixels=6 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_direct oc_vectors=4 pixels=2 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=2 oc_vectors=4 pixels=2 channel_part=64 tile_rows=2 channel_groups=2 stored=1 prefetch=0",
    "dense oc_vectors=1",
};

/* of one image */
static const uint64_t kernel_flops[] = {
    0u,
    73728u,
    1179648u,
    1179648u,
    589824u,
    65536u,
    1179648u,
    589824u,
    65536u,
    1179648u,
    1280u,
};

static const uint64_t kernel_executed_flops[] = {
    0u,
    73728u,
    399360u,
    399360u,
    589824u,
    65536u,
    376320u,
    589824u,
    65536u,
    549888u,
    1280u,
};

/* offset, height, width, channels, border (top, left, bottom, right), is_vector, border_shared */
static const rn_tensor tensors[] = {
    {20736u, 16, 16, 1, 1, 1, 1, 1, 0, 1}, /* input */
    {0u, 16, 16, 16, 1, 1, 1, 1, 0, 1}, /* relu1 */
    {20736u, 16, 16, 16, 1, 1, 1, 1, 0, 1}, /* layer1.0.relu1 */
    {41472u, 16, 16, 16, 1, 1, 1, 1, 0, 0}, /* layer1.0.relu */
    {0u, 8, 8, 32, 1, 1, 1, 1, 0, 1}, /* layer2.0.relu1 */
    {25600u, 8, 8, 32, 0, 0, 0, 0, 0, 0}, /* layer2.0.downsample.1 */
    {12800u, 8, 8, 32, 1, 1, 1, 1, 0, 1}, /* layer2.0.relu */
    {0u, 4, 4, 64, 1, 1, 1, 1, 0, 1}, /* layer3.0.relu1 */
    {25600u, 4, 4, 64, 0, 0, 0, 0, 0, 0}, /* layer3.0.downsample.1 */
    {9216u, 4, 4, 64, 0, 0, 0, 0, 0, 0}, /* layer3.0.relu */
};

static const rn_weight weights[] = {
    {0u, 5, {16, 1, 3, 3, 1}}, /* conv1.weight.folded */
    {576u, 1, {16}}, /* bn1.bias.folded */
    {640u, 4, {16, 16, 36, 1}}, /* layer1.0.conv1.weight.folded */
    {37504u, 1, {16}}, /* layer1.0.bn1.bias.folded */
    {37568u, 4, {16, 16, 36, 1}}, /* layer1.0.conv2.weight.folded */
    {74432u, 1, {16}}, /* layer1.0.bn2.bias.folded */
    {74496u, 5, {16, 16, 3, 3, 2}}, /* layer2.0.conv1.weight.folded */
    {92928u, 1, {32}}, /* layer2.0.bn1.bias.folded */
    {93056u, 5, {16, 16, 1, 1, 2}}, /* layer2.0.downsample.0.weight.folded */
    {95104u, 1, {32}}, /* layer2.0.downsample.1.bias.folded */
    {95232u, 4, {16, 32, 36, 2}}, /* layer2.0.conv2.weight.folded */
    {242688u, 1, {32}}, /* layer2.0.bn2.bias.folded */
    {242816u, 5, {16, 32, 3, 3, 4}}, /* layer3.0.conv1.weight.folded */
    {316544u, 1, {64}}, /* layer3.0.bn1.bias.folded */
    {316800u, 5, {32, 32, 1, 1, 2}}, /* layer3.0.downsample.0.weight.folded */
    {324992u, 1, {64}}, /* layer3.0.downsample.1.bias.folded */
    {325248u, 4, {32, 64, 16, 2}}, /* layer3.0.conv2.weight.folded */
    {587392u, 1, {64}}, /* layer3.0.bn2.bias.folded */
    {587648u, 3, {8, 64, 2}}, /* fc.weight */
    {591744u, 1, {16}}, /* fc.bias */
};

/* kernel, its index, operands; the last operand is written */
static const rn_step steps[] = {
    {input_to_i16x16x1b1_f32_argv, 0, 2, {{rn_operand_input, 0}, {rn_operand_tensor, 0}}}, /* input */
    {conv2d_i16x16x1b1_w16x3x3x1_w16_to_i16x16x16b1_padding1_relu_f32_argv, 1, 4, {{rn_operand_tensor, 0}, {rn_operand_weight, 0}, {rn_operand_weight, 1}, {rn_operand_tensor, 1}}}, /* relu1 */
    {conv2d_i16x16x16b1_w16x3x3x16_w16_to_i16x16x16b1_padding1_relu_f32_argv, 2, 4, {{rn_operand_tensor, 1}, {rn_operand_weight, 2}, {rn_operand_weight, 3}, {rn_operand_tensor, 2}}}, /* layer1.0.relu1 */
    {conv2d_i16x16x16b1_w16x3x3x16_w16_i16x16x16b1_to_i16x16x16b1_padding1_add_relu_f32_argv, 3, 5, {{rn_operand_tensor, 2}, {rn_operand_weight, 4}, {rn_operand_weight, 5}, {rn_operand_tensor, 1}, {rn_operand_tensor, 3}}}, /* layer1.0.relu */
    {conv2d_i16x16x16b1_w32x3x3x16_w32_to_i8x8x32b1_stride2_padding1_relu_f32_argv, 4, 4, {{rn_operand_tensor, 3}, {rn_operand_weight, 6}, {rn_operand_weight, 7}, {rn_operand_tensor, 4}}}, /* layer2.0.relu1 */
    {conv2d_i16x16x16b1_w32x1x1x16_w32_to_i8x8x32_stride2_f32_argv, 5, 4, {{rn_operand_tensor, 3}, {rn_operand_weight, 8}, {rn_operand_weight, 9}, {rn_operand_tensor, 5}}}, /* layer2.0.downsample.1 */
    {conv2d_i8x8x32b1_w32x3x3x32_w32_i8x8x32_to_i8x8x32b1_padding1_add_relu_f32_argv, 6, 5, {{rn_operand_tensor, 4}, {rn_operand_weight, 10}, {rn_operand_weight, 11}, {rn_operand_tensor, 5}, {rn_operand_tensor, 6}}}, /* layer2.0.relu */
    {conv2d_i8x8x32b1_w64x3x3x32_w64_to_i4x4x64b1_stride2_padding1_relu_f32_argv, 7, 4, {{rn_operand_tensor, 6}, {rn_operand_weight, 12}, {rn_operand_weight, 13}, {rn_operand_tensor, 7}}}, /* layer3.0.relu1 */
    {conv2d_i8x8x32b1_w64x1x1x32_w64_to_i4x4x64_stride2_f32_argv, 8, 4, {{rn_operand_tensor, 6}, {rn_operand_weight, 14}, {rn_operand_weight, 15}, {rn_operand_tensor, 8}}}, /* layer3.0.downsample.1 */
    {conv2d_i4x4x64b1_w64x3x3x64_w64_i4x4x64_to_i4x4x64_padding1_add_relu_f32_argv, 9, 5, {{rn_operand_tensor, 7}, {rn_operand_weight, 16}, {rn_operand_weight, 17}, {rn_operand_tensor, 8}, {rn_operand_tensor, 9}}}, /* layer3.0.relu */
    {dense_i4x4x64_w10x64_w10_to_v10_global_average1_f32_argv, 10, 4, {{rn_operand_tensor, 9}, {rn_operand_weight, 18}, {rn_operand_weight, 19}, {rn_operand_output, 0}}}, /* fc */
};

static const char* const step_names[] = {
    "input",
    "relu1",
    "layer1.0.relu1",
    "layer1.0.relu",
    "layer2.0.relu1",
    "layer2.0.downsample.1",
    "layer2.0.relu",
    "layer3.0.relu1",
    "layer3.0.downsample.1",
    "layer3.0.relu",
    "fc",
};

static const char* const labels[] = {
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
};

extern const unsigned char digits_resnet8_weights[];

const rn_description resnetc_description = {
    .name = "digits_resnet8",
    .target = "x86-64-linux-avx-avx2-f16c-fma-sse41",
    .version = "resnetc 0.1.0, Halide 21.0.0",
    .cpu_features = 31u,
    .channels = 1,
    .height = 16,
    .width = 16,
    .output_channels = 10,
    .output_height = 1,
    .output_width = 1,
    .has_head = 1,
    .labels = labels,
    .has_preprocess = 1,
    .preprocess = {2, 16, 16, 0, 0, 1, 2, 0.00392156862745098, {0.3, 0, 0}, {0.35, 1, 1}},
    .weight_blob = digits_resnet8_weights,
    .weight_bytes = 591808u,
    .tensors = tensors,
    .tensor_count = 10u,
    .weights = weights,
    .weight_count = 20u,
    .steps = steps,
    .step_count = 11u,
    .step_names = step_names,
    .kernel_keys = kernel_keys,
    .kernel_choices = kernel_choices,
    .kernel_flops = kernel_flops,
    .kernel_executed_flops = kernel_executed_flops,
    .kernel_count = 11u,
    .head = {62208u, 16},
    .tail_step = 11u,
    .scratch_bytes = 51072u,
    .parameters = 77754u,
    .macs = 3052160u,
    .self_test_seed = 1u,
    .self_test_logits = (const float*)(const void*)(digits_resnet8_weights + 591808u),
    .self_test_bound = 1e-4,
};

int digits_resnet8_create(digits_resnet8_model** out, const digits_resnet8_options* options) {
  rn_options copy = {0, 0, NULL, 0};
  if (options) copy = (rn_options){options->threads, options->max_batch, options->arena, options->arena_bytes};
  return rn_create((rn_model**)out, &resnetc_description, &copy);
}

int digits_resnet8_run(digits_resnet8_model* model, const float* input_nchw, int n, float* output) {
  return rn_run((rn_model*)model, input_nchw, n, output);
}

int digits_resnet8_run_image(digits_resnet8_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output) {
  return rn_run_image((rn_model*)model, rgb, width, height, row_bytes, output);
}

const char* digits_resnet8_message(const digits_resnet8_model* model) { return rn_message((const rn_model*)model); }
void digits_resnet8_destroy(digits_resnet8_model* model) { rn_destroy((rn_model*)model); }

const char* digits_resnet8_label(int index) {
  return index >= 0 && index < 10 && resnetc_description.labels ? resnetc_description.labels[index] : NULL;
}
