// SPDX-License-Identifier: Apache-2.0
// A stack on which threads of a kernel run, and the switches to it and back.
#pragma once

#include "tests/cuda_host/sanitizer.hpp"

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <functional>
#include <utility>

namespace cuda_host {

// Made once and used for the life of the process: `run` is called again each time it has returned. (The bare
// switch of Boost.Context, not boost::context::fiber: that one enters the new stack when it is made, unseen
// by the sanitizer, whose record of frames is wrong from then on.)
class worker {
  public:
    explicit worker(std::function<void(worker&)> run) : run_(std::move(run)) {
        const auto stack = boost::context::protected_fixedsize_stack(stack_bytes).allocate();
        own_ = {static_cast<std::byte*>(stack.sp) - stack.size, stack.size};
        inside_ = boost::context::detail::make_fcontext(stack.sp, stack.size, begin);
    }
    worker(const worker&) = delete; // its stack knows its address
    worker& operator=(const worker&) = delete;

    // From the scheduler: runs until the worker suspends itself.
    void resume() {
        void* fake_stack = nullptr;
        leave(&fake_stack, own_);
        inside_ = boost::context::detail::jump_fcontext(inside_, this).fctx;
        if (has_address_sanitizer()) __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
    }
    // From the worker's stack: returns when the scheduler resumes it.
    void suspend() {
        void* fake_stack = nullptr;
        leave(&fake_stack, scheduler_);
        arrive(fake_stack, boost::context::detail::jump_fcontext(outside_, nullptr));
    }

  private:
    // Room for the arrays of a kernel, and for the larger frames of an instrumented build; touched pages
    // count.
    static constexpr std::size_t stack_bytes = 256 * 1024;
    struct bounds {
        const void* bottom = nullptr;
        std::size_t size = 0;
    };

    static void begin(boost::context::detail::transfer_t from) {
        worker& self = *static_cast<worker*>(from.data);
        self.arrive(nullptr, from);
        while (true) {
            self.run_(self);
            self.suspend();
        }
    }
    static void leave(void** fake_stack, const bounds& to) {
        if (has_address_sanitizer()) __sanitizer_start_switch_fiber(fake_stack, to.bottom, to.size);
    }
    void arrive(void* fake_stack, boost::context::detail::transfer_t from) {
        if (has_address_sanitizer())
            __sanitizer_finish_switch_fiber(fake_stack, &scheduler_.bottom, &scheduler_.size);
        outside_ = from.fctx;
    }

    std::function<void(worker&)> run_;
    boost::context::detail::fcontext_t inside_ = nullptr, outside_ = nullptr;
    bounds own_, scheduler_;
};

} // namespace cuda_host
