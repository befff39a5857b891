#include "options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace resnetc::program {

namespace {

constexpr int max_top = 1 << 30;
constexpr int max_threads = 1024;
constexpr int max_device = 1023;
constexpr int max_batch = 1 << 16;
constexpr double max_seconds = 1e6;

[[noreturn]] void refuse(const std::string& message) {
  throw UsageError(message);
}

int parse_integer(const std::string& option, const std::string& text, int least, int most) {
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text.c_str(), &end, 10);
  const bool digits_only = text.find_first_not_of("0123456789") == std::string::npos;
  if (text.empty() || !digits_only || *end != '\0' || errno != 0 || value < least || value > most) {
    refuse(option + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not \"" +
           text + "\"");
  }
  return static_cast<int>(value);
}

double parse_seconds(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool is_decimal = text.find_first_not_of("0123456789.") == std::string::npos;
  if (text.empty() || !is_decimal || *end != '\0' || !(value > 0 && value <= max_seconds)) {
    refuse(option + " takes a number of seconds above 0, not \"" + text + "\"");
  }
  return value;
}

// Reads the arguments one by one; an option's value is in its own argument or behind a '='.
class Reader {
 public:
  Reader(const std::vector<std::string>& arguments, bool on_device, bool can_fall_back)
      : arguments_(arguments), on_device_(on_device), can_fall_back_(can_fall_back) {}

  Options read() {
    bool only_images = false;
    for (; next_ < arguments_.size(); next_++) {
      const std::string& argument = arguments_[next_];
      if (only_images || argument.empty() || argument[0] != '-') {
        options_.images.push_back(argument);
      } else if (argument == "--") {
        only_images = true;
      } else {
        read_option(argument);
      }
    }
    return options_;
  }

 private:
  void read_option(const std::string& argument) {
    const std::size_t equals = argument.find('=');
    option_ = argument.substr(0, equals);
    value_ = equals == std::string::npos ? "" : argument.substr(equals + 1);
    has_value_ = equals != std::string::npos;
    if (option_ == "--top") {
      options_.top = parse_integer(option_, value("K"), 0, max_top);
    } else if (option_ == "--threads") {
      options_.threads = parse_integer(option_, value("N"), 1, max_threads);
    } else if (option_ == "--batch") {
      options_.batch = parse_integer(option_, value("N"), 1, max_batch);
    } else if (option_ == "--device" && on_device_) {
      options_.device = parse_integer(option_, value("N"), 0, max_device);
    } else if (option_ == "--fallback" && on_device_) {
      if (!can_fall_back_)
        refuse("--fallback: this program has no kernels for the CPU; compile it with --fallback cpu");
      if (value("cpu") != "cpu") refuse("--fallback takes cpu, nothing else");
      options_.fallback = true;
    } else if (option_ == "--input") {
      options_.input = file();
    } else if (option_ == "--output") {
      options_.output = file();
    } else if (option_ == "--dump-input") {
      options_.dump_input = file();
    } else if (option_ == "--benchmark") {
      options_.benchmark_seconds = parse_seconds(option_, value("SECONDS"));
      set_command(Command::benchmark);
    } else if (option_ == "--profile") {
      if (has_value_ || next_is_number()) options_.profile_seconds = parse_seconds(option_, value("SECONDS"));
      set_command(Command::profile);
    } else if (option_ == "--html") {
      options_.html = file("FILE");
    } else {
      read_flag(argument);
    }
  }

  void read_flag(const std::string& argument) {
    if (option_ == "--json") {
      options_.json = true;
    } else if (option_ == "--info") {
      set_command(Command::info);
    } else if (option_ == "--self-test") {
      set_command(Command::self_test);
    } else if (option_ == "--list-devices" && on_device_) {
      set_command(Command::list_devices);
    } else if (option_ == "--licences") {
      set_command(Command::licences);
    } else if (option_ == "--help" || option_ == "-h") {
      set_command(Command::help);
    } else if (option_ == "--version") {
      set_command(Command::version);
    } else {
      refuse("unknown option " + argument);
    }
    if (has_value_) refuse(option_ + " takes no value");
  }

  std::string value(const char* what) {
    if (has_value_) return value_;
    if (next_ + 1 == arguments_.size()) refuse(option_ + " needs a value: " + option_ + " " + what);
    return arguments_[++next_];
  }

  bool next_is_number() const {
    return next_ + 1 < arguments_.size() && !arguments_[next_ + 1].empty() &&
           arguments_[next_ + 1].find_first_not_of("0123456789.") == std::string::npos;
  }

  std::string file(const char* what = "FILE.npy") {
    std::string path = value(what);
    if (path.empty()) refuse(option_ + " needs the name of a file");
    return path;
  }

  void set_command(Command command) {
    // Help wins, so that it can be asked for in the middle of a line.
    if (options_.command == Command::help || command == Command::help) {
      options_.command = Command::help;
      return;
    }
    if (options_.command != Command::run && options_.command != command) refuse(option_ + " goes with no other task");
    options_.command = command;
  }

  const std::vector<std::string>& arguments_;
  bool on_device_, can_fall_back_;
  std::size_t next_ = 0;
  std::string option_, value_;
  bool has_value_ = false;
  Options options_;
};

void check(const Options& options) {
  if (options.command == Command::help) return;
  if (!options.html.empty() && options.command != Command::profile) refuse("--html goes with --profile");
  const bool has_files =
      !options.images.empty() || !options.input.empty() || !options.output.empty() || !options.dump_input.empty();
  if (options.command != Command::run) {
    if (has_files) refuse("--info, --self-test, --benchmark, --profile, --licences and --version take no files");
    if (options.json && options.command != Command::benchmark && options.command != Command::profile)
      refuse("--json goes with images, --input, --benchmark and --profile");
    return;
  }
  if (!options.input.empty() && !options.images.empty()) refuse("--input and images exclude each other");
  if (options.input.empty() && options.images.empty()) refuse("no images; --help lists what can be done without");
  if (!options.input.empty() && !options.dump_input.empty()) refuse("--dump-input goes with images, not with --input");
  if (!options.output.empty() && options.output == options.dump_input) {
    refuse("--output and --dump-input are the same file");
  }
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments, bool on_device, bool can_fall_back) {
  Options options = Reader(arguments, on_device, can_fall_back).read();
  check(options);
  return options;
}

std::string help_text(const std::string& name, bool on_device, bool can_fall_back) {
  std::string text = "Usage: " + name + " [options] IMAGE|DIR...\n" + R"(
Classifies JPEG and PNG images; a directory stands for the .jpg, .jpeg and .png files in and below it.

  --top K             print the K most probable classes (5)
  --json              print one JSON object a line
  --batch N           run N images at a time (1)
)";
  text += on_device ? R"(  --device N          run on this device (0)
  --list-devices      list the devices by number, name and memory
)"
                    : R"(  --threads N         use N threads (as many as this process may use)
)";
  if (can_fall_back)
    text += R"(  --fallback cpu      run on the CPU where the device is not there, busy or short of memory
  --threads N         use N threads there
)";
  text += R"(  --input X.npy       run these inputs instead of images: little-endian float32, C order, N x C x H x W,
                      normalised, channels in the net's order
  --output Y.npy      write the values before the softmax, float32, one row for each image that could be read
  --dump-input X.npy  write what the images became, in the form that --input takes

  --info              print what this program is: net, target, sizes, preprocessing
  --self-test         run a fixed input and compare with the reference's values
  --benchmark SECONDS measure latency, throughput and memory on a fixed input; --json too
)";
  text +=
      on_device
          ? R"(  --profile [SECONDS] show what each kernel takes and reaches on a fixed input, next to the peak and memory bandwidth
                      that are measured on the device (3 seconds); --json too
)"
          : R"(  --profile [SECONDS] show what each kernel takes and reaches on a fixed input, next to this machine's measured
                      peak and memory bandwidth (3 seconds); --json too
)";
  text += R"(  --html FILE         with --profile: write a page with plots, the time line, tables and the memory map
)";
  return text + R"(  --licences          print the licences of all that is in this program
  --version           print the version
  --help              print this

Exit status: 0; 1 if an image could not be read or anything else failed; 2 for wrong usage.
)";
}

}  // namespace resnetc::program
