// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

namespace petnet {

// Owns a file descriptor; a negative one stands for none.
class descriptor {
  public:
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    descriptor(const descriptor&) = delete; // owns the descriptor
    descriptor& operator=(const descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    // Closes now and reports what the system says: on some file systems errors of earlier writes come only
    // here.
    [[nodiscard]] int close() {
        const int result = ::close(fd_);
        fd_ = -1;
        return result;
    }

  private:
    int fd_;
};

} // namespace petnet
