// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/recorded_sequence.hpp"

#include "kernels/cuda/resources.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace petnet::kernels::cuda {
namespace {

class recorded_sequence final : public operation {
  public:
    recorded_sequence(cudaStream_t stream, std::vector<operation*> operations)
        : stream_(stream), operations_(std::move(operations)) {}

    [[nodiscard]] std::size_t workspace_bytes() const override {
        std::size_t largest = 0;
        for (const operation* op : operations_) largest = std::max(largest, op->workspace_bytes());
        return largest;
    }

    void execute(std::byte* workspace) override {
        if (!executed_) {
            launch_each(workspace);
            executed_ = true;
            workspace_ = workspace;
            return;
        }
        if (workspace != workspace_)
            throw std::logic_error("a sequence is executed with one workspace always");
        if (!graph_) graph_ = record(workspace);
        check(cudaGraphLaunch(graph_.get(), stream_), "launching a training step");
    }

  private:
    void launch_each(std::byte* workspace) {
        for (operation* op : operations_) op->execute(workspace);
    }

    [[nodiscard]] executable_graph record(std::byte* workspace) {
        constexpr const char* doing = "recording a training step";
        check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), doing);
        cudaGraph_t recorded = nullptr;
        try {
            launch_each(workspace);
        } catch (...) {
            static_cast<void>(cudaStreamEndCapture(stream_, &recorded)); // or the stream stays unusable
            graph discarded(recorded);
            throw;
        }
        check(cudaStreamEndCapture(stream_, &recorded), doing);
        const graph owned(recorded);
        cudaGraphExec_t made = nullptr;
        check(cudaGraphInstantiate(&made, owned.get(), 0), doing);
        return executable_graph(made);
    }

    cudaStream_t stream_;
    std::vector<operation*> operations_;
    bool executed_ = false;
    std::byte* workspace_ = nullptr;
    executable_graph graph_;
};

} // namespace

std::unique_ptr<operation> make_recorded_sequence(cudaStream_t on, std::vector<operation*> operations) {
    return std::make_unique<recorded_sequence>(on, std::move(operations));
}

} // namespace petnet::kernels::cuda
