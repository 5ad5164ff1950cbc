// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <vmm/acpi/resources.hpp>

namespace vmm::acpi {

namespace {

using Bytes = std::vector<std::byte>;

void put(Bytes& out, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
        out.push_back(std::byte(value >> (8 * i)));
    }
}

/// A large item: its type, and its length without these three bytes.
void put_large(Bytes& out, std::uint8_t type, std::uint16_t length) {
    put(out, type, 1);
    put(out, length, 2);
}

void encode(Bytes& out, const IoPorts& io) {
    constexpr std::uint8_t io_item = 0x47;
    constexpr std::uint8_t decodes_16_bits = 1;
    put(out, io_item, 1);
    put(out, decodes_16_bits, 1);
    put(out, io.first, 2);  // at least
    put(out, io.first, 2);  // at most
    put(out, 1, 1);         // alignment
    put(out, io.count, 1);
}

void encode(Bytes& out, const Memory32& memory) {
    constexpr std::uint8_t memory32_fixed = 0x86, writable = 1;
    put_large(out, memory32_fixed, 9);
    put(out, writable, 1);
    put(out, memory.base, 4);
    put(out, memory.size, 4);
}

void encode(Bytes& out, const Interrupt& interrupt) {
    constexpr std::uint8_t extended_interrupt = 0x89;
    constexpr unsigned consumer = 1, edge = 2, shared = 8;
    put_large(out, extended_interrupt, 6);
    put(out,
        consumer | (interrupt.trigger == Trigger::edge ? edge : 0) |
            (interrupt.sharing == Sharing::shared ? shared : 0),
        1);
    put(out, 1, 1);  // how many
    put(out, interrupt.gsi, 4);
}

void encode(Bytes& out, const Window& window) {
    using enum Window::Kind;
    constexpr std::uint8_t word_space = 0x88, dword_space = 0x87, qword_space = 0x8a;
    constexpr std::uint8_t fixed = 0x0c;  // both ends; ResourceProducer, PosDecode
    constexpr std::uint8_t writable = 1, prefetchable = 6, entire_range = 3;
    const bool is_memory = window.kind == memory || window.kind == prefetchable_memory;
    const int size = window.kind == bus || (window.kind == io && window.last <= 0xffff) ? 2
                     : window.last <= 0xffffffff                                        ? 4
                                                                                        : 8;
    put_large(out,
              size == 2   ? word_space
              : size == 4 ? dword_space
                          : qword_space,
              static_cast<std::uint16_t>(3 + 5 * size));
    put(out, is_memory ? 0 : window.kind == io ? 1 : 2, 1);
    put(out, fixed, 1);
    put(out,
        window.kind == prefetchable_memory ? prefetchable | writable
        : is_memory                        ? writable
        : window.kind == io                ? entire_range
                                           : 0,
        1);
    put(out, 0, size);  // granularity
    put(out, window.first, size);
    put(out, window.last, size);
    put(out, 0, size);  // no translation
    put(out, window.last - window.first + 1, size);
}

}  // namespace

aml::Code resource_template(std::span<const Resource> resources) {
    constexpr std::uint8_t end_tag = 0x79, unchecked = 0;
    Bytes bytes;
    for (const Resource& resource : resources) {
        std::visit([&](const auto& r) { encode(bytes, r); }, resource);
    }
    put(bytes, end_tag, 1);
    put(bytes, unchecked, 1);
    return aml::buffer(bytes);
}

}  // namespace vmm::acpi
