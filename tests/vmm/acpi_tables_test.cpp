// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/acpi/tables.hpp>
#include <vmm/boot_files.hpp>
#include <vmm/machine/fake_machine.hpp>
#include <vmm/result.hpp>

namespace vmm::acpi {
namespace {

using test::must;

unsigned sum(std::span<const std::byte> bytes) {
    return std::accumulate(
               bytes.begin(), bytes.end(), 0u,
               [](unsigned s, std::byte b) { return s + std::to_integer<unsigned>(b); }) %
           256;
}

template <class T>
T get(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
    return value;
}

/// A machine with one of everything.
Config config(std::uint32_t cpus = 2) {
    Config c;
    c.base = kvm::Gpa(0xe0000);
    c.room = 0x20000;
    c.hardware = ReducedHardware{0x60c, 0x60d, 0x610, 9};
    c.apic_ids.resize(cpus);
    std::iota(c.apic_ids.begin(), c.apic_ids.end(), 0u);
    c.lapic = kvm::Gpa(0xfee00000);
    c.ioapic = {kvm::Gpa(0xfec00000), 0, 0};
    c.overrides = {{0, 2, Trigger::edge}, {9, 9, Trigger::level}};
    c.reset_port = 0xcf9;
    c.reset_value = 6;
    c.legacy = {true, true, true};
    c.devices = {
        {"COM1", "PNP0501", 1, {IoPorts{0x3f8, 8}, Interrupt{4}}, {}},
        {"RTC0", "PNP0B00", 0, {IoPorts{0x70, 2}}, {}},
        {"VR00", "LNRO0005", 0, {Memory32{0xd0000000, 0x200}, Interrupt{5}}, {}},
    };
    return c;
}

Config with_pci(Config c) {
    using enum Window::Kind;
    c.pci = {kvm::Gpa(0xb0000000), 0, 0, 255};
    const aml::Code route[] = {
        aml::package({aml::integer(0xffff), aml::integer(0), aml::integer(0), aml::integer(16)})};
    c.devices.push_back(
        {"PCI0",
         "PNP0A08",
         0,
         {Window{bus, 0, 255}, Window{io, 0x1000, 0xffff}, Window{memory, 0xc0000000, 0xcfffffff},
          Window{prefetchable_memory, 0x100000000, 0x1ffffffff}},
         aml::name("_PRT", aml::package(route))});
    return c;
}

Config fixed(Config c) {
    c.hardware = FixedHardware{0x600, 0x604, 0x608, 9};
    return c;
}

/// Every table as the XSDT and the FADT lead to it.
std::vector<std::span<const std::byte>> walk(const Tables& t) {
    const std::span<const std::byte> all = t.bytes;
    const auto table_at = [&](std::uint64_t address) {
        const std::size_t offset = address - t.base.value();
        return all.subspan(offset, get<std::uint32_t>(all, offset + 4));
    };
    const auto xsdt = table_at(get<std::uint64_t>(all, 24));
    std::vector<std::span<const std::byte>> found{xsdt};
    for (std::size_t at = 36; at < xsdt.size(); at += 8) {
        found.push_back(table_at(get<std::uint64_t>(xsdt, at)));
    }
    found.push_back(table_at(get<std::uint64_t>(t.find("FACP"), 140)));
    return found;
}

TEST(AcpiTables, AddUpToZeroAndLeadToOneAnother) {
    for (const Config& c : {config(), with_pci(config()), fixed(config()), config(64)}) {
        const Tables t = must(build(c));
        EXPECT_EQ(t.base, c.base);
        const std::span<const std::byte> all = t.bytes;
        EXPECT_EQ(std::memcmp(all.data(), "RSD PTR ", 8), 0);
        EXPECT_EQ(sum(all.first(20)), 0u);
        EXPECT_EQ(sum(all.first(36)), 0u);
        std::string signatures;
        for (const auto table : walk(t)) {
            EXPECT_EQ(sum(table), 0u);
            signatures += std::string(reinterpret_cast<const char*>(table.data()), 4) + " ";
        }
        EXPECT_EQ(signatures, c.pci ? "XSDT FACP APIC MCFG DSDT " : "XSDT FACP APIC DSDT ");
    }
}

TEST(AcpiTables, SayThatTheHardwareIsReducedAndHowToSleepAndReset) {
    const Tables t = must(build(config()));
    const auto fadt = t.find("FACP");
    ASSERT_EQ(fadt.size(), 276u);
    const auto flags = get<std::uint32_t>(fadt, 112);
    EXPECT_TRUE(flags & 1 << 20);
    EXPECT_TRUE(flags & 1 << 10) << "the reset register";
    EXPECT_TRUE(flags & 1 << 4) << "the power button is a device";
    EXPECT_EQ(get<std::uint16_t>(fadt, 109), 0x7) << "legacy devices, 8042, no VGA, a clock";
    EXPECT_EQ(get<std::uint64_t>(fadt, 120), 0xcf9u);
    EXPECT_EQ(get<std::uint8_t>(fadt, 128), 6u);
    EXPECT_EQ(get<std::uint64_t>(fadt, 248), 0x60cu);
    EXPECT_EQ(get<std::uint64_t>(fadt, 260), 0x60du);
    for (const unsigned fixed_register : {46u, 56u, 64u, 76u, 48u, 36u}) {
        EXPECT_EQ(get<std::uint16_t>(fadt, fixed_register), 0) << fixed_register;
    }
    EXPECT_TRUE(t.find("FACS").empty());
}

TEST(AcpiTables, HaveFixedRegistersForThoseWhoWantThem) {
    const Tables t = must(build(fixed(config())));
    const auto fadt = t.find("FACP");
    EXPECT_FALSE(get<std::uint32_t>(fadt, 112) & 1 << 20);
    EXPECT_FALSE(get<std::uint32_t>(fadt, 112) & 1 << 4) << "the power button is fixed";
    EXPECT_EQ(get<std::uint16_t>(fadt, 46), 9u);
    EXPECT_EQ(get<std::uint32_t>(fadt, 76), 0x608u);
    EXPECT_EQ(get<std::uint64_t>(fadt, 152), 0x600u);
    EXPECT_EQ(get<std::uint64_t>(fadt, 244), 0u) << "no sleep register";
    EXPECT_FALSE(t.find("FACS").empty());
    EXPECT_EQ(get<std::uint32_t>(fadt, 36) % 64, 0u);
}

TEST(AcpiTables, NameEveryCpuTheFirst255AsApics) {
    const Tables t = must(build(config(300)));
    const auto madt = t.find("APIC");
    std::uint32_t apics = 0, x2apics = 0, others = 0;
    for (std::size_t at = 44; at < madt.size(); at += get<std::uint8_t>(madt, at + 1)) {
        const auto type = get<std::uint8_t>(madt, at);
        if (type == 0) {
            EXPECT_EQ(get<std::uint8_t>(madt, at + 2), apics);
            EXPECT_EQ(get<std::uint8_t>(madt, at + 3), apics);
            EXPECT_EQ(get<std::uint32_t>(madt, at + 4), 1u);
            ++apics;
        } else if (type == 9) {
            EXPECT_EQ(get<std::uint32_t>(madt, at + 4), 255 + x2apics);
            EXPECT_EQ(get<std::uint32_t>(madt, at + 12), 255 + x2apics);
            ++x2apics;
        } else {
            ++others;
        }
    }
    EXPECT_EQ(apics, 255u);
    EXPECT_EQ(x2apics, 45u);
    EXPECT_EQ(others, 1u + 2 + 2) << "an I/O APIC, two overrides, two NMIs";
}

TEST(AcpiTables, RefuseWhatIsNoMachine) {
    EXPECT_EQ(test::code(build(config(0))), EINVAL);
    EXPECT_EQ(test::code(build(config(0x1001))), EINVAL);
    Config c = config();
    c.room = 1000;
    EXPECT_EQ(test::code(build(c)), ENOSPC);
    c = config();
    c.base = kvm::Gpa(0xe0008);
    EXPECT_EQ(test::code(build(c)), EINVAL);
    for (const char* name : {"", "COM", "COM11", "1COM", "com2", "CO.M", "C001", "PWRB", "RTC0"}) {
        c = config();
        c.devices[0].name = name;
        EXPECT_EQ(test::code(build(c)), EINVAL) << name;
    }
}

/// Intel's compiler: each table to source and, where it is code, back, without a complaint.
class Iasl : public ::testing::Test {
protected:
    void SetUp() override {
        if (std::system("command -v iasl >/dev/null") != 0) {
            GTEST_SKIP() << "there is no iasl: Debian's acpica-tools has it";
        }
        directory = ::testing::TempDir() + "kvmxx-acpi-" + std::to_string(getpid());
        std::filesystem::create_directory(directory);
    }
    void TearDown() override { std::filesystem::remove_all(directory); }

    /// Output of a command, with what it returned as its last line.
    std::string run(const std::string& command) {
        const std::string log = directory + "/log";
        const int status =
            std::system(("cd " + directory + " && " + command + " >log 2>&1").c_str());
        std::ifstream file(log);
        std::string text(std::istreambuf_iterator<char>(file), {});
        return text + "status " + std::to_string(WEXITSTATUS(status));
    }
    std::string read(const std::string& name) {
        std::ifstream file(directory + "/" + name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void accepts(const Config& c) {
        const Tables t = must(build(c));
        for (const Table& table : t.list) {
            accepts(std::string(table.signature), t.find(table.signature));
        }
    }
    void accepts(const std::string& name, std::span<const std::byte> bytes) {
        {
            std::ofstream(directory + "/" + name + ".aml", std::ios::binary)
                .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
            const std::string back = run("iasl -d " + name + ".aml");
            EXPECT_TRUE(back.ends_with("status 0")) << back;
            for (const char* word : {"Error", "Warning", "Invalid", "incorrect", "Could not"}) {
                EXPECT_EQ(back.find(word), back.npos) << back;
            }
            const std::string source = read(name + ".dsl");
            EXPECT_EQ(source.find("Unknown"), source.npos) << source;
            const std::string again = run("iasl -we -vr -p again " + name + ".dsl");
            EXPECT_TRUE(again.ends_with("status 0")) << again << source;
            EXPECT_NE(again.find("0 Errors, 0 Warnings"), again.npos) << again;
            // Of itself iasl puts its own name and version into a table's header, and the checksum.
            const std::string before = read(name + ".aml"), after = read("again.aml");
            ASSERT_EQ(before.size(), after.size()) << name;
            EXPECT_EQ(before.substr(36), after.substr(36)) << name << " is another after a round";
        }
    }
    /// The tables that a machine put into its guest's memory, as the RSDP leads to them.
    void accepts_those_of(const MachineConfig& config, std::size_t wanted) {
        struct Silent final : vmm::Console {
            Result<std::size_t> write(std::span<const std::byte> bytes) override {
                return bytes.size();
            }
            Result<Input> read(std::span<std::byte>, std::size_t&) override { return Input::end; }
        } console;
        fake::Hypervisor hypervisor;
        const auto machine = must(FakeMachine::create(config, console, hypervisor.system()));
        const GuestMemory& memory = machine.memory();
        const auto table_at = [&](kvm::Gpa address) {
            std::vector<std::byte> bytes(must(memory.read<std::uint32_t>(address + 4)));
            must(memory.read(address, std::span(bytes)));
            return bytes;
        };
        const auto xsdt =
            table_at(kvm::Gpa(must(memory.read<std::uint64_t>(x86_64::layout::acpi + 24))));
        std::vector<std::vector<std::byte>> tables{xsdt};
        for (std::size_t at = 36; at < xsdt.size(); at += 8) {
            tables.push_back(table_at(kvm::Gpa(get<std::uint64_t>(xsdt, at))));
        }
        const auto fadt = std::ranges::find_if(
            tables, [](const auto& table) { return std::memcmp(table.data(), "FACP", 4) == 0; });
        ASSERT_NE(fadt, tables.end());
        tables.push_back(table_at(kvm::Gpa(get<std::uint64_t>(*fadt, 140))));
        EXPECT_EQ(tables.size(), wanted);
        for (const auto& table : tables) {
            EXPECT_EQ(sum(table), 0u);
            accepts({reinterpret_cast<const char*>(table.data()), 4}, table);
        }
    }
    std::string directory;
};

TEST_F(Iasl, AcceptsReducedHardware) { accepts(config()); }

TEST_F(Iasl, AcceptsFixedHardware) { accepts(fixed(config())); }

TEST_F(Iasl, AcceptsPci) { accepts(with_pci(config())); }

TEST_F(Iasl, AcceptsThoseOfMachines) {
    const std::string kernel = directory + "/kernel", disk = directory + "/disk",
                      nvme = directory + "/nvme";
    std::ofstream(kernel, std::ios::binary) << test::elf64().text();
    std::ofstream(disk) << std::string(4096, 'd');
    std::ofstream(nvme) << std::string(4096, 'd');
    MachineConfig c;
    c.boot.kernel = kernel;
    c.memory_bytes = 64 << 20;
    c.cpus = 3;
    c.test_devices = true;
    c.consoles.emplace_back();
    c.rng.emplace();
    c.balloon.emplace();
    c.vsock = virtio::VsockOptions{.cid = 3, .path = directory + "/vsock"};
    c.disks.resize(1);
    c.disks[0].image.path = disk;
    accepts_those_of(c, 4);  // XSDT, FACP, APIC, DSDT
    c.acpi = AcpiHardware::fixed;
    accepts_those_of(c, 4);
    c.disks.push_back(c.disks[0]);
    c.disks[1].bus = DiskBus::nvme;
    c.disks[1].image.path = nvme;
    accepts_those_of(c, 5);  // and MCFG
    c.acpi = AcpiHardware::reduced;
    c.virtio_transport = VirtioTransport::pci;
    accepts_those_of(c, 5);
}

TEST_F(Iasl, AcceptsManyCpus) {
    accepts(config(64));
    accepts(config(300));
}

}  // namespace
}  // namespace vmm::acpi
