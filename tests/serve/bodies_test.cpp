// SPDX-License-Identifier: Apache-2.0
// What a body says: forms, JSON, base64, plain bytes; and what is refused of it.
#include "serve/base64.hpp"
#include "serve/refusal.hpp"
#include "serve/sent_photos.hpp"

#include <gtest/gtest.h>
#include <utility>

using namespace petnet::serve;

namespace {

constexpr std::size_t most = 3;
using names_and_bytes = std::vector<std::pair<std::string, std::string>>;

names_and_bytes read(std::string_view type, std::string_view body) {
    names_and_bytes read;
    const sent_photos photos(type, body, most);
    for (const sent_photo& photo : photos.list())
        read.emplace_back(photo.file,
                          std::string(reinterpret_cast<const char*>(photo.bytes.data()), photo.bytes.size()));
    return read;
}

// 0: it was taken.
int status_of(std::string_view type, std::string_view body) {
    try {
        (void)read(type, body);
        return 0;
    } catch (const refusal& e) {
        return e.status();
    }
}

TEST(base64, as_rfc_4648_writes_it) {
    const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                           {"Zg==", "f"},
                                                           {"Zm8=", "fo"},
                                                           {"Zm9v", "foo"},
                                                           {"Zm9v\r\nYmE=\n", "fooba"},
                                                           {"+/8=", "\xfb\xff"}};
    for (const auto& [text, bytes] : vectors) EXPECT_EQ(from_base64(text), bytes) << text;
    for (const char* text :
         {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zg==Zg==", "Z!==", " Zg=", "Zg= ", "Zm9v=", "_-8="})
        EXPECT_FALSE(from_base64(text)) << text;
}

TEST(plain_body, is_one_photograph) {
    for (const char* type :
         {"image/jpeg", "application/octet-stream", "", "application/x-www-form-urlencoded"})
        EXPECT_EQ(read(type, "bytes"), (names_and_bytes{{"photograph", "bytes"}})) << type;
    EXPECT_EQ(status_of("image/png", ""), 400);
}

TEST(form, parts_in_their_order) {
    const std::string body = "a preamble\r\n--B\r\n"
                             "Content-Disposition: form-data; name=\"z\"; filename=\"z \\\"1\\\".jpg\"\r\n"
                             "Content-Type: image/jpeg\r\n\r\n"
                             "one\r\n--Bother\r\n"
                             "\r\n--B  \r\n"
                             "content-disposition: form-data; name=words\r\n\r\nno photograph"
                             "\r\n--B\r\n"
                             "X-Other: y\r\nContent-Disposition:form-data;filename=a.png;name=a\r\n\r\n"
                             "\r\n--B--\r\nan epilogue";
    // Delimiters are whole lines, but by RFC 2046 what begins as one ends the part.
    EXPECT_EQ(status_of("multipart/form-data; boundary=B", body), 400);
    std::string sound = body;
    sound.replace(sound.find("--Bother"), 8, "-- other");
    for (const char* type :
         {"multipart/form-data; boundary=B", "Multipart/Form-Data;charset=utf-8; Boundary=\"B\""})
        EXPECT_EQ(read(type, sound), (names_and_bytes{{"z \"1\".jpg", "one\r\n-- other\r\n"}, {"a.png", ""}}))
            << type;
}

TEST(form, damaged_or_too_much) {
    const std::string type = "multipart/form-data; boundary=B",
                      part = "\r\nContent-Type: image/png\r\n\r\nx\r\n--B";
    EXPECT_EQ(status_of(type, "--B" + part + "--"), 0);
    EXPECT_EQ(status_of(type, "--B" + part + part + part + "--"), 0);
    EXPECT_EQ(status_of(type, "--B" + part + part + part + part + "--"), 413);
    std::string fields = "--B";
    for (int i = 0; i < 100; ++i) fields += "\r\n\r\nx\r\n--B";
    EXPECT_EQ(status_of(type, fields + "--"), 413);
    const std::string whole = "--B" + part + "--";
    for (std::size_t cut = 0; cut < whole.size() - 1; ++cut)
        EXPECT_EQ(status_of(type, whole.substr(0, cut)), 400) << cut;
    const std::string photo = "--B\r\nContent-Type: image/png\r\n";
    EXPECT_EQ(status_of(type, photo + std::string(20000, 'h') + "\r\n\r\nx\r\n--B--"), 400);
    EXPECT_EQ(status_of(type, photo + "--B--"), 400) << "no end of its head";
    EXPECT_EQ(status_of(type, "--B--"), 400) << "no photograph";
    EXPECT_EQ(status_of("multipart/form-data", whole), 400);
    EXPECT_EQ(status_of("multipart/form-data; boundary=\"\"", whole), 400);
    EXPECT_EQ(status_of("multipart/form-data; boundary=\"" + std::string(71, 'b'), whole), 400);
    EXPECT_EQ(status_of("multipart/form-data; boundary=\"B\\", whole), 400);
}

TEST(json, one_and_several) {
    const names_and_bytes one{{"photograph", "foo"}};
    EXPECT_EQ(read("application/json", R"({"image":"Zm9v"})"), one);
    EXPECT_EQ(read("application/json; charset=utf-8", R"({"image":"data:image/jpeg;base64,Zm9v"})"), one);
    EXPECT_EQ(read("application/json", R"({"images":["Zm9v"]})"), one);
    EXPECT_EQ(read("application/json",
                   R"({"images": [{"data":"Zm9v","file":"a"}, "Zg==", {"file":"b","data":"Zm8="}]})"),
              (names_and_bytes{{"a", "foo"}, {"photograph 2", "f"}, {"b", "fo"}}));
}

TEST(json, of_another_form) {
    const std::string deep(100000, '[');
    for (const std::string& body : {std::string(),
                                    std::string("null"),
                                    std::string("\"Zm9v\""),
                                    std::string(R"(["Zm9v"])"),
                                    std::string("{}"),
                                    std::string(R"({"image":1})"),
                                    std::string(R"({"image":null})"),
                                    std::string(R"({"image":["Zm9v"]})"),
                                    std::string(R"({"images":"Zm9v"})"),
                                    std::string(R"({"images":{"data":"Zm9v"}})"),
                                    std::string(R"({"images":[["Zm9v"]]})"),
                                    std::string(R"({"images":[true]})"),
                                    std::string(R"({"images":[]})"),
                                    std::string(R"({"image":{"file":"a"}})"),
                                    std::string(R"({"image":{"data":{}}})"),
                                    std::string(R"({"image":{"data":"Zm9v","other":"x"}})"),
                                    std::string(R"({"other":"Zm9v"})"),
                                    std::string(R"({"image":"Zm9"})"),
                                    std::string(R"({"image":"data:image/jpeg,Zm9v"})"),
                                    std::string(R"({"image":"Zm9v")"),
                                    std::string(R"({"image":"Zm9v"} x)"),
                                    std::string("{\"image\":\"\xff\"}"),
                                    deep,
                                    R"({"images":)" + deep,
                                    R"({"image":)" + std::string(100000, '{')})
        EXPECT_EQ(status_of("application/json", body), 400) << body.substr(0, 60);
    EXPECT_EQ(status_of("application/json", R"({"images":["Zg==","Zg==","Zg==","Zg=="]})"), 413);
}

} // namespace
