// Reads a JPEG or PNG file into 8-bit RGB, equal to Pillow's Image.open(file).convert("RGB"): 16-bit colour by its high
// byte, 16-bit grey cut off at 255, alpha dropped, no rotation by Exif.
#ifndef RESNETC_RUNTIME_PROGRAM_IMAGE_H
#define RESNETC_RUNTIME_PROGRAM_IMAGE_H

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

namespace resnetc::program {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

struct Image {
  int width = 0, height = 0;
  std::unique_ptr<std::uint8_t, Free> rgb;  // height rows of width pixels, 3 bytes each, without gaps
};

// The type is told by the file's first bytes, never by its name. Throws Error; its message starts with the path.
Image read_image(const std::string& path);

}  // namespace resnetc::program

#endif
