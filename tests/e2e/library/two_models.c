/* Two models in one program, which share kernel keys but not weights: two_models INPUTS LOGITS_OF_ONE LOGITS_OF_TWO */
#include <stdio.h>
#include <string.h>

#include "digits-two.h"
#include "digits_resnet8.h"

enum { images = 9, inputs = images * 16 * 16, outputs = images * 10 };

static int read_floats(const char* path, float* values, size_t count) {
  FILE* file = fopen(path, "rb");
  if (!file) return 1;
  const size_t got = fread(values, sizeof(float), count, file);
  fclose(file);
  return got != count;
}

int main(int argc, char** argv) {
  static float input[inputs], expected_one[outputs], expected_two[outputs], one[outputs], two[outputs];
  if (argc != 4 || read_floats(argv[1], input, inputs) || read_floats(argv[2], expected_one, outputs) ||
      read_floats(argv[3], expected_two, outputs))
    return 2;
  if (memcmp(expected_one, expected_two, sizeof expected_one) == 0) return 2;

  digits_resnet8_model* model_one = NULL;
  digits_two_model* model_two = NULL;
  const digits_two_options options = {3, 4, NULL, 0};
  if (digits_resnet8_create(&model_one, NULL) != 0 || digits_two_create(&model_two, &options) != 0) return 3;
  for (int i = 0; i < 3; i++) {
    if (digits_resnet8_run(model_one, input, images, one) != 0 || digits_two_run(model_two, input, images, two) != 0)
      return 4;
    if (memcmp(one, expected_one, sizeof one) != 0 || memcmp(two, expected_two, sizeof two) != 0) {
      fprintf(stderr, "wrong logits\n");
      return 1;
    }
  }
  digits_resnet8_destroy(model_one);
  digits_two_destroy(model_two);
  if (strcmp(digits_resnet8_label(7), "7") != 0 || strcmp(digits_two_label(7), "7") != 0) return 5;
  return 0;
}
