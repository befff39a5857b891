#include <algorithm>
#include <cmath>
#include <vector>

#include "commands.h"
#include "error.h"
#include "model.h"
#include "print.h"

namespace resnetc::program {

bool self_test(const rn_description& net, const Options& options) {
  if (net.self_test_logits == nullptr) throw Error("this program was built without reference values to test against");
  const std::size_t input_size = value_count(input_shape(net)), output_size = value_count(output_shape(net));
  const std::size_t batch = static_cast<std::size_t>(options.batch);
  Model model(net, options.threads, options.batch, options.device, options.fallback);
  std::vector<float> input(input_size * batch), output(output_size * batch);
  rn_self_test_input(net.self_test_seed, input.data(), input_size);
  for (std::size_t i = 1; i < batch; i++) {
    std::copy_n(input.begin(), input_size, input.begin() + static_cast<std::ptrdiff_t>(i * input_size));
  }
  model.run(input.data(), options.batch, output.data());

  double largest = 0, error = 0;
  bool finite = true;
  for (std::size_t i = 0; i < output.size(); i++) {
    const double expected = net.self_test_logits[i % output_size];
    largest = std::max(largest, std::abs(expected));
    error = std::max(error, std::abs(output[i] - expected));
    finite = finite && std::isfinite(output[i]);
  }
  const double relative = largest > 0 ? error / largest : error;
  const bool passed = finite && relative <= net.self_test_bound;
  print(format("%s: self-test %s: largest error %.3g of the largest value %.6g, relative %.3g, bound %.3g%s\n",
               net.name, passed ? "passed" : "failed", error, largest, relative, net.self_test_bound,
               finite ? "" : ", with values that are not finite"));
  return passed;
}

}  // namespace resnetc::program
