// SPDX-License-Identifier: Apache-2.0
#include "infer/photo_answers.hpp"

#include "data/augment.hpp"
#include "data/loader.hpp"
#include "infer/probabilities.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace petnet::infer {
namespace {

using tell_answer = std::function<void(std::size_t photo, std::span<const float> logits)>;

std::vector<double> transforms_of(const data::photo_store& photos, const data::photo_batch& batch,
                                  const answering& how, std::uint64_t epoch) {
    std::vector<double> rows;
    for (const std::size_t index : batch.indices) {
        const data::photo_transform row =
            data::transform_of(data::draw_augmentation(how.seed, epoch, photos.folder().photos[index].name));
        rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
}

class passes {
  public:
    passes(classifier& model, data::photo_store& photos, const std::vector<std::size_t>& order,
           const answering& how)
        : model_(model),
          photos_(photos),
          order_(order),
          how_(how),
          total_((how.tta ? tta_passes + 1 : 1) * order.size()),
          no_labels_(photos.folder().photos.size()) {}

    // As the photographs are; or augmented by the draws of an epoch. False where a stop was requested.
    bool plain(const tell_answer& tell) { return pass(tell, nullptr); }
    bool augmented(std::uint64_t epoch, const tell_answer& tell) { return pass(tell, &epoch); }

  private:
    bool pass(const tell_answer& tell, const std::uint64_t* epoch) {
        data::loader loader(photos_, no_labels_, order_, data::pass::valid,
                            {.batch_size = static_cast<std::size_t>(model_.batch_size()),
                             .seed = how_.seed,
                             .epoch = epoch == nullptr ? 0 : *epoch,
                             .threads = how_.threads,
                             .drawn_cuts = epoch != nullptr});
        const bool transformed = epoch != nullptr && model_.samples();
        for (data::photo_batch batch; loader.next(batch);) {
            const std::vector<float> logits =
                transformed ? model_.classify(batch.pixels, transforms_of(photos_, batch, how_, *epoch))
                            : model_.classify(batch.pixels);
            for (std::size_t i = 0; i < batch.count; ++i)
                tell(batch.indices[i], std::span(logits).subspan(i * model_.classes(), model_.classes()));
            done_ += batch.count;
            if (how_.on_progress) how_.on_progress(done_, total_);
            if (how_.stop_requested && how_.stop_requested()) return false;
        }
        return true;
    }

    classifier& model_;
    data::photo_store& photos_;
    const std::vector<std::size_t>& order_;
    const answering& how_;
    std::size_t done_ = 0, total_;
    std::vector<std::int32_t> no_labels_;
};

} // namespace

data::photo_store photos_for(const classifier& model, data::image_folder folder, bool tta) {
    const model::model_description& d = model.description();
    return {std::move(folder),
            {.image_size = static_cast<std::size_t>(d.photo_size),
             .max_broken = 1,
             .turned = d.turned_by_exif ? data::orientation::by_exif : data::orientation::as_stored,
             .memory_limit = tta ? std::nullopt : std::optional<std::size_t>(0),
             .hash_contents = false}};
}

bool answer_photos(classifier& model, data::photo_store& photos, const std::vector<std::size_t>& order,
                   const answering& how, const tell_answer& tell) {
    passes over(model, photos, order, how);
    if (!how.tta) return over.plain(tell);

    std::map<std::size_t, std::vector<double>> mean; // of the augmented probabilities, by photograph
    for (std::uint64_t epoch = 0; epoch < tta_passes; ++epoch) {
        const auto add = [&](std::size_t photo, std::span<const float> logits) {
            std::vector<double>& sum = mean[photo];
            sum.resize(logits.size());
            const std::vector<double> p = probabilities_of(logits);
            for (std::size_t c = 0; c < p.size(); ++c) sum[c] += p[c] / static_cast<double>(tta_passes);
        };
        if (!over.augmented(epoch, add)) return false;
    }
    return over.plain([&](std::size_t photo, std::span<const float> logits) {
        const std::vector<double> p = probabilities_of(logits);
        const std::vector<double>& augmented = mean.at(photo);
        std::vector<float> mixed;
        for (std::size_t c = 0; c < p.size(); ++c) {
            const double lerp = augmented[c] + tta_beta * (p[c] - augmented[c]);
            mixed.push_back(static_cast<float>(std::log(std::max(lerp, std::numeric_limits<double>::min()))));
        }
        tell(photo, mixed);
    });
}

} // namespace petnet::infer
