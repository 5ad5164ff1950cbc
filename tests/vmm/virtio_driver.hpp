// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <atomic>
#include <deque>
#include <optional>
#include <stdexcept>
#include <vmm/virtio/queue.hpp>

namespace vmm::test {

/// The driver's side of a virtqueue, split or packed: it offers chains, sees which were used, and
/// can lie. It is as careful as a driver must be of what the device sees when, and may so run in
/// another thread. What the device must not do is an exception.
class QueueDriver {
public:
    enum class Layout { direct, indirect };
    struct Used {
        std::uint16_t id;
        std::uint32_t length;

        friend bool operator==(const Used&, const Used&) = default;
    };
    /// A descriptor, of either ring or of a table.
    struct Raw {
        std::uint64_t address = 0;
        std::uint32_t length = 0;
        std::uint16_t flags = 0;
        std::uint16_t other = 0;  // split: next; packed: id
    };
    static constexpr std::uint16_t next = 1, write = 2, indirect = 4;   // of flags
    static constexpr std::uint16_t available = 1 << 7, used = 1 << 15;  // packed
    static constexpr std::uint32_t longest_table = 32;                  // of offer()'s

    /// How many bytes of guest memory a queue of that size takes, its indirect tables included.
    static std::uint64_t footprint(std::uint32_t size) {
        return 64 + (16 + 2 + 8) * std::uint64_t(size) + 16ull * longest_table * size;
    }
    QueueDriver(const GuestMemory& memory, kvm::Gpa at, std::uint16_t size, std::uint64_t features)
        : memory_(memory), features_(features), chains_(size) {
        config_.size = size;
        config_.descriptors = at;
        config_.driver = at + 16ull * size;
        config_.device = aligned(config_.driver + (6 + 2ull * size), 4);
        tables_ = aligned(config_.device + (6 + 8ull * size), 16);
        for (std::uint16_t i = 0; i < size; ++i) {
            free_ids_.push_back(i);
        }
        free_ = size;
    }

    const virtio::QueueConfig& config() const { return config_; }
    bool packed() const { return has(virtio::feature::ring_packed); }
    bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
    /// How many chains are with the device.
    std::size_t outstanding() const { return order_.size(); }

    /// Makes a chain available; its id. Nothing if there is no room.
    std::optional<std::uint16_t> offer(std::span<const virtio::Buffer> readable,
                                       std::span<const virtio::Buffer> writable,
                                       Layout layout = Layout::direct) {
        std::vector<Raw> list;
        for (const auto& buffer : readable) {
            list.push_back({buffer.address.value(), buffer.length});
        }
        for (const auto& buffer : writable) {
            list.push_back({buffer.address.value(), buffer.length, write});
        }
        if (layout == Layout::indirect && list.size() > longest_table) {
            throw std::logic_error("an indirect table that is too long for the test's driver");
        }
        const std::size_t takes = layout == Layout::indirect ? 1 : list.size();
        if (takes > free_ || free_ids_.empty()) {
            return std::nullopt;
        }
        const std::uint16_t id = packed() ? take_id() : next_descriptor();
        if (layout == Layout::indirect) {
            list = {fill_table(id, list)};
        }
        packed() ? offer_packed(id, list) : offer_split(id, list);
        free_ -= static_cast<std::uint32_t>(takes);
        fresh_ += packed() ? static_cast<std::uint32_t>(takes) : 1;
        chains_[id].outstanding = true;
        order_.push_back(id);
        return id;
    }
    std::optional<std::uint16_t> offer(std::initializer_list<virtio::Buffer> readable,
                                       std::initializer_list<virtio::Buffer> writable,
                                       Layout layout = Layout::direct) {
        return offer(std::span(readable.begin(), readable.size()),
                     std::span(writable.begin(), writable.size()), layout);
    }

    /// Whether the device wants to be notified of what was offered since this was last asked.
    bool must_notify() {
        const std::uint32_t fresh = std::exchange(fresh_, 0);
        if (fresh == 0) {
            return false;
        }
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (packed()) {
            const auto event = get<std::uint32_t>(config_.device);
            const std::uint32_t flags = event >> 16;
            return flags == 2 ? crossed(event & 0xffff, next_slot_, wrap_, fresh) : flags == 0;
        }
        if (has(virtio::feature::event_idx)) {
            const auto event = get<std::uint16_t>(config_.device + 4 + 8 * size());
            return static_cast<std::uint16_t>(index_ - event - 1) < fresh;
        }
        return (get<std::uint16_t>(config_.device) & 1) == 0;
    }

    /// The next chain that the device has used.
    std::optional<Used> take() {
        const auto found = packed() ? take_packed() : take_split();
        if (!found) {
            return std::nullopt;
        }
        if (found->id >= chains_.size() || !chains_[found->id].outstanding) {
            throw std::logic_error("the device used a chain that was not offered");
        }
        if (has(virtio::feature::in_order) && order_.front() != found->id) {
            throw std::logic_error("the device used chains out of order");
        }
        std::erase(order_, found->id);
        Given& given = chains_[found->id];
        given.outstanding = false;
        free_ += static_cast<std::uint32_t>(given.descriptors.size());
        if (packed()) {
            advance(last_used_, used_wrap_, given.descriptors.size());
            free_ids_.push_back(found->id);
        } else {
            ++last_used_;
            free_ids_.insert(free_ids_.end(), given.descriptors.begin(), given.descriptors.end());
        }
        return found;
    }
    bool has_used() const {
        if (!packed()) {
            return memory_.load_acquire<std::uint16_t>(config_.device + 2).value() != last_used_;
        }
        const auto rest = memory_.load_acquire<std::uint64_t>(slot(last_used_) + 8).value();
        return bool(rest >> 48 & available) == used_wrap_ && bool(rest >> 48 & used) == used_wrap_;
    }

    /// Asks for an interrupt for the next chain that is used. True if one was used meanwhile.
    bool enable_interrupts() { return interrupt_after(1); }
    /// With event_idx: after `count` more of them, or (packed) of slots.
    bool interrupt_after(std::uint32_t count) {
        if (!has(virtio::feature::event_idx)) {
            packed() ? put<std::uint32_t>(config_.driver, 0)
                     : put<std::uint16_t>(config_.driver, 0);
        } else if (packed()) {
            std::uint16_t at = last_used_;
            bool wrap = used_wrap_;
            advance(at, wrap, count - 1);
            put<std::uint32_t>(config_.driver, 2u << 16 | at | (wrap ? 0x8000u : 0));
        } else {
            put(config_.driver + 4 + 2 * size(),
                static_cast<std::uint16_t>(last_used_ + count - 1));
        }
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return has_used();
    }
    void disable_interrupts() {
        if (packed()) {
            put<std::uint32_t>(config_.driver, 1u << 16);
        } else if (has(virtio::feature::event_idx)) {
            put(config_.driver + 4 + 2 * size(), static_cast<std::uint16_t>(last_used_ + 0x8000));
        } else {
            put<std::uint16_t>(config_.driver, 1);
        }
    }

    // To lie: the rings as they are.
    kvm::Gpa slot(std::uint32_t index) const { return config_.descriptors + 16ull * index; }
    kvm::Gpa table(std::uint16_t id) const { return tables_ + 16ull * longest_table * id; }
    Raw raw(kvm::Gpa at) const {
        const auto rest = get<std::uint64_t>(at + 8);
        const auto low = static_cast<std::uint16_t>(rest >> 32);
        const auto high = static_cast<std::uint16_t>(rest >> 48);
        return {get<std::uint64_t>(at), static_cast<std::uint32_t>(rest), packed() ? high : low,
                packed() ? low : high};
    }
    void set_raw(kvm::Gpa at, const Raw& raw) const {
        put(at, raw.address);
        put(at + 8, raw.length);
        put(at + 12, packed() ? raw.other : raw.flags);
        // The flags of a packed ring make it available.
        memory_.store_release(at + 14, packed() ? raw.flags : raw.other).value();
    }
    /// Split: the available ring's index, and its entries.
    std::uint16_t available_index() const { return index_; }
    void set_available_index(std::uint16_t value) const {
        memory_.store_release(config_.driver + 2, value).value();
    }
    void set_available_entry(std::uint16_t index, std::uint16_t head) const {
        put(config_.driver + 4 + 2 * (index % size()), head);
    }
    /// Packed: the flags by which the next slot is available, and which it is.
    std::uint16_t available_flags() const { return wrap_ ? available : used; }
    std::uint16_t next_slot() const { return next_slot_; }

private:
    struct Given {
        std::vector<std::uint16_t> descriptors;  // packed: as many as slots
        bool outstanding = false;
    };

    static kvm::Gpa aligned(kvm::Gpa at, std::uint64_t to) {
        return kvm::Gpa((at.value() + to - 1) / to * to);
    }
    template <class T>
    T get(kvm::Gpa at) const {
        return memory_.read<T>(at).value();
    }
    template <class T>
    void put(kvm::Gpa at, T value) const {
        memory_.write(at, value).value();
    }
    std::uint32_t size() const { return config_.size; }
    void advance(std::uint16_t& at, bool& wrap, std::size_t slots) const {
        for (; slots > 0; --slots) {
            at = at + 1u == size() ? std::uint16_t(0) : static_cast<std::uint16_t>(at + 1);
            wrap = at == 0 ? !wrap : wrap;
        }
    }
    /// Whether the event is one of the last `fresh` slots before the given place.
    bool crossed(std::uint32_t event, std::uint16_t at, bool wrap, std::uint32_t fresh) const {
        const std::uint32_t place = (event & 0x7fff) + (event & 0x8000 ? 0 : size());
        const std::uint32_t now = at + (wrap ? 0 : size());
        return (now + 2 * size() - place - 1) % (2 * size()) < fresh;
    }

    std::uint16_t take_id() {
        const std::uint16_t id = free_ids_.front();
        free_ids_.pop_front();
        return id;
    }
    /// The one that the next chain begins with, still free. With in_order they come in turn, as
    /// they do then in free_ids_.
    std::uint16_t next_descriptor() const { return free_ids_.front(); }

    Raw fill_table(std::uint16_t id, const std::vector<Raw>& list) const {
        for (std::size_t i = 0; i < list.size(); ++i) {
            Raw raw = list[i];
            if (!packed() && i + 1 < list.size()) {
                raw.flags |= next;
                raw.other = static_cast<std::uint16_t>(i + 1);
            }
            set_raw(table(id) + 16 * i, raw);
        }
        return {table(id).value(), static_cast<std::uint32_t>(16 * list.size()), indirect};
    }

    void offer_split(std::uint16_t head, const std::vector<Raw>& list) {
        auto& mine = chains_[head].descriptors;
        mine.clear();
        for (std::size_t i = 0; i < list.size(); ++i) {
            mine.push_back(take_id());
        }
        for (std::size_t i = 0; i < list.size(); ++i) {
            Raw raw = list[i];
            if (i + 1 < list.size()) {
                raw.flags |= next;
                raw.other = mine[i + 1];
            }
            set_raw(slot(mine[i]), raw);
        }
        set_available_entry(index_, head);
        set_available_index(++index_);
    }

    void offer_packed(std::uint16_t id, const std::vector<Raw>& list) {
        chains_[id].descriptors.assign(list.size(), 0);
        const std::uint16_t first = next_slot_;
        Raw last_written;
        for (std::size_t i = 0; i < list.size(); ++i) {
            Raw raw = list[i];
            raw.flags |= available_flags();
            if (i + 1 < list.size()) {
                raw.flags |= next;
            }
            raw.other = id;
            if (i == 0) {
                last_written = raw;
            } else {
                set_raw(slot(next_slot_), raw);
            }
            advance(next_slot_, wrap_, 1);
        }
        set_raw(slot(first), last_written);
    }

    std::optional<Used> take_split() const {
        if (!has_used()) {
            return std::nullopt;
        }
        const kvm::Gpa entry = config_.device + 4 + 8 * (last_used_ % size());
        return Used{static_cast<std::uint16_t>(get<std::uint32_t>(entry)),
                    get<std::uint32_t>(entry + 4)};
    }
    std::optional<Used> take_packed() const {
        if (!has_used()) {
            return std::nullopt;
        }
        const Raw found = raw(slot(last_used_));
        return Used{found.other, found.flags & write ? found.length : 0};
    }

    const GuestMemory& memory_;
    std::uint64_t features_;
    virtio::QueueConfig config_;
    kvm::Gpa tables_;
    std::vector<Given> chains_;           // by id
    std::deque<std::uint16_t> free_ids_;  // split: descriptors
    std::deque<std::uint16_t> order_;     // what is with the device, as it was offered
    std::uint32_t free_ = 0;              // descriptors
    std::uint32_t fresh_ = 0;             // offered since must_notify()
    std::uint16_t index_ = 0;             // split: the available ring's
    std::uint16_t next_slot_ = 0;         // packed
    bool wrap_ = true;
    std::uint16_t last_used_ = 0;
    bool used_wrap_ = true;
};

}  // namespace vmm::test
