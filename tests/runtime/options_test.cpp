#include "runtime/program/options.h"

#include <doctest/doctest.h>

namespace {

using resnetc::program::Command;
using resnetc::program::help_text;
using resnetc::program::Options;
using resnetc::program::parse_options;

std::string problem(const std::vector<std::string>& arguments) {
  try {
    parse_options(arguments);
  } catch (const resnetc::program::UsageError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("options: values stand in the next argument or behind '='") {
  const Options options = parse_options({"--top", "3", "a.jpg", "--batch=8", "--threads", "2", "--json", "b.png",
                                         "--output=y.npy", "--dump-input", "x=1.npy"});
  CHECK(options.command == Command::run);
  CHECK(options.top == 3);
  CHECK(options.batch == 8);
  CHECK(options.threads == 2);
  CHECK(options.json);
  CHECK(options.output == "y.npy");
  CHECK(options.dump_input == "x=1.npy");
  CHECK(options.images == std::vector<std::string>{"a.jpg", "b.png"});
}

TEST_CASE("options: defaults") {
  const Options options = parse_options({"a.jpg"});
  CHECK(options.top == 5);
  CHECK(options.batch == 1);
  CHECK(options.threads == 0);
  CHECK(!options.json);
}

TEST_CASE("options: behind -- all are images") {
  CHECK(parse_options({"--", "--json", "-"}).images == std::vector<std::string>{"--json", "-"});
}

TEST_CASE("options: what needs no image") {
  CHECK(parse_options({"--info"}).command == Command::info);
  CHECK(parse_options({"--self-test", "--batch", "3"}).command == Command::self_test);
  CHECK(parse_options({"--licences"}).command == Command::licences);
  CHECK(parse_options({"--version"}).command == Command::version);
  CHECK(parse_options({"--json", "--benchmark", "2.5"}).benchmark_seconds == 2.5);
  CHECK(parse_options({"--profile"}).command == Command::profile);
  CHECK(parse_options({"--info", "a.jpg", "--help"}).command == Command::help);
  CHECK(parse_options({"--input", "x.npy"}).input == "x.npy");
}

TEST_CASE("options: the seconds of --profile may be left out") {
  CHECK(parse_options({"--profile"}).profile_seconds == 3);
  CHECK(parse_options({"--profile", "0.5"}).profile_seconds == 0.5);
  CHECK(parse_options({"--profile=7", "--json"}).profile_seconds == 7);
  const Options options = parse_options({"--profile", "--html", "x.html", "--threads", "1"});
  CHECK(options.profile_seconds == 3);
  CHECK(options.html == "x.html");
  CHECK(options.threads == 1);
  for (const char* text : {"0", ".", "1.2.3"}) {
    CHECK(problem({"--profile", text}) ==
          "--profile takes a number of seconds above 0, not \"" + std::string(text) + "\"");
  }
  CHECK(problem({"--profile="}) == "--profile takes a number of seconds above 0, not \"\"");
}

TEST_CASE("options: wrong usage is named") {
  CHECK(problem({}) == "no images; --help lists what can be done without");
  CHECK(problem({"--in", "x.npy"}) == "unknown option --in");
  CHECK(problem({"-j"}) == "unknown option -j");
  CHECK(problem({"a.jpg", "--top"}) == "--top needs a value: --top K");
  CHECK(problem({"--json=yes", "a.jpg"}) == "--json takes no value");
  CHECK(problem({"--output=", "a.jpg"}) == "--output needs the name of a file");
  CHECK(problem({"--info", "a.jpg"}) ==
        "--info, --self-test, --benchmark, --profile, --licences and --version take no files");
  CHECK(problem({"--profile", "a.jpg"}) ==
        "--info, --self-test, --benchmark, --profile, --licences and --version take no files");
  CHECK(problem({"--html", "x.html", "a.jpg"}) == "--html goes with --profile");
  CHECK(problem({"--benchmark", "1", "--html", "x.html"}) == "--html goes with --profile");
  CHECK(problem({"--profile", "--html="}) == "--html needs the name of a file");
  CHECK(problem({"--info", "--self-test"}) == "--self-test goes with no other task");
  CHECK(problem({"--info", "--json"}) == "--json goes with images, --input, --benchmark and --profile");
  CHECK(problem({"--input", "x.npy", "a.jpg"}) == "--input and images exclude each other");
  CHECK(problem({"--input", "x.npy", "--dump-input", "z.npy"}) == "--dump-input goes with images, not with --input");
  CHECK(problem({"a.jpg", "--output", "z.npy", "--dump-input", "z.npy"}) ==
        "--output and --dump-input are the same file");
}

TEST_CASE("options: a device is chosen where there is one to choose") {
  CHECK(parse_options({"--device", "3", "a.jpg"}, true).device == 3);
  CHECK(parse_options({"--fallback", "cpu", "a.jpg"}, true, true).fallback);
  CHECK(!parse_options({"a.jpg"}, true, true).fallback);
  CHECK_THROWS_WITH_AS(parse_options({"--fallback", "gpu", "a.jpg"}, true, true), "--fallback takes cpu, nothing else",
                       resnetc::program::UsageError);
  CHECK_THROWS_WITH_AS(parse_options({"--fallback", "cpu"}, true),
                       "--fallback: this program has no kernels for the CPU; compile it with --fallback cpu",
                       resnetc::program::UsageError);
  CHECK_THROWS_WITH_AS(parse_options({"--fallback", "cpu"}), "unknown option --fallback", resnetc::program::UsageError);
  CHECK(help_text("net", true, true).find("--fallback cpu") != std::string::npos);
  CHECK(help_text("net", true).find("--fallback") == std::string::npos);
  CHECK(parse_options({"--list-devices"}, true).command == Command::list_devices);
  CHECK(parse_options({"--profile", "2", "--html", "a.html", "--device", "1"}, true).profile_seconds == 2);
  CHECK(help_text("net", true).find("--device N") != std::string::npos);
  CHECK(help_text("net", true).find("measured on the device") != std::string::npos);
  CHECK(help_text("net").find("--device N") == std::string::npos);
  CHECK(problem({"--device", "3", "a.jpg"}) == "unknown option --device");
  CHECK(problem({"--list-devices"}) == "unknown option --list-devices");
}

TEST_CASE("options: numbers have ranges") {
  for (const char* text : {"", "0", "-1", "+1", " 1", "1x", "65537", "99999999999999999999", "1e2"}) {
    CHECK(problem({"--batch", text, "a.jpg"}) ==
          "--batch takes a number from 1 to 65536, not \"" + std::string(text) + "\"");
  }
  for (const char* text : {"", "0", "-1", "nan", "inf", "0x10", "1e400", "."}) {
    CHECK(problem({"--benchmark", text}) ==
          "--benchmark takes a number of seconds above 0, not \"" + std::string(text) + "\"");
  }
}
