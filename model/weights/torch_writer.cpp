// SPDX-License-Identifier: Apache-2.0
#include "model/weights/torch_writer.hpp"

#include "base/files.hpp"
#include "model/weights/tensor_layout.hpp"

#include <bit>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace petnet::model {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie in memory");

void add_little_endian(std::string& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

// Pickle, protocol 2: the opcodes that a state dict needs (Lib/pickletools.py of Python names them).
class pickle_writer {
  public:
    pickle_writer() { text_ = "\x80\x02"; }

    void global(std::string_view module, std::string_view name) {
        text_.append("c").append(module).append("\n").append(name).append("\n");
    }
    void string(std::string_view value) { // BINUNICODE
        text_ += 'X';
        add_little_endian(text_, value.size(), 4);
        text_ += value;
    }
    void integer(std::int64_t value) { // LONG1
        text_.append("\x8a\x08");
        add_little_endian(text_, static_cast<std::uint64_t>(value), 8);
    }
    void mark() { text_ += '('; }
    void tuple() { text_ += 't'; } // of what stands behind the mark
    void empty_tuple() { text_ += ')'; }
    void persistent_id() { text_ += 'Q'; } // what is on top names a storage
    void no() { text_ += '\x89'; }
    void reduce() { text_ += 'R'; }    // calls what lies below the tuple on top
    void set_items() { text_ += 'u'; } // pairs behind the mark
    std::string finish() { return std::move(text_ += '.'); }

  private:
    std::string text_;
};

const char* storage_name(weight_dtype dtype) {
    switch (dtype) {
    case weight_dtype::f32:
        return "FloatStorage";
    case weight_dtype::f16:
        return "HalfStorage";
    case weight_dtype::i64:
        return "LongStorage";
    default:
        throw std::invalid_argument("write_torch_file: float32, float16 or int64 was expected");
    }
}

void empty_ordered_dict(pickle_writer& out) {
    out.global("collections", "OrderedDict");
    out.empty_tuple();
    out.reduce();
}

// torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)
void rebuilt_tensor(pickle_writer& out, const weight_tensor& tensor, std::size_t number) {
    out.global("torch._utils", "_rebuild_tensor_v2");
    out.mark();
    out.mark();
    out.string("storage");
    out.global("torch", storage_name(tensor.dtype));
    out.string(std::to_string(number));
    out.string("cpu");
    out.integer(static_cast<std::int64_t>(tensor.element_count()));
    out.tuple();
    out.persistent_id();
    out.integer(0);
    out.mark();
    for (const std::int64_t extent : tensor.shape) out.integer(extent);
    out.tuple();
    out.mark();
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
        std::int64_t stride = 1;
        for (std::size_t inner = axis + 1; inner < tensor.shape.size(); ++inner)
            stride *= tensor.shape[inner];
        out.integer(stride);
    }
    out.tuple();
    out.no();
    empty_ordered_dict(out);
    out.tuple();
    out.reduce();
}

std::string state_dict(std::span<const weight_tensor> tensors) {
    std::set<std::string_view> names;
    pickle_writer out;
    empty_ordered_dict(out);
    out.mark();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const weight_tensor& tensor = tensors[i];
        if (!names.insert(tensor.name).second)
            throw std::invalid_argument("two tensors are named " + tensor.name);
        if (contiguous_bytes(tensor.shape, element_size(tensor.dtype)) != tensor.bytes.size())
            throw std::invalid_argument(tensor.name + ": bytes and shape disagree");
        out.string(tensor.name);
        rebuilt_tensor(out, tensor, i);
    }
    out.set_items();
    return out.finish();
}

// A zip archive without compression (APPNOTE.TXT 6.3): each member behind its header, then the directory.
class zip_writer {
  public:
    explicit zip_writer(const byte_sink& sink) : sink_(sink) {}

    void member(const std::string& name, std::span<const std::byte> content) {
        const std::uint64_t checksum =
            ::crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
        // PyTorch maps files: a tensor's bytes begin at a multiple of 64, behind an extra field of padding.
        constexpr std::uint64_t alignment = 64, header = 30, field_header = 4;
        const std::uint64_t begin = place_ + header + name.size() + field_header;
        const std::uint64_t padding = (alignment - begin % alignment) % alignment;

        std::string common; // of both headers, from the version needed to the length of the name
        add_little_endian(common, 20, 2);
        add_little_endian(common, 1U << 11, 2); // the name is UTF-8
        add_little_endian(common, 0, 2);        // stored
        add_little_endian(common, 0, 2);
        add_little_endian(common, (0U << 9) | (1U << 5) | 1U, 2); // 1980-01-01: equal content, equal bytes
        add_little_endian(common, checksum, 4);
        add_little_endian(common, content.size(), 4);
        add_little_endian(common, content.size(), 4);
        add_little_endian(common, name.size(), 2);

        directory_ += "PK\x01\x02";
        add_little_endian(directory_, 20, 2);
        directory_ += common;
        add_little_endian(directory_, 0, 2 + 2 + 2 + 2);
        add_little_endian(directory_, 0, 4);
        add_little_endian(directory_, place_, 4);
        directory_ += name;
        ++members_;

        std::string local = "PK\x03\x04" + common;
        add_little_endian(local, field_header + padding, 2);
        local += name + "FB";
        add_little_endian(local, padding, 2);
        local.append(padding, 'Z');
        write(std::as_bytes(std::span(local)));
        write(content);
    }
    void member(const std::string& name, std::string_view content) {
        member(name, std::as_bytes(std::span(content)));
    }

    void finish() {
        const std::uint64_t directory_at = place_;
        std::string end = "PK\x05\x06";
        add_little_endian(end, 0, 2 + 2);
        add_little_endian(end, members_, 2);
        add_little_endian(end, members_, 2);
        add_little_endian(end, directory_.size(), 4);
        add_little_endian(end, directory_at, 4);
        add_little_endian(end, 0, 2);
        write(std::as_bytes(std::span(directory_)));
        write(std::as_bytes(std::span(end)));
    }

  private:
    void write(std::span<const std::byte> bytes) {
        sink_(bytes);
        place_ += bytes.size();
    }

    const byte_sink& sink_;
    std::uint64_t place_ = 0, members_ = 0;
    std::string directory_;
};

} // namespace

void write_torch_file(const std::filesystem::path& path, std::span<const weight_tensor> tensors) {
    const std::string pickle = state_dict(tensors);
    std::uint64_t bytes = pickle.size();
    for (const weight_tensor& tensor : tensors) bytes += tensor.bytes.size() + 1024; // and its headers
    if (bytes > std::numeric_limits<std::uint32_t>::max() || tensors.size() > 65000)
        throw std::invalid_argument("write_torch_file: 4 GB and more would need another zip format");
    write_file_atomically(path, [&](const byte_sink& sink) {
        zip_writer zip(sink);
        zip.member("archive/data.pkl", pickle);
        zip.member("archive/byteorder", "little");
        for (std::size_t i = 0; i < tensors.size(); ++i)
            zip.member("archive/data/" + std::to_string(i), tensors[i].bytes);
        zip.member("archive/version", "3\n");
        zip.finish();
    });
}

} // namespace petnet::model
