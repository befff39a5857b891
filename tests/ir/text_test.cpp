#include "ir/text.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <sstream>

#include "tests/support/random_graph.h"

using namespace resnetc;

namespace {

// Each op, and each attribute in each of its forms.
const std::string ops = R"x(graph ops {
  %x = input : f32[n,8,8,2]
  %0 = weight "s" : f32[2]
  %w = weight "w" : f32[2,1,1,2]
  %bn = batch_norm(%x, %0, %0, %0, %0) : f32[n,8,8,2] border=1
  %bn.2 = batch_norm(%bn, %0, %0, %0, %0) epsilon=0.001 : f32[n,8,8,2]
  %scaled = scale_shift(%bn.2, %0, %0) : f32[n,8,8,2]
  %scaled-relu = scale_shift(%scaled, %0, %0) relu=1 : f32[n,8,8,2]
  %relu6 = relu(%scaled-relu) maximum=6 : f32[n,8,8,2]
  %relu = relu(%relu6) : f32[n,8,8,2]
  %conv = conv2d(%relu, %w, %0) | add(%x) | relu maximum=6 | add(%bn) | relu : f32[n,8,8,2]
  %kernel = weight "a \"quoted\" name\\ \x0a\x7f é" sha256=00ff : bf16[4,3,2,1]
  %wide = conv2d(%x, %kernel) stride=[2,3] dilation=[2,1] padding=[1,2,3,0] groups=2 : f32[n,4,3,4] border=[1,2,3,0]
  %mixed = conv2d(%wide, %kernel) padding=1 groups=4 interleave=2 : f32[n,4,4,4]
  %b = weight "" : f32[4]
  %half = conv2d(%x, %kernel, %b) stride=2 padding=[1,0,1,1] groups=2 | add(%x) subsample=2 channels_before=1 : f32[n,4,4,4]
  %pool = max_pool(%conv) kernel=3 stride=2 padding=1 : f32[n,4,4,2]
  %sum = add(%pool, %conv) subsample=2 : f32[n,4,4,2]
  %stem = conv2d(%x, %w, %0) | relu | max_pool kernel=[2,1] stride=[2,1] padding=[1,0,0,0] : f32[n,4,8,2]
  %mean = average_pool(%wide) kernel=[2,3] stride=2 padding=[0,1,1,1] : f32[n,2,2,4] border=1
  %average = global_average_pool(%sum) : f32[n,2]
  %fc = weight "fc" : f32[3,2]
  %logits = dense(%average, %fc) : f32[n,3]
  %logits2 = dense(%stem, %fc) global_average=1 : f32[n,3]
  %total = add(%logits, %logits2) : f32[n,3]
  %map = output(%sum) : f32[n,4,4,2]
  return %total, %map
}
)x";

const std::string head = "graph g {\n  %x = input : f32[n,4,4,2]\n  %w = weight \"w\" : f32[2,1,1,2]\n";

struct ErrorCase {
  std::string text;
  std::string message;
};

std::string message_of(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

template <size_t I = 0>
void check_every_op_is_in(const std::string& text) {
  if constexpr (I < std::variant_size_v<Op>) {
    const std::string name(std::variant_alternative_t<I, Op>::op_name);
    CHECK_MESSAGE(text.find("= " + name) != std::string::npos, name);
    check_every_op_is_in<I + 1>(text);
  }
}

// Text from a file is either a graph that prints and parses to itself, or an Error that names a line.
void check_hostile(const std::string& text) {
  INFO(text);
  try {
    const Graph graph = parse(text);
    CHECK(parse(print(graph)) == graph);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).starts_with("line "));
  }
}

}  // namespace

TEST_CASE("text: print is the inverse of parse, to the character") {
  CHECK(print(parse(ops)) == ops);
  check_every_op_is_in(ops);
}

TEST_CASE("text: a string holds any byte") {
  std::string bytes;
  for (int c = 0; c < 256; c++) bytes += static_cast<char>(c);
  Builder builder("g");
  const Value x = builder.input("x", image_type(1, 1, 1));
  const Value w = builder.weight("w", {bytes, "", nullptr}, weight_type({1, 1, 1, 1}));
  const Value y = builder.add("y", Conv2d{}, {x, w});
  const Graph graph = std::move(builder).finish({y});
  CHECK(parse(print(graph)) == graph);
}

TEST_CASE("text: blanks and comments mean nothing") {
  const Graph graph = parse(head + "  %y = conv2d(%x, %w) padding=[1,1,1,1] groups=1 : f32[n,6,6,2]\n  return %y\n}\n");
  const Graph same = parse(
      "# a comment { %\r\ngraph\tg{%x=input:f32[ n , 4,4,2 ]#\n\n%w = weight \"w\":f32[2,1,1,2]\n"
      "%y = conv2d ( %x,%w )\n padding = 1 # }\n : f32[n,6,6,2] return %y } # end");
  CHECK(same == graph);
}

TEST_CASE("text: an error names the line and the matter") {
  const std::vector<ErrorCase> cases = {
      {"", "line 1: expected a name before the end"},
      {"graph", "line 1: expected a name before the end"},
      {"net g {", "line 1: expected 'graph', got 'net'"},
      {"graph g", "line 1: expected '{' before the end"},
      {"graph g { return %x }", "line 1: %x is not defined before its use"},
      {"graph g {\n}", "line 2: expected a name before '}'"},
      {head + "  return %x", "line 4: expected '}' before the end"},
      {head + "  return %x\n}\n}", "line 6: nothing may follow the graph"},
      {head + "  return %x,\n}", "line 5: expected '%' before '}'"},
      {head + "  return %w\n}", "line 5: graph g: an output must be an activation that is defined"},
      {"graph g {\n  %w = weight \"w\" : f32[2]\n  return %w\n}", "line 4: graph g: must have one input, has 0"},
      {head + "  %x2 = input : f32[n,4,4,2]\n  return %x\n}", "line 6: graph g: must have one input, has 2"},
      {head + "  %x = relu(%x) : f32[n,4,4,2]\n  return %x\n}", "line 4: %x is defined twice"},
      {head + "  %y = relu(%y) : f32[n,4,4,2]\n\n\n  return %y\n}", "line 4: %y is not defined before its use"},
      {head + "  %y = relu() : f32[n,4,4,2]", "line 4: expected '%' before ') : f32[n,4,'"},
      {head + "  %y = relu(%x, %x) : f32[n,4,4,2]", "line 4: node %y: relu: takes 1 operand, got 2"},
      {head + "  %y = relu(%x) : f32[n,4,4,3]\n  return %y\n}",
       "line 4: node %y: is f32[n,4,4,3], but its operands make it f32[n,4,4,2]"},
      {head + "  %y = relu(%x) alpha=1 : f32[n,4,4,2]", "line 4: relu has no attribute 'alpha'"},
      {head + "  %y = tanh(%x) : f32[n,4,4,2]", "line 4: there is no op 'tanh'"},
      {head + "  %y = " + std::string(5000, 'a') + "(%x) : f32[n,4,4,2]",
       "line 4: there is no op '" + std::string(100, 'a') + "...'"},
      {head + "  %y = relu(%w) : f32[n,4,4,2]",
       "line 4: node %y: relu: operand must be an activation, got f32[2,1,1,2]"},
      {head + "  %y relu(%x) : f32[n,4,4,2]", "line 4: expected '=' before 'relu(%x) : f'"},
      {head + "  % = relu(%x) : f32[n,4,4,2]", "line 4: expected a name before '= relu(%x) :'"},
      {head + "  %y = relu(%x) : f16[n,4,4,2]", "line 4: expected 'f32' or 'bf16', got 'f16'"},
      {head + "  %y = relu(%x) : f32[]", "line 4: expected a number before ']'"},
      {head + "  %y = relu(%x) : f32[4,n]", "line 4: expected a number before 'n]'"},
      {head + "  %y = relu(%x) : f32[n,-4,4,2]", "line 4: a negative number has no place here"},
      {head + "  %y = relu(%x) : f32[n,0,4,2]", "line 4: node %y: dimensions must be at least 1, got f32[n,0,4,2]"},
      {head + "  %y = relu(%x) : f32[n,4,4,2", "line 4: expected ']' before the end"},
      {head + "  %y = relu(%x) : f32[n,4,4,99999999999]", "line 4: the number at '99999999999]' is out of range"},
      {head + "  %y = relu(%x) : f32[n,4,4,2] border=-1", "line 4: node %y: a border must not be negative"},
      {head + "  %y = relu(%x) : f32[n,4,4,2] border=[1,1]", "line 4: expected [top,left,bottom,right]"},
      {head + "  %y = relu(%x) : f32[n,4,4,2] border=[1,1,-1,1]", "line 4: a negative number has no place here"},
      {head + "  %y = relu(%x) : f32[n,4,4,2] border=2147483647",
       "line 4: node %y: f32[n,4,4,2] border=2147483647 has more than 2^31 - 1 elements"},
      {head + "  %v = weight \"v\" : f32[2] border=1", "line 4: node %v: only an image may have a border"},
      {head + "  %v = weight \"v\" : f32[n,2]", "line 4: node %v: a weight has no batch and no operands"},
      {head + "  %v = weight \"v\" : f32[65536,65536]",
       "line 4: node %v: f32[65536,65536] has more than 2^31 - 1 elements"},
      {head + "  %v = weight \"v : f32[2]\n\" : f32[2]", "line 4: a string ends on its line"},
      {head + "  %v = weight \"\\q\" : f32[2]", "line 4: bad escape"},
      {head + "  %v = weight \"\\x0g\" : f32[2]", "line 4: bad escape"},
      {head + "  %v = weight v : f32[2]", "line 4: expected '\"' before 'v : f32[2]'"},
      {head + "  %y = conv2d(%x, %w) stride=[1,2,3] : f32[n,4,4,2]", "line 4: expected [height,width]"},
      {head + "  %y = conv2d(%x, %w) stride=0 : f32[n,4,4,2]",
       "line 4: node %y: conv2d: kernel, stride and dilation must be at least 1"},
      {head + "  %y = conv2d(%x, %w) stride=[1 : f32[n,4,4,2]", "line 4: expected ']' before ': f32[n,4,4,'"},
      {head + "  %y = conv2d(%x, %w) padding=[1,2] : f32[n,4,4,2]", "line 4: expected [top,left,bottom,right]"},
      {head + "  %y = conv2d(%x, %w) padding=2147483647 : f32[n,4,4,2]",
       "line 4: node %y: conv2d: height 4 padded by 2147483647 and 2147483647 is too large"},
      {head + "  %y = conv2d(%x, %w) groups=3 : f32[n,4,4,2]",
       "line 4: node %y: conv2d: groups=3 must divide 2 input and 2 output channels"},
      {head + "  %y = conv2d(%x, %w) | relu : f32[n,4,4,2]", "line 4: node %y: conv2d: takes 3 operands, got 2"},
      {head + "  %y = conv2d(%x, %w) | dense : f32[n,4,4,2]", "line 4: 'dense' cannot follow a convolution"},
      {head + "  %y = conv2d(%x, %w) | add : f32[n,4,4,2]", "line 4: expected '(' before ': f32[n,4,4,'"},
      {head + "  %y = conv2d(%x, %w) | add(%x) stride=2 : f32[n,4,4,2]", "line 4: add has no attribute 'stride'"},
      {head + "  %y = max_pool(%x) kernel=9 : f32[n,4,4,2]",
       "line 4: node %y: max_pool: kernel 9 (dilation 1) does not fit height 4 padded by 0 and 0; make the input "
       "larger or the kernel smaller"},
      {head + "  %y = average_pool(%x) kernel=2 padding=2 : f32[n,4,4,2]",
       "line 4: node %y: average_pool: padding must be smaller than the kernel"},
      {head + "  %y = conv2d(%x, %w) | average_pool : f32[n,4,4,2]",
       "line 4: 'average_pool' cannot follow a convolution"},
      {head + "  %y = scale_shift(%x, %w, %w) relu=2 : f32[n,4,4,2]", "line 4: expected 0 or 1"},
      {head + "  %y = batch_norm(%x, %w, %w, %w, %w) epsilon=1e999 : f32[n,4,4,2]",
       "line 4: the number at '1e999 : f32[' is out of range"},
      {head + "  %y = batch_norm(%x, %w, %w, %w, %w) epsilon=x : f32[n,4,4,2]",
       "line 4: expected a number before 'x : f32[n,4,'"},
      {head + "  %y\x01\xff = relu(%x) : f32[n,4,4,2]", "line 4: expected '=' before '?? = relu(%x'"},
      {head + std::string("\0", 1), "line 4: expected a name before '?'"},
  };
  for (const ErrorCase& c : cases) {
    INFO(c.text);
    CHECK(message_of(c.text) == c.message);
  }
}

TEST_CASE("text: cut or mutated text is refused or round-trips") {
  for (size_t length = 0; length < ops.size(); length++) check_hostile(ops.substr(0, length));
  std::vector<std::string> pieces;
  std::istringstream words(
      "[ ] ( ) { } , = : | % \" # \n - 0 1 2147483647 -2147483648 9999999999999999999999 1e999 n nan %x %bn relu add "
      "border=1 padding=2147483647 stride=0 stride=2147483647 groups=0 groups=-1 interleave=0 interleave=-1 "
      "dilation=2147483647 kernel=-1 f32[n,2147483647,2147483647,1] f32[n,1,1,1,1]");
  for (std::string word; std::getline(words, word, ' ');) pieces.push_back(word);
  const auto limit = std::chrono::milliseconds(std::getenv("RESNETC_LONG_TESTS") ? 20'000 : 300);
  const auto start = std::chrono::steady_clock::now();
  std::mt19937 random(1);
  for (unsigned seed = 0; seed < 20 || std::chrono::steady_clock::now() - start < limit; seed++) {
    CAPTURE(seed);
    std::string text = seed % 2 ? ops : print(random_graph(seed));
    for (unsigned edits = 1 + random() % 3; edits > 0; edits--) {
      const size_t at = random() % text.size(), length = random() % 4;
      const std::string& piece = pieces[random() % pieces.size()];
      if (random() % 2) {
        text.replace(at, length, piece);
      } else {
        text[at] = static_cast<char>(random() % 256);
      }
    }
    check_hostile(text);
  }
}
