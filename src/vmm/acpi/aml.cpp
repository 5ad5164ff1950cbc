// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cassert>
#include <vmm/acpi/aml.hpp>

namespace vmm::acpi::aml {

namespace {

// ACPI 6.5, 20.2: op codes. Those of two bytes begin with ext.
enum Op : std::uint8_t {
    op_zero = 0x00,
    op_one = 0x01,
    op_name = 0x08,
    op_byte = 0x0a,
    op_word = 0x0b,
    op_dword = 0x0c,
    op_string = 0x0d,
    op_qword = 0x0e,
    op_scope = 0x10,
    op_buffer = 0x11,
    op_package = 0x12,
    op_method = 0x14,
    op_dual_name = 0x2e,
    op_multi_name = 0x2f,
    op_ext = 0x5b,
    op_local0 = 0x60,
    op_arg0 = 0x68,
    op_store = 0x70,
    op_and = 0x7b,
    op_or = 0x7d,
    op_notify = 0x86,
    op_equal = 0x93,
    op_if = 0xa0,
    op_else = 0xa1,
    op_return = 0xa4,
};
enum ExtOp : std::uint8_t { ext_region = 0x80, ext_field = 0x81, ext_device = 0x82 };

/// Bytes in the making.
class Bytes {
public:
    Bytes& put(std::uint64_t value, int size = 1) {
        for (int i = 0; i < size; ++i) {
            bytes_.push_back(std::byte(value >> (8 * i)));
        }
        return *this;
    }
    Bytes& put(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    Bytes& put(const Code& code) { return put(code.bytes()); }
    Bytes& text(std::string_view text) { return put(std::as_bytes(std::span(text))); }
    Code code() { return Code(std::move(bytes_)); }

private:
    std::vector<std::byte> bytes_;
};

bool is_lead(char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }

/// A NameSeg: four characters, filled up with `_`.
void put_segment(Bytes& out, std::string_view segment) {
    assert(!segment.empty() && segment.size() <= 4 && is_lead(segment[0]));
    assert(
        std::ranges::all_of(segment, [](char c) { return is_lead(c) || (c >= '0' && c <= '9'); }));
    out.text(segment).text(std::string_view("____").substr(segment.size()));
}

/// A NameString.
Code name_string(Path path) {
    Bytes out;
    while (path.starts_with('\\') || path.starts_with('^')) {
        out.text(path.substr(0, 1));
        path.remove_prefix(1);
    }
    const auto segments =
        path.empty() ? 0 : static_cast<std::size_t>(std::ranges::count(path, '.')) + 1;
    assert(segments <= 255);
    if (segments == 0) {
        return out.put(0).code();
    }
    if (segments == 2) {
        out.put(op_dual_name);
    } else if (segments > 2) {
        out.put(op_multi_name).put(segments);
    }
    for (std::size_t i = 0; i < segments; ++i) {
        const std::size_t end = path.find('.');
        put_segment(out, path.substr(0, end));
        path.remove_prefix(std::min(end, path.size() - 1) + 1);
    }
    return out.code();
}

/// A PkgLength of what follows it, `length` bytes, and of itself where it counts itself.
enum class Counts { itself_too, not_itself };
Code pkg_length(std::size_t length, Counts counts) {
    for (unsigned more = 0; more < 4; ++more) {
        const std::size_t total = length + (counts == Counts::itself_too ? 1 + more : 0);
        if (more == 0 && total < 0x40) {
            return Bytes().put(total).code();
        }
        if (more > 0 && total < (std::size_t(1) << (4 + 8 * more))) {
            return Bytes().put(more << 6 | (total & 0xf)).put(total >> 4, int(more)).code();
        }
    }
    assert(false && "AML: a package of 256 MiB");
    return {};
}

/// An op code with its PkgLength and contents.
Code package_of(std::initializer_list<std::uint8_t> op, const Code& contents) {
    Bytes out;
    for (const std::uint8_t byte : op) {
        out.put(byte);
    }
    return out.put(pkg_length(contents.bytes().size(), Counts::itself_too)).put(contents).code();
}

/// An operator of two operands whose result goes nowhere but into the expression around it.
Code binary(Op op, const Code& a, const Code& b) {
    constexpr std::uint8_t null_name = 0;
    return Bytes().put(op).put(a).put(b).put(null_name).code();
}

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }

bool is_eisa_id(std::string_view id) {
    return id.size() == 7 && std::ranges::all_of(id.substr(0, 3), is_upper) &&
           std::ranges::all_of(id.substr(3), is_hex);
}

constexpr std::string_view hex_digits = "0123456789ABCDEF";

}  // namespace

Code::Code(std::initializer_list<Code> parts) {
    for (const Code& part : parts) {
        *this += part;
    }
}

Code& Code::operator+=(const Code& more) {
    bytes_.insert(bytes_.end(), more.bytes_.begin(), more.bytes_.end());
    return *this;
}

std::string numbered(char letter, std::uint32_t number) {
    assert(number <= 0xfff);
    return {letter, hex_digits[number >> 8 & 0xf], hex_digits[number >> 4 & 0xf],
            hex_digits[number & 0xf]};
}

Code integer(std::uint64_t value) {
    if (value <= 1) {
        return Bytes().put(value == 0 ? op_zero : op_one).code();
    }
    if (value <= 0xff) {
        return Bytes().put(op_byte).put(value).code();
    }
    if (value <= 0xffff) {
        return Bytes().put(op_word).put(value, 2).code();
    }
    if (value <= 0xffffffff) {
        return Bytes().put(op_dword).put(value, 4).code();
    }
    return Bytes().put(op_qword).put(value, 8).code();
}

Code string(std::string_view ascii) {
    assert(std::ranges::all_of(ascii, [](char c) { return c > 0; }));
    return Bytes().put(op_string).text(ascii).put(0).code();
}

Code buffer(std::span<const std::byte> bytes) {
    return package_of({op_buffer}, {integer(bytes.size()), Bytes().put(bytes).code()});
}

Code package(std::initializer_list<Code> elements) {
    return package(std::span(elements.begin(), elements.size()));
}

Code package(std::span<const Code> elements) {
    assert(elements.size() <= 255);
    Bytes contents;
    contents.put(elements.size());
    for (const Code& element : elements) {
        contents.put(element);
    }
    return package_of({op_package}, contents.code());
}

Code eisa_id(std::string_view id) {
    assert(is_eisa_id(id));
    std::uint32_t value = 0;
    for (const char c : id.substr(0, 3)) {
        value = value << 5 | static_cast<std::uint32_t>(c - 'A' + 1);
    }
    for (const char c : id.substr(3)) {
        value = value << 4 | static_cast<std::uint32_t>(hex_digits.find(c));
    }
    Bytes out;
    out.put(op_dword);
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.put(value >> shift);
    }
    return out.code();
}

Code hardware_id(std::string_view id) { return is_eisa_id(id) ? eisa_id(id) : string(id); }

Code name(Path path, const Code& value) {
    return Bytes().put(op_name).put(name_string(path)).put(value).code();
}

Code scope(Path path, const Code& terms) {
    return package_of({op_scope}, {name_string(path), terms});
}

Code device(Path path, const Code& terms) {
    return package_of({op_ext, ext_device}, {name_string(path), terms});
}

Code method(Path path, std::uint8_t arguments, Serialized serialized, const Code& terms) {
    assert(arguments <= 7);
    const unsigned flags = arguments | (serialized == Serialized::yes ? 8u : 0u);
    return package_of({op_method}, {name_string(path), Bytes().put(flags).code(), terms});
}

Code operation_region(Path path, Space space, std::uint64_t offset, std::uint64_t length) {
    return Bytes()
        .put(op_ext)
        .put(ext_region)
        .put(name_string(path))
        .put(static_cast<std::uint8_t>(space))
        .put(integer(offset))
        .put(integer(length))
        .code();
}

Code field(Path region, Access access, std::initializer_list<FieldUnit> units) {
    Bytes contents;
    contents.put(name_string(region)).put(static_cast<std::uint8_t>(access));
    for (const FieldUnit& unit : units) {
        if (unit.name.empty()) {
            contents.put(0);
        } else {
            put_segment(contents, unit.name);
        }
        contents.put(pkg_length(unit.bits, Counts::not_itself));
    }
    return package_of({op_ext, ext_field}, contents.code());
}

Code reference(Path path) { return name_string(path); }

Code call(Path method, std::initializer_list<Code> arguments) {
    return {name_string(method), Code(arguments)};
}

Code local(std::uint8_t number) {
    assert(number <= 7);
    return Bytes().put(op_local0 + unsigned(number)).code();
}

Code argument(std::uint8_t number) {
    assert(number <= 6);
    return Bytes().put(op_arg0 + unsigned(number)).code();
}

Code store(const Code& value, const Code& target) {
    return Bytes().put(op_store).put(value).put(target).code();
}

Code bit_and(const Code& a, const Code& b) { return binary(op_and, a, b); }

Code bit_or(const Code& a, const Code& b) { return binary(op_or, a, b); }

Code equal(const Code& a, const Code& b) { return Bytes().put(op_equal).put(a).put(b).code(); }

Code if_then(const Code& condition, const Code& terms) {
    return package_of({op_if}, {condition, terms});
}

Code if_else(const Code& condition, const Code& terms, const Code& otherwise) {
    return {if_then(condition, terms), package_of({op_else}, otherwise)};
}

Code return_value(const Code& value) { return Bytes().put(op_return).put(value).code(); }

Code notify(Path device, const Code& value) {
    return Bytes().put(op_notify).put(name_string(device)).put(value).code();
}

}  // namespace vmm::acpi::aml
