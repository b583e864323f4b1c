// SPDX-License-Identifier: Apache-2.0
#include "model/weights/safetensors.hpp"

#include "model/weights/byte_cursor.hpp"
#include "model/weights/tensor_layout.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>

namespace petnet::model {
namespace {

constexpr std::size_t length_bytes = 8;

std::optional<weight_dtype> dtype_named(std::string_view name) {
    using enum weight_dtype;
    constexpr std::pair<std::string_view, weight_dtype> names[] = {
        {"F64", f64}, {"F32", f32}, {"F16", f16}, {"BF16", bf16}, {"I64", i64},
        {"I32", i32}, {"I16", i16}, {"I8", i8},   {"U8", u8},     {"BOOL", boolean}};
    for (const auto& [text, dtype] : names)
        if (text == name) return dtype;
    return std::nullopt;
}

struct entry {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> offsets;
    bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Takes the header's JSON event by event: no tree is built, and what is deeper or other than the format
// allows stops the parser at once. Every handler returns whether to go on; `problem` then says why not.
class header_handler final : public nlohmann::json_sax<nlohmann::json> {
  public:
    std::vector<entry> entries;
    std::map<std::string, std::string> metadata;
    std::string problem;

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("true or false"); }
    bool number_integer(number_integer_t value) override {
        return fail("negative number " + std::to_string(value) + " in " + where());
    }
    bool number_unsigned(number_unsigned_t value) override {
        if (at_ != place::shape && at_ != place::offsets) return unexpected("a number");
        if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()))
            return fail("number too large in " + where());
        auto& numbers = at_ == place::shape ? entries.back().shape : entries.back().offsets;
        if (numbers.size() == (at_ == place::shape ? largest_rank : 2))
            return fail("too many numbers in " + where());
        numbers.push_back(static_cast<std::int64_t>(value));
        return true;
    }
    bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
    bool string(string_t& value) override {
        if (at_ == place::metadata) {
            if (metadata.size() == largest_tensor_count) return fail("__metadata__ has too many entries");
            if (!metadata.emplace(metadata_key_, value).second)
                return fail("__metadata__ has " + printable(metadata_key_) + " twice");
            return true;
        }
        if (at_ != place::dtype) return unexpected("a string");
        entries.back().dtype = value;
        at_ = place::tensor;
        return true;
    }
    bool binary(binary_t&) override { return unexpected("binary data"); }
    bool start_object(std::size_t) override {
        switch (at_) {
        case place::outside:
            at_ = place::top;
            return true;
        case place::tensor_value:
            at_ = place::tensor;
            return true;
        case place::metadata_value:
            at_ = place::metadata;
            return true;
        default:
            return unexpected("an object");
        }
    }
    bool key(string_t& name) override {
        if (at_ == place::top) return top_key(name);
        if (at_ == place::tensor) return tensor_key(name);
        metadata_key_ = name;
        return true;
    }
    bool end_object() override {
        if (at_ == place::tensor) {
            const entry& e = entries.back();
            if (!e.has_dtype || !e.has_shape || !e.has_offsets || e.offsets.size() != 2)
                return fail("tensor " + printable(e.name) + " lacks its dtype, shape or data_offsets");
        }
        at_ = place::top;
        return true;
    }
    bool start_array(std::size_t) override {
        if (at_ == place::shape_value)
            at_ = place::shape;
        else if (at_ == place::offsets_value)
            at_ = place::offsets;
        else
            return unexpected("a list");
        return true;
    }
    bool end_array() override {
        at_ = place::tensor;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        return fail("not JSON at byte " + std::to_string(length_bytes + position));
    }

  private:
    // Where in the header the parser stands; `_value` is between a key and what it names.
    enum class place {
        outside,
        top,
        tensor_value,
        tensor,
        dtype,
        shape_value,
        shape,
        offsets_value,
        offsets,
        metadata_value,
        metadata
    };

    bool fail(std::string reason) {
        problem = std::move(reason);
        return false;
    }
    bool unexpected(std::string_view found) { return fail(std::string(found) + " stands in " + where()); }
    std::string where() const {
        if (at_ == place::metadata || at_ == place::metadata_value) return "__metadata__ (only strings may)";
        if (at_ == place::outside) return "place of the header's object";
        return entries.empty() || at_ == place::top ? "place of a tensor"
                                                    : "tensor " + printable(entries.back().name);
    }
    bool top_key(const std::string& name) {
        if (name == "__metadata__") {
            if (has_metadata_) return fail("__metadata__ is there twice");
            has_metadata_ = true;
            at_ = place::metadata_value;
            return true;
        }
        if (entries.size() == largest_tensor_count) return fail("more than 100000 tensors");
        entries.emplace_back().name = name;
        at_ = place::tensor_value;
        return true;
    }
    bool tensor_key(const std::string& name) {
        entry& e = entries.back();
        bool* seen = name == "dtype"          ? &e.has_dtype
                     : name == "shape"        ? &e.has_shape
                     : name == "data_offsets" ? &e.has_offsets
                                              : nullptr;
        if (seen == nullptr)
            return fail("unknown entry " + printable(name) + " in tensor " + printable(e.name));
        if (*seen) return fail(name + " is there twice in tensor " + printable(e.name));
        *seen = true;
        at_ = seen == &e.has_dtype   ? place::dtype
              : seen == &e.has_shape ? place::shape_value
                                     : place::offsets_value;
        return true;
    }

    place at_ = place::outside;
    bool has_metadata_ = false;
    std::string metadata_key_;
};

[[noreturn]] void bad_header(std::string_view file, const std::string& reason) {
    refuse(file, "the safetensors header is wrong: " + reason);
}

std::uint64_t header_length(std::span<const std::byte> bytes, std::string_view file) {
    const auto length = byte_cursor(bytes, file, "the safetensors header").read<std::uint64_t>();
    if (length > largest_safetensors_header)
        bad_header(file, "it claims " + std::to_string(length) + " bytes; expected at most " +
                             std::to_string(largest_safetensors_header));
    return length;
}

header_handler parse_header(std::span<const std::byte> header, std::string_view file) {
    header_handler handler;
    const std::string_view json = byte_cursor::as_text(header);
    if (!nlohmann::json::sax_parse(json.begin(), json.end(), &handler)) bad_header(file, handler.problem);
    std::unordered_set<std::string_view> names;
    for (const entry& e : handler.entries)
        if (!names.insert(e.name).second) bad_header(file, "tensor " + printable(e.name) + " is there twice");
    return handler;
}

// Checks one tensor by itself: dtype, shape and length agree.
weight_dtype checked_dtype(const entry& e, std::string_view file) {
    const auto dtype = dtype_named(e.dtype);
    if (!dtype)
        bad_header(file, "tensor " + printable(e.name) + " has dtype " + printable(e.dtype) +
                             "; expected F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL");
    const auto bytes = contiguous_bytes(e.shape, element_size(*dtype));
    if (!bytes) bad_header(file, "the shape of tensor " + printable(e.name) + " is too large");
    if (e.offsets[1] < e.offsets[0] || static_cast<std::uint64_t>(e.offsets[1] - e.offsets[0]) != *bytes)
        bad_header(file, "tensor " + printable(e.name) + " of shape " + shape_text(e.shape) + " and dtype " +
                             e.dtype + " needs " + std::to_string(*bytes) +
                             " bytes, but its data_offsets are " + shape_text(e.offsets));
    return *dtype;
}

// Checks that the tensors follow each other without holes or overlaps, and returns where the last one ends.
std::uint64_t checked_data_size(const std::vector<entry>& entries, std::string_view file) {
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return entries[a].offsets < entries[b].offsets; });
    std::int64_t end = 0;
    for (std::size_t i : order) {
        const entry& e = entries[i];
        if (e.offsets[0] != end)
            bad_header(file, "tensor " + printable(e.name) + " starts at byte " +
                                 std::to_string(e.offsets[0]) +
                                 " of the data, where the tensor before it ends at " + std::to_string(end));
        end = e.offsets[1];
    }
    return static_cast<std::uint64_t>(end);
}

} // namespace

weight_file read_safetensors(std::span<const std::byte> bytes, std::string_view file,
                             const std::shared_ptr<const void>& owner) {
    const std::uint64_t length = header_length(bytes, file);
    if (length > bytes.size() - length_bytes)
        bad_header(file, "it claims " + std::to_string(length) + " bytes, but only " +
                             std::to_string(bytes.size() - length_bytes) +
                             " follow; the file is damaged or cut short");
    header_handler header = parse_header(bytes.subspan(length_bytes, length), file);
    const auto data = bytes.subspan(length_bytes + length);

    weight_file result;
    result.metadata = std::move(header.metadata);
    std::vector<weight_dtype> dtypes;
    for (const entry& e : header.entries) dtypes.push_back(checked_dtype(e, file));
    const std::uint64_t size = checked_data_size(header.entries, file);
    if (size != data.size())
        refuse(file, "the safetensors header describes " + std::to_string(size) + " bytes of tensors, but " +
                         std::to_string(data.size()) + " follow; the file is damaged or cut short");
    for (std::size_t i = 0; i < dtypes.size(); ++i) {
        entry& e = header.entries[i];
        const auto begin = static_cast<std::size_t>(e.offsets[0]),
                   end = static_cast<std::size_t>(e.offsets[1]);
        result.tensors.push_back(
            {std::move(e.name), dtypes[i], std::move(e.shape), data.subspan(begin, end - begin), owner});
    }
    return result;
}

std::optional<std::uint64_t> safetensors_file_size(std::span<const std::byte> beginning,
                                                   std::string_view file) {
    if (beginning.size() < length_bytes) return std::nullopt;
    const std::uint64_t length = header_length(beginning, file);
    if (length > beginning.size() - length_bytes) return std::nullopt;
    const header_handler header = parse_header(beginning.subspan(length_bytes, length), file);
    for (const entry& e : header.entries) (void)checked_dtype(e, file);
    return length_bytes + length + checked_data_size(header.entries, file);
}

} // namespace petnet::model
