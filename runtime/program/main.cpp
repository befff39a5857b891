#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <new>

#include "../description.h"
#include "classify.h"
#include "commands.h"
#include "error.h"
#include "options.h"
#include "print.h"

extern "C" {
extern const rn_description resnetc_description;  // in the emitted driver
extern const char* const resnetc_licences;
}

namespace {

using namespace resnetc::program;

// A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and results or messages would land in
// it. Nothing can be written to what takes its place.
void occupy_standard_descriptors() {
  for (int file = 0; file <= 2; file++) {
    if (fcntl(file, F_GETFD) < 0) (void)!open("/", O_PATH);
  }
}

// True if all went well.
bool run(const rn_description& net, const Options& options) {
  switch (options.command) {
    case Command::run:
      return classify(net, options);
    case Command::info:
      print_info(net, options);
      return true;
    case Command::self_test:
      return self_test(net, options);
    case Command::benchmark:
      benchmark(net, options);
      return true;
    case Command::profile:
      profile(net, options);
      return true;
    case Command::list_devices:
      list_devices(net);
      return true;
    case Command::licences:
      print(resnetc_licences);
      return true;
    case Command::help:
      print(help_text(net.name, net.device != nullptr, net.fallback_kernels != nullptr));
      return true;
    case Command::version:
      print(std::string(net.name) + ", " + net.version + "\n");
      return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  // A reader that went away is then an error of the write.
  std::signal(SIGPIPE, SIG_IGN);
  const rn_description& net = resnetc_description;
  try {
    const Options options = parse_options(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                                          net.device != nullptr, net.fallback_kernels != nullptr);
    const bool succeeded = run(net, options);
    flush_output();
    return succeeded ? 0 : 1;
  } catch (const UsageError& error) {
    print_error(net.name, std::string(error.what()) + "\n--help shows the usage.");
    return 2;
  } catch (const Error& error) {
    print_error(net.name, error.what());
  } catch (const std::bad_alloc&) {
    print_error(net.name, "not enough memory");
  } catch (const std::length_error&) {
    print_error(net.name, "not enough memory");
  }
  return 1;
}
