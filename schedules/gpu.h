// What the strategies of OpenCL and CUDA devices share. On a device every tensor's memory is given with its border, so
// that it starts at an aligned address: results too. Weights are packed in blocks of 16 output channels.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "schedules/conv2d_geometry.h"

namespace resnetc {

inline constexpr int gpu_block_channels = 16;

// a / b, at most `most`, and a % b of numbers that are not negative: no correction of signs, as division by a constant
// otherwise has.
Halide::Expr quotient(const Halide::Expr& a, int b, const Halide::Expr& most);
Halide::Expr remainder(const Halide::Expr& a, int b);

// The largest power of two that is at most `most` and no more than needed to cover `size`.
int covering_power(int size, int most);

// The largest divisor of size that is at most `most`.
int largest_divisor(int size, int most);

// A result(c, x, y, n) that is written inside its border alone.
struct Interior {
  Halide::Func result{"result"};
  Halide::Var c{"c"}, n{"n"};
  Halide::RVar x, y;
  Halide::Stage store;

  // value: of c, x, y, n; inlined.
  Interior(const Halide::Func& value, const TensorType& type);

 private:
  Interior(const Halide::Func& value, const TensorType& type, const Halide::RDom& inside);
};

// The result, with one thread for each of its elements, neighbours in c side by side.
Halide::Func image_on_gpu(const Halide::Func& value, const TensorType& type, const Machine& machine);

// The same for result(c, n).
void schedule_vector_on_gpu(Halide::Func& result, int channels, const Halide::Var& c, const Halide::Var& n,
                            const Machine& machine);

// The block of weights that channel c reads, of tiles of tile_oc channels, a multiple of gpu_block_channels. Where the
// last tile reaches past the last block its channels read the last; what they compute is not stored.
Halide::Expr weight_block(const Conv2dGeometry& geometry, const Halide::Expr& c, int tile_oc);

// What the sum for channel c of such tiles begins with: its bias, or 0.
Halide::Expr first_sum(const Conv2dGeometry& geometry, const Conv2dOperands& operands, const Halide::Expr& c,
                       int tile_oc);

// Shares items 0, 1, ... of a Func among all across x along x deep threads of a block, neighbours to neighbours; each
// thread has its items in `step`, unrolled, around `within`, the dimension of one item.
void share_among_threads(Halide::Func& func, const Halide::Var& items, const Halide::Var& within,
                         const Halide::Var& step, int across, int along, int deep);

// Splits the channels of a tile, of a Func or a Stage, among `across` threads: four neighbouring ones are a thread's;
// its next four lie behind those of all other threads, so that neighbours read neighbouring banks.
template <class Of>
void split_channels_by_fours(Of& of, const Halide::Var& c, const Halide::Var& own, const Halide::Var& thread,
                             const Halide::Var& four, int across) {
  of.split(c, own, thread, 4 * across).split(thread, thread, four, 4);
}

// The convolution's weights and biases as gpu_block_channels wants them.
PackedWeight pack_gpu_conv2d(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                             const std::vector<float>& values);

// What one block of threads does, for gpu_cycles.
struct GpuBlock {
  double threads = 32, registers = 64, shared_bytes = 0;  // registers: of each thread
  double sums = 8;                                        // of each thread, which do not wait for one another
  double stages = 1;                                      // times that it waits for memory and for all its threads
  bool ahead = false;                                     // a stage's operands come while the one before is computed
  double loaded_floats = 0;                               // from memory or the second-level cache
  double staged_floats = 0;                               // brought into shared memory
  double multiply_adds = 0;                               // of all its threads
  double shared_reads = 0;                                // floats read by threads from shared memory
};

// Estimated cycles of one of machine.batch images, each with so many blocks and bytes to move. Only ranks candidates:
// the device is thought to be an H100, of 132 multiprocessors (or its own number) with 128 lanes, 65,536 registers and
// 227 KB of shared memory each, and 1,900 bytes of memory traffic and 3,000 of its second-level cache's a cycle.
double gpu_cycles(double gpu_blocks, const GpuBlock& block, double image_bytes, const Machine& machine);

// Bytes of shared memory of two Funcs that are staged together and of one that is stored after the last use of both.
// Halide gives it the place of the one that is nearer to it in size, and leaves the other's as it is.
int64_t shared_bytes_in_turn(int64_t a, int64_t b, int64_t later);

// The least number of floats, at least `size`, that moves what lies so far apart by `banks` of the 32 banks.
int stride_of_banks(int size, int banks);

// Threads of one block whose threads keep so many sums each: more, where they are few.
int most_gpu_threads(const Machine& machine, int sums);

// Images start at aligned addresses on a device, so that four channels can be moved at once.
void align_operands(Conv2dOperands& operands, Halide::Func& result);

// Bytes of all operands and the result, for one of so many images, which share the weights.
double operand_bytes(const KernelKey& key, int batch);

// Sums that a block of threads keeps while it stages operands in shared memory: Halide gives every thread room for the
// sums of the whole block. This lowering pass leaves it only its own, at constant places, so that they are registers.
// `buffer`: the Func's name; each thread must use its own elements alone. Returns what KernelPipeline::passes must say.
std::string keep_sums_in_registers(Halide::Pipeline& pipeline, const std::string& buffer);

// A loop over stages, each of which waits for memory before it computes. This lowering pass has it load the next
// stage's operands into registers while it computes this one's, as they lie in memory, so that no transform waits for
// them, and joins what several Funcs stage between the same two barriers. A loop of another form is left as it is.
// Returns what KernelPipeline::passes must say.
std::string stage_ahead(Halide::Pipeline& pipeline);

// The most registers of a thread with which a block of so many starts: each of four parts of a multiprocessor has a
// quarter of its 65,536 registers and takes every fourth warp, in units of 8 for each thread.
int64_t most_registers(int64_t threads);

// PTX in which kernels of blocks of more than 256 threads have that limit, for else the driver's compiler gives a
// thread up to 255 registers. `threads`: of the blocks of each kernel. Others compile to what they did before, which
// .maxntid in its place does not do: with it ptxas spills registers for the sake of more blocks at once.
std::string with_register_limits(const std::string& ptx, const std::map<std::string, int64_t>& threads);

// The same with the PTX and the launches of a module.
void limit_registers(const Halide::Module& module);

// Kernels on a device are called after loops, so that all of a net have the same few names. This lowering pass puts the
// prefix in front, for profilers. Returns what KernelPipeline::passes must say.
std::string name_device_kernels(Halide::Pipeline& pipeline, const std::string& prefix);

}  // namespace resnetc
