// Halide's own autoschedulers on the plain algorithm of a convolution, without any schedule of ours: what the
// strategies are measured against. Weights lie as their loops would like them, output channels innermost.
#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"

namespace resnetc {
namespace {

// The plugins lie beside libHalide.so, in the wheel as in an installed tree.
void load_beside_halide(const char* file) {
  Dl_info info = {};
  void (*const load)(const std::string&) = &Halide::load_plugin;
  if (dladdr(reinterpret_cast<void*>(load), &info) == 0 || !info.dli_fname)
    throw Error("the folder of libHalide.so is not known");
  std::error_code error;
  const std::filesystem::path library = std::filesystem::canonical(info.dli_fname, error);
  const std::filesystem::path plugin = library.parent_path() / file;
  if (error || !std::filesystem::exists(plugin))
    throw Error(fmt::format("{}: not there; this Halide has come without its autoschedulers", plugin.string()));
  Halide::load_plugin(plugin.string());
}

// All output channels in one block.
Conv2dGeometry whole(const KernelKey& key) {
  return Conv2dGeometry(key, key.operands[1].dims[0]);
}

// A zero-padded residual, a projection, a max pool and weights in pairs have no place in one plain stage.
bool has_plain_stage(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (!conv || conv->groups != 1 || pool_of(*conv) || projection_of(*conv) || !reads_f32(key)) return false;
  for (const Epilogue& step : conv->epilogue)
    if (const auto* add = std::get_if<Add>(&step); add && *add != Add{}) return false;
  return border_holds_padding(key);
}

bool applies_on_cpu(const KernelKey& key, const Machine& machine) {
  return machine.device == Device::cpu && has_plain_stage(key, machine);
}
bool applies_on_device(const KernelKey& key, const Machine& machine) {
  return machine.device != Device::cpu && has_plain_stage(key, machine);
}

std::vector<Choice> no_candidates(const KernelKey&, const Machine&) {
  return {};
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine, const char* plugin,
                     const Halide::AutoschedulerParams& parameters) {
  load_beside_halide(plugin);
  const int batch = choice["batch"];
  const Conv2dGeometry g = whole(key);
  Conv2dOperands operands(key, g);
  Halide::Var c("c"), x("x"), y("y"), n("n");
  Halide::RDom r(0, g.reduction, 0, g.kw, 0, g.kh, "r");
  Halide::Func sum("sum"), result("result");
  sum(c, x, y, n) = g.has_bias ? Halide::Expr(operands.bias(c)) : Halide::Expr(0.0f);
  sum(c, x, y, n) += operands.input(r.x, x * g.conv.stride.w - g.conv.padding.left + r.y * g.conv.dilation.w,
                                    y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h, n) *
                     operands.weight(c, r.x, r.y, r.z, 0);
  result(c, x, y, n) = apply_epilogue(key, operands, sum(c, x, y, n), c, x, y, n, Halide::Expr(), machine.lanes);
  TensorType stored = key.result;
  if (machine.device != Device::cpu) stored.border = {};
  bound_result(result, stored);
  result.set_estimates({{0, g.oc}, {0, g.ow}, {0, g.oh}, {0, batch}});
  const auto image_estimates = [batch](Halide::ImageParam& image, const TensorType& type) {
    image.set_estimates({{0, type.channels()},
                         {-type.border.left, type.border.left + type.width() + type.border.right},
                         {-type.border.top, type.border.top + type.height() + type.border.bottom},
                         {0, batch}});
  };
  image_estimates(operands.input, key.operands[0]);
  for (size_t i = 0; i < operands.residuals.size(); i++) image_estimates(operands.residuals[i], key.operands[3 + i]);
  operands.weight.param.set_estimates({{0, g.oc}, {0, g.reduction}, {0, g.kw}, {0, g.kh}, {0, 1}});
  if (g.has_bias) operands.bias.set_estimates({{0, g.oc}});
  Halide::Pipeline pipeline(result);
  pipeline.apply_autoscheduler(machine.target, parameters);
  return {pipeline, operands.arguments};
}

KernelPipeline build_mullapudi(const KernelKey& key, const Choice& choice, const Machine& machine) {
  return build(
      key, choice, machine, "libautoschedule_mullapudi2016.so",
      {"Mullapudi2016", {{"parallelism", std::to_string(machine.threads)}, {"last_level_cache_size", "33554432"}}});
}

// Its own search without random dropout, so that the same key gives the same schedule.
KernelPipeline build_adams(const KernelKey& key, const Choice& choice, const Machine& machine) {
  return build(key, choice, machine, "libautoschedule_adams2019.so",
               {"Adams2019",
                {{"parallelism", std::to_string(machine.threads)}, {"beam_size", "32"}, {"random_dropout_seed", "1"}}});
}

KernelPipeline build_anderson(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const int multiprocessors = choice.value_or("multiprocessors", 132);  // of an H100, as in gpu.h
  return build(key, choice, machine, "libautoschedule_anderson2021.so",
               {"Anderson2021",
                {{"parallelism", std::to_string(multiprocessors)}, {"beam_size", "32"}, {"random_dropout_seed", "1"}}});
}

KernelPipeline build_li(const KernelKey& key, const Choice& choice, const Machine& machine) {
  return build(key, choice, machine, "libautoschedule_li2018.so",
               {"Li2018", {{"parallelism", std::to_string(machine.threads)}}});
}

PackedWeight pack(const KernelKey& key, const Choice&, const Machine&, size_t operand,
                  const std::vector<float>& values) {
  return whole(key).pack(operand, values);
}

double cycles(const KernelKey& key, const Choice&, const Machine& machine) {
  return traffic_cycles(key, machine);
}

}  // namespace

const Strategy halide_mullapudi2016 = {"halide_mullapudi2016", applies_on_cpu, no_candidates,
                                       build_mullapudi,        pack,           cycles};
const Strategy halide_adams2019 = {"halide_adams2019", applies_on_cpu, no_candidates, build_adams, pack, cycles};
const Strategy halide_anderson2021 = {
    "halide_anderson2021", applies_on_device, no_candidates, build_anderson, pack, cycles};
const Strategy halide_li2018 = {"halide_li2018", has_plain_stage, no_candidates, build_li, pack, cycles};

}  // namespace resnetc
