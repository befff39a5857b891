/* Errors of CUDA's driver by their numbers: Halide's runtime has no name for many of them, and then says none of it. */
#ifndef RESNETC_RUNTIME_DEVICE_CUDA_ERRORS_H
#define RESNETC_RUNTIME_DEVICE_CUDA_ERRORS_H

namespace resnetc::runtime {

// What Halide's runtime is given in place of a function of the driver: one that calls it, and notes what it returns if
// that is an error; or the function itself, where an error of it is reported otherwise.
void* with_note(const char* name, void* function);

// What was noted last in this thread.
int last_cuda_error();

// Whether that error, when kernels are loaded, says that the driver knows less than their PTX asks for.
bool is_of_old_driver(int cuda_error);

}  // namespace resnetc::runtime

#endif
