// From an image file to the net's input.
#ifndef RESNETC_RUNTIME_PROGRAM_PREPARE_IMAGE_H
#define RESNETC_RUNTIME_PROGRAM_PREPARE_IMAGE_H

#include <string>

#include "../description.h"

namespace resnetc::program {

// Reads, resizes, crops and normalises; input: channels x height x width of the net. Memory follows the image's width,
// except where read_image() holds the whole. Throws Error, input is then undefined; the message starts with the path.
void prepare_image(const rn_description& net, const std::string& path, float* input);

}  // namespace resnetc::program

#endif
