#include "prepare_image.h"

#include "../preprocess.h"
#include "error.h"
#include "image.h"

namespace resnetc::program {

namespace {

std::string size_text(int width, int height) {
  return std::to_string(width) + " x " + std::to_string(height);
}

class Preprocessing : public RowSink {
 public:
  Preprocessing(const rn_description& net, float* input) : net_(net), input_(input) {}
  ~Preprocessing() override { rn_preprocess_end(resampling_); }
  Preprocessing(const Preprocessing&) = delete;
  Preprocessing& operator=(const Preprocessing&) = delete;

  bool start(int width, int height) override {
    width_ = width;
    height_ = height;
    status_ = rn_preprocess_begin(&resampling_, &net_.preprocess, width, height, net_.height, net_.width, input_,
                                  &result_height_, &result_width_);
    return status_ == rn_preprocess_ok;
  }

  void row(const std::uint8_t* rgb) override { rn_preprocess_row(resampling_, rgb); }

  // Why start() did not want the image.
  std::string problem() const {
    if (status_ == rn_preprocess_memory) return "not enough memory to resize it";
    return "is " + size_text(width_, height_) + " pixels and becomes " + size_text(result_width_, result_height_) +
           "; the net takes " + size_text(net_.width, net_.height);
  }

 private:
  const rn_description& net_;
  float* input_;
  rn_resampling* resampling_ = nullptr;
  int status_ = rn_preprocess_ok;
  int width_ = 0, height_ = 0, result_width_ = 0, result_height_ = 0;
};

}  // namespace

void prepare_image(const rn_description& net, const std::string& path, float* input) {
  Preprocessing preprocessing(net, input);
  if (!read_image(path, &preprocessing)) throw Error(path + ": " + preprocessing.problem());
}

}  // namespace resnetc::program
