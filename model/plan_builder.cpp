// SPDX-License-Identifier: Apache-2.0
#include "model/plan_builder.hpp"

#include "model/memory_plan.hpp"

#include <limits>
#include <stdexcept>
#include <utility>

namespace petnet::model {

using namespace kernels;

namespace {

constexpr std::uint64_t first_dropout = 1, second_dropout = 2; // dropout::layer

} // namespace

plan_builder::plan_builder(plan& target, parameters& p, const network& net)
    : plan_(target), parameters_(p), net_(net) {}

void plan_builder::build() {
    if (training() && plan_.options_.batch < 2)
        throw std::logic_error("plan: batch-norm needs a batch of at least 2 to train");
    forward_body();
    forward_head();
    if (training()) {
        backward_head();
        backward_body();
        update();
    }
    place_tensors();
}

tensor_view plan_builder::tensor(const tensor_desc& desc) {
    slots_.push_back(desc);
    pinned_.push_back(false);
    return {desc, nullptr, static_cast<std::uint32_t>(slots_.size())};
}

tensor_view plan_builder::activation(const shape& dims) {
    return tensor(plan_.device_.activation(plan_.options_.activations, dims));
}

tensor_view plan_builder::vector(dtype type, const shape& dims) { return tensor({type, dims, 0}); }

tensor_view plan_builder::pinned(view v) {
    pinned_[v.slot - 1] = true;
    return v;
}

void plan_builder::add(std::string label, operation_params op) {
    plan_.nodes_.push_back({std::move(label), std::move(op), nullptr});
}

tensor_view plan_builder::gradient_of(const std::string& name) {
    const view gradient = tensor(value_of(name).desc);
    plan_.gradients_.push_back({name, gradient});
    return gradient;
}

void plan_builder::normalise(const std::string& name, const view& x, const view& residual, const view& y,
                             const view& saved, bool relu) {
    const view gamma = value_of(name + ".weight"), beta = value_of(name + ".bias");
    const view mean = parameters_.statistic(name + ".running_mean");
    const view variance = parameters_.statistic(name + ".running_var");
    if (training())
        add(name, batch_norm_forward{x, gamma, beta, mean, variance, residual, y, saved, relu});
    else
        add(name, batch_norm_inference{x, gamma, beta, mean, variance, residual, y, saved, relu});
}

void plan_builder::normalise_backward(const std::string& name, batch_norm_backward op) {
    op.gamma = value_of(name + ".weight");
    op.dgamma = gradient_of(name + ".weight");
    op.dbeta = gradient_of(name + ".bias");
    add(name, op);
}

void plan_builder::drop(const std::string& label, const view& x, const view& y, double probability,
                        std::uint64_t layer) {
    add(label, dropout{x, plan_.row_keys_, y, probability, layer});
}

// Pixels from the host, or cut on the device.
tensor_view plan_builder::squares(std::int64_t height, std::int64_t width) {
    const plan_options& options = plan_.options_;
    const view pixels = vector(dtype::u8, {options.batch, height, width, 3});
    if (!options.photo_store.present()) return plan_.pixels_ = pinned(pixels);
    plan_.places_ = pinned(vector(dtype::u64, {options.batch, cut_place_columns}));
    add("cut", cut_photographs{options.photo_store, options.cut_tables, plan_.places_, pixels});
    return pixels;
}

void plan_builder::read_photographs(const view& image) {
    const plan_options& options = plan_.options_;
    if (options.photo_size == 0) {
        const view pixels = squares(options.height, options.width);
        add("photo", photo_to_tensor{pixels, image, options.mean, options.deviation});
        return;
    }
    const view pixels = squares(options.photo_size, options.photo_size);
    if (training() || options.transformed)
        plan_.transforms_ = pinned(vector(dtype::f32, {options.batch, photo_transform_columns}));
    add("photo", sampled_photo_to_tensor{pixels, plan_.transforms_, image, options.mean, options.deviation});
}

convolution_shape plan_builder::shape_of(const convolution_unit& unit, const shape& input) const {
    return {.batch = input[0],
            .in_channels = unit.in_channels,
            .height = input[2],
            .width = input[3],
            .out_channels = unit.out_channels,
            .kernel = unit.kernel,
            .stride = unit.stride,
            .padding = unit.padding};
}

bool plan_builder::is_read_through_norm(std::size_t index, const shape& output) const {
    const convolution_unit& unit = net_.units[index];
    if (!training() || !unit.relu || unit.residual || unit.max_pool) return false;
    const std::size_t activation = index + 1;
    const convolution_unit* reader = nullptr;
    for (const convolution_unit& other : net_.units) {
        if (other.residual == activation || (other.input == activation && reader != nullptr)) return false;
        if (other.input == activation) reader = &other;
    }
    return reader != nullptr && reader->residual && reader->relu &&
           plan_.device_.reads_through_norm(shape_of(*reader, output), plan_.options_.activations,
                                            trains_convolutions());
}

void plan_builder::forward_body() {
    const plan_options& options = plan_.options_;
    view image = activation({options.batch, 3, options.height, options.width});
    if (options.from_pixels)
        read_photographs(image);
    else
        image = pinned(image);
    plan_.image_ = image;
    activations_ = {image};

    for (std::size_t index = 0; index < net_.units.size(); ++index) {
        const convolution_unit& unit = net_.units[index];
        unit_state state;
        state.input = activations_[unit.input];
        if (unit.input > 0 && !units_[unit.input - 1].output.present())
            state.input_norm = units_[unit.input - 1].saved;
        state.shape = shape_of(unit, state.input.desc.dims);
        if (state.shape.out_height() < 1 || state.shape.out_width() < 1)
            throw std::logic_error("plan: the image is too small for " + unit.convolution);
        state.convolved = activation(state.shape.y());
        add(unit.convolution,
            convolution_forward{state.shape, state.input, value_of(unit.convolution + ".weight"),
                                state.convolved, state.input_norm});
        if (training() || unit.max_pool) state.saved = vector(dtype::f32, {4, unit.out_channels});
        const view residual = unit.residual ? activations_[*unit.residual] : view{};
        if (unit.max_pool) {
            normalise(unit.batch_norm, state.convolved, residual, {}, state.saved, unit.relu);
            const shape y = state.shape.y();
            state.output = activation({y[0], y[1], (y[2] - 1) / 2 + 1, (y[3] - 1) / 2 + 1});
            if (training()) {
                tensor_desc desc = state.output.desc;
                desc.type = dtype::u8;
                state.argmax = tensor(desc);
            }
            add("maxpool", max_pool_forward{state.convolved, state.saved, state.output, state.argmax});
        } else if (is_read_through_norm(index, state.shape.y())) {
            normalise(unit.batch_norm, state.convolved, residual, {}, state.saved, unit.relu);
        } else {
            // Evaluation keeps nothing: the normalised tensor replaces the convolved one.
            state.output = training() ? activation(state.shape.y()) : state.convolved;
            normalise(unit.batch_norm, state.convolved, residual, state.output, state.saved, unit.relu);
        }
        activations_.push_back(state.output.present() ? state.output : state.convolved);
        units_.push_back(state);
    }
}

void plan_builder::forward_head() {
    const plan_options& options = plan_.options_;
    const network_config& config = net_.config;
    const std::int64_t batch = options.batch, features = net_.features(), width = config.head_width;
    plan_.target_ = pinned(vector(dtype::i32, {batch}));
    if (training()) plan_.row_keys_ = pinned(vector(dtype::u64, {batch}));

    const view last = activations_.back();
    head_.pooled = vector(dtype::f32, {batch, features});
    if (training()) {
        head_.argmax = vector(dtype::i32, {batch, features / 2});
        head_.saved_1 = vector(dtype::f32, {4, features});
        head_.saved_2 = vector(dtype::f32, {4, width});
    }
    add("head.pool", concat_pool_forward{last, head_.pooled, head_.argmax});

    head_.dropped_1 = vector(dtype::f32, {batch, features});
    normalise("head.bn1", head_.pooled, {}, head_.dropped_1, head_.saved_1, false);
    if (training() && config.head_dropout_1 > 0)
        drop("head.dropout1", head_.dropped_1, head_.dropped_1, config.head_dropout_1, first_dropout);
    head_.hidden = vector(dtype::f32, {batch, width});
    add("head.fc1", linear_forward{head_.dropped_1, value_of("head.fc1.weight"), head_.hidden, true});

    head_.dropped_2 = vector(dtype::f32, {batch, width});
    normalise("head.bn2", head_.hidden, {}, head_.dropped_2, head_.saved_2, false);
    if (training() && config.head_dropout_2 > 0)
        drop("head.dropout2", head_.dropped_2, head_.dropped_2, config.head_dropout_2, second_dropout);
    plan_.logits_ = pinned(vector(dtype::f32, {batch, config.classes}));
    add("head.fc2", linear_forward{head_.dropped_2, value_of("head.fc2.weight"), plan_.logits_, false});

    if (training()) head_.dlogits = vector(dtype::f32, plan_.logits_.desc.dims);
    plan_.loss_ = pinned(vector(dtype::f32, {1}));
    plan_.row_loss_ = pinned(vector(dtype::f32, {batch}));
    plan_.predictions_ = pinned(vector(dtype::i32, {batch}));
    add("loss",
        softmax_cross_entropy{plan_.logits_, plan_.target_, plan_.loss_, plan_.row_loss_, plan_.predictions_,
                              head_.dlogits, training() ? parameters_.loss_scale() : view{}});
}

void plan_builder::backward_head() {
    const network_config& config = net_.config;
    const view dhidden = vector(dtype::f32, head_.hidden.desc.dims);
    add("head.fc2", linear_backward{head_.dropped_2,
                                    value_of("head.fc2.weight"),
                                    {},
                                    head_.dlogits,
                                    dhidden,
                                    gradient_of("head.fc2.weight"),
                                    false});
    if (config.head_dropout_2 > 0)
        drop("head.dropout2", dhidden, dhidden, config.head_dropout_2, second_dropout);
    normalise_backward(
        "head.bn2", {.dy = dhidden, .x = head_.hidden, .saved = head_.saved_2, .dx = dhidden, .relu = false});

    const view dpooled = vector(dtype::f32, head_.pooled.desc.dims);
    add("head.fc1", linear_backward{head_.dropped_1, value_of("head.fc1.weight"), head_.hidden, dhidden,
                                    dpooled, gradient_of("head.fc1.weight"), true});
    if (config.head_dropout_1 > 0)
        drop("head.dropout1", dpooled, dpooled, config.head_dropout_1, first_dropout);
    normalise_backward(
        "head.bn1", {.dy = dpooled, .x = head_.pooled, .saved = head_.saved_1, .dx = dpooled, .relu = false});

    gradients_.resize(activations_.size());
    const view dlast = tensor(activations_.back().desc);
    add("head.pool", concat_pool_backward{dpooled, head_.argmax, dlast});
    gradients_.back() = {dlast};
}

void plan_builder::backward_body() {
    for (std::size_t i = units_.size(); i-- > 0;) backward_unit(i);
}

void plan_builder::backward_unit(std::size_t index) {
    const convolution_unit& unit = net_.units[index];
    const unit_state& state = units_[index];
    const std::vector<view>& terms = gradients_[index + 1];
    view dy = terms.at(0), dy2 = terms.size() > 1 ? terms[1] : view{};
    if (terms.size() > 2) throw std::logic_error("plan: an activation with more than two consumers");
    const bool first = unit.input == 0; // nothing reads the image's gradient

    if (unit.max_pool) {
        const view dpooled = dy, dpooled2 = dy2;
        dy = tensor(state.convolved.desc);
        dy2 = {};
        add("maxpool", max_pool_backward{dpooled, dpooled2, state.argmax, dy});
    }
    batch_norm_backward op{
        .dy = dy, .dy2 = dy2, .x = state.convolved, .saved = state.saved, .relu = unit.relu};
    if (unit.residual) {
        // The gradient of the identity path is stored over dy, so the convolution's needs a tensor of its
        // own.
        op.y = state.output;
        op.dresidual = dy;
        op.dx = tensor(state.convolved.desc);
        gradients_[*unit.residual].push_back(dy);
    } else if (!first || trains_convolutions()) {
        op.dx = dy;
    }
    normalise_backward(unit.batch_norm, op);

    if (trains_convolutions())
        add(unit.convolution,
            convolution_backward_weights{state.shape, state.input, op.dx,
                                         gradient_of(unit.convolution + ".weight"), state.input_norm});
    if (!first) {
        const view dx = tensor(state.input.desc);
        add(unit.convolution,
            convolution_backward_data{state.shape, op.dx, value_of(unit.convolution + ".weight"), dx});
        gradients_[unit.input].push_back(dx);
    }
}

void plan_builder::update() {
    plan_.settings_ =
        pinned(vector(dtype::f32, {static_cast<std::int64_t>(parameter_groups), adam_settings_columns}));
    adam_step step;
    step.settings = plan_.settings_;
    step.loss_scale = parameters_.loss_scale();
    for (const parameter& p : parameters_.trained())
        for (const plan::named_gradient& g : plan_.gradients_)
            if (g.name == p.name)
                step.parameters.push_back(
                    {p.value, g.view, p.m, p.v, static_cast<std::int64_t>(p.group), p.decays()});
    if (step.loss_scale.present()) {
        loss_scale_update scale;
        for (const adam_parameter& p : step.parameters) scale.gradients.push_back(p.g);
        scale.state = step.loss_scale;
        add("loss_scale", scale);
    }
    add("adam", step);
}

void plan_builder::place_tensors() {
    constexpr std::size_t unused = std::numeric_limits<std::size_t>::max();
    std::vector<lifetime> lifetimes(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i)
        lifetimes[i] = {plan_.device_.storage_bytes(slots_[i]), unused, 0};
    for (std::size_t i = 0; i < plan_.nodes_.size(); ++i)
        for_each_operand(std::as_const(plan_.nodes_[i].params),
                         [&](std::string_view, const tensor_view& operand, access) {
                             if (operand.slot == 0) return;
                             lifetime& l = lifetimes[operand.slot - 1];
                             if (l.first == unused) l.first = i;
                             l.last = i;
                         });
    for (std::size_t i = 0; i < slots_.size(); ++i)
        if (pinned_[i]) {
            lifetimes[i].first = 0;
            lifetimes[i].last = plan_.nodes_.size();
        }
    memory_plan placed = place_by_size(lifetimes);
    plan_.offsets_ = std::move(placed.offsets);
    plan_.tensor_bytes_ = placed.total_bytes;
}

} // namespace petnet::model
