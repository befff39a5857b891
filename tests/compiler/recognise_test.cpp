// The nets of models/ by the names that people give them.
#include "compiler/inspect/recognise.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "compiler/model.h"
#include "ir/text.h"

using namespace resnetc;

TEST_CASE("recognise: the nets of models/") {
  const std::pair<const char*, const char*> nets[] = {
      {"resnet18", "ResNet-18: 2 + 2 + 2 + 2 basic blocks"},
      {"resnet34", "ResNet-34: 3 + 4 + 6 + 3 basic blocks"},
      {"resnet50", "ResNet-50 v1.5: 3 + 4 + 6 + 3 bottleneck blocks"},
      {"resnet101", "ResNet-101 v1.5: 3 + 4 + 23 + 3 bottleneck blocks"},
      {"resnet152", "ResNet-152 v1.5: 3 + 8 + 36 + 3 bottleneck blocks"},
      {"resnet50_v1", "ResNet-50 v1: 3 + 4 + 6 + 3 bottleneck blocks"},
      {"resnet50d", "ResNet-50-D: 3 + 4 + 6 + 3 bottleneck blocks"},
      {"resnetv2_50", "ResNet-50 v2 (pre-activation): 3 + 4 + 6 + 3 bottleneck blocks"},
      {"preact_resnet18", "ResNet-18 v2 (pre-activation): 2 + 2 + 2 + 2 basic blocks"},
      {"resnext50_32x4d", "ResNeXt-50 32x4d v1.5: 3 + 4 + 6 + 3 bottleneck blocks"},
      {"wide_resnet50_2", "Wide ResNet-50-2 v1.5: 3 + 4 + 6 + 3 bottleneck blocks"},
      {"cifar10_resnet20", "ResNet-20: 3 + 3 + 3 basic blocks, shortcuts padded with zeros"},
      {"cifar10_resnet1202", "ResNet-1202: 200 + 200 + 200 basic blocks, shortcuts padded with zeros"},
      {"cifar10_preact_resnet20", "ResNet-20 v2 (pre-activation): 3 + 3 + 3 basic blocks"},
  };
  for (const auto& [name, family] : nets) {
    const Model model = read_model(std::string(RESNETC_SOURCE_DIR) + "/models/" + name + ".json", {});
    CHECK(recognise_resnet(model.graph) == family);
  }
}

TEST_CASE("recognise: what is no ResNet") {
  CHECK(recognise_resnet(parse(R"(graph plain {
  %x = input : f32[n,8,8,2]
  %w = weight "w" : f32[2,3,3,2]
  %y = conv2d(%x, %w) padding=1 : f32[n,8,8,2]
  return %y
}
)"))
            .empty());
  // An addition of two different inputs' worth: one convolution to a branch.
  CHECK(recognise_resnet(parse(R"(graph short_block {
  %x = input : f32[n,8,8,2]
  %w = weight "w" : f32[2,3,3,2]
  %y = conv2d(%x, %w) padding=1 : f32[n,8,8,2]
  %z = add(%y, %x) : f32[n,8,8,2]
  return %z
}
)"))
            .empty());
}

TEST_CASE("recognise: groups of one channel are a MobileNet's, wider ones a ResNeXt's") {
  const auto recognised = [](int groups) {
    return recognise_resnet(parse(fmt::format(R"(graph grouped {{
  %x = input : f32[n,8,8,2]
  %w0 = weight "w0" : f32[8,3,3,2]
  %w1 = weight "w1" : f32[4,1,1,8]
  %w2 = weight "w2" : f32[4,3,3,{}]
  %w3 = weight "w3" : f32[8,1,1,4]
  %s = conv2d(%x, %w0) padding=1 : f32[n,8,8,8]
  %a = conv2d(%s, %w1) : f32[n,8,8,4]
  %b = conv2d(%a, %w2) padding=1 groups={} : f32[n,8,8,4]
  %c = conv2d(%b, %w3) : f32[n,8,8,8]
  %y = add(%c, %s) : f32[n,8,8,8]
  return %y
}}
)",
                                              4 / groups, groups)));
  };
  CHECK(recognised(2).starts_with("ResNeXt-"));
  CHECK(recognised(4).empty());
}
