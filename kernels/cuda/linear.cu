// SPDX-License-Identifier: Apache-2.0
// The three matrix products of a linear layer, all of them c (rows x columns) = sum over l of a(i,l) * b(j,l)
// of row-major f32 tensors that have l as their last axis or as their first one:
//   y = x w^T      a = x  [batch][in]      b = w  [out][in]     l: in      both last
//   dx = g w       a = g  [batch][out]     b = w  [out][in]     l: out     last, first
//   dw = g^T x     a = g  [batch][out]     b = x  [batch][in]   l: batch   both first
//
// A block makes a tile of 64x32 sums, a thread 4x4 of them in registers; slabs of 32 terms go through shared
// memory, the next one loaded into registers meanwhile. The head's matrices make few tiles (y of 64x512: 16),
// so l is cut into as many parts as give some 256 blocks; their sums go to the workspace and are added in
// order by a second kernel. The cut depends on the shapes alone, and so do the bits. Numerics: fmaf in
// float32 in the order of l within a part, then over parts.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/shared_memory.cuh"

#include <algorithm>

namespace petnet::kernels::cuda {
namespace {

constexpr int warp_size = 32, threads = 128, tile_rows = 64, tile_columns = 32, slab = 32, micro = 4;
static_assert(tile_rows / micro * (tile_columns / micro) == threads);
constexpr std::int64_t blocks_wanted = 256; // two for each of the 108 to 132 multiprocessors of a large GPU

struct product {
    const float *a, *b;
    float* c; // with several parts: part after part, each rows x columns
    int rows, columns, length;
    int part;  // terms of a part: a multiple of the slab
    bool relu; // one part only
};

// Where an operand's terms lie: next to each other, or `extent` apart.
enum class terms : std::uint8_t { last_axis, first_axis };

// Transposed into [term][row], which is what the threads read, 4 rows at a time; 4 more columns keep the rows
// aligned to 16 bytes and put the lanes' stores below into 32 different banks.
template <int Rows> struct panel { alignas(16) float at[slab][std::size_t{Rows + 4}]; };
struct panels {
    panel<tile_rows> a;
    panel<tile_columns> b;
};

// A thread's share of an operand's slabs, on their way from global to shared memory. Where terms are
// neighbours, a warp reads 8 terms of 4 rows (whole sectors of 32 bytes), else one term of 32 rows.
template <terms Terms, int Rows> class staged {
  public:
    __device__ staged(const float* from, int extent, int length, int first_row, int begin, int end)
        : extent_(extent),
          end_(end),
          row_(first_row + row_in_tile()),
          term_(begin + term_in_slab()),
          step_(neighbours ? std::int64_t{row_step} * length : std::int64_t{term_step} * extent),
          slab_step_(neighbours ? slab : std::int64_t{slab} * extent),
          from_(from +
                (neighbours ? std::int64_t{row_} * length + term_ : std::int64_t{term_} * extent + row_)) {}

    // The next slab into registers; 0 beyond the operand.
    __device__ void load() {
        const float* at = from_;
        for (int e = 0; e < count; ++e, at += step_)
            values_[e] = row_ + e * row_step < extent_ && term_ + e * term_step < end_ ? *at : 0.0F;
        term_ += slab;
        from_ += slab_step_;
    }
    __device__ void store(panel<Rows>& to) const {
        const int row = row_in_tile(), term = term_in_slab();
        for (int e = 0; e < count; ++e) to.at[term + e * term_step][row + e * row_step] = values_[e];
    }

  private:
    static constexpr bool neighbours = Terms == terms::last_axis;
    static constexpr int count = Rows * slab / threads; // elements of a thread
    static constexpr int row_step = neighbours ? threads / slab : 0,
                         term_step = neighbours ? 0 : threads / Rows;

    __device__ static int row_in_tile() {
        const int thread = static_cast<int>(threadIdx.x);
        return neighbours ? thread % warp_size / 8 : thread % Rows;
    }
    __device__ static int term_in_slab() {
        const int thread = static_cast<int>(threadIdx.x);
        return neighbours ? thread % 8 + thread / warp_size * 8 : thread / Rows;
    }

    int extent_, end_, row_, term_;
    std::int64_t step_, slab_step_;
    const float* from_;
    float values_[std::size_t{count}];
};
static_assert(threads / warp_size * 8 == slab,
              "the warps of a block share a row's slab of neighbouring terms");

__device__ void multiply_slab(const panels& from, int row, int column, float (&sums)[micro][micro]) {
    for (int term = 0; term < slab; ++term) {
        const auto a = load_pack<micro>(&from.a.at[term][row]),
                   b = load_pack<micro>(&from.b.at[term][column]);
        for (int i = 0; i < micro; ++i)
            for (int j = 0; j < micro; ++j) sums[i][j] = fmaf(a.at[i], b.at[j], sums[i][j]);
    }
}

template <terms A, terms B> __global__ void __launch_bounds__(threads) multiply(product of) {
    auto& shared = shared_memory<panels>();
    const int thread = static_cast<int>(threadIdx.x);
    const int first_row = static_cast<int>(blockIdx.y) * tile_rows;
    const int first_column = static_cast<int>(blockIdx.x) * tile_columns;
    const int begin = static_cast<int>(blockIdx.z) * of.part;
    const int end = of.length - begin < of.part ? of.length : begin + of.part;

    staged<A, tile_rows> a(of.a, of.rows, of.length, first_row, begin, end);
    staged<B, tile_columns> b(of.b, of.columns, of.length, first_column, begin, end);
    const int row = thread / (tile_columns / micro) * micro, column = thread % (tile_columns / micro) * micro;
    float sums[micro][micro] = {};
    a.load();
    b.load();
    for (int term = begin; term < end; term += slab) {
        a.store(shared.a);
        b.store(shared.b);
        __syncthreads();
        a.load(); // after the last slab: nothing but zeros, and no access
        b.load();
        multiply_slab(shared, row, column, sums);
        __syncthreads(); // before the slab is overwritten
    }

    float* c = of.c + std::int64_t{blockIdx.z} * of.rows * of.columns;
    for (int i = 0; i < micro; ++i)
        for (int j = 0; j < micro; ++j) {
            const int to_row = first_row + row + i, to_column = first_column + column + j;
            if (to_row < of.rows && to_column < of.columns)
                c[std::int64_t{to_row} * of.columns + to_column] = of.relu ? relu(sums[i][j]) : sums[i][j];
        }
}

struct addition {
    const float* parts;
    float* c;
    unsigned count; // elements of c
    unsigned parts_count;
    bool relu;
};

__global__ void __launch_bounds__(elementwise_block) add_parts(addition of) {
    const unsigned item = item_of_thread();
    if (item >= of.count) return;
    float sum = 0;
    for (unsigned part = 0; part < of.parts_count; ++part)
        sum += of.parts[std::int64_t{part} * of.count + item];
    of.c[item] = of.relu ? relu(sum) : sum;
}

struct cut {
    float* g; // updated
    const float* y;
    unsigned count;
};

__global__ void __launch_bounds__(elementwise_block) cut_gradient(cut of) {
    const unsigned item = item_of_thread();
    if (item < of.count && of.y[item] <= 0) of.g[item] = 0;
}

// One product of fixed shape, and how l is cut.
class plan {
  public:
    plan(std::int64_t rows, std::int64_t columns, std::int64_t length)
        : rows_(rows), columns_(columns), length_(length) {
        const std::int64_t tiles = divide_up(rows, tile_rows) * divide_up(columns, tile_columns);
        const std::int64_t slabs = divide_up(length, slab);
        const std::int64_t parts = std::clamp<std::int64_t>(blocks_wanted / tiles, 1, slabs);
        part_ = divide_up(slabs, parts) * slab;
    }
    [[nodiscard]] std::int64_t parts() const { return divide_up(length_, part_); }
    [[nodiscard]] std::size_t workspace_bytes() const {
        return parts() == 1 ? 0 : static_cast<std::size_t>(parts() * rows_ * columns_) * sizeof(float);
    }
    template <terms A, terms B>
    void run(cudaStream_t stream, const float* a, const float* b, float* c, std::byte* workspace,
             bool relu = false) const {
        const bool whole = parts() == 1;
        auto* sums = whole ? c : reinterpret_cast<float*>(workspace);
        const dim3 grid(static_cast<unsigned>(divide_up(columns_, tile_columns)),
                        static_cast<unsigned>(divide_up(rows_, tile_rows)), static_cast<unsigned>(parts()));
        launch(stream, grid, threads, multiply<A, B>,
               product{a, b, sums, static_cast<int>(rows_), static_cast<int>(columns_),
                       static_cast<int>(length_), static_cast<int>(part_), relu && whole});
        if (whole) return;
        const std::int64_t count = rows_ * columns_;
        launch(stream, elementwise_grid(count), elementwise_block, add_parts,
               addition{sums, c, static_cast<unsigned>(count), static_cast<unsigned>(parts()), relu});
    }

  private:
    std::int64_t rows_, columns_, length_, part_;
};

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const linear_forward& op) {
    const std::int64_t batch = op.x.desc.dims[0], in = op.x.desc.dims[1], out = op.w.desc.dims[0];
    const plan y(batch, out, in);
    return make_operation(y.workspace_bytes(), [stream = cuda.stream(), y, op](std::byte* workspace) {
        y.run<terms::last_axis, terms::last_axis>(stream, elements<const float>(op.x),
                                                  elements<const float>(op.w), elements<float>(op.y),
                                                  workspace, op.relu);
    });
}

std::unique_ptr<operation> prepare(context& cuda, const linear_backward& op) {
    const std::int64_t batch = op.x.desc.dims[0], in = op.x.desc.dims[1], out = op.w.desc.dims[0];
    const plan dx(batch, in, out), dw(out, in, batch);
    const dim3 cut_grid = elementwise_grid(batch * out);
    // The stream runs one product after the other, so that they share the workspace.
    return make_operation(std::max(dx.workspace_bytes(), dw.workspace_bytes()),
                          [stream = cuda.stream(), dx, dw, cut_grid,
                           count = static_cast<unsigned>(batch * out), op](std::byte* workspace) {
                              auto* g = elements<float>(op.dy);
                              if (op.relu)
                                  launch(stream, cut_grid, elementwise_block, cut_gradient,
                                         cut{g, elements<const float>(op.y), count});
                              dx.run<terms::last_axis, terms::first_axis>(
                                  stream, g, elements<const float>(op.w), elements<float>(op.dx), workspace);
                              dw.run<terms::first_axis, terms::first_axis>(
                                  stream, g, elements<const float>(op.x), elements<float>(op.dw), workspace);
                          });
}

} // namespace petnet::kernels::cuda
