#include "schedules/cpu_name.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <string.h>

#include <cstdio>

namespace resnetc {
namespace {

// Families are AMD's or Intel's, never both's.
struct Kind {
  int family, first_model, last_model;
  const char* name;
  const char* feature;  // the strongest
};
constexpr Kind kinds[] = {{23, 0x00, 0x2f, "amd-zen", "avx2"},
                          {23, 0x30, 0xff, "amd-zen2", "avx2"},
                          {25, 0x00, 0x0f, "amd-zen3", "avx2"},
                          {25, 0x10, 0x1f, "amd-zen4", "avx512_zen4"},
                          {25, 0x20, 0x5f, "amd-zen3", "avx2"},
                          {25, 0x60, 0x7f, "amd-zen4", "avx512_zen4"},
                          {25, 0xa0, 0xaf, "amd-zen4", "avx512_zen4"},
                          {26, 0x00, 0xff, "amd-zen5", "avx512_zen5"},
                          {6, 85, 85, "intel-skylake-server", "avx512_skylake"},
                          {6, 106, 108, "intel-icelake-server", "avx512_cannonlake"},
                          {6, 143, 143, "intel-sapphirerapids", "avx512_cannonlake"},
                          {6, 207, 207, "intel-emeraldrapids", "avx512_cannonlake"},
                          {6, 173, 174, "intel-graniterapids", "avx512_cannonlake"}};

// Sapphire Rapids and what follows it have AMX, Granite Rapids can prefetch instructions. Some hypervisors report the
// model of a desktop CPU in their place.
int told_by_features(int family, int model) {
  unsigned a = 0, b = 0, c = 0, d = 0, instructions = 0;
  __get_cpuid_count(7, 0, &a, &b, &c, &d);
  const bool has_amx = d >> 24 & 1;
  if (a >= 1) __get_cpuid_count(7, 1, &a, &b, &c, &instructions);
  if (family != 6 || !has_amx || model == 143 || model == 207 || model == 173 || model == 174) return model;
  return instructions >> 14 & 1 ? 173 : 143;
}

}  // namespace

std::string cpu_name() {
  unsigned words[12] = {}, a = 0, b = 0, c = 0, d = 0;
  std::string name = "unknown CPU";
  if (static_cast<unsigned>(__get_cpuid_max(0x80000000, nullptr)) >= 0x80000004u) {
    for (unsigned i = 0; i < 3; i++)
      __cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
    const char* text = reinterpret_cast<const char*>(words);
    name.assign(text, strnlen(text, sizeof words));
    while (!name.empty() && name.back() == ' ') name.pop_back();
  }
  __cpuid(1, a, b, c, d);
  const unsigned base = a >> 8 & 15, family = base == 15 ? base + (a >> 20 & 255) : base;
  const unsigned model = (a >> 4 & 15) | (base == 6 || base == 15 ? (a >> 16 & 15) << 4 : 0);
  return fmt::format("{} family {} model {}", name, family,
                     told_by_features(static_cast<int>(family), static_cast<int>(model)));
}

std::string cpu_kind(std::string_view name) {
  const size_t at = name.rfind(" family ");
  int family = -1, model = -1;
  if (at == std::string_view::npos ||
      std::sscanf(std::string(name.substr(at)).c_str(), " family %4d model %4d", &family, &model) != 2)
    return "unknown";
  for (const Kind& kind : kinds)
    if (kind.family == family && kind.first_model <= model && model <= kind.last_model) return kind.name;
  return fmt::format("family{}-model{}", family, model);
}

std::string_view cpu_vendor(std::string_view kind) {
  if (kind.starts_with("amd-")) return "amd";
  return kind.starts_with("intel-") || kind.starts_with("family6-") ? "intel" : "";
}

std::string_view own_feature(std::string_view kind) {
  for (const Kind& known : kinds)
    if (known.name == kind) return known.feature;
  return "";
}

}  // namespace resnetc
