/* Uses the library of models/digits_resnet8 as a caller would, and checks every promise of its header.

       use_library INPUTS LOGITS PIXELS WIDTH HEIGHT LOGITS_OF_PIXELS

   INPUTS: IMAGES x 1 x 16 x 16 float32, LOGITS: IMAGES x 10 float32, PIXELS: HEIGHT x WIDTH x 3 bytes, all raw. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits_resnet8.h"

enum {
  images = 9,
  input_floats = digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH,
  classes = digits_resnet8_CLASSES
};

static float* inputs;
static float* expected;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "FAILED: %s, line %d\n", #condition, __LINE__); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

static void* read_file(const char* path, size_t bytes) {
  void* memory = malloc(bytes);
  FILE* file = fopen(path, "rb");
  CHECK(memory && file);
  CHECK(fread(memory, 1, bytes, file) == bytes && fgetc(file) == EOF);
  fclose(file);
  return memory;
}

static void check_logits(const float* got, const float* wanted, int n) {
  CHECK(memcmp(got, wanted, (size_t)n * classes * sizeof(float)) == 0);
}

/* 0, 1 and all images, and each number of images below, at any place. */
static void check_runs(digits_resnet8_model* model) {
  float output[images * classes + 1];
  CHECK(digits_resnet8_run(model, NULL, 0, NULL) == 0);
  for (int n = 1; n <= images; n++) {
    const int first = images - n;
    output[n * classes] = 42;
    CHECK(digits_resnet8_run(model, inputs + first * input_floats, n, output) == 0);
    CHECK(strcmp(digits_resnet8_message(model), "") == 0);
    check_logits(output, expected + first * classes, n);
    CHECK(output[n * classes] == 42);
  }
}

static void check_options(const digits_resnet8_options* options) {
  digits_resnet8_model* model = NULL;
  CHECK(digits_resnet8_create(&model, options) == 0);
  CHECK(model && strcmp(digits_resnet8_message(model), "") == 0);
  check_runs(model);
  digits_resnet8_destroy(model);
}

/* Creation fails with these words; the handle is then good for its message and for nothing else. */
static void check_refused(const digits_resnet8_options* options, const char* words) {
  float output[classes];
  digits_resnet8_model* model = NULL;
  CHECK(digits_resnet8_create(&model, options) != 0);
  CHECK(model && strstr(digits_resnet8_message(model), words));
  CHECK(digits_resnet8_run(model, inputs, 1, output) != 0);
  CHECK(digits_resnet8_run_image(model, (const uint8_t*)"rgb", 1, 1, 3, output) != 0);
  digits_resnet8_destroy(model);
}

/* Only the first ARENA_BYTES of a caller's arena are written. */
static void check_arena(int max_batch, int threads) {
  const size_t bytes = digits_resnet8_ARENA_BYTES(max_batch), more = 256;
  unsigned char* memory = aligned_alloc(64, (bytes + more + 63) / 64 * 64);
  CHECK(memory);
  memset(memory, 0xff, bytes + more); /* NaNs, were they read before they are written */
  const digits_resnet8_options options = {threads, max_batch, memory, bytes};
  check_options(&options);
  for (size_t i = 0; i < more; i++) CHECK(memory[bytes + i] == 0xff);

  digits_resnet8_options wrong = options;
  wrong.arena_bytes = bytes - 1;
  char words[64];
  snprintf(words, sizeof words, "needs %zu", bytes);
  check_refused(&wrong, words);
  wrong.arena_bytes = bytes;
  wrong.arena = memory + 4;
  check_refused(&wrong, "64-byte aligned");
  free(memory);
}

static void check_refusals(void) {
  const digits_resnet8_options negative_threads = {-1, 1, NULL, 0}, negative_batch = {1, -1, NULL, 0};
  check_refused(&negative_threads, "threads");
  check_refused(&negative_batch, "max_batch");
  /* So many images would make a tensor of more than 2^31 floats; no more than a few run at once. */
  const digits_resnet8_options huge_batch = {1, 500000, NULL, 0};
  check_options(&huge_batch);
  digits_resnet8_model* model = NULL;
  float output[classes];
  CHECK(digits_resnet8_create(&model, NULL) == 0);
  CHECK(digits_resnet8_run(model, inputs, -1, output) != 0);
  CHECK(strlen(digits_resnet8_message(model)) > 0);
  CHECK(digits_resnet8_run(model, NULL, 1, output) != 0);
  CHECK(digits_resnet8_run_image(model, NULL, 1, 1, 3, output) != 0);
  CHECK(digits_resnet8_run_image(model, (const uint8_t*)"rgb", 1, 1, 2, output) != 0);
  CHECK(digits_resnet8_run_image(model, (const uint8_t*)"rgb", 0, 1, 3, output) != 0);
  check_runs(model); /* none of which hurts the handle */
  digits_resnet8_destroy(model);
  digits_resnet8_destroy(NULL);
  CHECK(digits_resnet8_message(NULL) != NULL);
  CHECK(digits_resnet8_create(NULL, NULL) != 0);
  CHECK(digits_resnet8_run(NULL, inputs, 1, output) != 0);
  CHECK(digits_resnet8_run_image(NULL, (const uint8_t*)"rgb", 1, 1, 3, output) != 0);
}

static void check_image(const uint8_t* rgb, int width, int height, const float* wanted) {
  digits_resnet8_model* model = NULL;
  float output[classes];
  const size_t row = (size_t)width * 3, wide = row + 11;
  CHECK(digits_resnet8_create(&model, NULL) == 0);
  CHECK(digits_resnet8_run_image(model, rgb, width, height, row, output) == 0);
  check_logits(output, wanted, 1);

  uint8_t* spaced = malloc(wide * (size_t)height);
  CHECK(spaced);
  memset(spaced, 0x55, wide * (size_t)height);
  for (int y = 0; y < height; y++) memcpy(spaced + (size_t)y * wide, rgb + (size_t)y * row, row);
  memset(output, 0, sizeof output);
  CHECK(digits_resnet8_run_image(model, spaced, width, height, wide, output) == 0);
  check_logits(output, wanted, 1);
  free(spaced);
  digits_resnet8_destroy(model);
}

static void check_labels(void) {
  for (int i = 0; i < classes; i++) CHECK(digits_resnet8_label(i) && atoi(digits_resnet8_label(i)) == i);
  CHECK(digits_resnet8_label(-1) == NULL && digits_resnet8_label(classes) == NULL);
}

static void* run_many(void* model) {
  for (int i = 0; i < 20; i++) check_runs(model);
  return NULL;
}

/* Two handles, each used by a thread of its own, at the same time. */
static void check_two_handles(void) {
  digits_resnet8_model* models[2] = {NULL, NULL};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    const digits_resnet8_options options = {2 + i, 1 + 3 * i, NULL, 0};
    CHECK(digits_resnet8_create(&models[i], &options) == 0);
  }
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run_many, models[i]) == 0);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (int i = 0; i < 2; i++) digits_resnet8_destroy(models[i]);
}

int main(int argc, char** argv) {
  CHECK(argc == 7);
  const int width = atoi(argv[4]), height = atoi(argv[5]);
  inputs = read_file(argv[1], sizeof(float) * images * input_floats);
  expected = read_file(argv[2], sizeof(float) * images * classes);
  uint8_t* pixels = read_file(argv[3], (size_t)width * (size_t)height * 3);
  float* of_pixels = read_file(argv[6], sizeof(float) * classes);

  check_options(NULL);
  const int threads[] = {0, 1, 3}, batches[] = {0, 1, 4};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      const digits_resnet8_options options = {threads[i], batches[j], NULL, 0};
      check_options(&options);
      if (batches[j] > 0) check_arena(batches[j], threads[i]);
    }
  check_refusals();
  check_image(pixels, width, height, of_pixels);
  check_labels();
  check_two_handles();
  free(inputs);
  free(expected);
  free(pixels);
  free(of_pixels);
  puts("the library does what its header says");
  return 0;
}
