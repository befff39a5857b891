// Reads a JPEG or PNG file into 8-bit RGB, equal to Pillow's Image.open(file).convert("RGB"): 16-bit colour by its high
// byte, 16-bit grey cut off at 255, alpha dropped, no rotation by Exif. The picture is handed on row by row and never
// held as a whole, but for interlaced PNGs (3 bytes a pixel) and progressive JPEGs (2 bytes a sample).
#ifndef RESNETC_RUNTIME_PROGRAM_IMAGE_H
#define RESNETC_RUNTIME_PROGRAM_IMAGE_H

#include <cstdint>
#include <string>

namespace resnetc::program {

// Who gets the picture. C libraries lie below these calls in the stack: they must not throw.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // Before the first row. False: the picture is not wanted, and nothing more is read.
  virtual bool start(int width, int height) = 0;
  // From the top; width pixels of 3 bytes each.
  virtual void row(const std::uint8_t* rgb) = 0;
};

// The type is told by the file's first bytes, never by its name. False if the sink did not want the picture. Throws
// Error, maybe after some rows; its message starts with the path.
bool read_image(const std::string& path, RowSink* sink);

}  // namespace resnetc::program

#endif
