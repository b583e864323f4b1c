// SPDX-License-Identifier: Apache-2.0
#include "data/fetch.hpp"

#include "base/descriptor.hpp"
#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/part_file.hpp"
#include "data/survey.hpp"
#include "net/url.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

void make_folders(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw environment_error("cannot make the folder " + folder.string() + ": " + error.message());
}

// Keeps others from fetching the same; the system lets go of it however the process ends. The file stays:
// were it removed, a third could lock a new one while the second holds the old.
class fetch_lock {
  public:
    fetch_lock(const fs::path& file, const std::string& words, const work_listener& listener)
        : descriptor_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
        if (descriptor_.get() < 0)
            throw environment_error("cannot write " + file.string() + ": " +
                                    std::error_code(errno, std::generic_category()).message());
        bool told = false;
        // Some network file systems have no locks: then nothing guards.
        while (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0 &&
               (errno == EWOULDBLOCK || errno == EINTR)) {
            if (!told) listener.note("another petnet is fetching " + words + ": waiting for it");
            told = true;
            listener.throw_if_stopping();
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }

  private:
    descriptor descriptor_;
};

std::string mirror_of(const fetch_item& item, const fetch_options& options) {
    if (!options.mirror.empty()) return options.mirror;
    const char* named = std::getenv(item.variable.c_str());
    return named == nullptr ? "" : named;
}

// What an archive or weight file turned out to be.
struct verified_file {
    fs::path file;
    fetch_source source;
    std::string sha256;
    std::uint64_t bytes = 0;
};

// input_error where the file is not the source's.
verified_file verify(const fs::path& path, const fetch_source& source, const work_listener& listener) {
    const mapped_file file(path);
    const std::uint64_t bytes = file.bytes().size();
    const auto refuse = [&](const std::string& what, const std::string& expected, const std::string& found) {
        throw input_error(path.string() + " is damaged or another file than " + net::shown_url(source.url) +
                          ": " + what + " " + expected + " was expected, it has " + found);
    };
    if (source.bytes > 0 && bytes != source.bytes)
        refuse("a size of", std::to_string(source.bytes) + " bytes", std::to_string(bytes));
    listener.progress({.what = "verifying " + path.filename().string(), .done = 0, .total = bytes});
    if (!source.md5.empty())
        if (const std::string found = md5(file.bytes()); found != source.md5)
            refuse("the MD5", source.md5, found);
    listener.throw_if_stopping();
    const std::string found = sha256(file.bytes());
    if (!found.starts_with(source.sha256)) refuse("a SHA-256 that begins with", source.sha256, found);
    return {path, source, found, bytes};
}

void unpack(const verified_file& archive, const fetch_item& item, const fs::path& place,
            const work_listener& listener) {
    const fs::path unfinished = place.string() + ".unpacking";
    std::error_code ignored;
    const auto discard = [&] { fs::remove_all(unfinished, ignored); };
    discard(); // of a process that was killed
    make_folders(unfinished / "images");
    try {
        unpack_archive(archive.file, archive.source.inside, unfinished / "images", *item.unpacked, listener);
        nlohmann::json record{{"source", net::shown_url(archive.source.url)},
                              {"sha256", archive.sha256},
                              {"bytes", archive.bytes}};
        if (!archive.source.has_hash()) {
            const image_folder photographs = open_image_folder(unfinished);
            const std::size_t total = photographs.photos.size() + photographs.broken.size();
            if (total != item.photographs)
                throw input_error(archive.file.string() +
                                  " is not what it should be: " + std::to_string(item.photographs) +
                                  " photographs were expected, it holds " + std::to_string(total));
            const std::vector<broken_photo> broken = survey_photos(photographs, listener).broken;
            require_few_broken(archive.file, broken, total, 0.01);
            for (const broken_photo& photo : broken) listener.note(photo.reason);
            record["photographs"] = {{"good", total - broken.size()}, {"broken", broken.size()}};
        }
        write_file_atomically(unfinished / "source.json", record.dump(2) + "\n");
        const descriptor folder(::open(unfinished.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.get() >= 0) (void)::syncfs(folder.get()); // all files before the rename, at one go
        fs::rename(unfinished, place);
    } catch (const fs::filesystem_error& e) {
        discard();
        throw environment_error("cannot write " + place.string() + ": " + e.code().message());
    } catch (...) {
        discard();
        throw;
    }
}

void rename_to(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::rename(from, to, error);
    if (error) throw environment_error("cannot write " + to.string() + ": " + error.message());
}

class fetching {
  public:
    fetching(const fetch_item& item, const fetch_options& options, const work_listener& listener)
        : item_(item), options_(options), listener_(listener), place_(options.cache / item.place) {}

    fs::path run() {
        make_folders(options_.cache);
        const fetch_lock lock(place_.string() + ".lock", item_.title, listener_);
        if (fetched(item_, options_.cache)) return place_; // by the one that was waited for
        if (use_file_put_by_hand()) {
            discard_parts();
            return place_;
        }
        std::string reasons;
        for (const fetch_source& source : sources_) {
            try {
                download_and_use(source);
                discard_parts();
                if (!reasons.empty())
                    listener_.note("taken from " + net::shown_url(source.url) + ", as " + reasons);
                return place_;
            } catch (const download_error& e) {
                reasons += (reasons.empty() ? "" : "; ") + std::string(e.what());
            } catch (const input_error& e) { // looked at, and found wanting
                reasons += (reasons.empty() ? "" : "; ") + std::string(e.what());
            }
        }
        const fetch_source& first = item_.sources.front();
        throw environment_error(item_.title + " are not here and cannot be downloaded (" + reasons +
                                "): download " + first.url + " yourself and put it at " +
                                (options_.cache / first.file).string());
    }

  private:
    // The item's own, or the one that the mirror stands for, with the mirror's address.
    [[nodiscard]] std::vector<fetch_source> find_sources() const {
        const std::string mirror = mirror_of(item_, options_);
        if (mirror.empty()) return item_.sources;
        const auto same =
            std::ranges::find(item_.sources, net::file_name_of_url(mirror), &fetch_source::file);
        fetch_source source = same == item_.sources.end() ? item_.sources.front() : *same;
        source.url = mirror;
        return {source};
    }

    bool use_file_put_by_hand() {
        for (const fetch_source& source : item_.sources) {
            const fs::path file = options_.cache / source.file;
            std::error_code ignored;
            if (!item_.unpacked || !fs::exists(file, ignored)) continue;
            const verified_file archive = verify(file, source, listener_);
            listener_.note("using " + file.string());
            unpack(archive, item_, place_, listener_);
            return true;
        }
        return false;
    }

    void download_and_use(const fetch_source& source) {
        const fs::path part = part_of(source);
        download({.url = source.url,
                  .part = part,
                  .most_bytes = source.bytes > 0 ? source.bytes : item_.most_bytes,
                  .patience = options_.patience},
                 listener_);
        try {
            const verified_file file = verify(part, source, listener_);
            if (item_.unpacked)
                unpack(file, item_, place_, listener_);
            else
                rename_to(part, place_);
        } catch (const input_error&) {
            discard_part(part); // continuing it would not make it better
            throw;
        }
    }

    [[nodiscard]] fs::path part_of(const fetch_source& source) const {
        return options_.cache / (source.file + ".part");
    }
    // With the item in its place, the parts of no source are of use.
    void discard_parts() const {
        for (const fetch_source& source : item_.sources) discard_part(part_of(source));
    }

    const fetch_item& item_;
    const fetch_options& options_;
    const work_listener& listener_;
    const fs::path place_;
    const std::vector<fetch_source> sources_ = find_sources();
};

} // namespace

std::optional<fs::path> fetched(const fetch_item& item, const fs::path& cache) {
    fs::path place = cache / item.place;
    std::error_code ignored;
    const bool there = item.unpacked ? fs::is_directory(place, ignored) : fs::exists(place, ignored);
    return there ? std::optional(std::move(place)) : std::nullopt;
}

fs::path fetch(const fetch_item& item, const fetch_options& options, const work_listener& listener) {
    if (const auto place = fetched(item, options.cache)) {
        // A weight file is put there by hand, too; an unpacked folder was verified when it was made.
        if (!item.unpacked) static_cast<void>(verify(*place, item.sources.front(), listener));
        return *place;
    }
    return fetching(item, options, listener).run();
}

} // namespace petnet::data
