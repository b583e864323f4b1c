// SPDX-License-Identifier: Apache-2.0
#include "tests/support/make_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <memory>
#include <stdexcept>

namespace petnet::testing {
namespace {

unsigned type_of(archive_member::kind kind) {
    switch (kind) {
    case archive_member::folder:
        return AE_IFDIR;
    case archive_member::symbolic_link:
        return AE_IFLNK;
    case archive_member::fifo:
        return AE_IFIFO;
    case archive_member::character_device:
        return AE_IFCHR;
    case archive_member::block_device:
        return AE_IFBLK;
    case archive_member::file:
    case archive_member::hard_link:
        break;
    }
    return AE_IFREG;
}

} // namespace

void make_archive(const std::filesystem::path& path, const std::vector<archive_member>& members,
                  const std::string& filter) {
    const std::unique_ptr<::archive, decltype(&archive_write_free)> writer(archive_write_new(),
                                                                           archive_write_free);
    const auto require = [&](int result) {
        if (result != ARCHIVE_OK) throw std::runtime_error(archive_error_string(writer.get()));
    };
    require(archive_write_set_format_gnutar(writer.get()));
    if (filter != "none") require(archive_write_add_filter_by_name(writer.get(), filter.c_str()));
    require(archive_write_open_filename(writer.get(), path.c_str()));
    for (const archive_member& member : members) {
        const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                                  archive_entry_free);
        archive_entry_set_pathname(entry.get(), member.path.c_str());
        archive_entry_set_filetype(entry.get(), type_of(member.type));
        archive_entry_set_perm(entry.get(), member.permissions);
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(member.content.size()));
        if (member.type == archive_member::symbolic_link)
            archive_entry_set_symlink(entry.get(), member.target.c_str());
        if (member.type == archive_member::hard_link)
            archive_entry_set_hardlink(entry.get(), member.target.c_str());
        require(archive_write_header(writer.get(), entry.get()));
        if (archive_write_data(writer.get(), member.content.data(), member.content.size()) < 0)
            throw std::runtime_error(archive_error_string(writer.get()));
    }
    require(archive_write_close(writer.get()));
}

} // namespace petnet::testing
