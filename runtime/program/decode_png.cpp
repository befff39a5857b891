#include <png.h>

#include <cstdio>
#include <cstring>

#include "decode.h"

namespace resnetc::program {

namespace {

struct Reader {
  ByteSource* bytes;
  Decoding* decoding;
  png_structp png;
  png_infop info;
};

void on_error(png_structp png, png_const_charp message) {
  Reader* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->decoding->message, sizeof reader->decoding->message, "is a damaged PNG: %s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, std::size_t count) {
  Reader* reader = static_cast<Reader*>(png_get_io_ptr(png));
  while (count > 0) {
    if (!fill(reader->bytes)) {
      reader->decoding->truncated = true;
      png_longjmp(png, 1);
    }
    const std::size_t available = reader->bytes->end - reader->bytes->begin;
    const std::size_t part = count < available ? count : available;
    std::memcpy(out, reader->bytes->bytes + reader->bytes->begin, part);
    reader->bytes->begin += part;
    out += part;
    count -= part;
  }
}

// In place, from the last pixel to the first: the row starts with big-endian 16-bit grey.
void spread_gray16(std::uint8_t* row, int width) {
  for (int x = width; x-- > 0;) {
    const std::uint8_t value = row[2 * x] != 0 ? 255 : row[2 * x + 1];
    row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
  }
}

bool decode(Reader* reader) {
  Decoding* decoding = reader->decoding;
  png_structp png = reader->png;
  png_infop info = reader->info;
  png_set_read_fn(png, reader, read_bytes);
  // Only IHDR, PLTE, IDAT, IEND and tRNS are looked at: nothing else, such as gamma, counts, and compressed texts could
  // unpack to gigabytes.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_read_info(png, info);
  if (!start_picture(decoding, png_get_image_width(png, info), png_get_image_height(png, info))) return false;

  const bool gray16 = png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) == 16;
  if (!gray16) {
    png_set_palette_to_rgb(png);
    png_set_gray_to_rgb(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
  }
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const std::size_t stride = static_cast<std::size_t>(decoding->width) * 3;
  if (png_get_rowbytes(png, info) != (gray16 ? stride / 3 * 2 : stride)) {
    std::snprintf(decoding->message, sizeof decoding->message, "is a PNG of an unknown kind");
    return false;
  }
  // The passes of an interlaced picture fill in its pixels bit by bit.
  const std::size_t kept_rows = passes > 1 ? static_cast<std::size_t>(decoding->height) : 1;
  if (!allocate_pixels(decoding, kept_rows * stride)) return false;
  for (int pass = 0; pass < passes; pass++) {
    std::uint8_t* row = decoding->pixels;
    for (int y = 0; y<decoding->height; y++, row += kept_rows> 1 ? stride : 0) {
      png_read_row(png, row, nullptr);
      if (pass + 1 < passes) continue;
      if (gray16) spread_gray16(row, decoding->width);
      decoding->sink->row(row);
    }
  }
  // What follows the last row does not matter: no png_read_end.
  return true;
}

}  // namespace

bool decode_png(ByteSource* source, Decoding* decoding) {
  Reader reader = {source, decoding, nullptr, nullptr};
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) {
    png_destroy_read_struct(&reader.png, nullptr, nullptr);
    std::snprintf(decoding->message, sizeof decoding->message, "not enough memory");
    return false;
  }
  if (setjmp(png_jmpbuf(reader.png)) != 0) {
    png_destroy_read_struct(&reader.png, &reader.info, nullptr);
    return false;
  }
  const bool decoded = decode(&reader);
  png_destroy_read_struct(&reader.png, &reader.info, nullptr);
  return decoded;
}

}  // namespace resnetc::program
