// SPDX-License-Identifier: Apache-2.0
// Training steps of ResNet-34 with dlib, as bench/train_step makes petnet's: each line "N" on standard input
// is answered by one line of JSON with the seconds of N steps, the end of the input by the peak of resident
// memory. The network is that of dlib's own example (dnn_imagenet_ex.cpp) with two classes: average pooling
// and one layer behind it in place of fastai's head. bench/peers/compare builds it; it is no part of petnet's
// build.
//
// usage: dlib_train_step BATCH
#include <dlib/dnn.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace dlib;

// clang-format off
template <template <int, template <typename> class, int, typename> class block, int N,
          template <typename> class BN, typename SUBNET>
using residual = add_prev1<block<N, BN, 1, tag1<SUBNET>>>;
template <template <int, template <typename> class, int, typename> class block, int N,
          template <typename> class BN, typename SUBNET>
using residual_down = add_prev2<avg_pool<2, 2, 2, 2, skip1<tag2<block<N, BN, 2, tag1<SUBNET>>>>>>;
template <int N, template <typename> class BN, int stride, typename SUBNET>
using block = BN<con<N, 3, 3, 1, 1, relu<BN<con<N, 3, 3, stride, stride, SUBNET>>>>>;
template <int N, typename SUBNET> using res = relu<residual<block, N, bn_con, SUBNET>>;
template <int N, typename SUBNET> using res_down = relu<residual_down<block, N, bn_con, SUBNET>>;

template <typename SUBNET> using level1 = res<512, res<512, res_down<512, SUBNET>>>;
template <typename SUBNET> using level2 = res<256, res<256, res<256, res<256, res<256, res_down<256, SUBNET>>>>>>;
template <typename SUBNET> using level3 = res<128, res<128, res<128, res_down<128, SUBNET>>>>;
template <typename SUBNET> using level4 = res<64, res<64, res<64, SUBNET>>>;
using network = loss_multiclass_log<fc<2, avg_pool_everything<level1<level2<level3<level4<
    max_pool<3, 3, 2, 2, relu<bn_con<con<64, 7, 7, 2, 2, input_rgb_image_sized<224>>>>>>>>>>>>;
// clang-format on

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int run(const std::string& batch) {
    constexpr long side = 224;
    std::vector<matrix<rgb_pixel>> photographs;
    std::vector<unsigned long> labels;
    for (unsigned long n = 0; n < std::stoul(batch); ++n) {
        matrix<rgb_pixel> photograph(side, side);
        for (long r = 0; r < side; ++r)
            for (long c = 0; c < side; ++c) {
                const auto value =
                    static_cast<unsigned char>((r * 7 + c * 3 + static_cast<long>(n) * 11) % 251);
                photograph(r, c) = rgb_pixel(value, static_cast<unsigned char>(255 - value), value);
            }
        photographs.push_back(photograph);
        labels.push_back(n % 2);
    }
    network net;
    dnn_trainer<network, adam> trainer(net, adam(0.01F, 0.9F, 0.99F));
    trainer.set_learning_rate(1e-5);
    char line[64];
    while (std::fgets(line, sizeof line, stdin) != nullptr) {
        std::string seconds;
        for (int i = 0; i < std::stoi(line); ++i) {
            const double began = now();
            trainer.train_one_step(photographs, labels);
            trainer.get_net(); // waits for the step
            seconds += (i > 0 ? ", " : "") + std::to_string(now() - began);
        }
        std::printf("{\"seconds\": [%s]}\n", seconds.c_str());
        std::fflush(stdout);
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf("{\"peak_rss_mb\": %.1f}\n", static_cast<double>(usage.ru_maxrss) / 1e3);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc > 1 ? argv[1] : "32");
    } catch (const std::exception& e) {
        std::fprintf(stderr, "dlib_train_step: %s\n", e.what());
        return 1;
    }
}
