#include "runtime/program/results.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace {

using namespace resnetc::program;

std::vector<ClassProbability> top_of(const std::vector<float>& logits, std::size_t k) {
  std::vector<ClassProbability> top;
  REQUIRE(most_probable(logits.data(), logits.size(), k, &top));
  return top;
}

}  // namespace

TEST_CASE("results: softmax and order") {
  const auto top = top_of({1, 3, 2, 3}, 3);
  REQUIRE(top.size() == 3);
  CHECK(top[0].index == 1);
  CHECK(top[1].index == 3);
  CHECK(top[2].index == 2);
  const double sum = 2 + std::exp(-1) + std::exp(-2);
  CHECK(top[0].probability == doctest::Approx(1 / sum).epsilon(1e-14));
  CHECK(top[2].probability == doctest::Approx(std::exp(-1) / sum).epsilon(1e-14));
}

TEST_CASE("results: large logits do not overflow and all probabilities sum to 1") {
  const auto top = top_of({3e38f, -3e38f, 3e38f}, 9);
  CHECK(top.size() == 3);
  CHECK(top[0].probability == 0.5);
  CHECK(top[2].probability == 0);
}

TEST_CASE("results: values that are not finite are no result") {
  std::vector<ClassProbability> top;
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const float logits[] = {1, bad};
    CHECK(!most_probable(logits, 2, 1, &top));
  }
}

TEST_CASE("results: text") {
  const char* const labels[] = {"tabby cat", "dog"};
  CHECK(text_result("a/b.jpg", {{1, 0.9876}, {0, 0.0124}}, labels) ==
        "a/b.jpg\n    1.  98.76 %  dog\n    2.   1.24 %  tabby cat\n");
  CHECK(text_result("b", {{7, 1}}, nullptr) == "b\n    1. 100.00 %  class 7\n");
}

TEST_CASE("results: JSON is read back as it was meant") {
  const char* const labels[] = {"a \"quoted\" \\ label\n", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x88"};
  const auto parsed = nlohmann::json::parse(json_result("x\ty.jpg", {{1, 0.75}, {0, 0.25}}, labels));
  CHECK(parsed["file"] == "x\ty.jpg");
  CHECK(parsed["top"].size() == 2);
  CHECK(parsed["top"][0]["index"] == 1);
  CHECK(parsed["top"][0]["label"] == labels[1]);
  CHECK(parsed["top"][0]["probability"] == 0.75);
  CHECK(parsed["top"][1]["label"] == labels[0]);
  CHECK(nlohmann::json::parse(json_result("x", {{0, 1}}, nullptr))["top"][0]["label"].is_null());
  CHECK(nlohmann::json::parse(json_result("x", {}, nullptr))["top"].empty());
  const auto error = nlohmann::json::parse(json_error("x", "is empty"));
  CHECK(error == nlohmann::json({{"file", "x"}, {"error", "is empty"}}));
}

TEST_CASE("results: any bytes become a JSON string") {
  for (int first = 0; first < 256; first++) {
    for (int second = 0; second < 256; second += 5) {
      for (const char* rest : {"", "\x80", "\x80\x80", "z\xBF"}) {
        const std::string text = std::string(1, static_cast<char>(first)) + static_cast<char>(second) + rest;
        CAPTURE(first);
        CAPTURE(second);
        REQUIRE(nlohmann::json::accept(json_string(text)));
      }
    }
  }
  CHECK(json_string("a\xFF"
                    "b") ==
        "\"a\xEF\xBF\xBD"
        "b\"");
}
