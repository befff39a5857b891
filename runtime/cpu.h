/* Which of the features of description.h this CPU and its operating system have. */
#ifndef RESNETC_RUNTIME_CPU_H
#define RESNETC_RUNTIME_CPU_H

#include <stdint.h>

namespace resnetc::runtime {

uint32_t cpu_features();

// The name of the lowest bit, such as "AVX2".
const char* cpu_feature_name(uint32_t bits);

}  // namespace resnetc::runtime

#endif
