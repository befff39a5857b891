/* Two handles of a net on a device, side by side: both give what is expected, in chunks and one by one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits_resnet8.h"

enum { images = 5, in = digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH };

static void check(int ok, const char* what, digits_resnet8_model* const* model) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", what, model ? digits_resnet8_message(*model) : "");
  exit(1);
}

int main(void) {
  static float input[images * in], together[images * digits_resnet8_CLASSES], alone[images * digits_resnet8_CLASSES];
  static _Alignas(64) char arena[64];
  for (int i = 0; i < images * in; i++) input[i] = sinf(0.37f * (float)i);
  digits_resnet8_model *a = NULL, *b = NULL, *c = NULL;
  const digits_resnet8_options three = {0, 3, NULL, 0, 0, 0}, with_arena = {0, 1, arena, sizeof arena, 0, 0},
                               no_such_device = {0, 1, NULL, 0, 99, 0}, nor_there = {2, 3, NULL, 0, 99, 1},
                               below_all = {1, 1, NULL, 0, -1, 1};
  check(digits_resnet8_create(&a, &three) == 0, "create", &a);
  check(digits_resnet8_create(&b, NULL) == 0, "create", &b);
  check(digits_resnet8_run(a, input, images, together) == 0, "run", &a);
  for (int i = 0; i < images; i++)
    check(digits_resnet8_run(b, input + i * in, 1, alone + i * digits_resnet8_CLASSES) == 0, "run", &b);
  for (int i = 0; i < images * digits_resnet8_CLASSES; i++)
    check(fabsf(together[i] - alone[i]) < 1e-5f, "a batch differs from its images", NULL);
  digits_resnet8_destroy(a);
  check(digits_resnet8_run(b, input, 1, alone) == 0, "run after another handle is gone", &b);
  check(fabsf(alone[0] - together[0]) < 1e-5f, "result", NULL);
  digits_resnet8_destroy(b);
  check(digits_resnet8_create(&c, &with_arena) != 0 && strstr(digits_resnet8_message(c), "give none"), "arena", &c);
  digits_resnet8_destroy(c);
  check(digits_resnet8_create(&c, &no_such_device) != 0 && strstr(digits_resnet8_message(c), "device 99"), "device",
        &c);
  check(digits_resnet8_run(c, input, 1, alone) != 0, "a handle that could not be created runs", NULL);
  digits_resnet8_destroy(c);
  check(digits_resnet8_create(&c, &nor_there) == 0 && strstr(digits_resnet8_message(c), "device 99"), "fallback", &c);
  check(digits_resnet8_run(c, input, images, alone) == 0, "run on the CPU", &c);
  for (int i = 0; i < images * digits_resnet8_CLASSES; i++)
    check(fabsf(together[i] - alone[i]) < 1e-4f, "the CPU differs from the device", NULL);
  digits_resnet8_destroy(c);
  check(digits_resnet8_create(&c, &below_all) == 0 && strstr(digits_resnet8_message(c), "device -1"), "below all", &c);
  digits_resnet8_destroy(c);
  return 0;
}
