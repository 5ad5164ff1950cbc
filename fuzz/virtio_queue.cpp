// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A virtqueue whose driver is hostile. The input says where the rings are and what was agreed upon,
// then what guest memory holds, and then, step by step, what the device does and what the driver
// changes meanwhile.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <vmm/virtio/queue.hpp>

namespace {

using namespace vmm;
using namespace vmm::virtio;

constexpr std::size_t ram_size = 0x1000, more_size = 0x1000;
constexpr kvm::Gpa more_at{0x2000};  // behind a hole

[[noreturn]] void fail_now(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

void check(bool holds, const char* what) {
    if (!holds) {
        fail_now(what);
    }
}

template <class T>
T check(Result<T> result) {
    check(result.has_value(), "what must succeed failed");
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// What is left of the input, as numbers; zeros behind its end.
class Records {
public:
    explicit Records(std::span<const std::byte> input) : left_(input) {}
    bool more() const { return !left_.empty(); }
    std::span<const std::byte> bytes(std::size_t count) {
        const auto taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    template <class T>
    T next() {
        T value{};
        const auto taken = bytes(sizeof value);
        std::memcpy(&value, taken.data(), taken.size());
        return value;
    }

private:
    std::span<const std::byte> left_;
};

const GuestMemory& memory() {
    static const GuestMemory made = check(
        GuestMemory::create(std::array{Region{kvm::Gpa(0), ram_size}, Region{more_at, more_size}}));
    return made;
}

using Image = std::array<std::byte, ram_size + more_size>;

Image image() {
    Image copy;
    check(memory().read(kvm::Gpa(0), std::span(copy).first(ram_size)));
    check(memory().read(more_at, std::span(copy).subspan(ram_size)));
    return copy;
}

/// Calls push, which may change nothing but the area at `area`.
template <class Push>
void push_within(kvm::Gpa area, std::uint64_t length, Push push) {
    Image before = image();
    push();
    Image after = image();
    const std::uint64_t at =
        area.value() < ram_size ? area.value() : ram_size + (area.value() - more_at.value());
    std::copy_n(after.begin() + std::ptrdiff_t(at), length, before.begin() + std::ptrdiff_t(at));
    check(before == after, "a push wrote outside its ring");
}

void check_chain(const Queue& queue, const Chain& chain) {
    const std::size_t buffers = chain.readable.size() + chain.writable.size();
    check(buffers > 0, "a chain of nothing");
    check(buffers <= std::max<std::size_t>(queue.config().size, Queue::max_indirect),
          "a chain that is too long");
    check(chain.slots > 0 && chain.slots <= queue.config().size, "a chain of too many slots");
}

/// Uses a chain's buffers as a device does, wherever they may be.
void use(const Chain& chain, std::uint64_t offset) {
    std::array<std::byte, 64> data{};
    std::vector<iovec> vectors;
    (void)read(memory(), chain.readable, offset, data);
    if (iovecs(memory(), chain.writable, offset, chain.writable_bytes(), Access::read_write,
               vectors)) {
        std::uint64_t bytes = 0;
        for (const iovec& vector : vectors) {
            bytes += vector.iov_len;
        }
        check(bytes == chain.writable_bytes(), "vectors of another length");
    } else {
        check(vectors.empty(), "vectors in spite of an error");
    }
    mark_dirty(memory(), chain.writable, offset, ~std::uint64_t(0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t most_steps = 128, most_compared = 2;
    Records input(std::as_bytes(std::span(data, size)));
    const unsigned choice = input.next<std::uint8_t>();
    const std::uint64_t features = feature::version_1 | (choice & 1 ? feature::ring_packed : 0) |
                                   (choice & 2 ? feature::event_idx : 0) |
                                   (choice & 4 ? feature::indirect_desc : 0) |
                                   (choice & 8 ? feature::in_order : 0);
    QueueConfig config;
    config.size = input.next<std::uint16_t>();
    config.descriptors = kvm::Gpa(input.next<std::uint16_t>());
    config.driver = kvm::Gpa(input.next<std::uint16_t>());
    config.device = kvm::Gpa(input.next<std::uint16_t>());
    QueueState start;
    if (choice & 16) {
        start.next_available = input.next<std::uint16_t>();
        start.next_used = input.next<std::uint16_t>();
        start.available_wrap = choice & 32;
        start.used_wrap = choice & 64;
    }
    check(memory().fill(kvm::Gpa(0), ram_size, std::byte(0)));
    check(memory().fill(more_at, more_size, std::byte(0)));
    check(memory().write(
        kvm::Gpa(0), input.bytes(std::min<std::size_t>(input.next<std::uint16_t>(), ram_size))));

    auto created = Queue::create(memory(), config, features, start);
    if (!created) {
        return 0;
    }
    Queue queue = std::move(*created);
    const bool packed = choice & 1;
    const kvm::Gpa written = packed ? config.descriptors : config.device;
    const std::uint64_t length = packed ? 16ull * config.size : 6 + 8ull * config.size;
    const std::size_t owed =
        packed ? config.size : std::uint16_t(start.next_available - start.next_used);
    std::deque<Chain> taken;
    std::size_t compared = 0;  // comparing all of memory takes its time
    bool undoable = false;     // the last of them is what was popped last
    for (std::size_t n = 0; input.more() && n < most_steps; ++n) {
        const unsigned step = input.next<std::uint8_t>();
        const auto number = input.next<std::uint16_t>();
        switch (step & 7) {
            case 0: {  // the driver changes a word
                const auto value = input.next<std::uint64_t>();
                const auto bytes = std::as_bytes(std::span(&value, 1));
                (void)memory().write(kvm::Gpa(number), bytes.first(1 + (step >> 3) % 8));
                break;
            }
            case 1:
            case 2: {
                auto twin = check(Queue::create(memory(), config, features, queue.state()));
                Chain chain, same;
                const auto there = queue.pop(chain);
                if (!there) {
                    return 0;  // the device is disabled
                }
                const auto again = twin.pop(same);
                if (again && *again && *there) {
                    check(chain.id == same.id && chain.readable == same.readable &&
                              chain.writable == same.writable && queue.state() == twin.state(),
                          "a queue made of a queue's state is another");
                }
                if (*there) {
                    check_chain(queue, chain);
                    use(chain, number);
                    taken.push_back(std::move(chain));
                    undoable = true;
                    check(taken.size() + (packed ? 0 : owed) <= config.size,
                          "more chains than descriptors");
                }
                break;
            }
            case 3:
            case 4:
                if (!taken.empty()) {
                    if (step & 8) {
                        std::swap(taken.front(), taken.back());
                    }
                    const auto push = [&] { queue.push(taken.front(), number); };
                    if (compared++ < most_compared) {
                        push_within(written, length, push);
                    } else {
                        push();
                    }
                    taken.pop_front();
                    undoable = false;
                }
                break;
            case 5:
                if (step & 8) {
                    (void)queue.enable_notifications();
                } else {
                    queue.disable_notifications();
                }
                break;
            case 6:
                (void)queue.needs_interrupt();
                break;
            case 7:
                if (undoable) {
                    queue.undo_pop(taken.back());
                    taken.pop_back();
                    undoable = false;
                }
                break;
        }
    }
    return 0;
}
