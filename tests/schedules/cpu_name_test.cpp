#include "schedules/cpu_name.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("a kind is told by family and model, whatever the CPU is called") {
  CHECK(cpu_kind("AMD EPYC 7B13 family 25 model 1") == "amd-zen3");
  CHECK(cpu_kind("AMD Ryzen 7 5800X family 25 model 33") == "amd-zen3");
  CHECK(cpu_kind("AMD EPYC 9654 family 25 model 17") == "amd-zen4");
  CHECK(cpu_kind(" family 99 of  family 25 model 97") == "amd-zen4");
  CHECK(cpu_kind("AMD EPYC 9655 family 26 model 2") == "amd-zen5");
  CHECK(cpu_kind("Intel(R) Xeon(R) Platinum 8481C family 6 model 143") == "intel-sapphirerapids");
  CHECK(cpu_kind("Intel(R) Core(TM) i9 family 6 model 151") == "family6-model151");
  for (const char* name : {"", "family", "x family y model z", "x family 99999999999999999999 model 1"})
    CHECK(cpu_kind(name) == "unknown");
  CHECK(cpu_kind(cpu_name()) != "unknown");
}

TEST_CASE("a kind of CPU has a vendor and a strongest instruction set") {
  CHECK(cpu_vendor("amd-zen3") == "amd");
  CHECK(cpu_vendor("intel-graniterapids") == "intel");
  CHECK(cpu_vendor("family6-model151") == "intel");
  for (const char* kind : {"", "unknown", "family61-model1", "amd"}) CHECK(cpu_vendor(kind) == "");
  CHECK(own_feature("amd-zen3") == "avx2");
  CHECK(own_feature("amd-zen4") == "avx512_zen4");
  CHECK(own_feature("intel-graniterapids") == "avx512_cannonlake");
  CHECK(own_feature("family6-model151") == "");
}
