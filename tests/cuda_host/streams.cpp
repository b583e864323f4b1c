// SPDX-License-Identifier: Apache-2.0
// Streams, events and graphs. A stream keeps its work until something waits for it.
#include "tests/cuda_host/runtime.hpp"

#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using work_list = std::vector<std::function<void()>>;

struct CUgraph_st {
    work_list nodes;
};
struct CUgraphExec_st {
    std::shared_ptr<const work_list> nodes; // a launch that waits in a stream keeps them
};

namespace cuda_host {
namespace {
using work_queue = std::deque<std::function<void()>>;

constexpr device_duration no_time{0};

struct event_state {
    std::uint64_t recorded = 0, completed = 0; // records made, and passed
    std::shared_ptr<work_queue> where;         // of the last record
    const CUgraph_st* captured_in = nullptr;   // the last record was captured
    device_duration when{};                    // of the last record that was passed
};
} // namespace
} // namespace cuda_host

struct CUstream_st {
    std::shared_ptr<cuda_host::work_queue> queue;
    bool blocking = false;
    std::unique_ptr<CUgraph_st> graph; // being captured
    bool invalid = false;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id captured_by;
};
struct CUevent_st {
    std::shared_ptr<cuda_host::event_state> state = std::make_shared<cuda_host::event_state>();
    bool timed = true;
};

namespace cuda_host {
namespace {

struct stream_state {
    // The default stream and all that wait for it and it for them: one order is right for all of these.
    std::shared_ptr<work_queue> default_queue = std::make_shared<work_queue>();
    std::set<cudaStream_t> streams;
    std::set<cudaEvent_t> events;
    std::set<cudaGraph_t> graphs;
    std::set<cudaGraphExec_t> executables;
    device_duration now{}; // on the device's clock
};
stream_state& state() {
    static auto& instance = *new stream_state;
    return instance;
}

bool is_stream(cudaStream_t stream) { return stream == nullptr || state().streams.contains(stream); }
const std::shared_ptr<work_queue>& queue_of(cudaStream_t stream) {
    return stream == nullptr ? state().default_queue : stream->queue;
}
std::vector<std::shared_ptr<work_queue>> all_queues() {
    std::vector<std::shared_ptr<work_queue>> queues{state().default_queue};
    for (auto* const stream : state().streams) queues.push_back(stream->queue);
    return queues;
}

void run_one(work_queue& queue) {
    const auto work = std::move(queue.front());
    queue.pop_front();
    try {
        const device_access open;
        work();
    } catch (...) {
        forget_queued_work();
        throw;
    }
}
void finish(const std::shared_ptr<work_queue>& queue) {
    if (queue->empty()) return;
    const device_access open;
    while (!queue->empty()) run_one(*queue);
}
void pass(event_state& event, std::uint64_t record) {
    while (event.completed < record && !event.where->empty()) run_one(*event.where);
    event.completed = std::max(event.completed, record); // also where its stream's work was forgotten
}
cudaError_t invalidate(cudaStream_t stream, cudaError_t error) {
    stream->invalid = true;
    return error;
}
} // namespace

bool is_capturing(cudaStream_t stream) { return stream != nullptr && is_stream(stream) && stream->graph; }
cudaError_t refuse_while_capturing() {
    cudaError_t result = cudaSuccess;
    for (auto* const stream : state().streams) {
        const bool here = stream->captured_by == std::this_thread::get_id();
        const bool refused = stream->mode == cudaStreamCaptureModeGlobal ||
                             (stream->mode == cudaStreamCaptureModeThreadLocal && here);
        if (stream->graph && refused) result = invalidate(stream, cudaErrorStreamCaptureUnsupported);
    }
    return result;
}
cudaError_t queue_work(cudaStream_t stream, std::function<void()> does, device_duration takes) {
    if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
    auto work = [does = std::move(does), takes] {
        does();
        state().now += takes;
    };
    if (is_capturing(stream)) {
        if (stream->invalid) return cudaErrorStreamCaptureInvalidated;
        stream->graph->nodes.push_back(std::move(work));
        return cudaSuccess;
    }
    if (stream == nullptr)
        for (auto* const other : state().streams)
            if (other->graph && other->blocking) return invalidate(other, cudaErrorStreamCaptureImplicit);
    queue_of(stream)->push_back(std::move(work));
    return cudaSuccess;
}
void finish_default_stream() { finish(state().default_queue); }
void finish_all_streams() {
    for (const auto& queue : all_queues()) finish(queue);
}
void forget_queued_work() {
    for (const auto& queue : all_queues()) queue->clear();
}

void enqueue(cudaStream_t stream, std::function<void()> work, device_duration takes) {
    const std::lock_guard lock(runtime_mutex());
    if (const cudaError_t error = queue_work(stream, std::move(work), takes); error != cudaSuccess)
        throw std::runtime_error(std::string("work for a stream: ") + cudaGetErrorName(error));
}
std::size_t queued() {
    const std::lock_guard lock(runtime_mutex());
    std::set<std::shared_ptr<work_queue>> queues;
    for (const auto& queue : all_queues()) queues.insert(queue);
    std::size_t count = 0;
    for (const auto& queue : queues) count += queue->size();
    return count;
}
usage in_use() {
    const std::lock_guard lock(runtime_mutex());
    usage result{};
    count_memory(result);
    result.streams = state().streams.size();
    result.events = state().events.size();
    result.graphs = state().graphs.size() + state().executables.size();
    return result;
}

namespace {
// Calls on a handle that must be alive.
template <class Handle, class Run>
cudaError_t with_handle(const char* call, const std::set<Handle>& alive, Handle handle, const Run& run) {
    return api(call, [&]() -> cudaError_t {
        return alive.contains(handle) ? run() : cudaErrorInvalidResourceHandle;
    });
}
template <class Run> cudaError_t with_stream(const char* call, cudaStream_t stream, const Run& run) {
    return api(call,
               [&]() -> cudaError_t { return is_stream(stream) ? run() : cudaErrorInvalidResourceHandle; });
}
template <class Handle> Handle adopt(std::set<Handle>& alive, Handle handle) {
    alive.insert(handle);
    return handle;
}
template <class Handle> cudaError_t destroy(std::set<Handle>& alive, Handle handle) {
    if (alive.erase(handle) == 0) return cudaErrorInvalidResourceHandle;
    delete handle;
    return cudaSuccess;
}
// A captured event cannot be waited for, nor asked.
cudaError_t refuse_captured(cudaEvent_t event) {
    if (event->state->captured_in == nullptr) return cudaSuccess;
    for (auto* const stream : state().streams)
        if (stream->graph.get() == event->state->captured_in) invalidate(stream, cudaErrorCapturedEvent);
    return cudaErrorCapturedEvent;
}
} // namespace
} // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaDeviceSynchronize() {
    return api(__func__, [] {
        const cudaError_t error = refuse_while_capturing();
        if (error == cudaSuccess) finish_all_streams();
        return error;
    });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
    return api(__func__, [&] {
        if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
        *stream = adopt(state().streams, new CUstream_st);
        (*stream)->blocking = flags == cudaStreamDefault;
        (*stream)->queue = (*stream)->blocking ? state().default_queue : std::make_shared<work_queue>();
        return cudaSuccess;
    });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return api_without_exceptions(__func__, [&]() -> cudaError_t {
        if (!state().streams.contains(stream)) return cudaErrorInvalidResourceHandle;
        const std::unique_ptr<CUstream_st> owner(stream);
        const auto queue = stream->queue;
        state().streams.erase(stream);
        finish(queue);
        return cudaSuccess;
    });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return with_stream(__func__, stream, [&] {
        if (is_capturing(stream)) return invalidate(stream, cudaErrorStreamCaptureUnsupported);
        finish(queue_of(stream));
        return cudaSuccess;
    });
}
// Each question sees one more piece of work done.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return with_stream(__func__, stream, [&] {
        if (is_capturing(stream)) return invalidate(stream, cudaErrorStreamCaptureUnsupported);
        if (queue_of(stream)->empty()) return cudaSuccess;
        run_one(*queue_of(stream));
        return cudaErrorNotReady;
    });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
    return with_stream(__func__, stream, [&] {
        if (!state().events.contains(event)) return cudaErrorInvalidResourceHandle;
        if (is_capturing(stream)) {
            // A graph runs its nodes in the order of their capture. Captures of several streams are not
            // emulated.
            const bool own = event->state->captured_in == stream->graph.get();
            return own ? cudaSuccess : invalidate(stream, cudaErrorStreamCaptureIsolation);
        }
        if (event->state->captured_in != nullptr) return refuse_captured(event);
        return queue_work(
            stream, [known = event->state, record = event->state->recorded] { pass(*known, record); },
            no_time);
    });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
    return api(__func__, [&] {
        *event = adopt(state().events, new CUevent_st);
        (*event)->timed = (flags & cudaEventDisableTiming) == 0;
        return cudaSuccess;
    });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return api(__func__, [&] { return destroy(state().events, event); });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return with_handle(__func__, state().events, event, [&] {
        event_state& known = *event->state;
        if (is_capturing(stream)) {
            known.captured_in = stream->graph.get();
            return cudaSuccess;
        }
        const cudaError_t error = queue_work(
            stream,
            [to = event->state, record = known.recorded + 1] {
                to->completed = std::max(to->completed, record);
                to->when = state().now;
            },
            no_time);
        if (error != cudaSuccess) return error;
        ++known.recorded;
        known.where = queue_of(stream);
        known.captured_in = nullptr;
        return cudaSuccess;
    });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return with_handle(__func__, state().events, event, [&] {
        const cudaError_t error = refuse_captured(event);
        if (error == cudaSuccess) pass(*event->state, event->state->recorded);
        return error;
    });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return with_handle(__func__, state().events, event, [&] {
        const cudaError_t error = refuse_captured(event);
        event_state& known = *event->state;
        if (error != cudaSuccess || known.completed == known.recorded) return error;
        if (known.where->empty())
            known.completed = known.recorded;
        else
            run_one(*known.where);
        return cudaErrorNotReady;
    });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    return with_handle(__func__, state().events, start, [&] {
        if (!state().events.contains(end) || !start->timed || !end->timed)
            return cudaErrorInvalidResourceHandle;
        for (auto* const event : {start, end}) {
            if (event->state->recorded == 0) return cudaErrorInvalidResourceHandle;
            if (event->state->completed < event->state->recorded) return cudaErrorNotReady;
        }
        *milliseconds = static_cast<float>((end->state->when - start->state->when).count());
        return cudaSuccess;
    });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    return with_stream(__func__, stream, [&] {
        if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;
        if (stream->graph) return invalidate(stream, cudaErrorIllegalState);
        stream->graph = std::make_unique<CUgraph_st>();
        stream->invalid = false;
        stream->mode = mode;
        stream->captured_by = std::this_thread::get_id();
        return cudaSuccess;
    });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    return with_stream(__func__, stream, [&] {
        if (!is_capturing(stream)) return cudaErrorIllegalState;
        if (stream->mode != cudaStreamCaptureModeRelaxed && stream->captured_by != std::this_thread::get_id())
            return cudaErrorStreamCaptureWrongThread;
        auto captured = std::move(stream->graph);
        *graph = nullptr;
        if (stream->invalid) return cudaErrorStreamCaptureInvalidated;
        *graph = adopt(state().graphs, captured.release());
        return cudaSuccess;
    });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    return with_stream(__func__, stream, [&] {
        *status = !is_capturing(stream) ? cudaStreamCaptureStatusNone
                  : stream->invalid     ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

// The number of nodes; they themselves are not to be had.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
    return with_handle(__func__, state().graphs, graph, [&] {
        if (nodes != nullptr) return cudaErrorNotSupported;
        *count = graph->nodes.size();
        return cudaSuccess;
    });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    return api(__func__, [&] { return destroy(state().graphs, graph); });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    return with_handle(__func__, state().graphs, graph, [&] {
        *executable =
            adopt(state().executables, new CUgraphExec_st{std::make_shared<const work_list>(graph->nodes)});
        return cudaSuccess;
    });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    return api(__func__, [&] { return destroy(state().executables, executable); });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    return with_handle(__func__, state().executables, executable, [&] {
        return queue_work(
            stream,
            [nodes = executable->nodes] {
                for (const auto& node : *nodes) node();
            },
            no_time); // beside its nodes'
    });
}
