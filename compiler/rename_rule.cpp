#include "compiler/rename_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace resnetc {
namespace {

constexpr int most_groups = 9;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::bitset<256> only(char c) {
  return std::bitset<256>().set(static_cast<unsigned char>(c));
}

template <class Predicate>
std::bitset<256> all(const Predicate& holds) {
  std::bitset<256> result;
  for (size_t c = 0; c < 256; c++) result.set(c, holds(static_cast<char>(c)));
  return result;
}

}  // namespace

// Recursive descent; each function returns the program of what it read. Jumps are relative, so that programs can be
// joined as they are.
class RenameRule::Parser {
 public:
  explicit Parser(std::string_view source) : source_(source) {}

  Program pattern() {
    Program program = group(0, alternatives());
    if (at_ < source_.size()) fail("this ')' closes nothing");
    program.push_back({Instruction::match});
    return program;
  }
  int groups() const { return groups_; }

 private:
  std::string_view source_;
  size_t at_ = 0;
  int groups_ = 0;

  [[noreturn]] void fail(std::string_view what) const {
    throw std::invalid_argument(
        fmt::format("character {} of the pattern: {}", std::min(at_, source_.size()) + 1, what));
  }
  char peek() const { return at_ < source_.size() ? source_[at_] : '\0'; }
  bool accept(char c) {
    if (at_ >= source_.size() || source_[at_] != c) return false;
    at_++;
    return true;
  }

  static int length(const Program& program) { return static_cast<int>(program.size()); }
  static Program joined(std::initializer_list<Program> parts) {
    Program result;
    for (const Program& part : parts) result.insert(result.end(), part.begin(), part.end());
    return result;
  }
  static Program group(int index, const Program& inner) {
    return joined({{{Instruction::save, 2 * index}}, inner, {{Instruction::save, 2 * index + 1}}});
  }

  Program alternatives() {
    Program result = sequence();
    while (accept('|')) {
      const Program other = sequence();
      result = joined(
          {{{Instruction::split, 1, length(result) + 2}}, result, {{Instruction::jump, length(other) + 1}}, other});
    }
    return result;
  }

  Program sequence() {
    Program result;
    while (at_ < source_.size() && peek() != '|' && peek() != ')') result = joined({result, repeated()});
    return result;
  }

  Program repeated() {
    const bool is_assertion = peek() == '^' || peek() == '$';
    Program one = atom();
    const char repeat = peek();
    if (repeat == '{') fail("counted repeats are not known here: write the piece out, or \\{ for the character");
    if (repeat != '*' && repeat != '+' && repeat != '?') return one;
    if (is_assertion) fail("there is nothing to repeat");
    at_++;
    const bool lazy = accept('?');
    const auto choice = [&](int more, int leave) {
      return Program{{Instruction::split, lazy ? leave : more, lazy ? more : leave}};
    };
    if (repeat == '+') return joined({one, choice(-length(one), 1)});
    if (repeat == '?') return joined({choice(1, length(one) + 1), one});
    return joined({choice(1, length(one) + 2), one, {{Instruction::jump, -length(one) - 1}}});
  }

  Program atom() {
    const char c = peek();
    switch (c) {
      case '(':
        return parenthesis();
      case '*':
      case '+':
      case '?':
        fail("there is nothing to repeat");
      case '{':
      case '}':
        fail("counted repeats are not known here: write the piece out, or \\{ for the character");
      case '[':
        return characters(bracket());
      case '\\':
        return characters(escape());
      default:
        break;
    }
    at_++;
    if (c == '^') return {{Instruction::start}};
    if (c == '$') return {{Instruction::end}};
    return characters(c == '.' ? all([](char d) { return d != '\n' && d != '\r'; }) : only(c));
  }

  static Program characters(const std::bitset<256>& set) { return {{Instruction::character, 0, 0, set}}; }

  Program parenthesis() {
    const size_t opened = at_++;
    int index = 0;
    if (accept('?')) {
      if (!accept(':')) fail("of all that begins with (? only (?: is known here");
    } else if (index = ++groups_; index > most_groups) {
      fail(fmt::format("there are more than {} groups; (?: ) groups without counting", most_groups));
    }
    const Program inner = alternatives();
    if (!accept(')')) {
      at_ = opened;
      fail("this '(' is never closed");
    }
    return index > 0 ? group(index, inner) : inner;
  }

  std::bitset<256> escape() {
    at_++;
    const char c = peek();
    if (at_ >= source_.size()) fail("a '\\' must have a character behind it");
    if (is_digit(c)) fail("back-references are not known here");
    const auto set = [&]() -> std::bitset<256> {
      switch (c) {
        case 'd':
        case 'D':
          return all(is_digit);
        case 'w':
        case 'W':
          return all([](char d) { return is_digit(d) || is_letter(d) || d == '_'; });
        case 's':
        case 'S':
          return all([](char d) { return d == ' ' || (d >= '\t' && d <= '\r'); });
        default:
          return only(c);
      }
    }();
    if (is_letter(c) && set.count() == 1) fail(fmt::format("\\{} is not known here", c));
    at_++;
    return c == 'D' || c == 'W' || c == 'S' ? ~set : set;
  }

  // One character of a bracket, or all that an escape stands for.
  std::bitset<256> bracket_item() {
    if (peek() == '\\') return escape();
    if (static_cast<unsigned char>(peek()) >= 0x80) fail("only ASCII characters may stand in brackets");
    return only(source_[at_++]);
  }

  std::bitset<256> bracket() {
    const size_t opened = at_++;
    const bool inverted = accept('^');
    std::bitset<256> set;
    while (!accept(']')) {
      if (at_ >= source_.size()) {
        at_ = opened;
        fail("this '[' is never closed");
      }
      const std::bitset<256> first = bracket_item();
      const bool is_range = peek() == '-' && at_ + 1 < source_.size() && source_[at_ + 1] != ']';
      set |= is_range ? range(first) : first;
    }
    if (set.none()) fail("these brackets hold nothing");
    return inverted ? ~set : set;
  }

  std::bitset<256> range(const std::bitset<256>& first) {
    at_++;
    const std::bitset<256> last = bracket_item();
    if (first.count() != 1 || last.count() != 1) fail("a range is from one character to another");
    const size_t from = first._Find_first(), to = last._Find_first();
    if (from > to) fail("this range runs backwards");
    std::bitset<256> set;
    for (size_t c = from; c <= to; c++) set.set(c);
    return set;
  }
};

// Follows all ways through the program at once, a character at a time, the preferred ones first. No instruction is
// tried twice at one place, so that a search takes at most one step for each pair of them.
class RenameRule::Search {
 public:
  Search(const Program& program, std::string_view text, int64_t& steps)
      : program_(program), text_(text), steps_(steps), tried_(program.size(), -1) {}

  // The leftmost match that begins at `from` or later. Nothing if there is none, or the steps are used up.
  std::optional<Slots> find(size_t from) {
    std::fill(tried_.begin(), tried_.end(), -1);
    std::vector<Thread> threads, next;
    std::optional<Slots> found;
    Slots none;
    none.fill(-1);
    for (size_t at = from; at <= text_.size() && steps_ > 0; at++) {
      if (!found) follow(threads, 0, at, none);
      if (threads.empty()) {
        if (found) break;
        continue;
      }
      next.clear();
      for (const Thread& thread : threads) {
        const Instruction& instruction = program_[thread.at];
        if (instruction.kind == Instruction::match) {
          found = thread.slots;
          break;  // those behind it are less preferred
        }
        if (at < text_.size() && instruction.characters[static_cast<unsigned char>(text_[at])])
          follow(next, thread.at + 1, at + 1, thread.slots);
      }
      std::swap(threads, next);
    }
    return found;
  }

 private:
  struct Thread {
    size_t at;
    Slots slots;
  };
  const Program& program_;
  std::string_view text_;
  int64_t& steps_;
  std::vector<int64_t> tried_;  // the place at which an instruction was tried last

  // Adds the threads that reach a character or the match from `start` without reading. The stack is as deep as the
  // program is long.
  void follow(std::vector<Thread>& threads, size_t start, size_t place, const Slots& slots) {
    if (tried_[start] == static_cast<int64_t>(place)) return;
    tried_[start] = static_cast<int64_t>(place);
    steps_--;
    const Instruction& instruction = program_[start];
    const auto go = [&](int offset, const Slots& with) {
      follow(threads, static_cast<size_t>(static_cast<int64_t>(start) + offset), place, with);
    };
    switch (instruction.kind) {
      case Instruction::jump:
        return go(instruction.to, slots);
      case Instruction::split:
        go(instruction.to, slots);
        return go(instruction.otherwise, slots);
      case Instruction::save: {
        Slots changed = slots;
        changed[static_cast<size_t>(instruction.to)] = static_cast<int>(place);
        return go(1, changed);
      }
      case Instruction::start:
        return place == 0 ? go(1, slots) : void();
      case Instruction::end:
        return place == text_.size() ? go(1, slots) : void();
      case Instruction::character:
      case Instruction::match:
        threads.push_back({start, slots});
    }
  }
};

RenameRule::RenameRule(std::string_view pattern, std::string_view replacement) {
  Parser parser(pattern);
  program_ = parser.pattern();
  read_replacement(replacement, parser.groups());
}

void RenameRule::read_replacement(std::string_view text, int groups) {
  replacement_.emplace_back();
  for (size_t i = 0; i < text.size(); i++) {
    Piece& piece = replacement_.back();
    if (text[i] != '$') {
      piece.text += text[i];
      continue;
    }
    const char c = i + 1 < text.size() ? text[++i] : '\0';
    if (c == '$') {
      piece.text += '$';
    } else if (c == '&' || (c >= '1' && c <= '0' + groups)) {
      piece.group = c == '&' ? 0 : c - '0';
      replacement_.emplace_back();
    } else if (is_digit(c) && c != '0') {
      throw std::invalid_argument(
          fmt::format("the replacement: ${} stands for a group, but the pattern has {}", c, groups));
    } else {
      throw std::invalid_argument("the replacement: a '$' must have a digit from 1 to 9, '&' or another '$' behind it");
    }
  }
}

std::optional<std::string> RenameRule::apply(std::string_view name, int64_t& steps) const {
  Search search(program_, name, steps);
  std::string result;
  size_t from = 0;
  while (from <= name.size()) {
    const std::optional<Slots> match = search.find(from);
    if (steps <= 0) return std::nullopt;
    if (!match) break;
    const auto begin = static_cast<size_t>((*match)[0]), end = static_cast<size_t>((*match)[1]);
    result += name.substr(from, begin - from);
    for (const Piece& piece : replacement_) {
      result += piece.text;
      if (piece.group < 0) continue;
      const int first = (*match)[2 * static_cast<size_t>(piece.group)];
      const int last = (*match)[2 * static_cast<size_t>(piece.group) + 1];
      if (first >= 0 && last >= first)
        result += name.substr(static_cast<size_t>(first), static_cast<size_t>(last - first));
    }
    from = end;
    if (begin < end) continue;
    // An empty match: the character after it stays, and the search goes on behind that.
    if (from < name.size()) result += name[from];
    from++;
  }
  if (from < name.size()) result += name.substr(from);
  return result;
}

}  // namespace resnetc
