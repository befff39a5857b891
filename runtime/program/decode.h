// What image.cpp and the two decoders share. The decoders leave libjpeg and libpng by longjmp, so everything here is
// plain data: no constructors, no destructors.
#ifndef RESNETC_RUNTIME_PROGRAM_DECODE_H
#define RESNETC_RUNTIME_PROGRAM_DECODE_H

#include <cstddef>
#include <cstdint>

namespace resnetc::program {

// A file that is read forwards only, so that pipes do too.
struct ByteSource {
  int file;
  int error;  // an errno, 0 if none
  std::size_t begin, end;
  std::uint8_t bytes[65536];
};

// Reads more when [begin, end) is used up; false at the end of the file and on an error.
bool fill(ByteSource* source);

struct Decoding {
  int width, height;
  std::uint8_t* rgb;  // by malloc; the caller frees it, after a failure too
  bool truncated;
  char message[320];  // what is wrong, "" if truncated or nothing is
};

// Sets width, height and rgb for a picture of this size; false, with a message, if it is too large.
bool allocate_pixels(Decoding* decoding, std::uint32_t width, std::uint32_t height);

// True if the whole picture was decoded.
bool decode_jpeg(ByteSource* source, Decoding* decoding);
bool decode_png(ByteSource* source, Decoding* decoding);

}  // namespace resnetc::program

#endif
