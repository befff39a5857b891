#include "ir/bf16.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace resnetc;

TEST_CASE("bf16: rounds to nearest, ties to even") {
  // Between 1 and 2 bf16 has steps of 2^-7.
  CHECK(to_bf16(1.0f) == 0x3f80);
  CHECK(to_bf16(-2.0f) == 0xc000);
  CHECK(from_bf16(to_bf16(1 + 0x1p-7f)) == 1 + 0x1p-7f);
  CHECK(from_bf16(to_bf16(1 + 0x1p-8f)) == 1);                           // a tie, down to the even one
  CHECK(from_bf16(to_bf16(1 + 3 * 0x1p-8f)) == 1 + 2 * 0x1p-7f);         // a tie, up to the even one
  CHECK(from_bf16(to_bf16(1 + 0x1p-8f + 0x1p-23f)) == 1 + 0x1p-7f);      // just above a tie
  CHECK(from_bf16(to_bf16(1 + 3 * 0x1p-8f - 0x1p-23f)) == 1 + 0x1p-7f);  // just below one
  CHECK(from_bf16(to_bf16(2 - 0x1p-23f)) == 2);                          // into the next exponent
  CHECK(to_bf16(-0.0f) == 0x8000);
  CHECK(from_bf16(to_bf16(0x1p-149f)) == 0);
  CHECK(from_bf16(to_bf16(0x1p-133f)) == 0x1p-133f);  // the least subnormal bf16
}

TEST_CASE("bf16: infinities and NaNs stay, and the largest floats become infinite") {
  const float infinity = std::numeric_limits<float>::infinity(), largest_bf16 = 0x1.fep127f;
  CHECK(from_bf16(to_bf16(infinity)) == infinity);
  CHECK(from_bf16(to_bf16(-infinity)) == -infinity);
  CHECK(from_bf16(to_bf16(largest_bf16)) == largest_bf16);
  CHECK(from_bf16(to_bf16(0x1.fefffep127f)) == largest_bf16);
  CHECK(from_bf16(to_bf16(0x1.ffp127f)) == infinity);
  CHECK(from_bf16(to_bf16(-std::numeric_limits<float>::max())) == -infinity);
  for (uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xffc00000u, 0xff80ffffu}) {
    const auto nan = std::bit_cast<float>(bits);
    CHECK(std::isnan(from_bf16(to_bf16(nan))));
    CHECK((to_bf16(nan) >> 15) == (bits >> 31));
  }
}

TEST_CASE("bf16: no other bf16 is nearer, and each is its own") {
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; i++) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()) & 0xbfffffff);  // below 2
    const uint16_t got = to_bf16(value);
    const double error = std::abs(double{from_bf16(got)} - value);
    const auto away = static_cast<uint16_t>(got + 1), nearer = static_cast<uint16_t>(got - 1);
    CHECK_MESSAGE(error <= std::abs(double{from_bf16(away)} - value), value);
    if ((got & 0x7fff) > 0) CHECK_MESSAGE(error <= std::abs(double{from_bf16(nearer)} - value), value);
    CHECK(to_bf16(from_bf16(got)) == got);
    CHECK(is_bf16(value) == (from_bf16(got) == value));
  }
}
