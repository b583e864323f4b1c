// SPDX-License-Identifier: Apache-2.0
// The cache of pixels and what `inspect` draws, as a user meets them.
#include "tests/app/folders.hpp"

using namespace petnet::testing;

namespace {

class pixel_cache : public work_folder {
  protected:
    // A training on `data` with the cache in this test's own folder, twice through the photographs; the model
    // it makes.
    std::string model_with(const std::string& data, const std::string& output, const arguments& more) const {
        const outcome result = run(twice_through(data, output, more), in_own_cache());
        EXPECT_EQ(result.code, 0) << result.err;
        return model_of(output);
    }
    [[nodiscard]] arguments twice_through(const std::string& data, const std::string& output,
                                          const arguments& more) const {
        arguments words = training(data, output, frozen(2));
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    [[nodiscard]] surroundings in_own_cache() const {
        return {.environment = {{"PETNET_CACHE_DIR", at("cache")}}};
    }
    [[nodiscard]] std::uintmax_t cached_bytes() const {
        std::uintmax_t bytes = 0;
        if (fs::exists(folder() / "cache/pixels"))
            for (const auto& file : fs::directory_iterator(folder() / "cache/pixels"))
                bytes += file.file_size();
        return bytes;
    }
};

TEST_F(pixel_cache, changes_no_bit_of_the_model_now_or_later_or_with_two_runs_at_once) {
    const std::string data = photographs("d", 10);
    const std::string expected = model_with(data, "memory", {});
    EXPECT_EQ(cached_bytes(), 0U) << "photographs that fit into memory were written";
    EXPECT_TRUE(model_with(data, "file", {"--cache-memory", "0"}) == expected);
    const std::uintmax_t bytes = cached_bytes();
    EXPECT_GT(bytes, 20'000U);
    {
        program first(twice_through(data, "first", {"--cache-memory", "0"}), in_own_cache());
        program second(twice_through(data, "second", {"--cache-memory", "10KB"}), in_own_cache());
        EXPECT_EQ(first.end().code, 0);
        EXPECT_EQ(second.end().code, 0);
    }
    EXPECT_TRUE(model_of("first") == expected);
    EXPECT_TRUE(model_of("second") == expected);
    EXPECT_EQ(cached_bytes(), bytes);
}

TEST_F(pixel_cache, that_cannot_be_written_is_a_warning) {
    const std::string data = photographs("d", 10);
    const std::string expected = model_with(data, "memory", {});
    write("cache", "a file in the folder's place");
    const outcome result = run(twice_through(data, "o", {"--cache-memory", "0"}), in_own_cache());
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("Warning: cannot write to"), std::string::npos) << result.err;
    EXPECT_TRUE(model_of("o") == expected);
}

TEST_F(pixel_cache, takes_sizes_with_units_and_refuses_others) {
    for (const char* size : {"lots", "-5", "8GX", "99999999999TB"})
        EXPECT_TRUE(
            refused(run({"train", "--data", "/nonexistent", "--cache-memory", size}), 2, {"--cache-memory"}))
            << size;
    for (const char* size : {"0", "1000", "8GB", "1.5GB", "512MiB"})
        EXPECT_TRUE(
            refused(run({"train", "--data", "/nonexistent", "--cache-memory", size}), 3, {"/nonexistent"}))
            << size;
}

TEST_F(pixel_cache, exif_is_part_of_what_the_model_says) {
    const std::string data = photographs("d", 10);
    for (const auto& [name, more] : {std::pair<const char*, arguments>{"ignored", {"--epochs", "0"}},
                                     {"turned", {"--epochs", "0", "--exif"}}}) {
        const outcome made = run(training(data, name, more), in_own_cache());
        EXPECT_EQ(made.code, 0) << made.err;
        const outcome shown = run({"inspect", at(std::string(name) + "/model.safetensors")});
        EXPECT_NE(shown.out.find(std::string("metadata exif: ") + name), std::string::npos) << shown.out;
    }
}

TEST_F(pixel_cache, inspect_names_what_decoding_refuses_and_draws_a_sheet) {
    const std::string data = photographs("d", 30);
    const std::string whole = content_of(fs::path(PETNET_SAMPLE_DIR) / "images" / "Abyssinian_12.jpg");
    write("d/Cut_1.jpg", whole.substr(0, whole.size() / 2));
    const outcome result = run({"inspect", data, "--sheet", at("sheet.jpg")});
    EXPECT_EQ(result.code, 0) << result.err;
    for (const char* part : {"31 photographs", "median", "1 photographs are broken", "broken: Cut_1.jpg",
                             "ends early", "sheet.jpg"})
        EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
    EXPECT_EQ(content_of(folder() / "sheet.jpg").substr(0, 3), "\xff\xd8\xff");
    // The sheet is a photograph as any other.
    fs::create_directories(folder() / "sheets/a");
    fs::create_directories(folder() / "sheets/b");
    fs::copy(folder() / "sheet.jpg", folder() / "sheets/a/1.jpg");
    fs::copy(folder() / "sheet.jpg", folder() / "sheets/b/2.jpg");
    const outcome sheets = run({"inspect", at("sheets")});
    EXPECT_NE(sheets.out.find("width   1194 to 1194 pixels"), std::string::npos) << sheets.out;

    EXPECT_TRUE(
        refused(run({"inspect", data, "--sheet", at("no/such/folder.jpg")}), 4, {"no/such/folder.jpg"}));
    EXPECT_TRUE(refused(run({"inspect", at("sheet.jpg"), "--sheet", at("x.jpg")}), 2, {"is no folder"}));
}

} // namespace
