// Topologies given as text.
#pragma once

#include "compiler/build_resnet.h"
#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace resnetc::test {

inline Topology read(const std::string& text) {
  const TemporaryFolder folder;
  return read_topology(folder.write("n.json", text));
}

// What is wrong with it; "" if nothing is.
inline std::string problem(const std::string& text) {
  const TemporaryFolder folder;
  const std::string path = folder.write("n.json", text);
  return message_about(path, [&] { build_resnet(read_topology(path)); });
}

}  // namespace resnetc::test
