#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "decode.h"
// jpeglib.h needs FILE and size_t declared before it.
#include <jerror.h>
#include <jpeglib.h>

namespace resnetc::program {

namespace {

struct Reader {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;
  std::jmp_buf failure;
  ByteSource* bytes;
  Decoding* decoding;
};

// Each scan of a progressive file costs a pass over the whole picture, however few bytes it has.
constexpr int max_scans = 500;

Reader* reader_of(j_common_ptr jpeg) {
  return static_cast<Reader*>(jpeg->client_data);
}

void on_error(j_common_ptr jpeg) {
  Reader* reader = reader_of(jpeg);
  char message[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, message);
  Decoding* decoding = reader->decoding;
  if (jpeg->err->msg_code == JERR_NO_BACKING_STORE) {
    std::snprintf(decoding->message, sizeof decoding->message,
                  "has %d x %d pixels in several scans, which take more than %zu MB to decode; save it as a baseline "
                  "JPEG",
                  decoding->width, decoding->height, max_kept_bytes >> 20);
  } else {
    const char* problem = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? "" : "is a damaged or unsupported JPEG: ";
    std::snprintf(decoding->message, sizeof decoding->message, "%s%s", problem, message);
  }
  std::longjmp(reader->failure, 1);
}

// Warnings are not errors: what decodes in spite of them is taken, as Pillow does.
void on_message(j_common_ptr) {}
void on_warning(j_common_ptr, int) {}

void start_source(j_decompress_ptr) {}
void end_source(j_decompress_ptr) {}

boolean fill_source(j_decompress_ptr jpeg) {
  Reader* reader = reader_of(reinterpret_cast<j_common_ptr>(jpeg));
  reader->bytes->begin = reader->bytes->end;
  if (!fill(reader->bytes)) {
    reader->decoding->truncated = true;
    std::longjmp(reader->failure, 1);
  }
  jpeg->src->next_input_byte = reader->bytes->bytes;
  jpeg->src->bytes_in_buffer = reader->bytes->end;
  return TRUE;
}

void skip_source(j_decompress_ptr jpeg, long count) {
  while (count > static_cast<long>(jpeg->src->bytes_in_buffer)) {
    count -= static_cast<long>(jpeg->src->bytes_in_buffer);
    fill_source(jpeg);
  }
  if (count <= 0) return;
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}

void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= max_scans) return;
  Reader* reader = reader_of(jpeg);
  std::snprintf(reader->decoding->message, sizeof reader->decoding->message, "has more than %d scans", max_scans);
  std::longjmp(reader->failure, 1);
}

// In place, from the last pixel to the first: the grey bytes lie at the row's start.
void spread_gray(std::uint8_t* row, int width) {
  for (int x = width; x-- > 0;) row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = row[x];
}

// The bytes are Adobe's: 255 is no ink. Pillow assumes that of every four-channel JPEG.
void convert_cmyk(const std::uint8_t* cmyk, int width, std::uint8_t* rgb) {
  for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; c++) {
      const int product = (255 - cmyk[c]) * cmyk[3] + 128;
      const int ink = ((product >> 8) + product) >> 8;
      rgb[c] = static_cast<std::uint8_t>(cmyk[3] - ink < 0 ? 0 : cmyk[3] - ink);
    }
  }
}

void read_rows(Reader* reader) {
  jpeg_decompress_struct* jpeg = &reader->jpeg;
  const int width = reader->decoding->width, channels = jpeg->output_components;
  JSAMPARRAY rows =
      jpeg->mem->alloc_sarray(reinterpret_cast<j_common_ptr>(jpeg), JPOOL_IMAGE, static_cast<JDIMENSION>(width) * 4, 2);
  std::uint8_t* rgb = rows[0];
  JSAMPROW target = channels == 4 ? rows[1] : rgb;
  while (jpeg->output_scanline < jpeg->output_height) {
    jpeg_read_scanlines(jpeg, &target, 1);
    if (channels == 1) spread_gray(rgb, width);
    if (channels == 4) convert_cmyk(target, width, rgb);
    reader->decoding->sink->row(rgb);
  }
}

bool decode(Reader* reader) {
  jpeg_decompress_struct* jpeg = &reader->jpeg;
  jpeg_read_header(jpeg, TRUE);
  const int channels = jpeg->num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    std::snprintf(reader->decoding->message, sizeof reader->decoding->message,
                  "is a JPEG of %d channels; 1, 3 and 4 are taken", channels);
    return false;
  }
  if (!start_picture(reader->decoding, jpeg->image_width, jpeg->image_height)) return false;
  jpeg->out_color_space = channels == 1 ? JCS_GRAYSCALE : (channels == 3 ? JCS_RGB : JCS_CMYK);
  jpeg->mem->max_memory_to_use = static_cast<long>(max_kept_bytes);
  jpeg_start_decompress(jpeg);
  // What follows the last row does not matter: no jpeg_finish_decompress.
  read_rows(reader);
  return true;
}

}  // namespace

bool decode_jpeg(ByteSource* source, Decoding* decoding) {
  Reader reader;
  std::memset(&reader, 0, sizeof reader);
  reader.bytes = source;
  reader.decoding = decoding;
  reader.jpeg.client_data = &reader;
  reader.jpeg.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = on_error;
  reader.errors.output_message = on_message;
  reader.errors.emit_message = on_warning;
  if (setjmp(reader.failure) != 0) {
    jpeg_destroy_decompress(&reader.jpeg);
    return false;
  }
  jpeg_create_decompress(&reader.jpeg);
  reader.jpeg.src = &reader.source;
  reader.source.init_source = start_source;
  reader.source.fill_input_buffer = fill_source;
  reader.source.skip_input_data = skip_source;
  reader.source.resync_to_restart = jpeg_resync_to_restart;
  reader.source.term_source = end_source;
  reader.source.next_input_byte = source->bytes + source->begin;
  reader.source.bytes_in_buffer = source->end - source->begin;
  reader.jpeg.progress = &reader.progress;
  reader.progress.progress_monitor = on_progress;
  const bool decoded = decode(&reader);
  jpeg_destroy_decompress(&reader.jpeg);
  return decoded;
}

}  // namespace resnetc::program
