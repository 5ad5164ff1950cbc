// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cstdlib>
#include <malloc.h>
#include <thread>
#include <vmm/machine_guests.hpp>
#include <vmm/sanitized.hpp>
#include <vmm/virtio_driver.hpp>
#include <vmm/x86_64/layout.hpp>

/// Many lives of machines with every device, ended in every state and while the devices work, on
/// any hypervisor.
namespace vmm::test {

/// A guest that drives every device: a 64-bit image with rings and requests in it, at 2 MiB, whose
/// code makes a list of register writes; or those writes, for the fake.
class DeviceDriver {
public:
    enum class Then { go_on, reset, reset_devices };

    explicit DeviceDriver(Then then) {
        // In the order in which a machine has them.
        begin();
        queue({}, {room(2000), room(2000)});
        queue({put(arp_request())}, {});  // which the user network answers
        ready();
        begin();
        queue({}, {room(64)});
        queue({put("x"sv)}, {});
        ready();
        begin();
        queue({}, {room(64)});
        ready();
        begin();
        queue({put("\0\7\0\0"sv)}, {});  // a page for the balloon
        queue({}, {});
        ready();
        begin();
        queue({}, {room(2000), room(2000)});
        queue({put(connection_request())}, {});  // to where nobody listens
        queue({}, {room(64)});
        ready();
        begin();
        queue({put(std::string(16, '\0'))}, {room(512), room(1)});  // reads sector 0
        ready();
        for (std::uint64_t i = 0; then == Then::reset_devices && i < devices_; ++i) {
            write_register(i, status, 0);
        }
        finish(then);
    }

    /// The image, and the same for the fake.
    const std::string& image() const { return image_; }
    const std::vector<fake::Step>& steps() const { return steps_; }

private:
    static constexpr std::uint64_t at = 0x200000, table = at + 0x100, data = at + 0x4000,
                                   size = 0x20000;
    enum Register : std::uint64_t {
        feature_word = 0x24,
        features = 0x20,
        queue_sel = 0x30,
        queue_num = 0x38,
        queue_ready = 0x44,
        notify = 0x50,
        status = 0x70,
        descriptors = 0x80,
        driver = 0x90,
        device = 0xa0
    };

    void write_register(std::uint64_t index, std::uint64_t offset, std::uint32_t value) {
        namespace layout = x86_64::layout;
        const kvm::Gpa to = layout::virtio_mmio + index * layout::virtio_mmio_step + offset;
        const std::uint64_t entry = table + 8 * steps_.size();
        must(memory_.write(kvm::Gpa(entry), static_cast<std::uint32_t>(to.value())));
        must(memory_.write(kvm::Gpa(entry + 4), value));
        const std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
        steps_.emplace_back(fake::MmioWrite{to, bytes});
    }
    void set(std::uint64_t offset, std::uint32_t value) { write_register(devices_, offset, value); }
    /// Agrees upon VERSION_1 alone with the next device.
    void begin() {
        queues_ = 0;
        set(status, 1);
        set(status, 3);
        set(feature_word, 1);
        set(features, 1);
        set(status, 11);
    }
    /// Its next queue, with a chain of all `readable`, and one of each `writable` without.
    void queue(std::vector<virtio::Buffer> readable, std::vector<virtio::Buffer> writable) {
        constexpr std::uint16_t entries = 8;
        const std::uint64_t place = take(QueueDriver::footprint(entries), 16);
        QueueDriver ring(memory_, kvm::Gpa(place), entries, virtio::feature::version_1);
        if (!readable.empty()) {
            (void)ring.offer(readable, writable);
        } else {
            for (const virtio::Buffer& buffer : writable) {
                (void)ring.offer({}, {buffer});
            }
        }
        set(queue_sel, queues_++);
        set(queue_num, entries);
        set(descriptors, static_cast<std::uint32_t>(ring.config().descriptors.value()));
        set(driver, static_cast<std::uint32_t>(ring.config().driver.value()));
        set(device, static_cast<std::uint32_t>(ring.config().device.value()));
        set(queue_ready, 1);
    }
    void ready() {
        set(status, 15);
        for (std::uint32_t i = 0; i < queues_; ++i) {
            set(notify, i);
        }
        ++devices_;
    }
    void finish(Then then) {
        // mov esi, table; next: mov edi, [rsi]; test edi, edi; jz end; mov eax, [rsi+4];
        // mov [rdi], eax; add rsi, 8; jmp next; end:
        std::string code(
            "\xbe\x00\x01\x20\x00\x8b\x3e\x85\xff\x74\x0b\x8b\x46\x04\x89\x07"
            "\x48\x83\xc6\x08\xeb\xef"sv);
        code += then == Then::go_on ? "\xeb\xfe"sv : "\xb0\xfe\xe6\x64\xf4"sv;
        steps_.push_back(then == Then::go_on ? fake::Step(fake::Spin{})
                                             : fake::Step(out(0x64, "\xfe")));
        EXPECT_LT(table + 8 * steps_.size(), data);
        must(memory_.write(kvm::Gpa(at), std::as_bytes(std::span(code))));
        image_.resize(size);
        must(memory_.read(kvm::Gpa(at), std::as_writable_bytes(std::span(image_))));
    }

    std::uint64_t take(std::uint64_t bytes, std::uint64_t alignment) {
        const std::uint64_t place = (free_ + alignment - 1) / alignment * alignment;
        free_ = place + bytes;
        EXPECT_LE(free_, at + size);
        return place;
    }
    virtio::Buffer room(std::uint32_t bytes) { return {kvm::Gpa(take(bytes, 8)), bytes}; }
    virtio::Buffer put(std::string_view bytes) {
        const virtio::Buffer buffer = room(static_cast<std::uint32_t>(bytes.size()));
        must(memory_.write(buffer.address, std::as_bytes(std::span(bytes))));
        return buffer;
    }
    /// Behind a virtio header: who has 10.0.2.2?
    static std::string arp_request() {
        std::string frame(12, '\0');
        frame +=
            "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06\x00\x01\x08\x00\x06\x04"
            "\x00\x01\x02\x00\x00\x00\x00\x01\x0a\x00\x02\x0f\0\0\0\0\0\0\x0a\x00\x02\x02"sv;
        frame.resize(12 + 60);
        return frame;
    }
    /// virtio 1.2, 5.10.6: from 3:1024 to 2:9.
    static std::string connection_request() {
        return std::string(
            "\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\4\0\0\x09\0\0\0\0\0\0\0"
            "\1\0\1\0\0\0\0\0\0\0\4\0\0\0\0\0"sv);
    }

    GuestMemory memory_ = must(GuestMemory::create(std::array{Region{kvm::Gpa(at), size}}));
    std::uint64_t free_ = data;
    std::uint64_t devices_ = 0;
    std::uint32_t queues_ = 0;
    std::vector<fake::Step> steps_;
    std::string image_;
};

/// What this process has in all.
struct Footprint {
    std::size_t descriptors = 0, threads = 0, mappings = 0;
    std::size_t heap = 0;      ///< bytes; 0 where the C library's is not used, as with sanitizers
    std::size_t resident = 0;  ///< bytes

    static Footprint now() {
        const std::filesystem::directory_iterator fds("/proc/self/fd");
        Footprint found{
            .descriptors = static_cast<std::size_t>(std::distance(begin(fds), end(fds))),
            .threads = Thread::all().size()};
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            ++found.mappings;
        }
        const struct mallinfo2 info = ::mallinfo2();
        found.heap = info.uordblks + info.hblkhd;
        std::size_t all = 0, resident = 0;
        std::ifstream("/proc/self/statm") >> all >> resident;
        found.resident = resident * 4096;
        return found;
    }
    friend std::ostream& operator<<(std::ostream& out, const Footprint& f) {
        return out << f.descriptors << " descriptors, " << f.threads << " threads, " << f.mappings
                   << " mappings, " << f.heap << " bytes of heap, " << f.resident << " resident";
    }
};

template <class Maker>
class MachineSoak : public OnMaker<Maker> {
protected:
    using Machine = typename Maker::Machine;
    using Then = DeviceDriver::Then;

    void SetUp() override {
        OnMaker<Maker>::SetUp();
        directory = this->path + "-soak";
        std::filesystem::create_directory(directory);
        for (const char* const name : {"/disk", "/nvme"}) {
            std::ofstream(directory + name) << std::string(1 << 20, 'd');
        }
    }
    void TearDown() override {
        std::filesystem::remove_all(directory);
        OnMaker<Maker>::TearDown();
    }
    MachineConfig config(const DeviceDriver& driver) {
        std::ofstream(this->path, std::ios::binary) << driver.image();
        MachineConfig c;
        c.boot.kernel = this->path;
        c.boot.format = Flat64{kvm::Gpa(0x200000)};
        c.memory_bytes = 8 << 20;
        c.nets.emplace_back();
        c.consoles.push_back({"", PortKind::file, directory + "/console"});
        c.rng = Rate{};
        c.balloon = virtio::BalloonOptions{};
        c.vsock = virtio::VsockOptions{3, directory + "/vsock"};
        c.disks.push_back({.image = {.path = directory + "/disk"}});
        c.disks.push_back({.image = {.path = directory + "/nvme"}, .bus = DiskBus::nvme});
        return c;
    }
    std::uintmax_t printed() const { return std::filesystem::file_size(directory + "/console"); }
    /// What the machine's devices tell by that name, together.
    static std::uint64_t told(const Machine& m, std::string_view name) {
        std::uint64_t sum = 0;
        for (const DeviceReport& device : m.report().devices) {
            for (const Statistic& statistic : device.statistics) {
                sum += statistic.name == name ? statistic.value : 0;
            }
        }
        return sum;
    }
    /// Until the console, the balloon and the sockets have done what the guest asked them for.
    void await_work(const Machine& m, std::uintmax_t before) const {
        const auto done = [&] {
            return printed() > before && told(m, "given-back-bytes") == 4096 &&
                   told(m, "refused") == 1;
        };
        for (int i = 0; i < 4000 && !done(); ++i) {
            std::this_thread::sleep_for(5ms);
        }
        EXPECT_TRUE(done());
    }
    /// One of the lives that there are.
    void live(int kind) {
        Maker own;
        const DeviceDriver& driver = kind < 6 ? spins : kind == 6 ? resets : resets_devices;
        MachineConfig c = config(driver);
        c.virtio_transport = kind == 1 ? VirtioTransport::pci : VirtioTransport::mmio;
        auto m = must(own.create(c, Guest{{}, driver.steps()}, this->console));
        const std::uintmax_t before = kind >= 3 ? printed() : 0;
        if (kind == 0) {
            return;  // not even started
        }
        if (kind >= 6) {
            EXPECT_EQ(must(m.run()).reason, EndReason::reset);
            return;
        }
        must(m.start());
        if (kind == 2) {
            must(m.pause());  // at the beginning, or anywhere
        }
        if (kind >= 3) {
            await_work(m, before);
        }
        if (kind == 4) {
            must(m.pause());
        }
        if (kind >= 4) {
            m.stop();
            EXPECT_EQ(must(m.wait()).reason, EndReason::stopped);
        }
    }

    static constexpr int kinds = 8;
    static int lives() {
        const char* const number = std::getenv("KVMXX_STRESS");
        return number ? std::atoi(number) : Maker::soak_lives;
    }

    std::string directory;
    const DeviceDriver spins{Then::go_on}, resets{Then::reset}, resets_devices{Then::reset_devices};
};
TYPED_TEST_SUITE_P(MachineSoak);

/// KVMXX_STRESS=10000 in the environment makes it so many.
TYPED_TEST_P(MachineSoak, LivesWithAllDevicesLeaveNothingBehind) {
    constexpr int first = 4 * TestFixture::kinds;  // what is made once is made now
    std::ofstream(this->directory + "/console");
    for (int i = 0; i < first; ++i) {
        this->live(i % this->kinds);
    }
    const Footprint before = Footprint::now();
    const int lives = this->lives();
    for (int i = 0; i < lives && !this->HasFailure(); ++i) {
        this->live(i % this->kinds);
    }
    const Footprint after = Footprint::now();
    EXPECT_EQ(after.descriptors, before.descriptors);
    EXPECT_EQ(after.threads, before.threads);
    // The C library keeps stacks and pieces of heap for the next thread: never more than a few.
    constexpr std::size_t few = 16, little = 64 << 10, some = 2 << 20;
    EXPECT_LE(after.heap, before.heap + little) << before << "; then " << after;
    if (!sanitized) {
        EXPECT_LE(after.mappings, before.mappings + few) << before << "; then " << after;
        EXPECT_LE(after.resident, before.resident + some) << before << "; then " << after;
    }
    std::cout << "after " << first << " lives: " << before << "\nafter " << first + lives << ": "
              << after << "\n";
}

REGISTER_TYPED_TEST_SUITE_P(MachineSoak, LivesWithAllDevicesLeaveNothingBehind);

}  // namespace vmm::test
