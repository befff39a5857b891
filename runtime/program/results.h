// From logits to what is printed: softmax, the most probable classes, text and JSON.
#ifndef RESNETC_RUNTIME_PROGRAM_RESULTS_H
#define RESNETC_RUNTIME_PROGRAM_RESULTS_H

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace resnetc::program {

struct ClassProbability {
  std::size_t index;
  double probability;
};

// The k most probable of n classes (fewer if n is less), equal ones in the order of their index. Softmax in double.
// False if a logit is not finite.
bool most_probable(const float* logits, std::size_t n, std::size_t k, std::vector<ClassProbability>* top);

// labels: one for each class, or NULL: text then shows the index, JSON null.
std::string text_result(std::string_view name, const std::vector<ClassProbability>& top, const char* const* labels);
std::string json_result(std::string_view name, const std::vector<ClassProbability>& top, const char* const* labels);
std::string json_error(std::string_view name, std::string_view error);

// A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace resnetc::program

#endif
