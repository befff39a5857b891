#include "compiler/topology.h"

#include "compiler/build_resnet.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/compiler/topology_text.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

const std::string full = R"({
  "name": "my-net_1",
  "input": { "channels": 3, "height": 20, "width": 30 },
  "preprocess": { "resize": 24, "crop": [20, 30], "interpolation": "bicubic", "scale": 0.5,
                  "mean": [1, 2, 3.5], "std": [4, 5, 6], "order": "bgr" },
  "stem": { "channels": 8, "kernel": 5, "stride": 2, "padding": 2,
            "max_pool": { "kernel": 3, "stride": 2, "padding": 1 } },
  "block": "bottleneck",
  "shortcut": "projection",
  "groups": 2,
  "width_per_group": 32,
  "stages": [ { "blocks": 1, "channels": 16 }, { "blocks": 2, "channels": 32, "stride": 2 } ],
  "head": { "classes": 7, "labels": "l/labels.txt" },
  "weights": { "names": "akamaster" }
})";

const std::string small = R"({ "name": "n", "input": { "channels": 4, "height": 8, "width": 8 }, "block": "basic",
  "stages": [ { "blocks": 1, "channels": 4 } ], "head": null })";

}  // namespace

TEST_CASE("every key is read") {
  const TemporaryFolder folder;
  const Topology net = read_topology(folder.write("n.json", full));
  CHECK(net.name == "my-net_1");
  CHECK(net.channels == 3);
  CHECK(net.size == Hw{20, 30});
  REQUIRE(net.preprocess);
  const rn_preprocess& how = *net.preprocess;
  CHECK(how.resize == rn_resize_shorter_side);
  CHECK(how.resize_height == 24);
  CHECK(how.resize_width == 24);
  CHECK(how.crop_height == 20);
  CHECK(how.crop_width == 30);
  CHECK(how.interpolation == rn_interpolate_bicubic);
  CHECK(how.order == rn_order_bgr);
  CHECK(how.scale == 0.5);
  CHECK(std::vector(how.mean, how.mean + 3) == std::vector{1.0, 2.0, 3.5});
  CHECK(std::vector(how.std, how.std + 3) == std::vector{4.0, 5.0, 6.0});
  REQUIRE(net.stem);
  CHECK(net.stem->channels == 8);
  CHECK(net.stem->conv.kernel == 5);
  CHECK(net.stem->conv.stride == 2);
  CHECK(net.stem->conv.padding == Padding{all_sides(2)});
  REQUIRE(net.stem->max_pool);
  CHECK(net.stem->max_pool->kernel == 3);
  CHECK(net.stem->max_pool->stride == 2);
  CHECK(net.stem->max_pool->padding == Padding{all_sides(1)});
  CHECK(net.block == BlockKind::bottleneck);
  CHECK(net.shortcut.kind == ShortcutKind::projection);
  CHECK(net.groups == 2);
  CHECK(net.width_per_group == 32);
  REQUIRE(net.stages.size() == 2);
  CHECK(net.stages[0].stride == 1);
  CHECK(net.stages[1].blocks == 2);
  CHECK(net.stages[1].channels == 32);
  CHECK(net.stages[1].stride == 2);
  REQUIRE(net.head);
  CHECK(net.head->classes == 7);
  CHECK(net.head->labels == folder / "l/labels.txt");
  CHECK(net.names == TensorNames::akamaster);
}

TEST_CASE("what is left out has its default") {
  const Topology net = read(small);
  CHECK_FALSE(net.preprocess);
  CHECK_FALSE(net.stem);
  CHECK_FALSE(net.head);
  CHECK(net.stride_on == StrideOn::conv3x3);
  CHECK(net.activation == Activation::post);
  CHECK(net.padding == Padding{all_sides(1)});
  CHECK(net.conv.epsilon == 1e-5);
  CHECK_FALSE(net.conv.bias);
  CHECK(net.shortcut.kind == ShortcutKind::projection);
  CHECK(net.shortcut.average_pool == 0);
  CHECK(net.shortcut.conv.epsilon == 1e-5);
  CHECK_FALSE(net.shortcut.conv.bias);
  CHECK(net.names == TensorNames::torchvision);
  CHECK(net.renames.empty());

  const std::string one_channel = replaced(small, R"("channels": 4,)", R"("channels": 1,)");
  const Topology gray = read(replaced(one_channel, R"("block")", R"("preprocess": {}, "block")"));
  REQUIRE(gray.preprocess);
  CHECK(gray.preprocess->resize == rn_resize_none);
  CHECK(gray.preprocess->crop_height == 0);
  CHECK(gray.preprocess->interpolation == rn_interpolate_bilinear);
  CHECK(gray.preprocess->order == rn_order_gray);
  CHECK(gray.preprocess->scale == 1.0 / 255);
  CHECK(gray.preprocess->mean[0] == 0);
  CHECK(gray.preprocess->std[0] == 1);
  const Topology exact = read(replaced(one_channel, R"("block")", R"("preprocess": {"resize": [8, 8]}, "block")"));
  CHECK(exact.preprocess->resize == rn_resize_exact);
}

TEST_CASE("bad topologies are refused with the place and the fix") {
  struct Case {
    std::string part, by, message;
  };
  const std::string name_rule =
      "name: must be a letter followed by up to 63 letters, digits, '_' or '-', for it names files and C functions; "
      "got ";
  const Case cases[] = {
      {R"("stride": 2 } ])", R"("stride": 0 } ])", "stages[1].stride: must be at least 1, got 0"},
      {R"("stride": 2 } ])", R"("stride": 17 } ])", "stages[1].stride: must be at most 16, got 17"},
      {R"("stride": 2 } ])", R"("stride": 2.0 } ])", "stages[1].stride: must be an integer, got 2.0"},
      {R"("stride": 2 } ])", R"("stride": null } ])", "stages[1].stride: must be an integer, got null"},
      {R"("stride": 2 } ])", R"("strid": 2 } ])",
       "stages[1].strid: is an unknown key; known here: blocks, channels, stride"},
      {R"("blocks": 2)", R"("blocks": 10001)", "stages[1].blocks: must be at most 10000, got 10001"},
      {R"("blocks": 2)", R"("blocks": 0)", "stages[1].blocks: must be at least 1, got 0"},
      {R"("blocks": 2, )", "", "stages[1].blocks: is required, but missing"},
      {R"("channels": 32)", R"("channels": 65537)", "stages[1].channels: must be at most 65536, got 65537"},
      {R"("channels": 32, )", "", "stages[1].channels: is required, but missing"},
      {R"([ { "blocks": 1, "channels": 16 }, { "blocks": 2, "channels": 32, "stride": 2 } ])", "[]",
       "stages: must have 1 to 64 elements, got 0"},
      {R"([ { "blocks": 1, "channels": 16 }, { "blocks": 2, "channels": 32, "stride": 2 } ])", "3",
       "stages: must be an array, got 3"},
      {R"({ "blocks": 1, "channels": 16 })", "null", "stages[0]: must be an object, got null"},
      {R"("my-net_1")", R"("")", name_rule + R"("")"},
      {R"("my-net_1")", R"("1net")", name_rule + R"("1net")"},
      {R"("my-net_1")", R"("_net")", name_rule + R"("_net")"},
      {R"("my-net_1")", R"("a/b")", name_rule + R"("a/b")"},
      {R"("my-net_1")", R"("nét")", name_rule + R"("nét")"},
      {R"("my-net_1")", "\"" + std::string(64, 'x') + "\"", ""},
      {R"("my-net_1")", "\"" + std::string(65, 'x') + "\"", name_rule + "\"" + std::string(65, 'x') + "\""},
      {R"("my-net_1")", R"("while")", R"(name: "while" is a keyword of C; choose another name)"},
      {R"("my-net_1")", R"("static-assert")", R"(name: "static-assert" is a keyword of C; choose another name)"},
      {R"("my-net_1")", R"("While")", ""},
      {R"("my-net_1")", "5", "name: must be a string, got 5"},
      {R"("name": "my-net_1",)", "", "name: is required, but missing"},
      {R"("name")", R"("nam")",
       "nam: is an unknown key; known here: name, input, preprocess, stem, block, stride_on, activation, padding, "
       "batch_norm, conv_bias, shortcut, groups, width_per_group, stages, head, weights"},
      {R"("height": 20)", R"("height": 8193)", "input.height: must be at most 8192, got 8193"},
      {R"("width": 30 })", R"("width": 30, "depth": 1 })",
       "input.depth: is an unknown key; known here: channels, height, width"},
      {R"("input": { "channels": 3,)", R"("input": {)", "input.channels: is required, but missing"},
      {R"("bottleneck")", R"("bottle")", R"(block: must be "basic" or "bottleneck", got "bottle")"},
      {R"("projection")", R"("none")", R"(shortcut: must be "projection" or "zero_pad", got "none")"},
      {R"("akamaster")", R"("keras")", R"(weights.names: must be "torchvision" or "akamaster", got "keras")"},
      {R"("names")", R"("name")", "weights.name: is an unknown key; known here: names"},
      {R"("head": { "classes": 7, "labels": "l/labels.txt" },)", "",
       "head: is required, but missing; null makes a feature extractor"},
      {R"("classes": 7, )", "", "head.classes: is required, but missing"},
      {R"("classes": 7)", R"("classes": 0)", "head.classes: must be at least 1, got 0"},
      {R"("l/labels.txt")", R"("")", "head.labels: must be the path of a file"},
      {R"("l/labels.txt")", R"("a\u0000b")", "head.labels: must be the path of a file"},
      {R"("l/labels.txt")", "null", "head.labels: must be a string, got null"},
      // stem
      {R"("kernel": 5)", R"("kernel": 65)", "stem.kernel: must be at most 64, got 65"},
      {R"("kernel": 5, )", "", "stem.kernel: is required, but missing"},
      {R"("padding": 2,)", R"("padding": -1,)", "stem.padding: must be at least 0, got -1"},
      {R"("padding": 1 })", R"("padding": 3 })", "stem.max_pool.padding: must be smaller than the kernel, 3, got 3"},
      {R"("kernel": 3, "stride": 2,)", R"("kernel": 3,)", "stem.max_pool.stride: is required, but missing"},
      {R"("height": 20, "width": 30 },)", R"("height": 20, "width": 30 }, "stem": null,)", "stem: is given twice"},
      // groups and width
      {R"("groups": 2)", R"("groups": 65536)",
       "stages[0].channels: channels * width_per_group / 64 * groups must be from 1 to 65536, is 524288"},
      {R"("width_per_group": 32)", R"("width_per_group": 3)",
       "stages[0].channels: channels * width_per_group / 64 * groups must be from 1 to 65536, is 0"},
      {R"("bottleneck")", R"("basic")", R"(groups: must be 1 for "basic" blocks; only "bottleneck" ones have another)"},
      // preprocess
      {R"([20, 30])", "20", "preprocess.crop: must equal the input's height 20 and width 30, got 20 and 20"},
      {R"([20, 30])", "[20, 30, 3]", "preprocess.crop: must have 2 elements, got 3"},
      {R"("resize": 24)", R"("resize": 0)", "preprocess.resize: must be at least 1, got 0"},
      {R"("resize": 24)", R"("resize": [24])", "preprocess.resize: must have 2 elements, got 1"},
      {R"("crop": [20, 30], )", "",
       "preprocess.resize: must be the input's shorter side 20 where there is no crop, got 24"},
      {R"("resize": 24, "crop": [20, 30])", R"("resize": [24, 30])",
       "preprocess.resize: must be the input's [20, 30] where there is no crop, got [24, 30]"},
      {R"("bicubic")", R"("lanczos")",
       R"(preprocess.interpolation: must be "nearest", "bilinear" or "bicubic", got "lanczos")"},
      {R"("bgr")", R"("gray")", R"(preprocess.order: "gray" makes 1 channel, but input.channels is 3)"},
      {R"("scale": 0.5)", R"("scale": 0)", "preprocess.scale: must be at least 1e-09, got 0"},
      {R"("scale": 0.5)", R"("scale": "1")", R"(preprocess.scale: must be a number, got "1")"},
      {R"([1, 2, 3.5])", "[1, 2]", "preprocess.mean: must have one number for each of the input's 3 channels, got 2"},
      {R"([1, 2, 3.5])", "1", "preprocess.mean: must be an array, got 1"},
      {R"([4, 5, 6])", "[4, 0, 6]", "preprocess.std[1]: must be at least 1e-09, got 0"},
      {R"("order": "bgr" })", R"("order": "bgr", "gamma": 1 })",
       "preprocess.gamma: is an unknown key; known here: resize, crop, interpolation, scale, mean, std, order"},
      {R"("channels": 3,)", R"("channels": 4,)",
       "preprocess: an image becomes an input of 1 or 3 channels, but input.channels is 4; leave it out"},
  };
  CHECK(problem(full) == "");
  for (const Case& c : cases) {
    CAPTURE(c.by);
    CHECK(problem(replaced(full, c.part, c.by)) == c.message);
  }
}

TEST_CASE("nets that do not fit are refused before any weight is made") {
  CHECK(problem("[]") == "must be an object, got an array");
  const std::string zero_pad = replaced(small, R"("basic")", R"("basic", "shortcut": "zero_pad")");
  const std::string stage = R"({ "blocks": 1, "channels": 4 })";
  const std::string cannot = "stages[0].channels: a \"zero_pad\" shortcut adds as many channels on either side, but ";
  CHECK(problem(zero_pad) == "");
  CHECK(problem(replaced(zero_pad, stage, R"({ "blocks": 1, "channels": 2 })")) == cannot + "cannot make 2 of 4");
  CHECK(problem(replaced(zero_pad, stage, R"({ "blocks": 1, "channels": 7 })")) == cannot + "cannot make 7 of 4");
  CHECK(problem(replaced(small, R"("block")", R"("stem": {"channels": 4, "kernel": 9, "padding": 0}, "block")")) ==
        "node %conv1: conv2d: kernel 9 (dilation 1) does not fit height 8 padded by 0 and 0; make the input larger or "
        "the kernel smaller");
  CHECK(problem(replaced(small, stage, R"({ "blocks": 10000, "channels": 4096 })")) ==
        "the net has 3019911897088 parameters, at most 2147483648 are possible; give it fewer blocks or channels");
  std::string stages = stage;
  for (int i = 0; i < 5; i++) stages += R"(, { "blocks": 10000, "channels": 4 })";
  CHECK(problem(replaced(small, stage, stages)) == "stages: must have at most 40000 blocks in all, got 50001");
  const std::string large = replaced(small, R"("height": 8, "width": 8)", R"("height": 8192, "width": 8192)");
  CHECK(
      problem(replaced(large, stage, R"({ "blocks": 1, "channels": 64 })")) ==
      "node %layer1.0.conv1: f32[n,8192,8192,64] holds 4294967296 elements, at most 2147483648 are possible; make the "
      "input smaller or the stages narrower");
}

TEST_CASE("a bottleneck net with groups and projections") {
  const std::string net =
      replaced(replaced(full, R"({ "blocks": 1, "channels": 16 }, )", ""), "akamaster", "torchvision");
  const Graph graph = build_resnet(read(net));
  verify(graph);
  std::string ops;
  for (size_t i = 0; i < graph.nodes.size(); i++)
    if (!std::holds_alternative<Weight>(graph.nodes[i].op)) ops += print_node(graph, static_cast<Value>(i)) + "\n";
  // width = 32 * 32 / 64 * 2 = 32
  CHECK(ops ==
        R"(%input = input : f32[n,20,30,3]
%conv1 = conv2d(%input, %conv1.weight) stride=2 padding=2 : f32[n,10,15,8]
%bn1 = batch_norm(%conv1, %bn1.weight, %bn1.bias, %bn1.running_mean, %bn1.running_var) : f32[n,10,15,8]
%relu1 = relu(%bn1) : f32[n,10,15,8]
%maxpool = max_pool(%relu1) kernel=3 stride=2 padding=1 : f32[n,5,8,8]
%layer1.0.conv1 = conv2d(%maxpool, %layer1.0.conv1.weight) : f32[n,5,8,32]
%layer1.0.bn1 = batch_norm(%layer1.0.conv1, %layer1.0.bn1.weight, %layer1.0.bn1.bias, %layer1.0.bn1.running_mean, %layer1.0.bn1.running_var) : f32[n,5,8,32]
%layer1.0.relu1 = relu(%layer1.0.bn1) : f32[n,5,8,32]
%layer1.0.conv2 = conv2d(%layer1.0.relu1, %layer1.0.conv2.weight) stride=2 padding=1 groups=2 : f32[n,3,4,32]
%layer1.0.bn2 = batch_norm(%layer1.0.conv2, %layer1.0.bn2.weight, %layer1.0.bn2.bias, %layer1.0.bn2.running_mean, %layer1.0.bn2.running_var) : f32[n,3,4,32]
%layer1.0.relu2 = relu(%layer1.0.bn2) : f32[n,3,4,32]
%layer1.0.conv3 = conv2d(%layer1.0.relu2, %layer1.0.conv3.weight) : f32[n,3,4,128]
%layer1.0.bn3 = batch_norm(%layer1.0.conv3, %layer1.0.bn3.weight, %layer1.0.bn3.bias, %layer1.0.bn3.running_mean, %layer1.0.bn3.running_var) : f32[n,3,4,128]
%layer1.0.downsample.0 = conv2d(%maxpool, %layer1.0.downsample.0.weight) stride=2 : f32[n,3,4,128]
%layer1.0.downsample.1 = batch_norm(%layer1.0.downsample.0, %layer1.0.downsample.1.weight, %layer1.0.downsample.1.bias, %layer1.0.downsample.1.running_mean, %layer1.0.downsample.1.running_var) : f32[n,3,4,128]
%layer1.0.add = add(%layer1.0.bn3, %layer1.0.downsample.1) : f32[n,3,4,128]
%layer1.0.relu = relu(%layer1.0.add) : f32[n,3,4,128]
%layer1.1.conv1 = conv2d(%layer1.0.relu, %layer1.1.conv1.weight) : f32[n,3,4,32]
%layer1.1.bn1 = batch_norm(%layer1.1.conv1, %layer1.1.bn1.weight, %layer1.1.bn1.bias, %layer1.1.bn1.running_mean, %layer1.1.bn1.running_var) : f32[n,3,4,32]
%layer1.1.relu1 = relu(%layer1.1.bn1) : f32[n,3,4,32]
%layer1.1.conv2 = conv2d(%layer1.1.relu1, %layer1.1.conv2.weight) padding=1 groups=2 : f32[n,3,4,32]
%layer1.1.bn2 = batch_norm(%layer1.1.conv2, %layer1.1.bn2.weight, %layer1.1.bn2.bias, %layer1.1.bn2.running_mean, %layer1.1.bn2.running_var) : f32[n,3,4,32]
%layer1.1.relu2 = relu(%layer1.1.bn2) : f32[n,3,4,32]
%layer1.1.conv3 = conv2d(%layer1.1.relu2, %layer1.1.conv3.weight) : f32[n,3,4,128]
%layer1.1.bn3 = batch_norm(%layer1.1.conv3, %layer1.1.bn3.weight, %layer1.1.bn3.bias, %layer1.1.bn3.running_mean, %layer1.1.bn3.running_var) : f32[n,3,4,128]
%layer1.1.add = add(%layer1.1.bn3, %layer1.0.relu) : f32[n,3,4,128]
%layer1.1.relu = relu(%layer1.1.add) : f32[n,3,4,128]
%avgpool = global_average_pool(%layer1.1.relu) : f32[n,128]
%fc = dense(%avgpool, %fc.weight, %fc.bias) : f32[n,7]
)");
}

TEST_CASE("basic blocks with zero-padded shortcuts, without stem and head") {
  std::string text = replaced(small, R"("basic")", R"("basic", "shortcut": "zero_pad")");
  text = replaced(text, R"({ "blocks": 1, "channels": 4 })", R"({ "blocks": 1, "channels": 4 },
      { "blocks": 1, "channels": 10, "stride": 2 }, { "blocks": 1, "channels": 12 }, { "blocks": 1, "channels": 12, "stride": 3 })");
  const Graph graph = build_resnet(read(text));
  verify(graph);
  std::string adds;
  for (size_t i = 0; i < graph.nodes.size(); i++)
    if (std::holds_alternative<Add>(graph.nodes[i].op)) adds += print_node(graph, static_cast<Value>(i)) + "\n";
  CHECK(adds == R"(%layer1.0.add = add(%layer1.0.bn2, %input) : f32[n,8,8,4]
%layer2.0.add = add(%layer2.0.bn2, %layer1.0.relu) subsample=2 channels_before=3 : f32[n,4,4,10]
%layer3.0.add = add(%layer3.0.bn2, %layer2.0.relu) channels_before=1 : f32[n,4,4,12]
%layer4.0.add = add(%layer4.0.bn2, %layer3.0.relu) subsample=3 : f32[n,2,2,12]
)");
  CHECK(graph[graph.outputs[0]].name == "layer4.0.relu");

  // akamaster's other shortcut
  text = replaced(replaced(text, "zero_pad", "projection"), R"("head": null)",
                  R"("head": null, "weights": {"names": "akamaster"})");
  bool found = false;
  for (const Node& node : build_resnet(read(text)).nodes) found |= node.name == "layer2.0.shortcut.0.weight";
  CHECK(found);
}
