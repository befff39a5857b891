#include "runtime/program/profile_report.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "profile_net.h"

namespace {

using namespace resnetc::program;
using doctest::Approx;
using nlohmann::json;
using resnetc::test::profile_net;
using resnetc::test::profile_of_net;

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) found++;
  return found;
}

}  // namespace

TEST_CASE("profile_report: escapes") {
  CHECK(html_escape("a<b>&\"c'") == "a&lt;b&gt;&amp;&quot;c&#39;");
  CHECK(html_escape("&lt;") == "&amp;lt;");
  CHECK(html_escape("") == "");
  const std::string text = "</script><!-- & \"q\" \\ \n";
  const std::string escaped = script_escape(json(text).dump());
  CHECK(escaped.find('<') == std::string::npos);
  CHECK(json::parse(escaped) == text);
}

TEST_CASE("profile_report: JSON says what the profile says") {
  const rn_description net = profile_net();
  Profile p = profile_of_net(net);
  p.parallel_loops = 4;
  const std::string text = profile_json(p);
  CHECK(count(text, "\n") == 1);
  const json parsed = json::parse(text);
  CHECK(parsed["model"] == "tiny & small");
  CHECK(parsed["threads"] == 3);
  CHECK(parsed["batch"] == 2);
  CHECK(parsed["machine"]["cpu"] == "CPU \"X\"");
  CHECK(parsed["machine"]["peak_gflops"] == 1);
  CHECK(parsed["machine"]["least_peak_gflops"] == 0.5);
  CHECK(parsed["machine"]["readings"] == 6);
  CHECK(parsed["machine"]["note"].get<std::string>().find("6 readings scatter") == 0);
  CHECK(parsed["parallel_loops"] == 4);
  CHECK(parsed["hand_over_ms"].get<double>() == Approx(0.004));
  CHECK(parsed["gflops"].get<double>() == Approx((2304 + 160) / 98e-6 * 1e-9).epsilon(1e-4));
  CHECK(parsed["effective_gflops"].get<double>() == Approx((4608 + 160) / 98e-6 * 1e-9).epsilon(1e-4));
  CHECK(parsed["of_peak"].get<double>() == Approx((2304 + 160) / 98e-6 * 1e-9).epsilon(1e-4));
  CHECK(parsed["kernels"][0]["flop"] == 4608);
  CHECK(parsed["kernels"][0]["executed_flop"] == 2304);
  CHECK(parsed["kernels"][0]["effective_gflops"].get<double>() ==
        Approx(2 * parsed["kernels"][0]["gflops"].get<double>()).epsilon(1e-4));
  CHECK(parsed["inference_ms"].get<double>() == Approx(0.098));
  CHECK(parsed["sum_ms"].get<double>() == Approx(0.1));
  CHECK(parsed["arena_bytes"] == 1152);
  CHECK(parsed["kernels"].size() == 3);
  CHECK(parsed["kernels"][1]["strategy"] == "dense </script>");
  CHECK(parsed["kernels"][0]["median_us"].get<double>() == Approx(50));
  CHECK(parsed["kernels"][0]["bytes"] == 2240);
  CHECK(parsed["steps"][1]["name"] == "layer1.<b>");
  CHECK(parsed["steps"][0]["border_us"].get<double>() == Approx(5));
  CHECK(parsed["tensors"][0]["bytes"] == 576);
  CHECK(parsed["time_line_us"].size() == 8);
}

TEST_CASE("profile_report: text has a line for each step and each kernel") {
  const rn_description net = profile_net();
  Profile profile = profile_of_net(net);
  profile.parallel_loops = 3;
  const std::string text = profile_text(profile);
  for (const char* word : {"layer1.<b>", "layer2", "conv2d_direct oc_vectors=1 pixels=4", "CPU \"X\"",
                           "sum of the medians", "note: 6 readings scatter, peak from 0.5 to 1.0 GFLOP/s:",
                           "0.003 ms    3.00%  of it, about: 3 parallel loops of 1.00 us"})
    CHECK(count(text, word) == 1);
  CHECK(count(text, "conv2d_i4x4x2b1") == 1);
}

TEST_CASE("profile_report: on a device") {
  const rn_description net = profile_net();
  Profile p = profile_of_net(net, machine_peak_of({"GPU <Y>", 1 << 20, 1e9, 100e6}));
  p.together_seconds = 80e-6;
  const json parsed = json::parse(profile_json(p));
  CHECK(parsed["machine"]["device"] == "GPU <Y>");
  CHECK(parsed["machine"]["peak_gflops"] == 1);
  CHECK(parsed["machine"]["memory_gbytes_per_second"].get<double>() == Approx(0.1));
  for (const char* name : {"cpu", "hand_over_us"}) CHECK(!parsed["machine"].contains(name));
  for (const char* name : {"parallel_loops", "hand_over_ms"}) CHECK(!parsed.contains(name));
  CHECK(parsed["inference_ms"].get<double>() == Approx(0.098));
  CHECK(parsed["together_ms"].get<double>() == Approx(0.08));
  // What the net reaches is counted without moving its input and output.
  CHECK(parsed["of_peak"].get<double>() == Approx((2304 + 160) / 80e-6 * 1e-9).epsilon(1e-4));
  const std::string text = profile_text(p), page = profile_html(p);
  for (const char* word : {"GPU <Y>\n", "all kernels in turn", "peak 1.0 GFLOP/s (multiply-add in registers)"})
    CHECK(count(text, word) == 1);
  for (const char* word : {"hand-over", "threads", "borders"}) CHECK(count(text, word) == 0);
  CHECK(count(page, "<Y>") == 0);
}

TEST_CASE("profile_report: no name of the net can break the page") {
  const rn_description net = profile_net();
  const std::string page = profile_html(profile_of_net(net));
  CHECK(page.find("<title>tiny &amp; small: profile</title>") != std::string::npos);
  CHECK(count(page, "</script>") == 2);
  CHECK(count(page, "<b>") == 0);
  const std::string start = "<script type=\"application/json\" id=\"profile\">";
  const std::size_t from = page.find(start) + start.size();
  const json parsed = json::parse(page.substr(from, page.find("</script>", from) - from));
  CHECK(parsed["steps"][1]["name"] == "layer1.<b>");
  CHECK(parsed["kernels"][1]["strategy"] == "dense </script>");
}
