// SPDX-License-Identifier: Apache-2.0
// Photographs that are broken, odd or hostile, in a folder that is otherwise good.
#include "tests/app/folders.hpp"

using namespace petnet::testing;

namespace {

class odd_photographs : public work_folder {
  protected:
    static std::string sample_jpeg() {
        return content_of(fs::path(PETNET_SAMPLE_DIR) / "images" / "Abyssinian_12.jpg");
    }
    static fs::path odd(const std::string& name) { return fs::path(PETNET_ODD_PHOTOGRAPHS) / name; }
    void link(const fs::path& photo, const std::string& name) const {
        fs::create_symlink(photo, folder() / name);
    }
    [[nodiscard]] std::vector<std::string> broken_of(const std::string& output) const {
        std::vector<std::string> names;
        const nlohmann::json record = record_of(output);
        for (const auto& entry : record.at("broken")) {
            names.push_back(entry.at("file"));
            EXPECT_NE(entry.at("reason").get<std::string>().find(names.back()), std::string::npos);
        }
        return names;
    }
};

std::string big_endian(std::uint32_t value, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
}

std::string little_endian(std::uint32_t value, int bytes) {
    std::string text = big_endian(value, bytes);
    std::reverse(text.begin(), text.end());
    return text;
}

// A PNG whose header promises a size that nothing backs.
std::string huge_png(std::uint32_t side) {
    std::string text = "\x89PNG\r\n\x1a\n";
    text += big_endian(13, 4) + "IHDR" + big_endian(side, 4) + big_endian(side, 4);
    text += std::string("\x08\x02\x00\x00\x00", 5) + std::string(4, '\0');
    return text + big_endian(8, 4) + "IDAT" + std::string(12, '\0');
}

// The same JPEG, but for the size in its frame header.
std::string huge_jpeg(std::string jpeg, std::uint32_t side) {
    const std::size_t frame = jpeg.find(std::string("\xff\xc0\x00\x11\x08", 5));
    EXPECT_NE(frame, std::string::npos) << "no baseline JPEG of three components";
    return jpeg.replace(frame + 5, 4, big_endian(side, 2) + big_endian(side, 2));
}

// A black picture of one bit a pixel; the file has holes where the disk has them.
void write_bitmap(const fs::path& file, std::uint32_t side) {
    const std::uint32_t row = (side + 31) / 32 * 4, start = 62;
    std::string text = "BM" + little_endian(start + row * side, 4) + std::string(4, '\0');
    text += little_endian(start, 4) + little_endian(40, 4) + little_endian(side, 4) + little_endian(side, 4);
    text += little_endian(1, 2) + little_endian(1, 2) + std::string(16, '\0') + little_endian(2, 4) +
            std::string(4, '\0') + std::string(8, '\x7f');
    std::ofstream(file, std::ios::binary) << text;
    fs::resize_file(file, start + row * side);
}

TEST_F(odd_photographs, a_few_broken_ones_are_left_out_counted_and_named) {
    const std::string data = photographs("d", 296);
    for (const char* name : {"cmyk.jpg", "gray.jpg", "gray16.png", "png_named.jpg", "gif_named.jpg"})
        link(odd(name), std::string("d/odd_") + name);
    write("d/annotations.mat", "MATLAB 5.0");
    write("d/Truncated_1.jpg", sample_jpeg().substr(0, sample_jpeg().size() / 2));
    write("d/empty_2.jpg", "");
    write("d/page_3.jpg", "<html><body>404</body></html>");
    const arguments words = training(data, "o", {"--epochs", "0", "--batch-size", "32"});
    const outcome result = run(words);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("Warning: 1 files are no photographs"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("Warning: 2 photographs are broken"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("Warning: 3 photographs are broken"), std::string::npos) << result.err;
    EXPECT_EQ(broken_of("o"), (std::vector<std::string>{"Truncated_1.jpg", "empty_2.jpg", "page_3.jpg"}));
    EXPECT_EQ(record_of("o").at("photographs").at("skipped"), 1);

    write("d/last_4.jpg", huge_jpeg(sample_jpeg(), 30000));
    arguments again = training(data, "p", {"--epochs", "0", "--batch-size", "32"});
    const outcome stopped = run(again);
    EXPECT_EQ(stopped.code, 3);
    EXPECT_NE(stopped.err.find("petnet: 4 of 305 photographs"), std::string::npos) << stopped.err;
    EXPECT_NE(stopped.err.find("0.01"), std::string::npos) << stopped.err;
    again.insert(again.end(), {"--max-bad-images", "0.02"});
    const outcome allowed = run(again);
    EXPECT_EQ(allowed.code, 0) << allowed.err;
    EXPECT_EQ(broken_of("p").size(), 4U);
}

TEST_F(odd_photographs, headers_that_promise_too_much_cost_nothing) {
    const std::string data = photographs("d", 8);
    const arguments words =
        training(data, "o", {"--epochs", "0", "--max-bad-images", "0.5", "--threads", "4"});
    const outcome plain = run(words);
    ASSERT_EQ(plain.code, 0) << plain.err;
    write("d/a_1.png", huge_png(30000));
    write("d/a_2.png", huge_png(12000));
    write("d/A_3.jpg", huge_jpeg(sample_jpeg(), 30000));
    write("d/A_4.jpg", huge_jpeg(sample_jpeg(), 65000));
    const outcome hostile = run(words);
    ASSERT_EQ(hostile.code, 0) << hostile.err;
    // A photograph is looked at when its turn comes: the last partial batch of an epoch is not.
    EXPECT_GE(broken_of("o").size(), 1U);
    expect_peak_below(hostile, plain.peak_megabytes + 50);
}

TEST_F(odd_photographs, many_huge_ones_at_once_take_the_memory_of_one) {
    const std::string data = photographs("d", 8);
    const arguments words = training(data, "o", {"--epochs", "0", "--threads", "4"});
    const outcome plain = run(words);
    ASSERT_EQ(plain.code, 0) << plain.err;
    for (const char* name : {"huge_1.bmp", "huge_2.bmp", "Huge_3.bmp", "Huge_4.bmp"})
        write_bitmap(folder() / "d" / name, 7000); // 150 MB of pixels, as much again to decode them
    const outcome hostile = run(words);
    ASSERT_EQ(hostile.code, 0) << hostile.err;
    EXPECT_TRUE(broken_of("o").empty());
    if (!address_sanitizer) {
        EXPECT_GT(hostile.peak_megabytes, plain.peak_megabytes + 100) << "the pictures were not decoded";
        EXPECT_LT(hostile.peak_megabytes, plain.peak_megabytes + 500);
    }
    RecordProperty("peak_megabytes", static_cast<int>(hostile.peak_megabytes));
}

// Real photographs at the beginning of files of 255 MB (GIFs, which are copied: 200 MB) that are mostly
// holes.
TEST_F(odd_photographs, many_huge_files_at_once_take_the_memory_of_one) {
    const std::string data = photographs("d", 8);
    const arguments words =
        training(data, "o", {"--epochs", "0", "--threads", "4", "--max-bad-images", "0.5"});
    const outcome plain = run(words);
    ASSERT_EQ(plain.code, 0) << plain.err;
    for (const char* name : {"a_1", "a_2", "A_3", "A_4"}) {
        const bool gif = name[2] == '2' || name[2] == '4';
        const fs::path file = write(std::string("d/") + name + (gif ? ".gif" : ".jpg"),
                                    gif ? content_of(odd("gray.gif")) : sample_jpeg());
        fs::resize_file(file, gif ? 200'000'000 : 255'000'000);
    }
    const outcome hostile = run(words);
    ASSERT_EQ(hostile.code, 0) << hostile.err;
    if (!address_sanitizer) {
        EXPECT_GT(hostile.peak_megabytes, plain.peak_megabytes + 150) << "the files were not read";
        EXPECT_LT(hostile.peak_megabytes, plain.peak_megabytes + 500);
    }
    EXPECT_TRUE(broken_of("o").empty());
    RecordProperty("peak_megabytes", static_cast<int>(hostile.peak_megabytes));
}

TEST_F(odd_photographs, inspect_finds_the_rule_that_fits) {
    const auto shown = [](const std::string& data, const arguments& more = {}) {
        arguments words{"inspect", data};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    };
    for (const char* name : {"f/winter/a.jpg", "f/winter/b.jpg", "f/summer/c.jpg"})
        write(name, sample_jpeg());
    const outcome by_folder = shown(at("f"));
    EXPECT_EQ(by_folder.code, 0) << by_folder.err;
    for (const char* part : {"2 classes by --labels folder", "summer", "winter"})
        EXPECT_NE(by_folder.out.find(part), std::string::npos) << by_folder.out;
    for (const char* name : {"b/Bengal_1.jpg", "b/Siamese_2.jpg"}) write(name, sample_jpeg()); // no dogs
    EXPECT_NE(shown(at("b")).out.find("2 classes by --labels breed"), std::string::npos);
    EXPECT_TRUE(refused(shown(at("f"), {"--labels", "cat-dog"}), 3, {"two classes"}));
}

TEST_F(odd_photographs, inspect_names_them) {
    const std::string data = photographs("d", 8);
    write("d/page_3.jpg", "<html>");
    write("d/notes.txt", "x");
    const outcome result = run({"inspect", data});
    EXPECT_EQ(result.code, 0) << result.err;
    for (const char* part : {"8 photographs", "2 classes", "broken: page_3.jpg", "skipped: notes.txt"})
        EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
}

} // namespace
