// The header in C++: the functions link, and run once.
#include "digits_resnet8.h"

int main() {
  static float input[digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH];
  float output[digits_resnet8_CLASSES];
  digits_resnet8_options options = {};
  options.threads = 2;
  digits_resnet8_model* model = nullptr;
  const bool right = digits_resnet8_create(&model, &options) == 0 && digits_resnet8_run(model, input, 1, output) == 0 &&
                     output[0] == output[0];
  digits_resnet8_destroy(model);
  return right && digits_resnet8_label(0) != nullptr ? 0 : 1;
}
