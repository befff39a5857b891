// What image.cpp and the two decoders share. The decoders leave libjpeg and libpng by longjmp, so everything here is
// plain data: no constructors, no destructors.
#ifndef RESNETC_RUNTIME_PROGRAM_DECODE_H
#define RESNETC_RUNTIME_PROGRAM_DECODE_H

#include <cstddef>
#include <cstdint>

#include "image.h"

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
  RowSink* sink;
  int width, height;
  std::uint8_t* pixels;  // what the decoder needs to keep; by malloc, the caller frees it, after a failure too
  bool unwanted;         // by the sink
  bool truncated;
  char message[320];  // what is wrong, "" if unwanted, truncated or nothing is
};

// The most bytes that a decoder keeps of a picture that cannot be decoded row by row.
constexpr std::size_t max_kept_bytes = std::size_t{3} << 28;

// Sets width and height and starts the sink; false if the picture is unwanted or, with a message, too large.
bool start_picture(Decoding* decoding, std::uint32_t width, std::uint32_t height);

// Sets pixels; false, with a message, if there is no memory.
bool allocate_pixels(Decoding* decoding, std::size_t bytes);

// True if the whole picture was decoded.
bool decode_jpeg(ByteSource* source, Decoding* decoding);
bool decode_png(ByteSource* source, Decoding* decoding);

}  // namespace resnetc::program

#endif
