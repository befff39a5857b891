/* A handle that is not in use takes no CPU time: its threads spin only between the kernels of an inference. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>

#include "digits_resnet8.h"

static double cpu_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); /* of all threads */
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int check(int threads) {
  static float input[digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH];
  static float output[digits_resnet8_CLASSES];
  const struct timespec second = {1, 0};
  digits_resnet8_model* model = NULL;
  const digits_resnet8_options options = {threads, 1, NULL, 0};
  if (digits_resnet8_create(&model, &options) != 0) return 1;
  int failed = 0;
  for (int run = 0; run < 2; run++) {
    /* Before the first inference, then after one. */
    const double before = cpu_seconds();
    nanosleep(&second, NULL);
    const double spent = cpu_seconds() - before;
    printf("%d threads, %s: %.6f s of CPU time in an idle second\n", threads, run ? "used" : "new", spent);
    /* A single thread that does not sleep would take a whole second. */
    failed |= spent > 0.1;
    if (digits_resnet8_run(model, input, 1, output) != 0) return 1;
  }
  digits_resnet8_destroy(model);
  return failed;
}

int main(void) {
  return check(2) | check(8);
}
