/* The driver of cifar10_resnet20, by resnetc 0.1.0, Halide 21.0.0: tables that the runtime interprets. */
#include "cifar10_resnet20.h"
#include "runtime.h"

/* One kernel for each distinct key; several steps may share one. */
extern int input_to_i32x32x3b1_f32_argv(void** arguments);
extern int conv2d_i32x32x3b1_w16x3x3x3_w16_to_i32x32x16b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i32x32x16b1_w16x3x3x16_w16_to_i32x32x16b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i32x32x16b1_w16x3x3x16_w16_i32x32x16b1_to_i32x32x16b1_padding1_add_relu_f32_argv(void** arguments);
extern int conv2d_i32x32x16b1_w32x3x3x16_w32_to_i16x16x32b1_stride2_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x32b1_w32x3x3x32_w32_i32x32x16b1_to_i16x16x32b1_padding1_add_subsample2_channels_before8_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x32b1_w32x3x3x32_w32_to_i16x16x32b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x32b1_w32x3x3x32_w32_i16x16x32b1_to_i16x16x32b1_padding1_add_relu_f32_argv(void** arguments);
extern int conv2d_i16x16x32b1_w64x3x3x32_w64_to_i8x8x64b1_stride2_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x64b1_w64x3x3x64_w64_i16x16x32b1_to_i8x8x64b1_padding1_add_subsample2_channels_before16_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x64b1_w64x3x3x64_w64_to_i8x8x64b1_padding1_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64b1_padding1_add_relu_f32_argv(void** arguments);
extern int conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64_padding1_add_relu_f32_argv(void** arguments);
extern int dense_i8x8x64_w10x64_w10_to_v10_global_average1_f32_argv(void** arguments);

static const char* const kernel_keys[] = {
    "input_to_i32x32x3b1_f32",
    "conv2d_i32x32x3b1_w16x3x3x3_w16_to_i32x32x16b1_padding1_relu_f32",
    "conv2d_i32x32x16b1_w16x3x3x16_w16_to_i32x32x16b1_padding1_relu_f32",
    "conv2d_i32x32x16b1_w16x3x3x16_w16_i32x32x16b1_to_i32x32x16b1_padding1_add_relu_f32",
    "conv2d_i32x32x16b1_w32x3x3x16_w32_to_i16x16x32b1_stride2_padding1_relu_f32",
    "conv2d_i16x16x32b1_w32x3x3x32_w32_i32x32x16b1_to_i16x16x32b1_padding1_add_subsample2_channels_before8_relu_f32",
    "conv2d_i16x16x32b1_w32x3x3x32_w32_to_i16x16x32b1_padding1_relu_f32",
    "conv2d_i16x16x32b1_w32x3x3x32_w32_i16x16x32b1_to_i16x16x32b1_padding1_add_relu_f32",
    "conv2d_i16x16x32b1_w64x3x3x32_w64_to_i8x8x64b1_stride2_padding1_relu_f32",
    "conv2d_i8x8x64b1_w64x3x3x64_w64_i16x16x32b1_to_i8x8x64b1_padding1_add_subsample2_channels_before16_relu_f32",
    "conv2d_i8x8x64b1_w64x3x3x64_w64_to_i8x8x64b1_padding1_relu_f32",
    "conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64b1_padding1_add_relu_f32",
    "conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64_padding1_add_relu_f32",
    "dense_i8x8x64_w10x64_w10_to_v10_global_average1_f32",
};

static const char* const kernel_choices[] = {
    "layout",
    "conv2d_direct oc_vectors=2 pixels=6 unroll=3 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=16 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=16 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_direct oc_vectors=2 pixels=4 unroll=2 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=32 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=32 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=4 oc_vectors=2 pixels=4 channel_part=32 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_direct oc_vectors=2 pixels=5 unroll=1 pixel_tasks=2 passes=1 prefetch=0",
    "conv2d_winograd tile=2 oc_vectors=4 pixels=2 channel_part=64 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=2 oc_vectors=2 pixels=4 channel_part=64 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=2 oc_vectors=4 pixels=2 channel_part=64 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "conv2d_winograd tile=2 oc_vectors=2 pixels=4 channel_part=64 tile_rows=2 channel_groups=1 stored=1 prefetch=0",
    "dense oc_vectors=1",
};

/* of one image */
static const uint64_t kernel_flops[] = {
    0u,
    884736u,
    4718592u,
    4718592u,
    2359296u,
    4718592u,
    4718592u,
    4718592u,
    2359296u,
    4718592u,
    4718592u,
    4718592u,
    4718592u,
    1280u,
};

static const uint64_t kernel_executed_flops[] = {
    0u,
    884736u,
    1597440u,
    1597440u,
    2359296u,
    1388544u,
    1388544u,
    1388544u,
    2359296u,
    2166784u,
    2166784u,
    2166784u,
    2166784u,
    1280u,
};

/* offset, height, width, channels, border (top, left, bottom, right), is_vector, border_shared */
static const rn_tensor tensors[] = {
    {73984u, 32, 32, 3, 1, 1, 1, 1, 0, 1}, /* input */
    {0u, 32, 32, 16, 1, 1, 1, 1, 0, 1}, /* relu1 */
    {73984u, 32, 32, 16, 1, 1, 1, 1, 0, 1}, /* layer1.0.relu1 */
    {147968u, 32, 32, 16, 1, 1, 1, 1, 0, 0}, /* layer1.0.relu */
    {0u, 32, 32, 16, 1, 1, 1, 1, 0, 1}, /* layer1.1.relu1 */
    {73984u, 32, 32, 16, 1, 1, 1, 1, 0, 1}, /* layer1.1.relu */
    {0u, 32, 32, 16, 1, 1, 1, 1, 0, 1}, /* layer1.2.relu1 */
    {147968u, 32, 32, 16, 1, 1, 1, 1, 0, 0}, /* layer1.2.relu */
    {0u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.0.relu1 */
    {41472u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.0.relu */
    {0u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.1.relu1 */
    {82944u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.1.relu */
    {0u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.2.relu1 */
    {41472u, 16, 16, 32, 1, 1, 1, 1, 0, 1}, /* layer2.2.relu */
    {0u, 8, 8, 64, 1, 1, 1, 1, 0, 1}, /* layer3.0.relu1 */
    {82944u, 8, 8, 64, 1, 1, 1, 1, 0, 1}, /* layer3.0.relu */
    {0u, 8, 8, 64, 1, 1, 1, 1, 0, 1}, /* layer3.1.relu1 */
    {25600u, 8, 8, 64, 1, 1, 1, 1, 0, 1}, /* layer3.1.relu */
    {0u, 8, 8, 64, 1, 1, 1, 1, 0, 1}, /* layer3.2.relu1 */
    {51200u, 8, 8, 64, 0, 0, 0, 0, 0, 0}, /* layer3.2.relu */
};

static const rn_weight weights[] = {
    {0u, 5, {16, 3, 3, 3, 1}}, /* conv1.weight.folded */
    {1728u, 1, {16}}, /* bn1.bias.folded */
    {1792u, 4, {16, 16, 36, 1}}, /* layer1.0.conv1.weight.folded */
    {38656u, 1, {16}}, /* layer1.0.bn1.bias.folded */
    {38720u, 4, {16, 16, 36, 1}}, /* layer1.0.conv2.weight.folded */
    {75584u, 1, {16}}, /* layer1.0.bn2.bias.folded */
    {75648u, 4, {16, 16, 36, 1}}, /* layer1.1.conv1.weight.folded */
    {112512u, 1, {16}}, /* layer1.1.bn1.bias.folded */
    {112576u, 4, {16, 16, 36, 1}}, /* layer1.1.conv2.weight.folded */
    {149440u, 1, {16}}, /* layer1.1.bn2.bias.folded */
    {149504u, 4, {16, 16, 36, 1}}, /* layer1.2.conv1.weight.folded */
    {186368u, 1, {16}}, /* layer1.2.bn1.bias.folded */
    {186432u, 4, {16, 16, 36, 1}}, /* layer1.2.conv2.weight.folded */
    {223296u, 1, {16}}, /* layer1.2.bn2.bias.folded */
    {223360u, 5, {16, 16, 3, 3, 2}}, /* layer2.0.conv1.weight.folded */
    {241792u, 1, {32}}, /* layer2.0.bn1.bias.folded */
    {241920u, 4, {16, 32, 36, 2}}, /* layer2.0.conv2.weight.folded */
    {389376u, 1, {32}}, /* layer2.0.bn2.bias.folded */
    {389504u, 4, {16, 32, 36, 2}}, /* layer2.1.conv1.weight.folded */
    {536960u, 1, {32}}, /* layer2.1.bn1.bias.folded */
    {537088u, 4, {16, 32, 36, 2}}, /* layer2.1.conv2.weight.folded */
    {684544u, 1, {32}}, /* layer2.1.bn2.bias.folded */
    {684672u, 4, {16, 32, 36, 2}}, /* layer2.2.conv1.weight.folded */
    {832128u, 1, {32}}, /* layer2.2.bn1.bias.folded */
    {832256u, 4, {16, 32, 36, 2}}, /* layer2.2.conv2.weight.folded */
    {979712u, 1, {32}}, /* layer2.2.bn2.bias.folded */
    {979840u, 5, {16, 32, 3, 3, 4}}, /* layer3.0.conv1.weight.folded */
    {1053568u, 1, {64}}, /* layer3.0.bn1.bias.folded */
    {1053824u, 4, {32, 64, 16, 2}}, /* layer3.0.conv2.weight.folded */
    {1315968u, 1, {64}}, /* layer3.0.bn2.bias.folded */
    {1316224u, 4, {16, 64, 16, 4}}, /* layer3.1.conv1.weight.folded */
    {1578368u, 1, {64}}, /* layer3.1.bn1.bias.folded */
    {1578624u, 4, {32, 64, 16, 2}}, /* layer3.1.conv2.weight.folded */
    {1840768u, 1, {64}}, /* layer3.1.bn2.bias.folded */
    {1841024u, 4, {16, 64, 16, 4}}, /* layer3.2.conv1.weight.folded */
    {2103168u, 1, {64}}, /* layer3.2.bn1.bias.folded */
    {2103424u, 4, {16, 64, 16, 4}}, /* layer3.2.conv2.weight.folded */
    {2365568u, 1, {64}}, /* layer3.2.bn2.bias.folded */
    {2365824u, 3, {8, 64, 2}}, /* linear.weight */
    {2369920u, 1, {16}}, /* linear.bias */
};

/* kernel, its index, operands; the last operand is written */
static const rn_step steps[] = {
    {input_to_i32x32x3b1_f32_argv, 0, 2, {{rn_operand_input, 0}, {rn_operand_tensor, 0}}}, /* input */
    {conv2d_i32x32x3b1_w16x3x3x3_w16_to_i32x32x16b1_padding1_relu_f32_argv, 1, 4, {{rn_operand_tensor, 0}, {rn_operand_weight, 0}, {rn_operand_weight, 1}, {rn_operand_tensor, 1}}}, /* relu1 */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_to_i32x32x16b1_padding1_relu_f32_argv, 2, 4, {{rn_operand_tensor, 1}, {rn_operand_weight, 2}, {rn_operand_weight, 3}, {rn_operand_tensor, 2}}}, /* layer1.0.relu1 */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_i32x32x16b1_to_i32x32x16b1_padding1_add_relu_f32_argv, 3, 5, {{rn_operand_tensor, 2}, {rn_operand_weight, 4}, {rn_operand_weight, 5}, {rn_operand_tensor, 1}, {rn_operand_tensor, 3}}}, /* layer1.0.relu */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_to_i32x32x16b1_padding1_relu_f32_argv, 2, 4, {{rn_operand_tensor, 3}, {rn_operand_weight, 6}, {rn_operand_weight, 7}, {rn_operand_tensor, 4}}}, /* layer1.1.relu1 */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_i32x32x16b1_to_i32x32x16b1_padding1_add_relu_f32_argv, 3, 5, {{rn_operand_tensor, 4}, {rn_operand_weight, 8}, {rn_operand_weight, 9}, {rn_operand_tensor, 3}, {rn_operand_tensor, 5}}}, /* layer1.1.relu */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_to_i32x32x16b1_padding1_relu_f32_argv, 2, 4, {{rn_operand_tensor, 5}, {rn_operand_weight, 10}, {rn_operand_weight, 11}, {rn_operand_tensor, 6}}}, /* layer1.2.relu1 */
    {conv2d_i32x32x16b1_w16x3x3x16_w16_i32x32x16b1_to_i32x32x16b1_padding1_add_relu_f32_argv, 3, 5, {{rn_operand_tensor, 6}, {rn_operand_weight, 12}, {rn_operand_weight, 13}, {rn_operand_tensor, 5}, {rn_operand_tensor, 7}}}, /* layer1.2.relu */
    {conv2d_i32x32x16b1_w32x3x3x16_w32_to_i16x16x32b1_stride2_padding1_relu_f32_argv, 4, 4, {{rn_operand_tensor, 7}, {rn_operand_weight, 14}, {rn_operand_weight, 15}, {rn_operand_tensor, 8}}}, /* layer2.0.relu1 */
    {conv2d_i16x16x32b1_w32x3x3x32_w32_i32x32x16b1_to_i16x16x32b1_padding1_add_subsample2_channels_before8_relu_f32_argv, 5, 5, {{rn_operand_tensor, 8}, {rn_operand_weight, 16}, {rn_operand_weight, 17}, {rn_operand_tensor, 7}, {rn_operand_tensor, 9}}}, /* layer2.0.relu */
    {conv2d_i16x16x32b1_w32x3x3x32_w32_to_i16x16x32b1_padding1_relu_f32_argv, 6, 4, {{rn_operand_tensor, 9}, {rn_operand_weight, 18}, {rn_operand_weight, 19}, {rn_operand_tensor, 10}}}, /* layer2.1.relu1 */
    {conv2d_i16x16x32b1_w32x3x3x32_w32_i16x16x32b1_to_i16x16x32b1_padding1_add_relu_f32_argv, 7, 5, {{rn_operand_tensor, 10}, {rn_operand_weight, 20}, {rn_operand_weight, 21}, {rn_operand_tensor, 9}, {rn_operand_tensor, 11}}}, /* layer2.1.relu */
    {conv2d_i16x16x32b1_w32x3x3x32_w32_to_i16x16x32b1_padding1_relu_f32_argv, 6, 4, {{rn_operand_tensor, 11}, {rn_operand_weight, 22}, {rn_operand_weight, 23}, {rn_operand_tensor, 12}}}, /* layer2.2.relu1 */
    {conv2d_i16x16x32b1_w32x3x3x32_w32_i16x16x32b1_to_i16x16x32b1_padding1_add_relu_f32_argv, 7, 5, {{rn_operand_tensor, 12}, {rn_operand_weight, 24}, {rn_operand_weight, 25}, {rn_operand_tensor, 11}, {rn_operand_tensor, 13}}}, /* layer2.2.relu */
    {conv2d_i16x16x32b1_w64x3x3x32_w64_to_i8x8x64b1_stride2_padding1_relu_f32_argv, 8, 4, {{rn_operand_tensor, 13}, {rn_operand_weight, 26}, {rn_operand_weight, 27}, {rn_operand_tensor, 14}}}, /* layer3.0.relu1 */
    {conv2d_i8x8x64b1_w64x3x3x64_w64_i16x16x32b1_to_i8x8x64b1_padding1_add_subsample2_channels_before16_relu_f32_argv, 9, 5, {{rn_operand_tensor, 14}, {rn_operand_weight, 28}, {rn_operand_weight, 29}, {rn_operand_tensor, 13}, {rn_operand_tensor, 15}}}, /* layer3.0.relu */
    {conv2d_i8x8x64b1_w64x3x3x64_w64_to_i8x8x64b1_padding1_relu_f32_argv, 10, 4, {{rn_operand_tensor, 15}, {rn_operand_weight, 30}, {rn_operand_weight, 31}, {rn_operand_tensor, 16}}}, /* layer3.1.relu1 */
    {conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64b1_padding1_add_relu_f32_argv, 11, 5, {{rn_operand_tensor, 16}, {rn_operand_weight, 32}, {rn_operand_weight, 33}, {rn_operand_tensor, 15}, {rn_operand_tensor, 17}}}, /* layer3.1.relu */
    {conv2d_i8x8x64b1_w64x3x3x64_w64_to_i8x8x64b1_padding1_relu_f32_argv, 10, 4, {{rn_operand_tensor, 17}, {rn_operand_weight, 34}, {rn_operand_weight, 35}, {rn_operand_tensor, 18}}}, /* layer3.2.relu1 */
    {conv2d_i8x8x64b1_w64x3x3x64_w64_i8x8x64b1_to_i8x8x64_padding1_add_relu_f32_argv, 12, 5, {{rn_operand_tensor, 18}, {rn_operand_weight, 36}, {rn_operand_weight, 37}, {rn_operand_tensor, 17}, {rn_operand_tensor, 19}}}, /* layer3.2.relu */
    {dense_i8x8x64_w10x64_w10_to_v10_global_average1_f32_argv, 13, 4, {{rn_operand_tensor, 19}, {rn_operand_weight, 38}, {rn_operand_weight, 39}, {rn_operand_output, 0}}}, /* fc */
};

static const char* const step_names[] = {
    "input",
    "relu1",
    "layer1.0.relu1",
    "layer1.0.relu",
    "layer1.1.relu1",
    "layer1.1.relu",
    "layer1.2.relu1",
    "layer1.2.relu",
    "layer2.0.relu1",
    "layer2.0.relu",
    "layer2.1.relu1",
    "layer2.1.relu",
    "layer2.2.relu1",
    "layer2.2.relu",
    "layer3.0.relu1",
    "layer3.0.relu",
    "layer3.1.relu1",
    "layer3.1.relu",
    "layer3.2.relu1",
    "layer3.2.relu",
    "fc",
};

static const char* const labels[] = {
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
};

extern const unsigned char cifar10_resnet20_weights[];

const rn_description resnetc_description = {
    .name = "cifar10_resnet20",
    .target = "x86-64-linux-avx-avx2-f16c-fma-sse41",
    .version = "resnetc 0.1.0, Halide 21.0.0",
    .cpu_features = 31u,
    .channels = 3,
    .height = 32,
    .width = 32,
    .output_channels = 10,
    .output_height = 1,
    .output_width = 1,
    .has_head = 1,
    .labels = labels,
    .has_preprocess = 1,
    .preprocess = {0, 0, 0, 0, 0, 1, 0, 0.00392156862745098, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
    .weight_blob = cifar10_resnet20_weights,
    .weight_bytes = 2369984u,
    .tensors = tensors,
    .tensor_count = 20u,
    .weights = weights,
    .weight_count = 40u,
    .steps = steps,
    .step_count = 21u,
    .step_names = step_names,
    .kernel_keys = kernel_keys,
    .kernel_choices = kernel_choices,
    .kernel_flops = kernel_flops,
    .kernel_executed_flops = kernel_executed_flops,
    .kernel_count = 14u,
    .head = {221952u, 4},
    .tail_step = 21u,
    .scratch_bytes = 97152u,
    .parameters = 269722u,
    .macs = 40551040u,
    .self_test_seed = 1u,
    .self_test_logits = (const float*)(const void*)(cifar10_resnet20_weights + 2369984u),
    .self_test_bound = 1e-4,
};

int cifar10_resnet20_create(cifar10_resnet20_model** out, const cifar10_resnet20_options* options) {
  rn_options copy = {0, 0, NULL, 0};
  if (options) copy = (rn_options){options->threads, options->max_batch, options->arena, options->arena_bytes};
  return rn_create((rn_model**)out, &resnetc_description, &copy);
}

int cifar10_resnet20_run(cifar10_resnet20_model* model, const float* input_nchw, int n, float* output) {
  return rn_run((rn_model*)model, input_nchw, n, output);
}

int cifar10_resnet20_run_image(cifar10_resnet20_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output) {
  return rn_run_image((rn_model*)model, rgb, width, height, row_bytes, output);
}

const char* cifar10_resnet20_message(const cifar10_resnet20_model* model) { return rn_message((const rn_model*)model); }
void cifar10_resnet20_destroy(cifar10_resnet20_model* model) { rn_destroy((rn_model*)model); }

const char* cifar10_resnet20_label(int index) {
  return index >= 0 && index < 10 && resnetc_description.labels ? resnetc_description.labels[index] : NULL;
}
