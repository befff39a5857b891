#include "classify.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "model.h"
#include "npy.h"
#include "paths.h"
#include "prepare_image.h"
#include "print.h"
#include "results.h"

namespace resnetc::program {

namespace {

bool is_finite(const float* values, std::size_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

// Collects inputs until a batch is full, then runs it.
class Batch {
 public:
  Batch(const rn_description& net, const Options& options)
      : net_(net),
        options_(options),
        model_(net, options.threads, options.batch, options.device, options.fallback),
        input_size_(value_count(input_shape(net))),
        output_size_(value_count(output_shape(net))),
        input_(input_size_ * static_cast<std::size_t>(options.batch)),
        output_(output_size_ * static_cast<std::size_t>(options.batch)) {
    if (!options.output.empty()) output_file_ = std::make_unique<NpyWriter>(options.output, output_shape(net));
    if (!options.dump_input.empty()) dump_file_ = std::make_unique<NpyWriter>(options.dump_input, input_shape(net));
  }

  // Where the next input goes; it counts once it is added.
  float* next_input() { return input_.data() + names_.size() * input_size_; }

  void add(const std::string& name) {
    names_.push_back(name);
    if (names_.size() == static_cast<std::size_t>(options_.batch)) run();
  }

  // What was added before is run first, so that results come in the order of the images.
  void add_error(const std::string& name, const std::string& problem) {
    run();
    report(name, problem);
    flush_output();
  }

  // Runs what is left; the files appear. False if there were errors.
  bool finish() {
    run();
    if (output_file_) output_file_->finish();
    if (dump_file_) dump_file_->finish();
    return !failed_;
  }

 private:
  void run() {
    if (names_.empty()) return;
    model_.run(input_.data(), static_cast<int>(names_.size()), output_.data());
    if (dump_file_) dump_file_->write(input_.data(), names_.size());
    if (output_file_) output_file_->write(output_.data(), names_.size());
    for (std::size_t i = 0; i < names_.size(); i++) {
      // ReLU makes zero of NaN, so that the output may look like any other.
      if (is_finite(input_.data() + i * input_size_, input_size_)) {
        print_result(names_[i], output_.data() + i * output_size_);
      } else {
        report(names_[i], "the input is not finite");
      }
    }
    names_.clear();
    flush_output();
  }

  void print_result(const std::string& name, const float* output) {
    std::vector<ClassProbability> top;
    if (net_.has_head && !most_probable(output, output_size_, static_cast<std::size_t>(options_.top), &top)) {
      report(name, "the net's output is not finite");
    } else if (options_.json) {
      print(json_result(name, top, net_.labels));
    } else if (net_.has_head && options_.top > 0) {
      print(text_result(name, top, net_.labels));
    }
  }

  void report(const std::string& name, const std::string& problem) {
    failed_ = true;
    if (options_.json) {
      print(json_error(name, problem));
    } else {
      print_error(net_.name, name + ": " + problem);
    }
  }

  const rn_description& net_;
  const Options& options_;
  Model model_;
  std::size_t input_size_, output_size_;
  std::vector<float> input_, output_;
  std::vector<std::string> names_;
  std::unique_ptr<NpyWriter> output_file_, dump_file_;
  bool failed_ = false;
};

bool run_images(const rn_description& net, const Options& options) {
  Batch batch(net, options);
  ImagePaths paths(options.images);
  for (ImagePaths::Next next; paths.next(&next);) {
    if (next.error.empty()) {
      try {
        prepare_image(net, next.path, batch.next_input());
      } catch (const Error& error) {
        next.error = error.what();
        const std::string prefix = next.path + ": ";
        if (next.error.compare(0, prefix.size(), prefix) == 0) next.error.erase(0, prefix.size());
      }
    }
    if (next.error.empty()) {
      batch.add(next.path);
    } else {
      batch.add_error(next.path, next.error);
    }
  }
  return batch.finish();
}

bool run_npy(const rn_description& net, const Options& options) {
  NpyReader reader(options.input, input_shape(net));
  Batch batch(net, options);
  for (std::uint64_t i = 0; reader.read(batch.next_input(), 1) == 1; i++) {
    batch.add(options.input + "[" + std::to_string(i) + "]");
  }
  return batch.finish();
}

}  // namespace

bool classify(const rn_description& net, const Options& options) {
  if (!net.has_head && options.output.empty() && options.dump_input.empty()) {
    throw UsageError("this net has no classes to print; --output Y.npy writes its output");
  }
  if (!options.input.empty()) return run_npy(net, options);
  if (!net.has_preprocess) {
    throw UsageError("this net's file says nothing of how to prepare images; --input X.npy takes prepared ones");
  }
  return run_images(net, options);
}

}  // namespace resnetc::program
