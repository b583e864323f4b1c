// SPDX-License-Identifier: Apache-2.0
// Stands in for data/download.cpp where libcurl was not found at configure time.
#include "data/download.hpp"

namespace petnet::data {

void download(const download_request& /*request*/, const work_listener& /*listener*/) {
    throw download_error("this petnet cannot download: libcurl was not there when it was built");
}

} // namespace petnet::data
