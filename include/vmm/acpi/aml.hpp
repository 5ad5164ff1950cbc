// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// A writer of AML, the byte code in which ACPI tables describe devices: ACPI 6.5, chapter 20. Each
/// function encodes one term; what belongs together is nested as in ASL.
///
///     device("COM1", {name("_HID", eisa_id("PNP0501")), name("_UID", integer(0))})
namespace vmm::acpi::aml {

/// Encoded terms, any number of them in a row.
class Code {
public:
    Code() = default;
    /// The parts, one after the other.
    Code(std::initializer_list<Code> parts);
    explicit Code(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

    std::span<const std::byte> bytes() const { return bytes_; }
    Code& operator+=(const Code& more);

private:
    std::vector<std::byte> bytes_;
};

/// A name of up to four characters A-Z, 0-9 and `_`, the first no digit, or a path of such names:
/// "COM1", "\\_SB.PCI0", "^^PWRB". Others are a programmer's error, and asserted.
using Path = std::string_view;

/// "CA3F" of 'C' and 0xa3f: names for devices of which there are many. `number` is at most 0xfff.
std::string numbered(char letter, std::uint32_t number);

// Data.
Code integer(std::uint64_t value);
Code string(std::string_view ascii);
Code buffer(std::span<const std::byte> bytes);
Code package(std::initializer_list<Code> elements);
Code package(std::span<const Code> elements);
/// The number that stands for "PNP0501": three letters and four hexadecimal digits.
Code eisa_id(std::string_view id);
/// What a _HID is: eisa_id() of what looks like one, else a string, "ACPI0013".
Code hardware_id(std::string_view id);

// Named objects.
Code name(Path path, const Code& value);
Code scope(Path path, const Code& terms);
Code device(Path path, const Code& terms);
enum class Serialized { no, yes };
/// `arguments` is at most 7.
Code method(Path path, std::uint8_t arguments, Serialized serialized, const Code& terms);

/// Where the registers of an operation_region() are.
enum class Space : std::uint8_t { memory = 0, io = 1, pci_config = 2 };
Code operation_region(Path path, Space space, std::uint64_t offset, std::uint64_t length);
/// How wide the accesses to a field() are.
enum class Access : std::uint8_t { any = 0, byte = 1, word = 2, dword = 3, qword = 4 };
/// A register of a field(): a name, or none for a gap, and a number of bits.
struct FieldUnit {
    std::string_view name;
    std::uint32_t bits = 0;
};
/// Names for the registers of a region, which keep the bits that a write does not name.
Code field(Path region, Access access, std::initializer_list<FieldUnit> units);

// Expressions and statements, for methods.
/// What `path` names: its value, or a call of a method without arguments.
Code reference(Path path);
Code call(Path method, std::initializer_list<Code> arguments);
Code local(std::uint8_t number);     ///< Local0 to Local7
Code argument(std::uint8_t number);  ///< Arg0 to Arg6
Code store(const Code& value, const Code& target);
Code bit_and(const Code& a, const Code& b);
Code bit_or(const Code& a, const Code& b);
Code equal(const Code& a, const Code& b);
Code if_then(const Code& condition, const Code& terms);
Code if_else(const Code& condition, const Code& terms, const Code& otherwise);
Code return_value(const Code& value);
Code notify(Path device, const Code& value);

}  // namespace vmm::acpi::aml
