#include "compiler/weight_object.h"

#include <elf.h>
#include <fmt/format.h>

#include <bit>

#include "ir/graph.h"

namespace resnetc {
namespace {

static_assert(std::endian::native == std::endian::little, "the tables are written as they lie in memory");

constexpr uint64_t page = 4096;
constexpr char zeros[page] = {};

uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The string table of an ELF file; its first string is empty.
class StringTable {
 public:
  uint32_t add(const std::string& text) {
    const size_t at = text_.size();
    text_ += text + '\0';
    return static_cast<uint32_t>(at);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_ = std::string(1, '\0');
};

}  // namespace

WeightObject::WeightObject(const std::filesystem::path& file, std::string symbol)
    : path_(file), symbol_(std::move(symbol)), out_(file, std::ios::binary) {
  write(zeros, page);
}

void WeightObject::write(const void* bytes, uint64_t count) {
  out_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  if (!out_) throw Error(fmt::format("{}: cannot write; is the disk full?", path_.string()));
}

uint64_t WeightObject::append(const std::vector<float>& values) {
  const uint64_t offset = round_up(bytes_, 64);
  write(zeros, offset - bytes_);
  write(values.data(), values.size() * sizeof(float));
  bytes_ = offset + values.size() * sizeof(float);
  return offset;
}

void WeightObject::finish() {
  append({});

  StringTable symbols, sections;
  Elf64_Sym table[2] = {};
  table[1].st_name = symbols.add(symbol_);
  table[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
  table[1].st_other = STV_HIDDEN;
  table[1].st_shndx = 1;
  table[1].st_size = bytes_;

  Elf64_Shdr headers[6] = {};
  const auto section = [&](size_t at, const std::string& name, uint32_t type, uint64_t offset, uint64_t size,
                           uint64_t alignment) -> Elf64_Shdr& {
    headers[at] = {sections.add(name), type, 0, 0, offset, size, 0, 0, alignment, 0};
    return headers[at];
  };
  uint64_t at = page + bytes_;
  section(1, ".rodata." + symbol_, SHT_PROGBITS, page, bytes_, page).sh_flags = SHF_ALLOC;
  section(2, ".note.GNU-stack", SHT_PROGBITS, at, 0, 1);
  Elf64_Shdr& symbol_table = section(3, ".symtab", SHT_SYMTAB, at, sizeof table, 8);
  symbol_table.sh_link = 4;  // its names
  symbol_table.sh_info = 1;  // the first global one
  symbol_table.sh_entsize = sizeof(Elf64_Sym);
  write(table, sizeof table);
  at += sizeof table;
  section(4, ".strtab", SHT_STRTAB, at, symbols.text().size(), 1);
  write(symbols.text().data(), symbols.text().size());
  at += symbols.text().size();
  Elf64_Shdr& names = section(5, ".shstrtab", SHT_STRTAB, at, 0, 1);
  names.sh_size = sections.text().size();
  write(sections.text().data(), sections.text().size());
  at += sections.text().size();
  const uint64_t table_at = round_up(at, 8);
  write(zeros, table_at - at);
  write(headers, sizeof headers);

  Elf64_Ehdr header = {};
  const unsigned char identity[] = {ELFMAG0,    ELFMAG1,     ELFMAG2,    ELFMAG3,
                                    ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE};
  std::copy(std::begin(identity), std::end(identity), header.e_ident);
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = table_at;
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = std::size(headers);
  header.e_shstrndx = 5;
  out_.seekp(0);
  write(&header, sizeof header);
  out_.close();
  if (!out_) throw Error(fmt::format("{}: cannot write; is the disk full?", path_.string()));
}

}  // namespace resnetc
