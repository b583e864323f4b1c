// SPDX-License-Identifier: Apache-2.0
#include "model/weights/zstd_input.hpp"

#include "model/weights/file_format.hpp"
#include "model/weights/refusal.hpp"
#include "model/weights/safetensors.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <zstd.h>

namespace petnet::model {
namespace {

constexpr std::uint64_t mebibyte = 1u << 20;
// ResNet-34 with both of Adam's moments has 250 MiB; with zstd's window of up to 128 MiB, 500 MB hold it all.
constexpr std::uint64_t most_content = 320 * mebibyte;

// Decompresses as far as it is asked to, into a buffer that grows with what really comes out.
class zstd_stream {
  public:
    zstd_stream(std::span<const std::byte> bytes, std::string_view file)
        : input_{bytes.data(), bytes.size(), 0},
          file_(file),
          limit_(std::min<std::uint64_t>(most_content, 128 * mebibyte + 64 * bytes.size())) {
        if (!stream_) throw std::bad_alloc();
    }

    // Nothing beyond `size` bytes is decompressed; more is refused.
    void set_limit(std::uint64_t size) { limit_ = std::min(limit_, size); }
    void reserve(std::uint64_t capacity) {
        capacity = std::min(capacity, limit_);
        if (capacity <= capacity_) return;
        // The system moves the pages of a large block: never are there two of it.
        void* larger = std::realloc(buffer_.get(), capacity);
        if (larger == nullptr) throw std::bad_alloc();
        static_cast<void>(buffer_.release());
        buffer_.reset(static_cast<std::byte*>(larger));
        capacity_ = capacity;
    }

    // Goes on until there are `wanted` bytes or the content ends.
    void fill(std::uint64_t wanted) {
        while (size_ < wanted && !ended_) {
            if (size_ >= limit_) return refuse_if_more();
            if (size_ == capacity_)
                reserve(std::max<std::uint64_t>(std::min(wanted, 2 * capacity_), 64 * 1024));
            ZSTD_outBuffer output{buffer_.get(), std::min(capacity_, limit_), size_};
            step(output);
            size_ = output.pos;
        }
    }

    [[nodiscard]] std::span<const std::byte> bytes() const { return {buffer_.get(), size_}; }
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] std::uint64_t limit() const { return limit_; }
    [[nodiscard]] decompressed_bytes finish() && {
        return {std::shared_ptr<const std::byte[]>(buffer_.release(), free_buffer()), size_};
    }

  private:
    void step(ZSTD_outBuffer& output) {
        const std::size_t read_before = input_.pos, written_before = output.pos;
        const std::size_t hint = ZSTD_decompressStream(stream_.get(), &output, &input_);
        if (ZSTD_isError(hint) != 0)
            refuse(file_, std::string("the zstd data is damaged (") + ZSTD_getErrorName(hint) + ")");
        frame_complete_ = hint == 0;
        // Several frames may follow each other; the content ends with a frame that uses up the input.
        ended_ = frame_complete_ && input_.pos == input_.size;
        const bool stuck = input_.pos == read_before && output.pos == written_before;
        if (stuck && !ended_) refuse(file_, "the zstd data ends too early; the file is damaged or cut short");
    }
    void refuse_if_more() {
        while (!ended_) {
            std::byte extra;
            ZSTD_outBuffer output{&extra, 1, 0};
            step(output);
            if (output.pos > 0)
                refuse(file_, "the zstd data holds more than the " + std::to_string(limit_) +
                                  " bytes that this file can need");
        }
    }

    struct free_stream {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    std::unique_ptr<ZSTD_DStream, free_stream> stream_{ZSTD_createDStream()};
    ZSTD_inBuffer input_;
    std::string_view file_;
    std::uint64_t limit_;
    struct free_buffer {
        void operator()(std::byte* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<std::byte[], free_buffer> buffer_;
    std::uint64_t size_ = 0, capacity_ = 0;
    bool frame_complete_ = false, ended_ = false;
};

} // namespace

bool is_zstd(std::span<const std::byte> bytes) noexcept {
    constexpr unsigned char magic[] = {0x28, 0xB5, 0x2F, 0xFD};
    return bytes.size() >= sizeof magic && std::memcmp(bytes.data(), magic, sizeof magic) == 0;
}

decompressed_bytes decompress_zstd(std::span<const std::byte> bytes, std::string_view file) {
    zstd_stream stream(bytes, file);
    constexpr std::uint64_t beginning = 4096;
    stream.fill(beginning);
    const file_format format = recognise(stream.bytes());
    if (format == file_format::unknown)
        refuse(file, "zstd data whose content is not a weight file (" + describe_unknown(stream.bytes()) +
                         "); expected safetensors or a torch .pth");
    if (format == file_format::safetensors) {
        std::uint64_t header_length;
        std::memcpy(&header_length, stream.bytes().data(), sizeof header_length);
        stream.fill(sizeof header_length + std::min(header_length, largest_safetensors_header));
        if (const auto size = safetensors_file_size(stream.bytes(), file)) {
            stream.set_limit(*size);
            stream.reserve(*size);
        }
    } else {
        const unsigned long long hint = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
        if (hint != ZSTD_CONTENTSIZE_UNKNOWN && hint != ZSTD_CONTENTSIZE_ERROR) stream.reserve(hint);
    }
    stream.fill(stream.limit() + 1);
    return std::move(stream).finish();
}

} // namespace petnet::model
