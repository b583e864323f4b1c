// SPDX-License-Identifier: Apache-2.0
// A pickle machine that builds plain data and executes nothing.
//
// Python's pickle is a stack language whose programs may call any Python function. Here a call is only noted:
// the few functions that PyTorch's weight files need have a meaning (pickle_function), a few more are known
// to make plain data that nobody looks at (optimizer state), and a call of anything else is refused by name.
// All values live in tables owned by the machine and refer to each other by index, so that neither deep
// nesting nor cycles cost stack. The numbers of operations, containers, globals and memo entries are bounded,
// and that of all containers' items by the operations done, so that memory stays in proportion to the file.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace petnet::model {

enum class pickle_kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text, // also byte strings, and integers beyond 64 bits as their bytes
    list, // also sets
    tuple,
    dictionary, // items: key, value, key, value, ... with repetitions
    global,     // the name of something of Python's
    persistent, // a storage; its one item is what torch.save wrote about it, in general a tuple
    call,       // a noted call; its one item is the arguments' tuple
    plain_data, // the result of a harmless call, content unknown
};

// What a noted call would make.
enum class pickle_function : std::uint8_t { rebuild_tensor, rebuild_tensor_v3 };

struct pickle_value {
    pickle_kind kind = pickle_kind::none;
    std::uint32_t index = 0; // of a text, a container or a global
    std::int64_t number = 0; // boolean, integer, the bits of a real, the pickle_function of a call

    friend bool operator==(const pickle_value&, const pickle_value&) = default;
};

class pickle_machine {
  public:
    // `file` names the file in messages and outlives the machine, as do all bytes it is given to run.
    explicit pickle_machine(std::string_view file) : file_(file) {}

    // Runs one pickle from the beginning of `bytes`; returns what it makes and how many bytes it took.
    // Values of earlier runs stay valid. Throws input_error.
    std::pair<pickle_value, std::size_t> run(std::span<const std::byte> bytes);

    // The text of a `text`, or the name of a `global` as "module.name"; else empty.
    [[nodiscard]] std::string_view text(const pickle_value& value) const;
    // The items of a list, tuple, dictionary, persistent or call; else empty.
    [[nodiscard]] std::span<const pickle_value> items(const pickle_value& value) const;
    // All persistent values, in the order of their appearance, as their items.
    [[nodiscard]] std::span<const pickle_value> persistents() const { return persistents_; }

  private:
    struct run_state;

    [[noreturn]] void fail(const std::string& reason) const;
    void execute(run_state& state, unsigned operation);
    void push_number(run_state& state, unsigned operation);
    void push_text(run_state& state, unsigned operation);
    void memoize(run_state& state, std::uint64_t index);
    void recall(run_state& state, std::uint64_t index);
    void collect(run_state& state, pickle_kind kind, std::size_t count);
    void append(run_state& state, std::size_t count);
    void set_items(run_state& state, std::size_t count);
    void build(run_state& state);
    void call(run_state& state);
    pickle_value result_of(std::string_view function, const pickle_value& arguments);
    pickle_value ordered_dictionary(const pickle_value& arguments);

    pickle_value add_container(pickle_kind kind, std::span<const pickle_value> items,
                               std::int64_t number = 0);
    // fail() where the containers of so few operations cannot hold `count` more items; the second counts
    // them.
    void require_room(std::uint64_t count) const;
    void count_items(std::uint64_t count);
    pickle_value add_text(std::string_view text);
    pickle_value add_global(std::string_view module, std::string_view name);

    std::string_view file_;
    std::uint64_t operations_ = 0, items_ = 0; // items_: of all containers together
    std::vector<std::vector<pickle_value>> containers_;
    std::vector<std::string_view> texts_;
    std::vector<std::string> globals_;
    std::vector<pickle_value> persistents_;
};

} // namespace petnet::model
