// SPDX-License-Identifier: Apache-2.0
// make_model FILE: the made-up model, once for all tests of the server.
#include "tests/infer/made_up_model.hpp"

int main(int, char** argv) {
    petnet::testing::write_made_up_model(argv[1], petnet::testing::description_of_32());
    return 0;
}
