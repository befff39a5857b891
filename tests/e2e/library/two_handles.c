/* Two handles of a net on a device, used in turns and destroyed in the order in which they were made, the second used
   in between. */
#include <stdio.h>

#include "digits_resnet8.h"

int main(void) {
  static float input[4 * digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH];
  static float output[4 * digits_resnet8_CLASSES];
  const digits_resnet8_options options[2] = {{.max_batch = 3}, {.max_batch = 1}};
  digits_resnet8_model* models[2] = {NULL, NULL};
  int status = 0;
  for (int i = 0; i < 2; i++) status |= digits_resnet8_create(&models[i], &options[i]);
  for (int i = 0; i < 4; i++) status |= digits_resnet8_run(models[i % 2], input, 4, output);
  for (int i = 0; i < 2; i++) {
    if (status != 0) fprintf(stderr, "%s\n", digits_resnet8_message(models[i]));
    digits_resnet8_destroy(models[i]);
    if (i == 0) status |= digits_resnet8_run(models[1], input, 2, output);
  }
  return status;
}
