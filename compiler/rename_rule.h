// A rule that renames tensors: a regular expression and what stands for each of its matches. Matching takes time in
// proportion to pattern and name, never exponential as std::regex's can, and no stack.
//
// The expressions are ECMAScript's, but for what makes them slow: literals; . \d \D \w \W \s \S [a-z_] [^.]; an escape
// of any punctuation; ( ), (?: ) and |; * + ? and their lazy forms *? +? ??; ^ and $. No back-references, no counted
// repeats, no assertions but ^ and $.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace resnetc {

class RenameRule {
 public:
  // replacement: "$1" to "$9" stand for what a group matched, "$&" for all that matched, "$$" for a dollar. Throws
  // std::invalid_argument saying what is wrong and where.
  RenameRule(std::string_view pattern, std::string_view replacement);

  // The name with every match replaced, from left to right; nothing once `steps`, which this counts down, are used up.
  // A step is one instruction tried on one character.
  std::optional<std::string> apply(std::string_view name, int64_t& steps) const;

 private:
  struct Instruction {
    enum Kind { character, split, jump, save, start, end, match } kind;
    int to = 0;         // of a jump or split: where to go, relative; of a save: the slot
    int otherwise = 0;  // of a split: the second choice, relative
    std::bitset<256> characters{};
  };
  using Program = std::vector<Instruction>;
  using Slots = std::array<int, 20>;  // where each group begins and ends, -1 where it has no part; group 0 is all
  struct Piece {                      // of the replacement: a text, then a group if it is not negative
    std::string text;
    int group = -1;
  };
  class Parser;
  class Search;

  Program program_;
  std::vector<Piece> replacement_;

  void read_replacement(std::string_view text, int groups);
};

}  // namespace resnetc
