// SPDX-License-Identifier: Apache-2.0
// What a training tells, on standard error and standard output. It is no part of the training: where nobody
// can be told (a full disk, a closed terminal, a reader that has left), it goes on.
#pragma once

#include <fmt/core.h>
#include <string_view>

namespace petnet::app {

// Each closed one of the three standard streams gets a descriptor that nothing can be written to: else the
// next file opened would take its number, and a message would go into a checkpoint.
void occupy_standard_streams() noexcept;

// To standard error; what cannot be written is lost.
void tell(std::string_view text) noexcept;
// To standard output, at once. What cannot be written is lost, and flush_output will say so at the end,
// unless the reader has left (`petnet train | head -1`), who has seen what it wanted.
void tell_result(std::string_view text) noexcept;

template <typename... Values> void tell(fmt::format_string<Values...> format, Values&&... values) {
    tell(std::string_view(fmt::format(format, std::forward<Values>(values)...)));
}
template <typename... Values> void tell_result(fmt::format_string<Values...> format, Values&&... values) {
    tell_result(std::string_view(fmt::format(format, std::forward<Values>(values)...)));
}

// Standard output is buffered: environment_error where what was printed could not be written.
void flush_output();

} // namespace petnet::app
