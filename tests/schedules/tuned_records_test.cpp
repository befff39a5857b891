// The files of schedules/tuned/.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "schedules/record.h"

namespace fs = std::filesystem;
using namespace resnetc;

TEST_CASE("shipped records: no kernel that performs what it counts exceeds the peak, which is one for each machine") {
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(RESNETC_SOURCE_DIR) / "schedules" / "tuned")) {
    CAPTURE(entry.path().filename().string());
    files++;
    std::map<std::pair<std::string, int>, std::vector<double>> peaks;
    for (const Record& r : read_records(entry.path()).records) {
      if (r.percent_of_peak <= 0) continue;
      CAPTURE(r.key);
      if (r.choice.strategy.find("winograd") == std::string::npos) CHECK(r.percent_of_peak <= 100);
      peaks[{r.target, r.threads}].push_back(100 * r.gflops / r.percent_of_peak);
    }
    for (const auto& [machine, implied] : peaks) {
      const auto [least, most] = std::minmax_element(implied.begin(), implied.end());
      CHECK(*most < 1.06 * *least);
    }
  }
  CHECK(files >= 6);
}
