// The options of the block form beyond the plain ResNet: what they make of the graph, and what they refuse.
#include "compiler/build_resnet.h"

#include "ir/text.h"
#include "ir/verify.h"
#include "tests/compiler/topology_text.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

// A net of two stages; `options` stand before "stages", each with a comma behind it.
std::string net(const std::string& options, const std::string& input = R"("height": 9, "width": 8)") {
  return R"({ "name": "n", "input": { "channels": 3, )" + input + R"( }, )" + options +
         R"("stages": [ { "blocks": 1, "channels": 16 }, { "blocks": 2, "channels": 32, "stride": 2 } ], "head": null })";
}

const std::string stem = R"("stem": { "channels": 16, "kernel": 3, "padding": 1 }, )";
const std::string basic = stem + R"("block": "basic", )", bottleneck = stem + R"("block": "bottleneck", )";

// The graph's nodes but for its weights, batch norms without their parameters; those named first.. only.
std::string ops(const std::string& text, const std::string& first = "") {
  const Graph graph = build_resnet(read(text));
  verify(graph);
  std::string result;
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    const Node& node = graph.nodes[i];
    if (std::holds_alternative<Weight>(node.op) || !node.name.starts_with(first)) continue;
    std::string line = print_node(graph, static_cast<Value>(i));
    if (std::holds_alternative<BatchNorm>(node.op)) {
      const size_t comma = line.find(','), close = line.find(')');
      line.erase(comma, close - comma);
    }
    result += line + "\n";
  }
  return result;
}

bool has_weight(const std::string& text, const std::string& name) {
  for (const Node& node : build_resnet(read(text)).nodes)
    if (std::holds_alternative<Weight>(node.op) && node.name == name) return true;
  return false;
}

}  // namespace

TEST_CASE("v1 strides in the first 1x1 convolution") {
  const std::string text = net(bottleneck + R"("stride_on": "1x1", )");
  CHECK(ops(text, "layer2.0.conv") ==
        R"(%layer2.0.conv1 = conv2d(%layer1.0.relu, %layer2.0.conv1.weight) stride=2 : f32[n,5,4,32]
%layer2.0.conv2 = conv2d(%layer2.0.relu1, %layer2.0.conv2.weight) padding=1 : f32[n,5,4,32]
%layer2.0.conv3 = conv2d(%layer2.0.relu2, %layer2.0.conv3.weight) : f32[n,5,4,128]
)");
  const std::string v1_5 = net(bottleneck + R"("stride_on": "3x3", )");
  CHECK(ops(v1_5) == ops(net(bottleneck)));
  CHECK(ops(v1_5) != ops(text));
}

TEST_CASE("v2 puts batch norm and ReLU before each convolution") {
  const std::string text = net(basic + R"("activation": "pre", )");
  CHECK(ops(text) == R"(%input = input : f32[n,9,8,3]
%conv1 = conv2d(%input, %conv1.weight) padding=1 : f32[n,9,8,16]
%layer1.0.bn1 = batch_norm(%conv1) : f32[n,9,8,16]
%layer1.0.relu1 = relu(%layer1.0.bn1) : f32[n,9,8,16]
%layer1.0.conv1 = conv2d(%layer1.0.relu1, %layer1.0.conv1.weight) padding=1 : f32[n,9,8,16]
%layer1.0.bn2 = batch_norm(%layer1.0.conv1) : f32[n,9,8,16]
%layer1.0.relu2 = relu(%layer1.0.bn2) : f32[n,9,8,16]
%layer1.0.conv2 = conv2d(%layer1.0.relu2, %layer1.0.conv2.weight) padding=1 : f32[n,9,8,16]
%layer1.0.add = add(%layer1.0.conv2, %conv1) : f32[n,9,8,16]
%layer2.0.bn1 = batch_norm(%layer1.0.add) : f32[n,9,8,16]
%layer2.0.relu1 = relu(%layer2.0.bn1) : f32[n,9,8,16]
%layer2.0.conv1 = conv2d(%layer2.0.relu1, %layer2.0.conv1.weight) stride=2 padding=1 : f32[n,5,4,32]
%layer2.0.bn2 = batch_norm(%layer2.0.conv1) : f32[n,5,4,32]
%layer2.0.relu2 = relu(%layer2.0.bn2) : f32[n,5,4,32]
%layer2.0.conv2 = conv2d(%layer2.0.relu2, %layer2.0.conv2.weight) padding=1 : f32[n,5,4,32]
%layer2.0.downsample.0 = conv2d(%layer2.0.relu1, %layer2.0.downsample.0.weight) stride=2 : f32[n,5,4,32]
%layer2.0.add = add(%layer2.0.conv2, %layer2.0.downsample.0) : f32[n,5,4,32]
%layer2.1.bn1 = batch_norm(%layer2.0.add) : f32[n,5,4,32]
%layer2.1.relu1 = relu(%layer2.1.bn1) : f32[n,5,4,32]
%layer2.1.conv1 = conv2d(%layer2.1.relu1, %layer2.1.conv1.weight) padding=1 : f32[n,5,4,32]
%layer2.1.bn2 = batch_norm(%layer2.1.conv1) : f32[n,5,4,32]
%layer2.1.relu2 = relu(%layer2.1.bn2) : f32[n,5,4,32]
%layer2.1.conv2 = conv2d(%layer2.1.relu2, %layer2.1.conv2.weight) padding=1 : f32[n,5,4,32]
%layer2.1.add = add(%layer2.1.conv2, %layer2.0.add) : f32[n,5,4,32]
%bn = batch_norm(%layer2.1.add) : f32[n,5,4,32]
%relu = relu(%bn) : f32[n,5,4,32]
)");

  SUBCASE("after a stem that does the first of them") {
    const std::string post = replaced(text, R"("padding": 1 })", R"("padding": 1, "activation": "post" })");
    CHECK(ops(post, "layer1.0.") ==
          R"(%layer1.0.conv1 = conv2d(%relu1, %layer1.0.conv1.weight) padding=1 : f32[n,9,8,16]
%layer1.0.bn2 = batch_norm(%layer1.0.conv1) : f32[n,9,8,16]
%layer1.0.relu2 = relu(%layer1.0.bn2) : f32[n,9,8,16]
%layer1.0.conv2 = conv2d(%layer1.0.relu2, %layer1.0.conv2.weight) padding=1 : f32[n,9,8,16]
%layer1.0.add = add(%layer1.0.conv2, %relu1) : f32[n,9,8,16]
)");
    CHECK(ops(post, "bn1") == "%bn1 = batch_norm(%conv1) : f32[n,9,8,16]\n");
    CHECK(ops(post, "layer2") == ops(text, "layer2"));
  }
  SUBCASE("with a zero-padded shortcut") {
    const std::string zero_pad = replaced(text, R"("activation")", R"("shortcut": "zero_pad", "activation")");
    CHECK(ops(zero_pad, "layer2.0.add") ==
          "%layer2.0.add = add(%layer2.0.conv2, %layer2.0.relu1) subsample=2 channels_before=8 : f32[n,5,4,32]\n");
    CHECK(ops(zero_pad, "layer1.0.add") == "%layer1.0.add = add(%layer1.0.conv2, %conv1) : f32[n,9,8,16]\n");
  }
  SUBCASE("without a stem") {
    const std::string bare = replaced(text, stem, "");
    CHECK(ops(bare, "layer1.0.bn1") == "%layer1.0.bn1 = batch_norm(%input) : f32[n,9,8,3]\n");
  }
  SUBCASE("of bottlenecks, with a batch norm on the shortcut") {
    const std::string three =
        net(bottleneck + R"("activation": "pre", "shortcut": {"kind": "projection", "batch_norm": true}, )");
    CHECK(ops(three, "layer2.0.") == R"(%layer2.0.bn1 = batch_norm(%layer1.0.add) : f32[n,9,8,64]
%layer2.0.relu1 = relu(%layer2.0.bn1) : f32[n,9,8,64]
%layer2.0.conv1 = conv2d(%layer2.0.relu1, %layer2.0.conv1.weight) : f32[n,9,8,32]
%layer2.0.bn2 = batch_norm(%layer2.0.conv1) : f32[n,9,8,32]
%layer2.0.relu2 = relu(%layer2.0.bn2) : f32[n,9,8,32]
%layer2.0.conv2 = conv2d(%layer2.0.relu2, %layer2.0.conv2.weight) stride=2 padding=1 : f32[n,5,4,32]
%layer2.0.bn3 = batch_norm(%layer2.0.conv2) : f32[n,5,4,32]
%layer2.0.relu3 = relu(%layer2.0.bn3) : f32[n,5,4,32]
%layer2.0.conv3 = conv2d(%layer2.0.relu3, %layer2.0.conv3.weight) : f32[n,5,4,128]
%layer2.0.downsample.0 = conv2d(%layer2.0.relu1, %layer2.0.downsample.0.weight) stride=2 : f32[n,5,4,128]
%layer2.0.downsample.1 = batch_norm(%layer2.0.downsample.0) : f32[n,5,4,128]
%layer2.0.add = add(%layer2.0.conv3, %layer2.0.downsample.1) : f32[n,5,4,128]
)");
  }
}

TEST_CASE("padding on each side, or as TensorFlow counts it") {
  // By hand from TensorFlow's rule: 9 rows by stride 2 give 5, whose windows of 3 span 11, one more on either side; 8
  // columns give 4, whose windows span 9, one more on the right.
  CHECK(ops(net(basic + R"("padding": "same", )"), "layer2.0.conv") ==
        R"(%layer2.0.conv1 = conv2d(%layer1.0.relu, %layer2.0.conv1.weight) stride=2 padding=[1,0,1,1] : f32[n,5,4,32]
%layer2.0.conv2 = conv2d(%layer2.0.relu1, %layer2.0.conv2.weight) padding=1 : f32[n,5,4,32]
)");
  CHECK(ops(net(basic + R"("padding": [0, 0, 2, 2], )"), "layer2.1.conv1") ==
        "%layer2.1.conv1 = conv2d(%layer2.0.relu, %layer2.1.conv1.weight) padding=[0,0,2,2] : f32[n,5,4,32]\n");
  CHECK(ops(net(basic + R"("padding": 1, )")) == ops(net(basic)));

  // A stem as Caffe has it, and the same one as TensorFlow would.
  const auto with_stem = [](const std::string& conv, const std::string& pool) {
    return net(R"("stem": { "channels": 16, "kernel": 7, "stride": 2, "padding": )" + conv +
                   R"(, "max_pool": { "kernel": 3, "stride": 2, "padding": )" + pool + R"( } }, "block": "basic", )",
               R"("height": 64, "width": 33)");
  };
  CHECK(ops(with_stem("3", "[0, 0, 1, 1]"), "maxpool") ==
        "%maxpool = max_pool(%relu1) kernel=3 stride=2 padding=[0,0,1,1] : f32[n,16,8,16]\n");
  CHECK(ops(with_stem("\"same\"", "\"same\""), "conv1") ==
        "%conv1 = conv2d(%input, %conv1.weight) stride=2 padding=[2,3,3,3] : f32[n,32,17,16]\n");
  CHECK(ops(with_stem("\"same\"", "\"same\""), "maxpool") ==
        "%maxpool = max_pool(%relu1) kernel=3 stride=2 padding=[0,1,1,1] : f32[n,16,9,16]\n");
  // Where windows do not reach each other there is nothing to pad.
  const std::string apart =
      R"("stem": { "channels": 16, "kernel": 1, "stride": 4, "padding": "same" }, "block": "basic", )";
  CHECK(ops(net(apart), "conv1") == "%conv1 = conv2d(%input, %conv1.weight) stride=4 : f32[n,3,2,16]\n");
}

TEST_CASE("batch norms and biases, of shortcuts apart from the rest") {
  CHECK(ops(net(basic + R"("batch_norm": {"epsilon": 1e-3}, )"), "layer2.0.downsample.1") ==
        "%layer2.0.downsample.1 = batch_norm(%layer2.0.downsample.0) epsilon=0.001 : f32[n,5,4,32]\n");
  CHECK(ops(net(basic + R"("batch_norm": true, )")) == ops(net(basic)));
  CHECK(ops(net(basic + R"("batch_norm": {}, )")) == ops(net(basic)));
  CHECK(ops(net(basic + R"("conv_bias": false, )")) == ops(net(basic)));

  const std::string plain = net(basic + R"("batch_norm": false, "conv_bias": true, )");
  CHECK(
      ops(plain, "layer2.0.") ==
      R"(%layer2.0.conv1 = conv2d(%layer1.0.relu, %layer2.0.conv1.weight, %layer2.0.conv1.bias) stride=2 padding=1 : f32[n,5,4,32]
%layer2.0.relu1 = relu(%layer2.0.conv1) : f32[n,5,4,32]
%layer2.0.conv2 = conv2d(%layer2.0.relu1, %layer2.0.conv2.weight, %layer2.0.conv2.bias) padding=1 : f32[n,5,4,32]
%layer2.0.downsample.0 = conv2d(%layer1.0.relu, %layer2.0.downsample.0.weight, %layer2.0.downsample.0.bias) stride=2 : f32[n,5,4,32]
%layer2.0.add = add(%layer2.0.conv2, %layer2.0.downsample.0) : f32[n,5,4,32]
%layer2.0.relu = relu(%layer2.0.add) : f32[n,5,4,32]
)");
  CHECK(ops(plain, "conv1") == "%conv1 = conv2d(%input, %conv1.weight, %conv1.bias) padding=1 : f32[n,9,8,16]\n");

  const auto shortcut = [](const std::string& net_options, const std::string& own) {
    return ops(net(basic + net_options + R"("shortcut": {"kind": "projection", )" + own + "}, "),
               "layer2.0.downsample");
  };
  const std::string conv = "%layer2.0.downsample.0 = conv2d(%layer1.0.relu, %layer2.0.downsample.0.weight";
  const std::string bias = ", %layer2.0.downsample.0.bias", strided = ") stride=2 : f32[n,5,4,32]\n";
  const std::string norm = "%layer2.0.downsample.1 = batch_norm(%layer2.0.downsample.0)", shape = " : f32[n,5,4,32]\n";
  CHECK(shortcut("", R"("batch_norm": false, "conv_bias": true)") == conv + bias + strided);
  CHECK(shortcut(R"("conv_bias": true, )", R"("conv_bias": false)") == conv + strided + norm + shape);
  CHECK(shortcut(R"("batch_norm": false, )", R"("batch_norm": {"epsilon": 0.5})") ==
        conv + strided + norm + " epsilon=0.5" + shape);
  CHECK(shortcut(R"("conv_bias": true, "batch_norm": {"epsilon": 1e-3}, )", R"("batch_norm": false)") ==
        conv + bias + strided);
}

TEST_CASE("ResNet-D's stem and shortcuts, by timm's names") {
  const std::string text = net(R"("stem": { "channels": 16, "kernel": 3, "stride": 2, "padding": 1, "deep": [8, 12] },
    "block": "basic", "shortcut": {"kind": "projection", "average_pool": 2}, )");
  CHECK(ops(text, "conv1") + ops(text, "bn1") + ops(text, "relu1") ==
        R"(%conv1.0 = conv2d(%input, %conv1.0.weight) stride=2 padding=1 : f32[n,5,4,8]
%conv1.1 = batch_norm(%conv1.0) : f32[n,5,4,8]
%conv1.2 = relu(%conv1.1) : f32[n,5,4,8]
%conv1.3 = conv2d(%conv1.2, %conv1.3.weight) padding=1 : f32[n,5,4,12]
%conv1.4 = batch_norm(%conv1.3) : f32[n,5,4,12]
%conv1.5 = relu(%conv1.4) : f32[n,5,4,12]
%conv1.6 = conv2d(%conv1.5, %conv1.6.weight) padding=1 : f32[n,5,4,16]
%bn1 = batch_norm(%conv1.6) : f32[n,5,4,16]
%relu1 = relu(%bn1) : f32[n,5,4,16]
)");
  CHECK(ops(text, "layer2.0.downsample") ==
        R"(%layer2.0.downsample.0 = average_pool(%layer1.0.relu) kernel=2 stride=2 padding=[0,0,1,0] : f32[n,3,2,16]
%layer2.0.downsample.1 = conv2d(%layer2.0.downsample.0, %layer2.0.downsample.1.weight) : f32[n,3,2,32]
%layer2.0.downsample.2 = batch_norm(%layer2.0.downsample.1) : f32[n,3,2,32]
)");
  CHECK(has_weight(text, "conv1.4.running_var"));

  // Where only the channels change there is no pool, and the names stay.
  const std::string wider = replaced(text, R"("channels": 16 })", R"("channels": 20 })");
  CHECK(ops(wider, "layer1.0.downsample") ==
        R"(%layer1.0.downsample.1 = conv2d(%relu1, %layer1.0.downsample.1.weight) : f32[n,5,4,20]
%layer1.0.downsample.2 = batch_norm(%layer1.0.downsample.1) : f32[n,5,4,20]
)");
  // A v2 net's deep stem keeps the batch norms inside.
  const std::string pre = replaced(text, R"("block")", R"("activation": "pre", "block")");
  CHECK(ops(pre, "bn1") == "");
  CHECK(ops(pre, "conv1.4") == "%conv1.4 = batch_norm(%conv1.3) : f32[n,5,4,12]\n");
  CHECK(ops(pre, "layer2.0.downsample.0") ==
        "%layer2.0.downsample.0 = average_pool(%layer2.0.relu1) kernel=2 stride=2 padding=[0,0,1,0] : f32[n,3,2,16]\n");
  // akamaster's name for it
  const std::string renamed = replaced(text, R"("head": null)", R"("head": null, "weights": {"names": "akamaster"})");
  CHECK(has_weight(renamed, "layer2.0.shortcut.1.weight"));
  // The pool cuts its windows off at the edge, whatever the stride.
  const std::string stride3 =
      replaced(replaced(text, R"("stride": 2 })", R"("stride": 3 })"), R"("average_pool": 2)", R"("average_pool": 5)");
  CHECK(ops(stride3, "layer2.0.downsample.0") ==
        "%layer2.0.downsample.0 = average_pool(%layer1.0.relu) kernel=5 stride=3 padding=[0,0,3,4] : f32[n,2,2,16]\n");
}

TEST_CASE("options that do not fit are refused with the place and the fix") {
  struct Case {
    std::string options, message;
  };
  const std::string batch_norm = R"(must be true, false or an object such as {"epsilon": 1e-5}, got )";
  const std::string padding = R"(must be an integer, [top, left, bottom, right] or "same", got )";
  const auto with_stem = [](const std::string& more) {
    return R"("stem": { "channels": 16, "kernel": 3, "padding": 1, )" + more + R"( }, "block": "basic", )";
  };
  const auto with_pool = [](const std::string& pool_padding) {
    return R"("stem": { "channels": 16, "kernel": 3, "max_pool": {"kernel": 3, "stride": 2, "padding": )" +
           pool_padding + R"(} }, "block": "basic", )";
  };
  const auto with_shortcut = [](const std::string& shortcut) { return basic + R"("shortcut": )" + shortcut + ", "; };
  const Case cases[] = {
      {basic + R"("stride_on": "1x1", )",
       R"(stride_on: must be "3x3" for "basic" blocks; only "bottleneck" ones have another)"},
      {basic + R"("stride_on": "3x3", )", ""},
      {bottleneck + R"("stride_on": "7x7", )", R"(stride_on: must be "3x3" or "1x1", got "7x7")"},
      {bottleneck + R"("stride_on": 3, )", "stride_on: must be a string, got 3"},
      {basic + R"("activation": "none", )", R"(activation: must be "post" or "pre", got "none")"},
      {basic + R"("activation": true, )", "activation: must be a string, got true"},
      // padding
      {basic + R"("padding": 3, )", "padding: must be at most 2, got 3"},
      {basic + R"("padding": -1, )", "padding: must be at least 0, got -1"},
      {basic + R"("padding": 1.0, )", "padding: must be an integer, got 1.0"},
      {basic + R"("padding": "valid", )", "padding: " + padding + R"("valid")"},
      {basic + R"("padding": true, )", "padding: " + padding + "true"},
      {basic + R"("padding": null, )", "padding: " + padding + "null"},
      {basic + R"("padding": {}, )", "padding: " + padding + "an object"},
      {basic + R"("padding": [1, 1], )", "padding: must have 4 elements, got 2"},
      {basic + R"("padding": [1, 1, 1, 3], )", "padding[3]: must be at most 2, got 3"},
      {basic + R"("padding": [1, "1", 1, 1], )", R"(padding[1]: must be an integer, got "1")"},
      {basic + R"("padding": 0, )",
       R"(padding: block layer1.0 makes images of 5x4, but its shortcut of 9x8; give a padding that keeps the size, such as 1 or "same")"},
      {basic + R"("padding": [2, 1, 1, 1], )",
       R"(padding: block layer1.0 makes images of 11x8, but its shortcut of 9x8; give a padding that keeps the size, such as 1 or "same")"},
      {with_stem(R"("max_pool": {"kernel": 3, "stride": 2, "padding": "full"})"),
       "stem.max_pool.padding: " + padding + R"("full")"},
      {with_pool("[0, 0, 3, 1]"), "stem.max_pool.padding: must be smaller than the kernel, 3, got 3"},
      {with_pool("65"), "stem.max_pool.padding: must be at most 64, got 65"},
      {with_pool("[0, 0, 1, -1]"), "stem.max_pool.padding[3]: must be at least 0, got -1"},
      {R"("stem": { "channels": 16, "kernel": 3, "padding": [1, 65, 1, 1] }, "block": "basic", )",
       "stem.padding[1]: must be at most 64, got 65"},
      // batch norm and bias
      {basic + R"("batch_norm": 1e-3, )", "batch_norm: " + batch_norm + "0.001"},
      {basic + R"("batch_norm": "no", )", "batch_norm: " + batch_norm + R"("no")"},
      {basic + R"("batch_norm": null, )", "batch_norm: " + batch_norm + "null"},
      {basic + R"("batch_norm": {"epsilon": 0}, )", "batch_norm.epsilon: must be at least 1e-12, got 0"},
      {basic + R"("batch_norm": {"epsilon": 2}, )", "batch_norm.epsilon: must be at most 1, got 2"},
      {basic + R"("batch_norm": {"epsilon": "small"}, )", R"(batch_norm.epsilon: must be a number, got "small")"},
      {basic + R"("batch_norm": {"momentum": 0.1}, )", "batch_norm.momentum: is an unknown key; known here: epsilon"},
      {basic + R"("conv_bias": 1, )", "conv_bias: must be true or false, got 1"},
      // stem
      {with_stem(R"("deep": [])"), "stem.deep: must have 1 to 8 elements, got 0"},
      {with_stem(R"("deep": [1, 2, 3, 4, 5, 6, 7, 8, 9])"), "stem.deep: must have 1 to 8 elements, got 9"},
      {with_stem(R"("deep": 32)"), "stem.deep: must be an array, got 32"},
      {with_stem(R"("deep": [32, 0])"), "stem.deep[1]: must be at least 1, got 0"},
      {with_stem(R"("deep": [65537])"), "stem.deep[0]: must be at most 65536, got 65537"},
      {with_stem(R"("activation": "both")"), R"(stem.activation: must be "post" or "pre", got "both")"},
      {with_stem(R"("activation": "pre")"),
       R"(stem.activation: must be "post" as the net's, or else nothing comes after the stem's convolution)"},
      {with_stem(R"("activation": "pre")") + R"("activation": "pre", )", ""},
      {with_stem(R"("bias": true)"),
       "stem.bias: is an unknown key; known here: channels, kernel, stride, padding, deep, activation, max_pool"},
      // shortcut
      {with_shortcut("[]"), R"(shortcut: must be "projection", "zero_pad" or an object, got an array)"},
      {with_shortcut("true"), R"(shortcut: must be "projection", "zero_pad" or an object, got true)"},
      {with_shortcut(R"("identity")"), R"(shortcut: must be "projection" or "zero_pad", got "identity")"},
      {with_shortcut("{}"), "shortcut.kind: is required, but missing"},
      {with_shortcut(R"({"kind": "none"})"), R"(shortcut.kind: must be "projection" or "zero_pad", got "none")"},
      {with_shortcut(R"({"kind": 1})"), "shortcut.kind: must be a string, got 1"},
      {with_shortcut(R"({"kind": "projection", "pool": 2})"),
       "shortcut.pool: is an unknown key; known here: kind, average_pool, batch_norm, conv_bias"},
      {with_shortcut(R"({"kind": "projection", "average_pool": 0})"),
       "shortcut.average_pool: must be at least 1, got 0"},
      {with_shortcut(R"({"kind": "projection", "average_pool": 65})"),
       "shortcut.average_pool: must be at most 64, got 65"},
      {with_shortcut(R"({"kind": "projection", "average_pool": true})"),
       "shortcut.average_pool: must be an integer, got true"},
      {with_shortcut(R"({"kind": "projection", "batch_norm": 0})"), "shortcut.batch_norm: " + batch_norm + "0"},
      {with_shortcut(R"({"kind": "projection", "conv_bias": "yes"})"),
       R"(shortcut.conv_bias: must be true or false, got "yes")"},
      {with_shortcut(R"({"kind": "zero_pad", "conv_bias": false})"),
       R"(shortcut.conv_bias: only a "projection" has it)"},
      {with_shortcut(R"({"kind": "zero_pad", "average_pool": 2})"),
       R"(shortcut.average_pool: only a "projection" has it)"},
      {with_shortcut(R"({"kind": "zero_pad"})"), ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.options);
    CHECK(problem(net(c.options)) == c.message);
  }
}

TEST_CASE("tensor names by patterns") {
  const auto named = [](const std::string& names) {
    return net(basic).insert(net(basic).rfind(" }"), R"(, "weights": {"names": )" + names + "}");
  };
  const Topology topology = read(named(R"x({"stage_": "layer", "a(.)": "$1"})x"));
  CHECK(topology.names == TensorNames::torchvision);
  REQUIRE(topology.renames.size() == 2);
  int64_t steps = 1000;
  CHECK(topology.renames[0].apply("stage_1.0", steps) == "layer1.0");
  CHECK(topology.renames[1].apply("stage_1.0", steps) == "stge_1.0");

  struct Case {
    std::string names, message;
  };
  std::string many = "{";
  for (int i = 0; i < 33; i++) many += (i ? ", \"p" : "\"p") + std::to_string(i) + R"(": "")";
  const std::string longest(256, 'x');
  const Case cases[] = {
      {"{}", ""},
      {"3",
       R"(weights.names: must be "torchvision", "akamaster" or an object of patterns and what replaces them, got 3)"},
      {"null",
       R"(weights.names: must be "torchvision", "akamaster" or an object of patterns and what replaces them, got null)"},
      {R"("timm")", R"(weights.names: must be "torchvision" or "akamaster", got "timm")"},
      {R"({"a": 1})", "weights.names.a: must be a string, got 1"},
      {R"({"": "x"})", R"(weights.names[""]: a pattern must have 1 to 256 bytes, got 0)"},
      {"{\"" + longest + R"(": "x"})", ""},
      {"{\"" + longest + R"(x": "x"})",
       "weights.names[\"" + longest.substr(0, 120) + "…\"]: a pattern must have 1 to 256 bytes, got 257"},
      {R"({"a": ")" + longest + "\"}", ""},
      {R"({"a": ")" + longest + "x\"}", "weights.names.a: must have at most 256 bytes, got 257"},
      {many + "}", "weights.names: must have at most 32 patterns, got 33"},
      {R"({"stage_(": "x"})", R"(weights.names["stage_("]: character 7 of the pattern: this '(' is never closed)"},
      {R"({"a": "$1"})", "weights.names.a: the replacement: $1 stands for a group, but the pattern has 0"},
      {R"({"a": "x", "a": "y"})", "weights.names.a: is given twice"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.names);
    CHECK(problem(named(c.names)) == c.message);
  }
}
