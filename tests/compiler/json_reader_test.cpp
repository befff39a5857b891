#include "compiler/json_reader.h"

#include <sys/stat.h>

#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

std::string problem(const std::string& text) {
  return message_of([&] { JsonValue::parse(text, "f.json"); });
}

}  // namespace

TEST_CASE("values come out as written") {
  const JsonValue json = JsonValue::parse(R"({"a": {"b": [1, 2.5, "x\u00e9"]}, "n": null, "1 c": -3})", "f.json");
  const std::vector<JsonValue> items = json.at("a").at("b").items(3, 3);
  CHECK(items[0].integer(0, 9) == 1);
  CHECK(items[0].number(0, 9) == 1.0);
  CHECK(items[1].number(0, 9) == 2.5);
  CHECK(items[2].text() == "xé");
  CHECK(items[2].choice<int>({{"y", 1}, {"xé", 2}}) == 2);
  CHECK(json.at("n").is_null());
  CHECK(json.at("a").at("b").is_array());
  CHECK_FALSE(json.find("c").has_value());
  CHECK(json.at("1 c").integer(-3, -3) == -3);
  CHECK(json.at("1 c").is_number());
  CHECK(items[2].is_text());
  CHECK_FALSE(items[2].is_boolean());
  std::string keys;
  const JsonValue object = JsonValue::parse(R"({"z": {"y": 1}, "a": true, "m b": 3})", "f.json");
  for (const auto& [key, value] : object.members()) keys += key + (value.is_boolean() ? "+" : "-");
  CHECK(keys == "z-a+m b-");
}

TEST_CASE("every refusal names the file, the place and what is wanted") {
  const JsonValue json = JsonValue::parse(
      R"({"i": 3.0, "big": 18446744073709551615, "e": 1e30, "s": "text", "list": [[1], {"k k": 0}], "n": null, "t": true})",
      "models/f.json");
  const auto says = [&](auto&& action) { return message_about("models/f.json", [&] { action(json); }); };
  using J = const JsonValue&;
  CHECK(says([](J j) { j.at("i").integer(0, 9); }) == "i: must be an integer, got 3.0");
  CHECK(says([](J j) { j.at("e").integer(0, 9); }) == "e: must be an integer, got 1e+30");
  CHECK(says([](J j) { j.at("t").integer(0, 9); }) == "t: must be an integer, got true");
  CHECK(says([](J j) { j.at("s").integer(0, 9); }) == "s: must be an integer, got \"text\"");
  CHECK(says([](J j) { j.at("big").integer(0, 9); }) == "big: must be at most 9, got 18446744073709551615");
  CHECK(says([](J j) { j.at("list").items(2, 2)[0].items(1, 1)[0].integer(2, 9); }) ==
        "list[0][0]: must be at least 2, got 1");
  CHECK(says([](J j) { j.at("list").items(2, 2)[1].at("k k").number(0.5, 9); }) ==
        "list[1][\"k k\"]: must be at least 0.5, got 0");
  CHECK(says([](J j) { j.at("i").number(-1, 2.5); }) == "i: must be at most 2.5, got 3.0");
  CHECK(says([](J j) { j.at("n").number(0, 1); }) == "n: must be a number, got null");
  CHECK(says([](J j) { j.at("n").text(); }) == "n: must be a string, got null");
  CHECK(says([](J j) { j.at("n").items(0, 1); }) == "n: must be an array, got null");
  CHECK(says([](J j) { j.at("list").at("x"); }) == "list: must be an object, got an array");
  CHECK(says([](J j) { j.at("list").text(); }) == "list: must be a string, got an array");
  CHECK(says([](J j) { j.text(); }) == "must be a string, got an object");
  CHECK(says([](J j) { j.at("list").items(3, 4); }) == "list: must have 3 to 4 elements, got 2");
  CHECK(says([](J j) { j.at("list").items(3, 3); }) == "list: must have 3 elements, got 2");
  CHECK(says([](J j) { j.at("none"); }) == "none: is required, but missing");
  CHECK(says([](J j) { j.at("none", "; give one"); }) == "none: is required, but missing; give one");
  CHECK(says([](J j) {
          j.at("s").choice<int>({{"a", 0}, {"b", 1}, {"c", 2}});
        }) == "s: must be \"a\", \"b\" or \"c\", got \"text\"");
  CHECK(says([](J j) {
          j.allow_keys({"i", "big", "e", "s", "list"});
        }) == "n: is an unknown key; known here: i, big, e, s, list");
  CHECK(says([](J j) { j.at("list").items(2, 2)[1].allow_keys({"k"}); }) ==
        "list[1][\"k k\"]: is an unknown key; known here: k");
  CHECK(says([](J j) { j.at("s").fail("is wrong"); }) == "s: is wrong");
  CHECK(says([](J j) { j.at("t").fail_wanted("a colour"); }) == "t: must be a colour, got true");
  CHECK(says([](J j) { j.at("n").members(); }) == "n: must be an object, got null");
  CHECK(says([](J j) { j.at("list").items(2, 2)[1].members()[0].second.text(); }) ==
        "list[1][\"k k\"]: must be a string, got 0");
}

TEST_CASE("texts that are no JSON, or worse, are refused") {
  CHECK(problem("{\"a\": [{\"b\": 1, \"c\": 2, \"b\": 3}]}") == "f.json: a[0].b: is given twice");
  CHECK(problem("[0, [{}], {\"x y\": {\"a\": {}, \"a\": 0}}]") == "f.json: [2][\"x y\"].a: is given twice");
  CHECK(problem("{\"a\": 1, \"\\u0061\": 2}") == "f.json: a: is given twice");
  CHECK(problem("{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}") == "");
  CHECK(problem(std::string(64, '[') + std::string(64, ']')) == "");
  CHECK(problem(std::string(65, '[') + std::string(65, ']')) == "f.json: is nested deeper than 64");
  CHECK(problem(std::string(1'000'000, '[')) == "f.json: is nested deeper than 64");
  std::string keys = "{\"a\": {\"0\": 0";
  for (int i = 1; i < 256; i++) keys += ", \"" + std::to_string(i) + "\": 0";
  CHECK(problem(keys + "}}") == "");
  CHECK(problem(keys + ", \"256\": 0}}") == "f.json: a: has more than 256 keys");
  CHECK(problem("{\"" + std::string(130, 'k') + "\": 1, \"" + std::string(130, 'k') + "\": 1}") ==
        "f.json: [\"" + std::string(120, 'k') + "…\"]: is given twice");
  std::string values = "[[0";
  for (int i = 3; i < 2'000'000; i++) values += i % 2 ? ",0" : ",{}";
  CHECK(problem(values + "]]") == "");
  CHECK(problem(values + "],0]") == "f.json: holds more than 2000000 values");
  CHECK(problem(std::string("{}\0{}", 5)) == "f.json: is not JSON: it holds a zero byte");
  CHECK(problem("") ==
        "f.json: is not JSON: parse error at line 1, column 1: syntax error while parsing value - unexpected end of "
        "input; expected '[', '{', or a literal");
  CHECK(problem("{\n  \"a\": 1,\n}") ==
        "f.json: is not JSON: parse error at line 3, column 1: syntax error while parsing object key - unexpected '}'; "
        "expected string literal");
  for (const char* text : {"{} {}", "// c\n{}", "{\"a\": NaN}", "{\"a\": 01}", "{\"a\": 1e999}", "{'a': 1}", "\"\xff\"",
                           "\"\xed\xa0\x80\"", "\"\\ud800\"", "[1,]", "\"\n\""}) {
    CAPTURE(text);
    CHECK(problem(text).starts_with("f.json: is not JSON: "));
    CHECK(is_plain_text(problem(text)));
  }
  CHECK(problem("{\"a\": \"b\xff\"}") ==
        "f.json: is not JSON: parse error at line 1, column 9: syntax error while parsing value - invalid string: "
        "ill-formed UTF-8 byte");
}

TEST_CASE("files that cannot be read are refused") {
  const TemporaryFolder folder;
  const auto says = [](const std::string& path) { return message_about(path, [&] { JsonValue::read(path); }); };
  CHECK(says(folder / "none.json") == "there is no such file");
  CHECK(says(folder.path) == "is a folder");
  const std::string link = folder / "link.json", pipe = folder / "pipe.json";
  std::filesystem::create_symlink("link.json", link);
  CHECK(says(link) == "cannot be opened: Too many levels of symbolic links");
  REQUIRE(mkfifo(std::filesystem::path(pipe).c_str(), 0600) == 0);
  CHECK(says(pipe).starts_with("is not JSON: parse error at line 1, column 1"));  // nobody writes to it
  CHECK(says(folder.write("large.json", "[" + std::string(16 << 20, ' ') + "]")) == "is larger than 16 MB");
  CHECK(says(folder.write("fits.json", "[" + std::string((16 << 20) - 2, ' ') + "]")) == "");
}

TEST_CASE("a quoted text is fit for a message") {
  CHECK(quote("a\"\n\x1b\x7f") == R"("a\"\n\u001b\u007f")");
  CHECK(quote(std::string("\xff\0", 2)) == "\"\xef\xbf\xbd\\u0000\"");
  CHECK(quote(std::string(119, 'x') + "é") == "\"" + std::string(119, 'x') + "…\"");
  CHECK(is_plain_text("Grüße, 猫"));
  CHECK_FALSE(is_plain_text("a\tb"));
  CHECK_FALSE(is_plain_text("\xc3"));
}
