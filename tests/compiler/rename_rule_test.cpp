// GCC 12 believes it of std::regex when sanitizers are on.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include "compiler/rename_rule.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <regex>

using namespace resnetc;

namespace {

std::string renamed(const std::string& pattern, const std::string& replacement, const std::string& name) {
  int64_t steps = 1'000'000;
  return RenameRule(pattern, replacement).apply(name, steps).value();
}

std::string problem(const std::string& pattern, const std::string& replacement = "") {
  try {
    RenameRule(pattern, replacement);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "";
}

// As ECMAScript's replace with a global expression does it, on std::regex.
std::string oracle(const std::string& pattern, const std::string& replacement, const std::string& name) {
  const std::regex regex(pattern, std::regex::ECMAScript);
  std::string result;
  size_t from = 0;
  while (from <= name.size()) {
    std::smatch match;
    const auto flags = from > 0 ? std::regex_constants::match_not_bol | std::regex_constants::match_prev_avail
                                : std::regex_constants::match_default;
    const auto start = name.begin() + static_cast<std::ptrdiff_t>(from);
    if (!std::regex_search(start, name.end(), match, regex, flags)) break;
    const auto begin = static_cast<size_t>(match[0].first - name.begin());
    result += name.substr(from, begin - from) + match.format(replacement);
    from = begin + static_cast<size_t>(match[0].length());
    if (match[0].length() > 0) continue;
    if (from < name.size()) result += name[from];
    from++;
  }
  return from < name.size() ? result + name.substr(from) : result;
}

class PatternMaker {
 public:
  explicit PatternMaker(unsigned seed) : random_(seed) {}

  // What is inside of a repeat is never empty and has no group that counts: there std::regex leaves ECMAScript.
  std::string sequence(int depth, bool repeated) {
    std::string result;
    for (int items = pick(1, 3); items > 0; items--) result += item(depth, repeated);
    if (pick(0, 5) == 0) result += "|" + item(depth, repeated);
    return result;
  }
  std::string name() {
    std::string result;
    for (int length = pick(0, 12); length > 0; length--) result += "ab1_."[pick(0, 4)];
    return result;
  }
  int groups() const { return groups_; }

 private:
  std::mt19937 random_;
  int groups_ = 0;

  int pick(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }

  std::string item(int depth, bool repeated) {
    static const char* const repeats[] = {"+", "+?", "*", "?", "*?", "??"};
    const bool repeats_now = pick(0, 2) == 0;
    const std::string one = atom(depth, repeated || repeats_now);
    return repeats_now && one != "^" && one != "$" ? one + repeats[pick(0, repeated ? 1 : 5)] : one;
  }

  std::string atom(int depth, bool repeated) {
    static const char* const plain[] = {"a", "b",    "1",    "_",      "\\.",     ".",   "\\d",  "\\D", "\\w", "\\W",
                                        "a", "[ab]", "[^a]", "[a-b_]", "[^\\d.]", "\\s", "[-1]", "\\.", "^",   "$"};
    if (depth == 0 || pick(0, 3) > 0) return plain[pick(0, repeated ? 17 : 19)];
    if (!repeated && groups_ < 9) {
      groups_++;
      return "(" + sequence(depth - 1, repeated) + ")";
    }
    return "(?:" + sequence(depth - 1, repeated) + ")";
  }
};

}  // namespace

TEST_CASE("every match is replaced") {
  CHECK(renamed("stage_", "layer", "stage_1.0.conv_1.weight") == "layer1.0.conv_1.weight");
  CHECK(renamed("_", "", "a_b_c") == "abc");
  CHECK(renamed("conv_(\\d)", "conv$1", "stage_1.0.conv_2.weight") == "stage_1.0.conv2.weight");
  CHECK(renamed("^(?:module|net)\\.", "", "net.module.x") == "module.x");
  CHECK(renamed("x", "y", "abc") == "abc");
  CHECK(renamed("", "-", "ab") == "-a-b-");
  CHECK(renamed("x*", "-", "axb") == "-a--b-");
  CHECK(renamed("$", ".end", "ab") == "ab.end");
  CHECK(renamed("^", "module.", "ab") == "module.ab");
  CHECK(renamed("(a)|(b)", "[$1$2$&$$]", "abc") == "[aa$][bb$]c");
  CHECK(renamed("a|ab", "-", "ab") == "-b");
  CHECK(renamed("(a+?)(a*)", "$2.$1", "aaa") == "aa.a");
  CHECK(renamed("[^a-c\\]]", "-", "abcde]") == "abc--]");
  CHECK(renamed("[a-]", "x", "a-b") == "xxb");
  CHECK(renamed("\\(\\)\\[\\]\\{\\}\\\\\\/", "ok", "()[]{}\\/") == "ok");
  CHECK(renamed("]", "x", "a]") == "ax");
  CHECK(renamed("é", "e", "café") == "cafe");
  CHECK(renamed("(?:)*b", "x", "ab") == "ax");
}

TEST_CASE("patterns that are not understood are refused with their place") {
  const auto at = [](int character, const std::string& what) {
    return "character " + std::to_string(character) + " of the pattern: " + what;
  };
  const std::string counted = "counted repeats are not known here: write the piece out, or \\{ for the character";
  CHECK(problem("a(b") == at(2, "this '(' is never closed"));
  CHECK(problem("((a)") == at(1, "this '(' is never closed"));
  CHECK(problem("a)b") == at(2, "this ')' closes nothing"));
  CHECK(problem("a[b") == at(2, "this '[' is never closed"));
  CHECK(problem("a[b\\") == at(5, "a '\\' must have a character behind it"));
  CHECK(problem("[]") == at(3, "these brackets hold nothing"));
  CHECK(problem("[b-a]") == at(5, "this range runs backwards"));
  CHECK(problem("[\\d-a]") == at(6, "a range is from one character to another"));
  CHECK(problem("[é]") == at(2, "only ASCII characters may stand in brackets"));
  CHECK(problem("*a") == at(1, "there is nothing to repeat"));
  CHECK(problem("a|+") == at(3, "there is nothing to repeat"));
  CHECK(problem("a**") == at(3, "there is nothing to repeat"));
  CHECK(problem("^*") == at(2, "there is nothing to repeat"));
  CHECK(problem("a{2}") == at(2, counted));
  CHECK(problem("{") == at(1, counted));
  CHECK(problem("a\\") == at(3, "a '\\' must have a character behind it"));
  CHECK(problem("(a)\\1") == at(5, "back-references are not known here"));
  CHECK(problem("a\\b") == at(3, "\\b is not known here"));
  CHECK(problem("(?=a)") == at(3, "of all that begins with (? only (?: is known here"));
  CHECK(problem("(?") == at(3, "of all that begins with (? only (?: is known here"));
  CHECK(problem("()()()()()()()()()") == "");
  CHECK(problem("()()()()()()()()()()") == at(20, "there are more than 9 groups; (?: ) groups without counting"));
  CHECK(problem("(a)", "$1$&$$") == "");
  CHECK(problem("(a)", "$2") == "the replacement: $2 stands for a group, but the pattern has 1");
  for (const char* bad : {"$", "a$", "$0", "$x", "$$$"})
    CHECK(problem("a", bad) == "the replacement: a '$' must have a digit from 1 to 9, '&' or another '$' behind it");
}

TEST_CASE("random patterns replace what std::regex replaces") {
  const auto limit = std::chrono::milliseconds(std::getenv("RESNETC_LONG_TESTS") ? 20'000 : 500);
  const auto start = std::chrono::steady_clock::now();
  int changed = 0;
  unsigned seed = 0;
  for (; seed < 200 || std::chrono::steady_clock::now() - start < limit; seed++) {
    PatternMaker maker(seed);
    const std::string pattern = maker.sequence(3, false);
    std::string replacement = "<$&";
    for (int g = 1; g <= maker.groups(); g++) replacement += ":$" + std::to_string(g);
    for (int i = 0; i < 10; i++) {
      const std::string name = maker.name();
      CAPTURE(seed);
      CAPTURE(pattern);
      CAPTURE(name);
      const std::string wanted = oracle(pattern, replacement, name);
      REQUIRE(renamed(pattern, replacement, name) == wanted);
      changed += wanted != name;
    }
  }
  CHECK(changed > 200);
}

TEST_CASE("patterns that would keep std::regex busy for ages take a moment") {
  const std::string name(512, 'a');
  std::string optional;  // a?a?a?…aaa…
  for (int i = 0; i < 60; i++) optional += "a?";
  for (int i = 0; i < 60; i++) optional += "a";
  for (const std::string& pattern : {std::string("(a+)+$b"), std::string("(?:a|aa|a*)*b"), optional + "b",
                                     std::string("((a*)*)*b"), std::string(".*.*.*.*.*.*.*.*b")}) {
    CAPTURE(pattern);
    int64_t steps = int64_t{1} << 40;
    CHECK(RenameRule(pattern, "").apply(name, steps) == name);
    // Each instruction at most once for each character.
    CHECK((int64_t{1} << 40) - steps < 513 * 250);
  }
  int64_t steps = 100;
  CHECK_FALSE(RenameRule("(a+)+b", "").apply(name, steps).has_value());
}
