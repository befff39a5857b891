/* Threads that each make a handle on a device at once, as the first use that the process makes of one, run it and
   release it: all get the same bits. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "digits_resnet8.h"

enum { threads = 4, in = digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH };

static pthread_barrier_t all_there;
static float input[in], output[threads][digits_resnet8_CLASSES];

static void check(int ok, const char* what, digits_resnet8_model* const* model) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", what, model ? digits_resnet8_message(*model) : "");
  _exit(1); /* the other threads go on, and must not meet what exit() takes down */
}

static void* use(void* of_thread) {
  digits_resnet8_model* model = NULL;
  pthread_barrier_wait(&all_there);
  check(digits_resnet8_create(&model, NULL) == 0, "create", &model);
  for (int i = 0; i < 3; i++) check(digits_resnet8_run(model, input, 1, of_thread) == 0, "run", &model);
  digits_resnet8_destroy(model);
  return NULL;
}

int main(void) {
  pthread_t started[threads];
  for (int i = 0; i < in; i++) input[i] = (float)(i % 7) * 0.1f;
  pthread_barrier_init(&all_there, NULL, threads);
  for (int i = 0; i < threads; i++) check(pthread_create(&started[i], NULL, use, output[i]) == 0, "a thread", NULL);
  for (int i = 0; i < threads; i++) pthread_join(started[i], NULL);
  for (int i = 0; i < threads; i++)
    check(output[i][0] != 0 && memcmp(output[i], output[0], sizeof output[i]) == 0, "threads differ", NULL);
  return 0;
}
