// SPDX-License-Identifier: Apache-2.0
// What pickles may and may not say.
#include "torch_builder.hpp"

#include <sys/resource.h>

using namespace petnet;
using namespace petnet::model;
using namespace petnet::model::testing;
using namespace petnet::model::testing::pickled;
using ::testing::HasSubstr;

namespace {

const std::string six = floats({0, 1, 2, 3, 4, 5});

// A state dict with one tensor `a` on a storage of six float32.
std::string state_dict(const std::string& offset_shape_strides_tensor) {
    return dictionary({{"a", offset_shape_strides_tensor}});
}
std::string view(std::int64_t offset, std::initializer_list<std::int64_t> shape,
                 std::initializer_list<std::int64_t> strides) {
    return state_dict(tensor(storage(6), offset, integers(shape), integers(strides)));
}
std::vector<float> values_of(const std::string& value) {
    return read(torch_zip(value, six)).find("a")->to_float32();
}
std::string pickle_refusal(const std::string& value) { return refusal(torch_zip(value, six)); }

TEST(torch_pickle, views_and_strides) {
    EXPECT_EQ(values_of(view(0, {2, 3}, {3, 1})), (std::vector<float>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(values_of(view(0, {3, 2}, {1, 3})), (std::vector<float>{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(values_of(view(1, {2, 1, 2}, {3, 1000, 1})), (std::vector<float>{1, 2, 4, 5}));
    EXPECT_EQ(values_of(view(5, {}, {})), std::vector<float>{5});
    EXPECT_EQ(values_of(view(4, {3}, {0})), (std::vector<float>{4, 4, 4}));
    EXPECT_EQ(values_of(view(0, {1, 2}, {INT64_MAX, 2})), (std::vector<float>{0, 2}));
    EXPECT_TRUE(values_of(view(0, {0, 3}, {3, 1})).empty());
}

TEST(torch_pickle, contiguous_tensors_are_views_of_the_file) {
    const std::string file = torch_zip(view(0, {2, 3}, {3, 1}), six);
    const weight_file read_back = read_weight_bytes(as_bytes(file), "weights");
    EXPECT_EQ(read_back.tensors[0].bytes.data(), as_bytes(file).data() + file.find(six));
}

TEST(torch_pickle, tensors_outside_their_storage_are_refused) {
    for (const std::string& value :
         {view(0, {7}, {1}), view(1, {6}, {1}), view(6, {1}, {1}), view(0, {2, 3}, {4, 1}),
          view(-1, {1}, {1}), view(0, {2}, {-1}), view(0, {INT64_MAX}, {1}), view(INT64_MAX, {1}, {1}),
          view(INT64_MAX, {2}, {1}), view(0, {2, 2}, {INT64_MAX, INT64_MAX}),
          view(0, {1LL << 32, 1LL << 32}, {0, 0}), view(0, {-1}, {1}), view(0, {-1, -1}, {1, 1}),
          view(0, {3}, {1LL << 62}), view(0, {2, 3}, {1})})
        EXPECT_THAT(pickle_refusal(value), HasSubstr("tensor 'a'"));
}

TEST(torch_pickle, storages_must_hold_what_they_claim) {
    for (std::int64_t elements : {std::int64_t{7}, INT64_MAX, std::int64_t{1} << 62})
        EXPECT_THAT(pickle_refusal(state_dict(tensor(storage(elements), 0, integers({1}), integers({1})))),
                    HasSubstr("the file holds 24 bytes of it"));
    EXPECT_THAT(pickle_refusal(state_dict(tensor(storage(-1), 0, integers({1}), integers({1})))),
                HasSubstr("not a storage"));
    EXPECT_THAT(
        pickle_refusal(state_dict(tensor(storage(6, "FloatStorage", "1"), 0, integers({1}), integers({1})))),
        HasSubstr("storage '1' is missing"));
    EXPECT_THAT(pickle_refusal(
                    state_dict(tensor(storage(2, "ComplexFloatStorage"), 0, integers({1}), integers({1})))),
                HasSubstr("'torch.ComplexFloatStorage', which petnet does not read"));
    EXPECT_THAT(pickle_refusal(state_dict(tensor(storage(2, "NoStorage"), 0, integers({1}), integers({1})))),
                HasSubstr("unknown type 'torch.NoStorage'"));
}

TEST(torch_pickle, expanded_tensors_stay_in_proportion_to_the_file) {
    EXPECT_THAT(pickle_refusal(view(0, {1LL << 40}, {0})),
                HasSubstr("far more elements than the file holds"));
    std::string many = "}";
    for (int i = 0; i < 100; ++i)
        many += text("t" + std::to_string(i)) + tensor(storage(6), 0, integers({2000}), integers({0})) + "s";
    EXPECT_THAT(pickle_refusal(many), HasSubstr("far more elements than the file holds"));
}

TEST(torch_pickle, parameters_sizes_and_untyped_storages) {
    const std::string plain = tensor(storage(6), 0, integers({2}), integers({1}));
    const std::string hooks = call(global("collections", "OrderedDict"), ")");
    EXPECT_EQ(values_of(state_dict(
                  call(global("torch._utils", "_rebuild_parameter"), tuple({plain, "\x88", hooks})))),
              (std::vector<float>{0, 1}));
    EXPECT_EQ(
        values_of(state_dict(call(
            global("torch._tensor", "_rebuild_from_type_v2"),
            tuple({global("torch._utils", "_rebuild_tensor_v2"), global("torch.nn.parameter", "Parameter"),
                   tuple({storage(6), integer(3), integers({2}), integers({1}), "\x89", hooks}), "}"})))),
        (std::vector<float>{3, 4}));
    EXPECT_EQ(values_of(state_dict(tensor(
                  storage(6), 2, call(global("torch", "Size"), tuple({integers({2})})), integers({1})))),
              (std::vector<float>{2, 3}));
    const auto v3 = [&](std::string_view dtype) {
        return state_dict(call(global("torch._utils", "_rebuild_tensor_v3"),
                               tuple({storage(24, "UntypedStorage"), integer(1), integers({2}), integers({1}),
                                      "\x89", hooks, global("torch", dtype)})));
    };
    EXPECT_EQ(values_of(v3("float32")), (std::vector<float>{1, 2}));
    EXPECT_THAT(pickle_refusal(v3("float8_e5m2")),
                HasSubstr("'torch.float8_e5m2', which petnet does not read"));
}

TEST(torch_pickle, lazily_negated_tensors_are_refused) {
    const std::string negated = call(global("torch._utils", "_rebuild_tensor_v2"),
                                     tuple({storage(6), integer(0), integers({1}), integers({1}), "\x89", "}",
                                            dictionary({{"neg", "\x88"}})}));
    EXPECT_THAT(pickle_refusal(state_dict(negated)), HasSubstr("negated"));
}

TEST(torch_pickle, calls_of_other_functions_are_refused_by_name) {
    const std::string arguments = tuple({text("touch pickle_was_executed")});
    for (const auto& [module, name] : {std::pair{"posix", "system"},
                                       {"builtins", "eval"},
                                       {"builtins", "getattr"},
                                       {"subprocess", "Popen"},
                                       {"fastai.learner", "Learner"},
                                       {"torch", "load"},
                                       {"torch.nn.modules.linear", "Linear"},
                                       {"torch._utils", "_rebuild_qtensor"}}) {
        const std::string function = global(module, name);
        const std::string by_stack = text(module) + text(name) + "\x93";
        for (const std::string& value : {function + arguments + "R", function + arguments + "\x81",
                                         function + arguments + "}\x92", by_stack + arguments + "R"}) {
            const std::string message = pickle_refusal(state_dict(value));
            EXPECT_THAT(message, HasSubstr("would run '" + std::string(module) + "." + name + "'"));
            EXPECT_THAT(message, HasSubstr("nothing was run"));
        }
    }
    // Through the one function that calls another; and that one calling itself, deeper than any stack.
    EXPECT_THAT(pickle_refusal(call(global("torch._tensor", "_rebuild_from_type_v2"),
                                    tuple({global("posix", "system"), "N", arguments, "N"}))),
                HasSubstr("'posix.system'"));
    std::string nested = global("torch._tensor", "_rebuild_from_type_v2") + "q\x01";
    constexpr std::size_t depth = 200'000;
    for (std::size_t i = 0; i < depth; ++i) nested += "h\x01N";
    EXPECT_THAT(pickle_refusal(nested + ")" + std::string(depth, '\x87') + "R"),
                HasSubstr("rebuilt by rebuilding"));
    // A name alone is only a name.
    EXPECT_EQ(values_of(dictionary({{"f", global("posix", "system")},
                                    {"a", tensor(storage(6), 0, integers({1}), integers({1}))}})),
              std::vector<float>{0});
    EXPECT_NE(pickle_refusal(state_dict(global("posix", "system") + "}b")), "") << "BUILD on a function";
}

TEST(torch_pickle, what_fastai_leaves_beside_the_model_is_ignored) {
    const std::string plain = tensor(storage(6), 0, integers({1}), integers({1}));
    const std::string fastcore_list =
        global("fastcore.foundation", "L") + ")\x81" + dictionary({{"items", "]"}}) + "b";
    const std::string numpy_dtype = call(global("numpy", "dtype"), tuple({text("f8"), "\x89", "\x88"})) +
                                    tuple({integer(3), text("<"), "N"}) + "b";
    const std::string scalar =
        call(global("numpy._core.multiarray", "scalar"),
             tuple({numpy_dtype, call(global("_codecs", "encode"), tuple({text("x"), text("latin1")}))}));
    const std::string file = dictionary({{"model", state_dict(plain)},
                                         {"opt", dictionary({{"state", "]" + plain + "a"},
                                                             {"hypers", fastcore_list},
                                                             {"lr", scalar},
                                                             {"eps", "G12345678"}})}});
    const weight_file read_back = read(torch_zip(file, six));
    ASSERT_EQ(read_back.tensors.size(), 1u) << "tensors of the optimizer are no weights";
    EXPECT_EQ(read_back.tensors[0].name, "a");
}

TEST(torch_pickle, where_the_state_dict_is) {
    const std::string weights = state_dict(tensor(storage(6), 0, integers({1}), integers({1})));
    const std::string beside = tensor(storage(6), 1, integers({1}), integers({1}));
    EXPECT_EQ(values_of(dictionary({{"epoch", integer(3)}, {"state_dict", weights}})), std::vector<float>{0});
    EXPECT_EQ(values_of(dictionary({{"best", beside}, {"model", weights}})), std::vector<float>{0});
    EXPECT_EQ(values_of(dictionary({{"model", text("resnet34")}, {"a", beside}})), std::vector<float>{1});
    EXPECT_THAT(pickle_refusal(dictionary({{"epoch", "N"}, {"opt", "}"}})),
                HasSubstr("found the keys 'epoch', 'opt'"));
    EXPECT_THAT(pickle_refusal("}"), HasSubstr("found an empty one"));
    for (const std::string& value : {std::string("N"), beside, "](" + beside + "e"})
        EXPECT_THAT(pickle_refusal(value), HasSubstr("holds no state dict"));
}

TEST(torch_pickle, repeated_keys_take_the_last_value) {
    const auto at = [](std::int64_t offset) {
        return tensor(storage(6), offset, integers({1}), integers({1}));
    };
    const weight_file file = read(torch_zip(dictionary({{"a", at(1)}, {"b", at(2)}, {"a", at(3)}}), six));
    ASSERT_EQ(file.tensors.size(), 2u);
    EXPECT_EQ(file.tensors[0].to_float32(), std::vector<float>{3});
}

TEST(torch_pickle, other_protocols) {
    // Protocol 4: frames, short texts, MEMOIZE, STACK_GLOBAL, EMPTY_SET.
    const auto short_text = [](std::string_view value) {
        return "\x8c" + std::string(1, static_cast<char>(value.size())) + std::string(value);
    };
    const std::string value = "\x95" + std::string(8, '\0') + "}\x94(" + short_text("a") + "\x94" +
                              short_text("torch._utils") + short_text("_rebuild_tensor_v2") + "\x93\x94(" +
                              storage(6) + "K\x01K\x02\x85\x94K\x01\x85\x89\x8ft\x94Ru";
    EXPECT_EQ(values_of(value), (std::vector<float>{1, 2}));
    // Python 2: OrderedDict from a list of pairs, byte strings as keys.
    const std::string pairs =
        "](]U\x01" + std::string("a") + "a" + tensor(storage(6), 0, integers({1}), integers({1})) + "ae";
    EXPECT_EQ(values_of(call(global("collections", "OrderedDict"), pairs + "\x85")), std::vector<float>{0});
}

TEST(torch_pickle, integers_of_every_width) {
    const auto first_at = [](const std::string& offset) {
        return values_of(state_dict(call(global("torch._utils", "_rebuild_tensor_v2"),
                                         tuple({storage(6), offset, integers({1}), integers({1})}))))[0];
    };
    EXPECT_EQ(first_at("K\x05"), 5);
    EXPECT_EQ(first_at("M" + le<std::uint16_t>(5)), 5);
    EXPECT_EQ(first_at("J" + le<std::int32_t>(5)), 5);
    EXPECT_EQ(first_at("\x8a\x01\x05"), 5);
    EXPECT_EQ(first_at("\x8a" + std::string(1, '\0')), 0);
    EXPECT_EQ(first_at("\x8b" + le<std::uint32_t>(2) + "\x05" + std::string(1, '\0')), 5);
    EXPECT_THAT(
        pickle_refusal(state_dict(call(global("torch._utils", "_rebuild_tensor_v2"),
                                       tuple({storage(6), "\x8a\x01\xff", integers({1}), integers({1})})))),
        HasSubstr("reaches beyond"));
}

TEST(torch_pickle, malformed_programs_are_refused) {
    const std::string deep_tuples = "N" + std::string(3'000'000, '\x85');
    const std::pair<const char*, std::string> programs[] = {
        {"nothing_left", ""},
        {"underflow", "0"},
        {"dup_of_nothing", "2"},
        {"tuple_without_mark", "t"},
        {"items_without_mark", "u"},
        {"below_the_mark", "N(0"},
        {"tuple2_across_the_mark", "N(N\x86"},
        {"append_to_nothing", "Na"},
        {"append_to_number", "K\x01Na"},
        {"items_of_number", "K\x01NNs"},
        {"odd_items", "}(Nu"},
        {"odd_dict", "(Nd"},
        {"memo_missing", "h\x05"},
        {"memo_hole", "Nr\x05" + std::string(3, '\0') + "h\x02"},
        {"memo_index_huge", "Nr\xff\xff\xff\xff"},
        {"memo_of_nothing", "q\x01"},
        {"text_beyond_end", "X\xff\xff\xff\xff"},
        {"text8_beyond_end", "\x8d" + le<std::uint64_t>(~0ULL)},
        {"long_beyond_end", "\x8b\xff\xff\xff\xff"},
        {"global_without_newline", "cposix"},
        {"global_name_too_long", "c" + std::string(2000, 'a') + "\nb\n"},
        {"stack_global_of_numbers", "K\x01K\x01\x93"},
        {"call_of_number", "K\x01)R"},
        {"arguments_no_tuple", "ctorch\nSize\nNR"},
        {"size_of_nothing", "ctorch\nSize\n)R"},
        {"rebuild_from_nothing", "ctorch._tensor\n_rebuild_from_type_v2\n)R"},
        {"pairs_of_three", "ccollections\nOrderedDict\n](](NNNee\x85R"},
        {"build_on_tuple", ")Nb"},
        {"inst", "(iposix\nsystem\n"},
        {"obj", "(cposix\nsystem\no"},
        {"extension", "\x82\x01"},
        {"text_persistent_id", "Pstorage\n"},
        {"protocol_0_int", "I1\n"},
        {"next_buffer", "\x97"},
        {"nothing_of_ours", std::string("\x01\x02\x03")},
        {"too_many_containers", std::string(1'100'000, ']')},
        {"too_many_operations", std::string(4'100'000, 'N')},
        {"deep_nesting", deep_tuples},
    };
    for (const auto& [name, program] : programs) {
        const std::string message = pickle_refusal(program);
        EXPECT_THAT(message, HasSubstr("pickle")) << name;
        EXPECT_EQ(message.find('\n'), std::string::npos) << name;
    }
}

// A list in the memo costs two bytes to repeat: its copies must not cost its length.
TEST(torch_pickle, containers_copied_again_and_again_are_refused) {
    constexpr int length = 10'000, copies = 10'000; // 10,000 x 20,000 items of 16 bytes
    std::string pairs = "]q\x01(";
    for (int i = 0; i < length; ++i) pairs += "NN\x86";
    std::string program = pairs + "e0" + global("collections", "OrderedDict") + "q\x02" + "h\x01\x85q\x03";
    for (int i = 0; i < copies; ++i) program += "h\x02h\x03R0";
    struct rusage before {
    }, after{};
    ::getrusage(RUSAGE_SELF, &before);
    EXPECT_THAT(pickle_refusal(program + "}"), HasSubstr("containers repeat each other"));
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 100 * 1024); // KB

    // The same with long names: five bytes each for a copy of 2000.
    const std::string name(1000, 'n');
    program = text(name) + "q\x01" + "0";
    for (int i = 0; i < 200'000; ++i) program += "h\x01h\x01\x93" + std::string("0");
    EXPECT_THAT(pickle_refusal(program + "}"), HasSubstr("globals"));
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 200 * 1024);
}

// The largest part of containers that a plain file can have: pairs, as Python 2 wrote them, and nothing else.
TEST(torch_pickle, a_long_dictionary_of_pairs_is_read) {
    std::string pairs = "](";
    for (int i = 0; i < 1000; ++i) pairs += "NN\x86";
    pairs += text("a") + tensor(storage(6), 0, integers({1}), integers({1})) + "\x86";
    EXPECT_EQ(values_of(call(global("collections", "OrderedDict"), pairs + "e\x85")), std::vector<float>{0});
}

TEST(torch_pickle, malformed_descriptions_are_refused) {
    const std::string f = global("torch._utils", "_rebuild_tensor_v2");
    const std::string one = integers({1});
    for (const std::string& value :
         {call(f, ")"), call(f, tuple({storage(6), integer(0), one})),
          call(f, tuple({"N", integer(0), one, one})), call(f, tuple({storage(6), "N", one, one})),
          call(f, tuple({storage(6), integer(0), "N", one})),
          call(f, tuple({storage(6), integer(0), one, tuple({"N"})})),
          call(f, tuple({storage(6), integer(0), tuple({"G12345678"}), one})),
          call(f, tuple({"NQ", integer(0), one, one})), call(f, tuple({")Q", integer(0), one, one})),
          call(f,
               tuple({tuple({text("module"), "N", text("0"), "N", integer(1)}) + "Q", integer(0), one, one})),
          call(f, tuple({tuple({text("storage"), global("torch", "FloatStorage"), text("0"), "N", integer(1),
                                tuple({"N"})}) +
                             "Q",
                         integer(0), one, one}))})
        EXPECT_THAT(pickle_refusal(state_dict(value)), ::testing::StartsWith("weights: "));
}

TEST(torch_pickle, lists_that_hold_themselves_do_no_harm) {
    const std::string plain = tensor(storage(6), 0, integers({1}), integers({1}));
    EXPECT_EQ(values_of(dictionary({{"loop", "]q\x01h\x01" + std::string("a")}, {"a", plain}})),
              std::vector<float>{0});
    EXPECT_NE(pickle_refusal("}q\x01" + text("model") + "h\x01s"), "");
}

TEST(torch_legacy, reads_and_checks) {
    const std::string value = view(1, {2}, {1});
    const std::string good = torch_legacy(value, six, 6);
    EXPECT_EQ(read(good).find("a")->to_float32(), (std::vector<float>{1, 2}));
    EXPECT_THAT(refusal(torch_legacy(value, six, 6, false)), HasSubstr("big-endian"));
    EXPECT_THAT(refusal(torch_legacy(value, six, 7)), HasSubstr("cut short"));
    EXPECT_THAT(refusal(torch_legacy(value, six, ~0ULL)), HasSubstr("cut short"));
    EXPECT_THAT(refusal(torch_legacy(value, six, 5)), HasSubstr("should have 6 elements"));
    EXPECT_THAT(refusal(torch_legacy("}", six, 6)), HasSubstr("belongs to no tensor"));
    EXPECT_THAT(refusal(program("}")), HasSubstr("not one that torch.save wrote"));
    EXPECT_THAT(refusal(program("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + program("K\x01")),
                HasSubstr("unknown version"));
}

} // namespace
