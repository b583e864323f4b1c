// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/join.hpp"

#include "base/errors.hpp"
#include "train/ranks/connection.hpp"
#include "train/ranks/handshake.hpp"
#include "train/ranks/mpi.hpp"
#include "train/ranks/summation.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace petnet::ranks {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t most_broadcast_at_once = std::size_t{16} << 20;

class connected_ranks final : public communicator {
  public:
    connected_ranks(int rank, int size, std::unique_ptr<control_channel> control)
        : rank_(rank), size_(size), control_(std::move(control)) {}

    void sum_by(std::unique_ptr<summation> how) { summation_ = std::move(how); }
    [[nodiscard]] control_channel& control() { return *control_; }

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::string transport() const override { return summation_->name(); }
    [[nodiscard]] std::uint64_t bytes_reduced() const override { return bytes_reduced_; }

    void all_reduce(std::span<float> values) override {
        summation_->sum(values);
        bytes_reduced_ += values.size_bytes();
    }

    void broadcast(std::span<std::byte> bytes) override {
        for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), most_broadcast_at_once))) {
            const std::span<std::byte> piece = bytes.first(std::min(bytes.size(), most_broadcast_at_once));
            if (leads())
                send_to_all(piece);
            else
                std::ranges::copy(received(0, piece.size()), piece.begin());
        }
    }

    [[nodiscard]] std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes) override {
        std::vector<std::vector<std::byte>> all;
        if (!leads()) {
            control_->send(0, bytes);
            return all;
        }
        all.emplace_back(bytes.begin(), bytes.end());
        for (int from = 1; from < size_; ++from) all.push_back(control_->receive(from));
        return all;
    }

    [[nodiscard]] std::uint32_t any(std::uint32_t bits) override {
        for (const auto& each : gather(std::as_bytes(std::span(&bits, 1)))) {
            std::uint32_t theirs = 0;
            std::memcpy(&theirs, each.data(), std::min(each.size(), sizeof theirs));
            bits |= theirs;
        }
        broadcast(std::as_writable_bytes(std::span(&bits, 1)));
        return bits;
    }

    void leave() override {
        static_cast<void>(any(0));
        summation_->leave();
        control_->farewell();
    }
    void fail(std::string_view why) noexcept override { control_->fail(why); }

  private:
    void send_to_all(std::span<const std::byte> bytes) {
        for (int to = 1; to < size_; ++to) control_->send(to, bytes);
    }
    [[nodiscard]] std::vector<std::byte> received(int from, std::size_t bytes) {
        std::vector<std::byte> message = control_->receive(from);
        if (message.size() != bytes) throw std::logic_error("the ranks do not do the same things");
        return message;
    }

    int rank_, size_;
    std::atomic<std::uint64_t> bytes_reduced_ = 0;
    std::unique_ptr<summation> summation_;
    std::unique_ptr<control_channel> control_; // last: its thread ends before what it calls is gone
};

struct stopped_waiting {};

// How long the others may still take.
class patience {
  public:
    explicit patience(const join_settings& settings) : settings_(settings) {}
    // False when it is over; stopped_waiting where a stop is asked for. `whom`: is waited for.
    [[nodiscard]] bool lasts(const std::string& whom) {
        if (settings_.stop_requested && settings_.stop_requested()) throw stopped_waiting();
        const auto waited = steady_clock::now() - start_;
        if (!told_ && waited > 10s && settings_.on_wait) {
            told_ = true;
            settings_.on_wait("Waiting for " + whom);
        }
        return waited < settings_.patience;
    }
    [[nodiscard]] std::string text() const {
        return " within " + std::to_string(settings_.patience / 1s) + " s";
    }

  private:
    const join_settings& settings_;
    steady_clock::time_point start_ = steady_clock::now();
    bool told_ = false;
};

// Where the others find a rank, and each other.
struct meeting_place {
    std::vector<std::string> addresses; // of rank 0, to be tried in turn
    std::uint16_t port = 0;
    job_key key{}; // zeros where nothing could be agreed on before
};

struct member {
    descriptor connection;
    std::string address; // as rank 0 sees it
    std::uint16_t port = 0;
};

std::vector<member> wait_for_members(const descriptor& listening, int size, const job_key& key,
                                     const join_settings& settings) {
    std::vector<member> members(static_cast<std::size_t>(size));
    patience left(settings);
    for (int present = 1; present < size;) {
        const std::string whom = std::to_string(size - present) + " of " + std::to_string(size) +
                                 " ranks at port " + std::to_string(port_of(listening));
        if (!left.lasts(whom)) throw environment_error(whom + " did not come" + left.text());
        descriptor connection = accept_one(listening, 200ms);
        if (!connection.is_open()) continue;
        const auto hello = receive_greeting(connection);
        if (!hello || !hello->is_of(size, key) || hello->rank == 0) continue; // a stranger
        member& comes = members[hello->rank];
        if (comes.connection.is_open()) continue; // of another job
        // Without an answer to the answer it is one who has given up meanwhile, and asks again.
        if (!greet(connection, {.size = hello->size, .rank = 0, .key = key}) || !receive_greeting(connection))
            continue;
        comes = {std::move(connection), "", static_cast<std::uint16_t>(hello->port)};
        comes.address = address_of_peer(comes.connection);
        ++present;
    }
    return members;
}

struct way_to_lead {
    descriptor connection;
    std::string address;
};

way_to_lead find_rank_0(const meeting_place& place, const greeting& hello, const join_settings& settings) {
    patience left(settings);
    const std::string whom = "rank 0 at " + place.addresses.front() + " port " + std::to_string(place.port);
    for (; left.lasts(whom); std::this_thread::sleep_for(50ms)) {
        for (const std::string& address : place.addresses) {
            descriptor connection = connect_to(address, place.port, 2s);
            if (!connection.is_open() || !greet(connection, hello)) continue;
            const auto answer = receive_greeting(connection);
            if (answer && answer->is_of(static_cast<int>(hello.size), place.key) && answer->rank == 0 &&
                greet(connection, hello))
                return {std::move(connection), address};
        }
    }
    throw environment_error(whom + " did not answer" + left.text());
}

// Each rank's address and port, a line each; the key of connections between them.
std::string directory_of(const std::vector<member>& members, std::uint16_t own_port) {
    std::ostringstream text;
    for (const member& each : members)
        text << (each.address.empty() ? "-" : each.address) << ' '
             << (each.address.empty() ? own_port : each.port) << '\n';
    return text.str();
}

// A connection to each other rank: those before it are called, those behind it call. `self`: what this one
// says to them.
std::vector<descriptor> connect_mesh(const greeting& self, const std::string& directory,
                                     const std::string& address_of_lead, const descriptor& listening,
                                     const control_channel& watch) {
    std::vector<descriptor> mesh(self.size);
    std::istringstream lines(directory);
    const auto lost = [&](std::uint32_t other) {
        return environment_error(watch.why_lost(1s).value_or(
            "rank " + std::to_string(other) +
            " cannot be connected to, though it answered rank 0: is a port closed "
            "between the machines?"));
    };
    for (std::uint32_t other = 0; other < self.rank; ++other) {
        std::string address;
        std::uint16_t port = 0;
        lines >> address >> port;
        if (address == "-") address = address_of_lead;
        descriptor connection = connect_to(address, port, 20s);
        if (!connection.is_open() || !greet(connection, self)) throw lost(other);
        mesh[other] = std::move(connection);
    }
    const auto until = steady_clock::now() + 30s;
    for (std::uint32_t present = self.rank + 1; present < self.size;) {
        if (watch.why_lost() || steady_clock::now() > until) throw lost(self.size - 1);
        descriptor connection = accept_one(listening, 200ms);
        if (!connection.is_open()) continue;
        const auto hello = receive_greeting(connection);
        if (!hello || !hello->is_of(static_cast<int>(self.size), self.key) || hello->rank <= self.rank)
            continue;
        mesh[hello->rank] = std::move(connection);
        ++present;
    }
    return mesh;
}

// MPI tells where rank 0 listens.
meeting_place place_by_mpi(const mpi_functions& mpi, std::uint16_t port_of_lead) {
    meeting_place place;
    std::string text;
    if (mpi.rank == 0) {
        place.key = random_job_key();
        place.port = port_of_lead;
        for (const std::string& address : own_addresses()) text += address + " ";
    }
    std::array<std::uint32_t, 2> head{place.port, static_cast<std::uint32_t>(text.size())};
    mpi.broadcast(head.data(), sizeof head);
    place.port = static_cast<std::uint16_t>(head[0]);
    text.resize(head[1]);
    mpi.broadcast(text.data(), text.size());
    mpi.broadcast(place.key.data(), place.key.size());
    std::istringstream words(text);
    for (std::string address; words >> address;) place.addresses.push_back(address);
    return place;
}

std::unique_ptr<communicator> join_all(const launch& place, const join_settings& settings) {
    const mpi_functions* const mpi = place.by_mpi ? &load_mpi() : nullptr;
    const bool leads = place.rank == 0;
    descriptor meeting = leads ? listen_at(place.port) : descriptor();
    descriptor listening = listen_at(0); // for the mesh
    const meeting_place where = mpi != nullptr
                                    ? place_by_mpi(*mpi, leads ? port_of(meeting) : 0)
                                    : meeting_place{.addresses = {place.address}, .port = place.port};

    greeting self{.size = static_cast<std::uint32_t>(place.size),
                  .rank = static_cast<std::uint32_t>(place.rank),
                  .port = port_of(listening),
                  .key = where.key};
    std::vector<descriptor> connections(static_cast<std::size_t>(place.size));
    std::string directory, address_of_lead;
    if (leads) {
        std::vector<member> members = wait_for_members(meeting, place.size, where.key, settings);
        directory = directory_of(members, port_of(listening));
        for (std::size_t i = 1; i < members.size(); ++i) connections[i] = std::move(members[i].connection);
    } else {
        way_to_lead way = find_rank_0(where, self, settings);
        connections[0] = std::move(way.connection);
        address_of_lead = way.address;
    }
    auto made = std::make_unique<connected_ranks>(
        place.rank, place.size,
        std::make_unique<control_channel>(place.rank, std::move(connections), settings.watch));
    if (mpi != nullptr) {
        made->sum_by(make_mpi_summation(*mpi, made->control()));
        return made;
    }
    self.key = leads ? random_job_key() : job_key{};
    made->broadcast(self.key);
    auto length = static_cast<std::uint32_t>(directory.size());
    made->broadcast(std::as_writable_bytes(std::span(&length, 1)));
    directory.resize(length);
    made->broadcast(std::as_writable_bytes(std::span(directory)));
    made->sum_by(make_tcp_summation(
        place.rank, connect_mesh(self, directory, address_of_lead, listening, made->control()),
        made->control()));
    return made;
}

} // namespace

std::unique_ptr<communicator> join(const launch& place, const join_settings& settings) {
    if (place.size < 2) throw std::logic_error("join: one process has nobody to join");
    try {
        return join_all(place, settings);
    } catch (const stopped_waiting&) {
        return nullptr;
    }
}

} // namespace petnet::ranks
