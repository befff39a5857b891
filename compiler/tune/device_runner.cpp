#include "compiler/tune/device_runner.h"

#include <HalideRuntime.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <list>
#include <random>

#include "compiler/toolchain.h"
#include "runtime/device/kernels.h"

namespace resnetc {

// A buffer and its shape; stays where it is.
struct DeviceBuffer {
  halide_buffer_t buffer = {};
  halide_dimension_t dim[most_kernel_dimensions] = {};
  DeviceBuffer() = default;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
};

// A packed weight, in as many copies as are asked for.
struct DeviceWeight {
  PackedWeight packed;
  std::list<DeviceBuffer> copies;
};

namespace {

// Where the checked images are repeated in a batch: one after the other, and at its end.
std::vector<int> windows(int checked, int batch) {
  std::vector<int> first;
  for (int n = 0; n + checked <= batch; n += checked) first.push_back(n);
  if (batch % checked != 0) first.push_back(batch - checked);
  return first;
}

// Where results are checked: the first and the last images, and others between them, drawn each time.
std::vector<int> checked_windows(int checked, int batch) {
  static std::mt19937 draw{std::random_device{}()};
  const int last = batch - checked, between = last / checked - 1;
  std::vector<int> first = {0};
  if (between > 0) first.push_back(checked * std::uniform_int_distribution(1, between)(draw));
  if (last > 0) first.push_back(last);
  return first;
}

constexpr double least_seconds = 1e-3;
constexpr int least_launches = 4, most_launches = 1000;
constexpr size_t most_copies = 32;

// At least so many as are needed, such that measurements one behind the other take all lists, a power of two, in turn:
// a part of them each, or all the same number of times.
size_t launches_of(double needed, size_t lists) {
  const auto least = static_cast<size_t>(std::clamp<double>(std::ceil(needed), least_launches, most_launches));
  return least < lists ? std::bit_ceil(least) : (least + lists - 1) / lists * lists;
}

}  // namespace

int checked_images(int batch) {
  constexpr int few = 3;
  return batch < 2 * few ? batch : few;
}

struct DeviceData::State {
  const runtime::KernelDevice* device = nullptr;
  runtime::Session* session = nullptr;
  KernelData& data;
  int batch;
  std::vector<DeviceBuffer> activations;  // unused ones for weights
  DeviceBuffer result;
  std::list<DeviceWeight> weights;

  State(KernelData& of, int images) : data(of), batch(images), activations(of.key.operands.size()) {}

  // what: of the device, for the message.
  void require(int status, const char* what) const {
    if (status != 0) throw Error(fmt::format("{}: {} ({})", device->info(session)->name, what, device->error(session)));
  }

  void allocate(const TensorType& type, DeviceBuffer& memory) const {
    if (stored_floats(type) * batch > INT32_MAX)
      throw Error(fmt::format("batch {} is too large for {}", batch, to_string(data.key)));
    describe_activation(type, 0, batch, true, nullptr, memory.buffer, memory.dim);
    require(device->allocate(session, &memory.buffer), "no memory for a kernel's operands: use a smaller --batch");
  }

  // The part of `whole`, an activation, that data.batch images from `first` on take; `values` is where they are copied.
  class Window {
   public:
    Window(const State& of, const DeviceBuffer& whole, const TensorType& type, int first, AlignedFloats& values)
        : state_(of) {
      describe_activation(type, first, of.data.batch, true, values.data(), part.buffer, part.dim);
      of.require(of.device->share(of.session, &whole.buffer, &part.buffer), "memory cannot be divided");
    }
    ~Window() { state_.device->unshare(state_.session, &part.buffer); }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    DeviceBuffer part;

   private:
    const State& state_;
  };

  void bring_up(const DeviceBuffer& whole, const TensorType& type, int first, AlignedFloats& values) const {
    Window window(*this, whole, type, first, values);
    require(device->up(session, &window.part.buffer), "a kernel's operands cannot be brought up");
  }

  // As many copies as together outgrow the cache twice, if it is to be cold.
  DeviceWeight& weight(PackedWeight packed, size_t copies) {
    const auto same = [&](const DeviceWeight& w) {
      return w.packed.extent == packed.extent && w.packed.values == packed.values;
    };
    auto found = std::find_if(weights.begin(), weights.end(), same);
    if (found == weights.end()) {
      weights.push_back({std::move(packed), {}});
      found = std::prev(weights.end());
    }
    while (found->copies.size() < copies) {
      DeviceBuffer& copy = found->copies.emplace_back();
      describe_weight(found->packed.extent, found->packed.values.data(), copy.buffer, copy.dim);
      require(device->up(session, &copy.buffer), "no memory for a kernel's weights");
    }
    return *found;
  }
};

DeviceData::DeviceData(const std::string& library, const Machine& machine, int device, size_t scratch_bytes,
                       KernelData& data, int batch)
    : state_(std::make_unique<State>(data, batch)) {
  State& s = *state_;
  void* loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);  // for as long as the process lives
  if (!loaded) throw Error(fmt::format("{}: {}", library, dlerror()));
  s.device = static_cast<const runtime::KernelDevice*>(dlsym(loaded, "rn_kernel_device"));
  const auto* api = static_cast<const rn_device*>(dlsym(loaded, device_symbol(machine.device)));
  if (!s.device || !api) throw Error(fmt::format("{}: {}", library, dlerror()));
  char message[512] = "";
  s.session = s.device->open(api, device, scratch_bytes, message, sizeof message);
  if (!s.session) throw Error(message);
  for (size_t i = 0; i < data.key.operands.size(); i++) {
    const TensorType& type = data.key.operands[i];
    if (!type.is_activation()) continue;
    s.allocate(type, s.activations[i]);
    for (int first : windows(data.batch, batch)) s.bring_up(s.activations[i], type, first, data.activations[i]);
  }
  s.allocate(data.key.result, s.result);
}

DeviceData::~DeviceData() = default;  // what is on the device goes with the process

bool DeviceData::works() {
  State& s = *state_;
  float value = 0;
  DeviceBuffer probe;
  describe_weight({1}, &value, probe.buffer, probe.dim);
  const bool works = s.device->up(s.session, &probe.buffer) == 0 && s.device->down(s.session, &probe.buffer) == 0;
  if (works) s.device->release(s.session, &probe.buffer);
  return works;
}

struct DeviceRunner::Call {
  std::vector<std::vector<void*>> lists;  // of arguments
  std::vector<void**> arguments;          // the lists, the next one first
  int launches = 0;                       // of one measurement
  std::vector<void*> recordings;          // of them, where there is such a thing: the next one first
  TensorType type;                        // of the result
  DeviceBuffer own;                       // a result without its border, of a baseline
  const DeviceBuffer* result = nullptr;   // this or what all share
};

DeviceRunner::DeviceRunner(DeviceData& data, const Choice& choice, const Machine& machine, const std::string& library,
                           bool cold)
    : data_(data), library_(library, data.state_->data.key, machine.device), call_(std::make_unique<Call>()) {
  DeviceData::State& s = *data.state_;
  const KernelKey& key = s.data.key;
  const Strategy& strategy = strategy_named(choice.strategy);
  std::vector<PackedWeight> packed(key.operands.size());
  size_t bytes = 0;
  for (size_t i = 0; i < packed.size(); i++) {
    if (key.operands[i].is_activation()) continue;
    packed[i] = strategy.pack(key, choice, machine, i, s.data.weights[i]);
    bytes += packed[i].values.size() * sizeof(float);
  }
  const size_t cache = s.device->info(s.session)->cache_bytes;
  // A power of two, of which launches_of makes use.
  const size_t copies = cold && bytes > 0 ? std::bit_ceil(std::min(2 * cache / bytes + 1, most_copies)) : 1;
  call_->lists.assign(copies, {s.device->context(s.session)});
  for (size_t i = 0; i < packed.size(); i++) {
    if (key.operands[i].is_activation()) {
      for (std::vector<void*>& list : call_->lists) list.push_back(&s.activations[i].buffer);
      continue;
    }
    auto copy = s.weight(std::move(packed[i]), copies).copies.begin();
    for (std::vector<void*>& list : call_->lists) list.push_back(&(copy++)->buffer);
  }
  call_->type = key.result;
  call_->result = &s.result;
  if (is_baseline(choice.strategy)) {
    call_->type.border = {};
    call_->result = &call_->own;
    s.allocate(call_->type, call_->own);
  }
  for (std::vector<void*>& list : call_->lists) {
    list.push_back(const_cast<halide_buffer_t*>(&call_->result->buffer));
    call_->arguments.push_back(list.data());
  }
}

DeviceRunner::~DeviceRunner() {
  const DeviceData::State& s = *data_.state_;
  for (void* recording : call_->recordings) s.device->forget(s.session, recording);
  s.device->release(s.session, &call_->own.buffer);
}

std::string DeviceRunner::check() {
  DeviceData::State& s = *data_.state_;
  const TensorType& type = call_->type;
  const std::vector<int> windows = checked_windows(s.data.batch, s.batch);
  s.data.spoil_result(type);
  for (int first : windows) s.bring_up(*call_->result, type, first, s.data.result);
  double seconds = 0;
  if (s.device->run(s.session, {library_.kernel, call_->arguments.data(), 1, 1}, &seconds) != 0)
    return s.device->error(s.session);
  for (int first : windows) {
    DeviceData::State::Window window(s, *call_->result, type, first, s.data.result);
    if (s.device->down(s.session, &window.part.buffer) != 0) return s.device->error(s.session);
    if (std::string problem = s.data.problem_of_result(type); !problem.empty()) return problem;
  }
  return "";
}

// Of each part of the lists that a measurement takes; none where one of them cannot be had.
void DeviceRunner::record(const runtime::KernelLaunches& launches) {
  const DeviceData::State& s = *data_.state_;
  std::vector<void**>& lists = call_->arguments;
  std::vector<void*>& recordings = call_->recordings;
  const size_t count = static_cast<size_t>(launches.count), parts = std::max<size_t>(lists.size() / count, 1);
  for (size_t part = 0; part < parts; part++) {
    if (void* recording = s.device->record(s.session, launches)) recordings.push_back(recording);
    std::rotate(lists.begin(), lists.begin() + static_cast<std::ptrdiff_t>(count % lists.size()), lists.end());
  }
  if (recordings.size() == parts) return;
  for (void* recording : recordings) s.device->forget(s.session, recording);
  recordings.clear();
}

double DeviceRunner::time() {
  const DeviceData::State& s = *data_.state_;
  std::vector<void**>& lists = call_->arguments;
  std::vector<void*>& recordings = call_->recordings;
  runtime::KernelLaunches launches{library_.kernel, lists.data(), static_cast<int>(lists.size()), call_->launches};
  double seconds = 0;
  const auto require = [&](int status) {
    if (status != 0) throw Error(s.device->error(s.session));
  };
  if (call_->launches == 0) {
    launches.count = least_launches;
    require(s.device->run(s.session, launches, &seconds));
    launches.count = static_cast<int>(launches_of(least_seconds * least_launches / seconds, lists.size()));
    call_->launches = launches.count;
    record(launches);
  }
  if (recordings.empty()) {
    require(s.device->run(s.session, launches, &seconds));
    std::rotate(lists.begin(), lists.begin() + launches.count % launches.lists, lists.end());
  } else {
    require(s.device->replay(s.session, recordings.front(), &seconds));
    std::rotate(recordings.begin(), recordings.begin() + 1, recordings.end());
  }
  return seconds / launches.count;
}

}  // namespace resnetc
