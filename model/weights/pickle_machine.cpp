// SPDX-License-Identifier: Apache-2.0
#include "model/weights/pickle_machine.hpp"

#include "model/weights/byte_cursor.hpp"
#include "model/weights/pickle_functions.hpp"
#include "model/weights/pickle_operations.hpp"

#include <optional>

namespace petnet::model {
namespace {

// ResNet-34 with fastai's optimizer state takes 20,000 operations, the largest models PyTorch has less than a
// million.
constexpr std::uint64_t most_operations = 4'000'000;
constexpr std::size_t most_objects = 1'000'000;
// Python writes each global once and remembers it; a file of thousands of classes is none that torch.save
// made.
constexpr std::size_t most_globals = 10'000;
// What operations push lies in at most one container, but for the pairs of an OrderedDict, which are in their
// list, in a pair each and in the dictionary: five items of at least three operations.
constexpr std::uint64_t items_per_operation = 2;

} // namespace

// One run: the stack, the marks in it, and the memo.
struct pickle_machine::run_state {
    const pickle_machine& machine;
    byte_cursor code;
    std::vector<pickle_value> stack;
    std::vector<std::size_t> marks;
    std::vector<std::optional<pickle_value>> memo;

    [[nodiscard]] std::size_t above_mark() const { return stack.size() - (marks.empty() ? 0 : marks.back()); }
    void need(std::size_t count) const {
        if (above_mark() < count) machine.fail("an operation lacks its operands");
    }
    void push(pickle_value value) { stack.push_back(value); }
    pickle_value pop() {
        need(1);
        const pickle_value top = stack.back();
        stack.pop_back();
        return top;
    }
    pickle_value& top() {
        need(1);
        return stack.back();
    }
    // Removes the last mark; returns how many values were above it.
    std::size_t pop_mark() {
        if (marks.empty()) machine.fail("a mark is missing");
        const std::size_t count = above_mark();
        marks.pop_back();
        return count;
    }
    // The `count` top values.
    [[nodiscard]] std::span<const pickle_value> last(std::size_t count) const {
        return std::span(stack).last(count);
    }
    void drop(std::size_t count) { stack.resize(stack.size() - count); }
};

void pickle_machine::fail(const std::string& reason) const {
    refuse(file_, "the pickle in it is damaged: " + reason);
}

std::pair<pickle_value, std::size_t> pickle_machine::run(std::span<const std::byte> bytes) {
    run_state state{*this, byte_cursor(bytes, file_, "the pickle in it"), {}, {}, {}};
    for (;;) {
        if (++operations_ > most_operations)
            fail("it has more than " + std::to_string(most_operations) + " operations");
        const unsigned operation = state.code.read<std::uint8_t>();
        if (operation == op_stop) return {state.pop(), state.code.position()};
        execute(state, operation);
    }
}

void pickle_machine::execute(run_state& state, unsigned operation) {
    byte_cursor& code = state.code;
    switch (operation) {
    case op_proto:
        return code.skip(1);
    case op_frame:
        return code.skip(8);
    case op_mark:
        return state.marks.push_back(state.stack.size());
    case op_pop:
        return (void)state.pop();
    case op_pop_mark:
        return state.drop(state.pop_mark());
    case op_dup:
        return state.push(state.top());
    case op_none:
        return state.push({});
    case op_empty_dict:
        return collect(state, pickle_kind::dictionary, 0);
    case op_empty_list:
    case op_empty_set:
        return collect(state, pickle_kind::list, 0);
    case op_empty_tuple:
        return collect(state, pickle_kind::tuple, 0);
    case op_tuple1:
        return collect(state, pickle_kind::tuple, 1);
    case op_tuple2:
        return collect(state, pickle_kind::tuple, 2);
    case op_tuple3:
        return collect(state, pickle_kind::tuple, 3);
    case op_tuple:
        return collect(state, pickle_kind::tuple, state.pop_mark());
    case op_list:
    case op_frozenset:
        return collect(state, pickle_kind::list, state.pop_mark());
    case op_dict: {
        const std::size_t count = state.pop_mark();
        if (count % 2 != 0) fail("a key has no value");
        return collect(state, pickle_kind::dictionary, count);
    }
    case op_append:
        return append(state, 1);
    case op_appends:
    case op_additems:
        return append(state, state.pop_mark());
    case op_setitem:
        return set_items(state, 2);
    case op_setitems:
        return set_items(state, state.pop_mark());
    case op_binput:
        return memoize(state, code.read<std::uint8_t>());
    case op_long_binput:
        return memoize(state, code.read<std::uint32_t>());
    case op_memoize:
        return memoize(state, state.memo.size());
    case op_binget:
        return recall(state, code.read<std::uint8_t>());
    case op_long_binget:
        return recall(state, code.read<std::uint32_t>());
    case op_global: {
        const std::string_view module = code.line();
        return state.push(add_global(module, code.line()));
    }
    case op_stack_global: {
        const pickle_value name = state.pop(), module = state.pop();
        if (name.kind != pickle_kind::text || module.kind != pickle_kind::text) fail("a global has no name");
        return state.push(add_global(text(module), text(name)));
    }
    case op_binpersid: {
        persistents_.push_back(state.pop());
        return state.push(add_container(pickle_kind::persistent, std::span(persistents_).last(1)));
    }
    case op_newobj_ex: // class, arguments, named arguments
        state.need(3);
        state.drop(1);
        return call(state);
    case op_reduce:
    case op_newobj:
        return call(state);
    case op_build:
        return build(state);
    case op_newtrue:
    case op_newfalse:
    case op_binint:
    case op_binint1:
    case op_binint2:
    case op_binfloat:
    case op_long1:
    case op_long4:
        return push_number(state, operation);
    default:
        return push_text(state, operation);
    }
}

void pickle_machine::push_number(run_state& state, unsigned operation) {
    byte_cursor& code = state.code;
    const auto integer = [&](std::int64_t number) { state.push({pickle_kind::integer, 0, number}); };
    switch (operation) {
    case op_newtrue:
        return state.push({pickle_kind::boolean, 0, 1});
    case op_newfalse:
        return state.push({pickle_kind::boolean, 0, 0});
    case op_binint:
        return integer(code.read<std::int32_t>());
    case op_binint1:
        return integer(code.read<std::uint8_t>());
    case op_binint2:
        return integer(code.read<std::uint16_t>());
    case op_binfloat: // the only big-endian thing in a pickle
        return state.push(
            {pickle_kind::real, 0, static_cast<std::int64_t>(__builtin_bswap64(code.read<std::uint64_t>()))});
    default: {
        const auto bytes =
            code.take(operation == op_long1 ? code.read<std::uint8_t>() : code.read<std::uint32_t>());
        if (bytes.size() > sizeof(std::int64_t)) return state.push(add_text(byte_cursor::as_text(bytes)));
        std::uint64_t number = 0;
        for (std::size_t i = bytes.size(); i-- > 0;)
            number = number << 8 | std::to_integer<std::uint64_t>(bytes[i]);
        const auto unused_bits = 8 * (sizeof number - bytes.size()); // two's complement: extend the sign
        if (!bytes.empty()) return integer(static_cast<std::int64_t>(number << unused_bits) >> unused_bits);
        return integer(0);
    }
    }
}

void pickle_machine::push_text(run_state& state, unsigned operation) {
    byte_cursor& code = state.code;
    std::uint64_t length = 0;
    switch (operation) {
    case op_short_binunicode:
    case op_short_binstring:
    case op_short_binbytes:
        length = code.read<std::uint8_t>();
        break;
    case op_binunicode:
    case op_binstring:
    case op_binbytes:
        length = code.read<std::uint32_t>();
        break;
    case op_binunicode8:
    case op_binbytes8:
        length = code.read<std::uint64_t>();
        break;
    default:
        fail("operation " + std::to_string(operation) + " is none that torch.save writes");
    }
    state.push(add_text(code.text(length)));
}

void pickle_machine::memoize(run_state& state, std::uint64_t index) {
    if (index >= most_objects) fail("a memo index is too large");
    if (index >= state.memo.size()) state.memo.resize(static_cast<std::size_t>(index) + 1);
    state.memo[static_cast<std::size_t>(index)] = state.top();
}

void pickle_machine::recall(run_state& state, std::uint64_t index) {
    if (index >= state.memo.size() || !state.memo[static_cast<std::size_t>(index)])
        fail("a memo entry is missing");
    state.push(*state.memo[static_cast<std::size_t>(index)]);
}

// Replaces the `count` top values by one container of them.
void pickle_machine::collect(run_state& state, pickle_kind kind, std::size_t count) {
    state.need(count);
    const pickle_value made = add_container(kind, state.last(count));
    state.drop(count);
    state.push(made);
}

// Moves the `count` top values to the end of the list below them.
void pickle_machine::append(run_state& state, std::size_t count) {
    state.need(count + 1);
    const pickle_value target = state.stack[state.stack.size() - count - 1];
    if (target.kind == pickle_kind::list) {
        count_items(count);
        const auto values = state.last(count);
        auto& items = containers_[target.index];
        items.insert(items.end(), values.begin(), values.end());
    } else if (target.kind != pickle_kind::plain_data) {
        fail("something that is no list is appended to");
    }
    state.drop(count);
}

void pickle_machine::set_items(run_state& state, std::size_t count) {
    if (count % 2 != 0) fail("a key has no value");
    state.need(count + 1);
    const pickle_value target = state.stack[state.stack.size() - count - 1];
    if (target.kind == pickle_kind::dictionary) {
        count_items(count);
        const auto values = state.last(count);
        auto& items = containers_[target.index];
        items.insert(items.end(), values.begin(), values.end());
    } else if (target.kind != pickle_kind::plain_data) {
        fail("something that is no dictionary is given items");
    }
    state.drop(count);
}

// An object's attributes: state dicts carry version numbers there, which nothing here needs.
void pickle_machine::build(run_state& state) {
    state.need(2);
    state.drop(1);
    const pickle_kind kind = state.top().kind;
    if (kind != pickle_kind::dictionary && kind != pickle_kind::plain_data)
        fail("something that has no attributes is given some");
}

void pickle_machine::call(run_state& state) {
    const pickle_value arguments = state.pop(), function = state.pop();
    if (function.kind != pickle_kind::global) fail("something that is no function is called");
    if (arguments.kind != pickle_kind::tuple) fail("a call's arguments are no tuple");
    state.push(result_of(text(function), arguments));
}

pickle_value pickle_machine::result_of(std::string_view function, const pickle_value& arguments) {
    const auto known = find_pickle_function(function);
    if (!known)
        refuse(file_,
               "reading it would run " + printable(function) +
                   ", which is no part of a weight file; nothing was run. Expected a state dict alone, as "
                   "torch.save(model.state_dict(), FILE) or fastai's learn.save writes it");
    const auto values = items(arguments);
    const auto noted = [&](pickle_function which) {
        return add_container(pickle_kind::call, std::span(&arguments, 1), static_cast<std::int64_t>(which));
    };
    switch (*known) {
    case pickle_meaning::tensor:
        return noted(pickle_function::rebuild_tensor);
    case pickle_meaning::tensor_v3:
        return noted(pickle_function::rebuild_tensor_v3);
    case pickle_meaning::dictionary:
        return ordered_dictionary(arguments);
    case pickle_meaning::plain_data:
        return {pickle_kind::plain_data, 0, 0};
    case pickle_meaning::first_argument:
        if (values.empty()) fail("a call lacks its arguments");
        return values[0];
    case pickle_meaning::rebuild_from_type: { // (function, type, arguments, state), with the function one of
                                              // ours
        if (values.size() < 3 || values[0].kind != pickle_kind::global ||
            values[2].kind != pickle_kind::tuple)
            fail("a call lacks its arguments");
        if (text(values[0]) == function) fail("a tensor is rebuilt by rebuilding");
        return result_of(text(values[0]), values[2]);
    }
    }
    fail("unknown function");
}

// OrderedDict() or OrderedDict([[key, value], ...]), as Python 2 wrote it.
pickle_value pickle_machine::ordered_dictionary(const pickle_value& arguments) {
    const auto given = items(arguments);
    const auto list = given.empty() ? given : items(given[0]);
    require_room(2 * list.size()); // before they are copied
    std::vector<pickle_value> pairs;
    for (const pickle_value& pair : list) {
        const auto key_and_value = items(pair);
        if (key_and_value.size() != 2) fail("an OrderedDict is made of something else than pairs");
        pairs.insert(pairs.end(), key_and_value.begin(), key_and_value.end());
    }
    return add_container(pickle_kind::dictionary, pairs);
}

pickle_value pickle_machine::add_container(pickle_kind kind, std::span<const pickle_value> items,
                                           std::int64_t number) {
    if (containers_.size() == most_objects)
        fail("it has more than " + std::to_string(most_objects) + " objects");
    count_items(items.size());
    containers_.emplace_back(items.begin(), items.end());
    return {kind, static_cast<std::uint32_t>(containers_.size() - 1), number};
}

void pickle_machine::require_room(std::uint64_t count) const {
    if (count > items_per_operation * operations_ - items_)
        fail("its containers repeat each other far more often than any that torch.save writes");
}

void pickle_machine::count_items(std::uint64_t count) {
    require_room(count);
    items_ += count;
}

pickle_value pickle_machine::add_text(std::string_view text) {
    texts_.push_back(text);
    return {pickle_kind::text, static_cast<std::uint32_t>(texts_.size() - 1), 0};
}

pickle_value pickle_machine::add_global(std::string_view module, std::string_view name) {
    constexpr std::size_t longest_name = 1000;
    if (module.size() > longest_name || name.size() > longest_name) fail("a global's name is too long");
    if (globals_.size() == most_globals)
        fail("it has more than " + std::to_string(most_globals) + " globals");
    globals_.push_back(std::string(module) + "." + std::string(name));
    return {pickle_kind::global, static_cast<std::uint32_t>(globals_.size() - 1), 0};
}

std::string_view pickle_machine::text(const pickle_value& value) const {
    if (value.kind == pickle_kind::text) return texts_[value.index];
    if (value.kind == pickle_kind::global) return globals_[value.index];
    return {};
}

std::span<const pickle_value> pickle_machine::items(const pickle_value& value) const {
    switch (value.kind) {
    case pickle_kind::list:
    case pickle_kind::tuple:
    case pickle_kind::dictionary:
    case pickle_kind::persistent:
    case pickle_kind::call:
        return containers_[value.index];
    default:
        return {};
    }
}

} // namespace petnet::model
