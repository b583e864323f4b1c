// SPDX-License-Identifier: Apache-2.0
#include "model/weights/pickle_functions.hpp"

#include <array>

namespace petnet::model {
namespace {

struct known_function {
    std::string_view name;
    pickle_meaning what;
};
// Everything a file may call. The plain data are what optimizers and training scripts leave beside the
// weights.
constexpr std::array known_functions = {
    known_function{"torch._utils._rebuild_tensor", pickle_meaning::tensor},
    known_function{"torch._utils._rebuild_tensor_v2", pickle_meaning::tensor},
    known_function{"torch._utils._rebuild_tensor_v3", pickle_meaning::tensor_v3},
    known_function{"torch._utils._rebuild_parameter", pickle_meaning::first_argument},
    known_function{"torch._utils._rebuild_parameter_with_state", pickle_meaning::first_argument},
    known_function{"torch._tensor._rebuild_from_type_v2", pickle_meaning::rebuild_from_type},
    known_function{"torch.Size", pickle_meaning::first_argument},
    known_function{"collections.OrderedDict", pickle_meaning::dictionary},
    known_function{"collections.defaultdict", pickle_meaning::plain_data},
    known_function{"collections.Counter", pickle_meaning::plain_data},
    known_function{"collections.deque", pickle_meaning::plain_data},
    known_function{"builtins.set", pickle_meaning::plain_data},
    known_function{"builtins.frozenset", pickle_meaning::plain_data},
    known_function{"builtins.slice", pickle_meaning::plain_data},
    known_function{"__builtin__.set", pickle_meaning::plain_data},
    known_function{"torch.device", pickle_meaning::plain_data},
    known_function{"fastcore.foundation.L", pickle_meaning::plain_data},
    known_function{"numpy.dtype", pickle_meaning::plain_data},
    known_function{"numpy.core.multiarray.scalar", pickle_meaning::plain_data},
    known_function{"numpy.core.multiarray._reconstruct", pickle_meaning::plain_data},
    known_function{"numpy._core.multiarray.scalar", pickle_meaning::plain_data},
    known_function{"numpy._core.multiarray._reconstruct", pickle_meaning::plain_data},
    known_function{"_codecs.encode", pickle_meaning::plain_data},
    known_function{"argparse.Namespace", pickle_meaning::plain_data},
    known_function{"pathlib.Path", pickle_meaning::plain_data},
    known_function{"pathlib.PosixPath", pickle_meaning::plain_data},
    known_function{"pathlib.WindowsPath", pickle_meaning::plain_data},
    known_function{"datetime.datetime", pickle_meaning::plain_data},
    known_function{"datetime.timedelta", pickle_meaning::plain_data},
};

} // namespace

std::optional<pickle_meaning> find_pickle_function(std::string_view name) noexcept {
    for (const known_function& function : known_functions)
        if (function.name == name) return function.what;
    return std::nullopt;
}

} // namespace petnet::model
