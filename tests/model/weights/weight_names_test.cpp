// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_names.hpp"

#include "base/errors.hpp"

#include <array>
#include <gmock/gmock.h>
#include <set>

using namespace petnet;
using namespace petnet::model;
using ::testing::ElementsAre;

namespace {

// What the names map to, in order.
std::vector<std::string> mapped(const std::vector<std::string>& names) {
    std::vector<std::string> result;
    for (const auto& used : map_weight_names(names, "weights").used) result.push_back(used.name);
    return result;
}

std::string replaced(std::string name, const std::string& from, const std::string& to) {
    if (name.starts_with(from)) name.replace(0, from.size(), to);
    return name;
}

// fastai's names for all of petnet's, with the head's layers at the given places.
std::vector<std::string> fastai_names(const std::array<const char*, 4>& head,
                                      const std::string& body = "0.") {
    std::vector<std::string> names;
    for (const std::string& name : body_weight_names()) {
        const std::pair<const char*, const char*> modules[] = {{"conv1.", "0."},  {"bn1.", "1."},
                                                               {"layer1.", "4."}, {"layer2.", "5."},
                                                               {"layer3.", "6."}, {"layer4.", "7."}};
        for (const auto& [ours, theirs] : modules)
            if (name.starts_with(ours)) {
                names.push_back(body + replaced(name, ours, theirs));
                break;
            }
    }
    const char* ours[] = {"head.bn1.", "head.fc1.", "head.bn2.", "head.fc2."};
    for (const std::string& name : head_weight_names())
        for (std::size_t i = 0; i < 4; ++i)
            if (name.starts_with(ours[i]))
                names.push_back(replaced(name, ours[i], "1." + std::string(head[i]) + "."));
    return names;
}

std::vector<std::string> all_names() {
    std::vector<std::string> names = body_weight_names();
    names.insert(names.end(), head_weight_names().begin(), head_weight_names().end());
    return names;
}

TEST(weight_names, counts) {
    // 36 convolutions, each with a batch-norm of four tensors; two batch-norms and two linear layers.
    EXPECT_EQ(body_weight_names().size(), 36u * 5u);
    EXPECT_EQ(head_weight_names().size(), 10u);
    const auto names = all_names();
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(weight_names, own_names_stay) { EXPECT_EQ(mapped(all_names()), all_names()); }

TEST(weight_names, single_names) {
    const std::pair<const char*, const char*> table[] = {
        {"conv1.weight", "conv1.weight"},
        {"module.layer2.0.downsample.1.running_var", "layer2.0.downsample.1.running_var"},
        {"model.bn1.bias", "bn1.bias"},
        {"backbone.layer4.2.conv2.weight", "layer4.2.conv2.weight"},
        {"_orig_mod.module.layer1.0.bn1.weight", "layer1.0.bn1.weight"},
        {"model.backbone.body.layer3.5.bn2.bias", "layer3.5.bn2.bias"},
        {"0.0.weight", "conv1.weight"},
        {"0.1.running_mean", "bn1.running_mean"},
        {"0.4.0.conv1.weight", "layer1.0.conv1.weight"},
        {"0.7.2.bn2.running_var", "layer4.2.bn2.running_var"},
        {"module.0.5.0.downsample.0.weight", "layer2.0.downsample.0.weight"},
        {"0.model.layer1.0.conv1.weight", "layer1.0.conv1.weight"},
        {"body.0.weight", "conv1.weight"},
        {"1.weight", "bn1.weight"},
        {"6.5.bn2.weight", "layer3.5.bn2.weight"},
        {"model.head.fc1.weight", "head.fc1.weight"},
    };
    for (const auto& [theirs, ours] : table) EXPECT_THAT(mapped({theirs}), ElementsAre(ours)) << theirs;
}

TEST(weight_names, fastai_with_and_without_dropout) {
    for (const auto& head : {std::array{"2", "4", "6", "8"}, std::array{"2", "3", "5", "6"},
                             std::array{"2", "3", "5", "7"}, std::array{"2", "4", "6", "7"}})
        EXPECT_EQ(mapped(fastai_names(head)), all_names()) << head[3];
    EXPECT_EQ(mapped(fastai_names({"2", "4", "6", "8"}, "module.0.")), all_names());
}

TEST(weight_names, heads_of_another_shape_are_unknown) {
    const std::vector<std::string> names = {"0.0.weight", "1.2.weight", "1.2.running_mean", "1.4.weight"};
    const auto mapping = map_weight_names(names, "weights");
    EXPECT_EQ(mapping.used.size(), 1u);
    EXPECT_THAT(mapping.unknown, ElementsAre("1.2.weight", "1.2.running_mean", "1.4.weight"));
}

TEST(weight_names, heads_of_another_order_are_unknown) {
    const std::vector<std::string> names = {"0.0.weight", "0.1.weight",       "1.1.weight",
                                            "1.2.weight", "1.2.running_mean", "1.4.weight",
                                            "1.6.weight", "1.6.running_mean"};
    EXPECT_EQ(map_weight_names(names, "weights").unknown,
              std::vector<std::string>(names.begin() + 2, names.end()));
}

std::vector<std::string> behind(const std::string& prefix, std::vector<std::string> names) {
    for (std::string& name : names) name.insert(0, prefix);
    return names;
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(weight_names, any_prefix_is_taken_off) {
    for (const std::string prefix :
         {"net.", "encoder.", "resnet.", "model.backbone.", "a.b.c.d.e.f.g.", "0.", "1.0.", "head.", "fc.",
          "layer1.", "layer1.0.", "conv1.", "features.module.", "ema."})
        for (const auto& names : {all_names(), fastai_names({"2", "4", "6", "8"}),
                                  fastai_names({"2", "3", "5", "6"}, "0.model."), body_weight_names()}) {
            // Others' tensors beside them, some with names like the network's.
            const auto more =
                joined(behind(prefix, names),
                       {"criterion.weight", "projector.0.weight", "projector.1.weight",
                        "decoder.conv1.weight", "decoder.bn1.weight", prefix + "aux.conv1.weight",
                        prefix + "bn1.num_batches_tracked", prefix + "fc.weight"});
            const auto mapping = map_weight_names(more, "weights");
            ASSERT_EQ(mapping.used.size(), names.size()) << prefix << names[0];
            for (std::size_t i = 0; i < names.size(); ++i)
                ASSERT_EQ(mapping.used[i].name, all_names()[i]) << prefix << names[i];
            EXPECT_EQ(mapping.left_out.size(), 2u) << prefix;
            EXPECT_EQ(mapping.unknown.size(), 6u) << prefix;
            EXPECT_EQ(mapping.prefixes.size(), 1u) << prefix;
            EXPECT_GE(count_known_names(more), body_weight_names().size());
        }
}

TEST(weight_names, the_head_may_stand_above_the_body) {
    EXPECT_EQ(mapped(joined(behind("model.backbone.body.", body_weight_names()),
                            behind("model.", head_weight_names()))),
              all_names());
    EXPECT_EQ(mapped(joined(behind("net.encoder.", body_weight_names()), head_weight_names())), all_names());
    // Beside it is another one's.
    EXPECT_EQ(
        mapped(joined(behind("net.encoder.", body_weight_names()), behind("other.", head_weight_names()))),
        body_weight_names());
}

TEST(weight_names, wrappers_do_not_count_anywhere) {
    EXPECT_EQ(mapped({"module.layer1._orig_mod.0.conv1.weight", "module.conv1.module.weight"}),
              (std::vector<std::string>{"layer1.0.conv1.weight", "conv1.weight"}));
    EXPECT_THAT(map_weight_names(std::vector<std::string>{"modules.conv1.weight"}, "weights").prefixes,
                ElementsAre("modules"));
}

TEST(weight_names, of_two_prefixes_one_is_chosen) {
    const std::pair<const char*, const char*> table[] = {{"student.", "teacher."},
                                                         {"encoder.", "encoder_ema."},
                                                         {"online_encoder.", "target_encoder."},
                                                         {"model.", "other."},
                                                         {"", "averaged."},
                                                         {"x.net.", "x.momentum_net."}};
    for (const auto& [first, second] : table)
        for (const bool swapped : {false, true}) {
            const auto one = behind(first, body_weight_names()), two = behind(second, body_weight_names());
            const auto names = swapped ? joined(two, one) : joined(one, two);
            const auto mapping = map_weight_names(names, "weights");
            ASSERT_EQ(mapping.used.size(), 180u) << first;
            EXPECT_EQ(mapping.used[0].source, swapped ? 180u : 0u) << first;
            EXPECT_EQ(mapping.left_out.size(), 180u) << first << ": told by `prefixes`";
            const auto place = [](std::string prefix) {
                if (!prefix.empty()) prefix.pop_back();
                return prefix;
            };
            EXPECT_THAT(mapping.prefixes, ElementsAre(place(first), place(second)));
        }
    // The first in the file, where nothing else decides; the whole one before one that lacks a tensor.
    EXPECT_EQ(
        map_weight_names(joined(behind("b.", body_weight_names()), behind("a.", body_weight_names())), "w")
            .prefixes[0],
        "b");
    auto partial = behind("b.", body_weight_names());
    partial.pop_back();
    EXPECT_THAT(map_weight_names(joined(partial, behind("teacher.", body_weight_names())), "w").prefixes,
                ElementsAre("teacher"));
}

TEST(weight_names, many_hostile_names_take_little_time) {
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "conv1.";
    std::vector<std::string> names;
    for (int i = 0; i < 300; ++i) names.push_back(deep + std::to_string(i) + ".conv1.weight");
    EXPECT_EQ(map_weight_names(names, "weights").used.size(), 1u);
}

TEST(weight_names, left_out_and_unknown) {
    const std::vector<std::string> names = {"fc.weight",
                                            "module.fc.bias",
                                            "classifier.weight",
                                            "bn1.num_batches_tracked",
                                            "0.4.0.bn1.num_batches_tracked",
                                            "bn1.weight",
                                            "conv1.bias",
                                            "layer1.0.downsample.0.weight",
                                            "layer1.0.conv3.weight",
                                            "layer1.3.conv1.weight",
                                            "0.2.weight",
                                            "0.99999999999999999999.weight",
                                            "-1.weight",
                                            "9.weight",
                                            "",
                                            "module.",
                                            "."};
    const auto mapping = map_weight_names(names, "weights");
    ASSERT_EQ(mapping.used.size(), 1u);
    EXPECT_EQ(mapping.used[0], (weight_name_mapping::used_name{5, "bn1.weight"}));
    EXPECT_EQ(mapping.left_out, std::vector<std::string>(names.begin(), names.begin() + 5));
    EXPECT_EQ(mapping.unknown, std::vector<std::string>(names.begin() + 6, names.end()));
}

TEST(weight_names, two_names_for_one_tensor_are_refused) {
    try {
        (void)map_weight_names(std::vector<std::string>{"conv1.weight", "module.conv1.weight"}, "weights");
        FAIL();
    } catch (const input_error& error) {
        EXPECT_STREQ(error.what(),
                     "weights: both 'conv1.weight' and 'module.conv1.weight' mean conv1.weight");
    }
}

} // namespace
