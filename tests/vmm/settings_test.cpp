// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <unistd.h>
#include <vmm/machine/settings.hpp>
#include <vmm/result.hpp>

namespace vmm {
namespace {

/// A file of that text, as long as the object lives.
class ConfigFile {
public:
    explicit ConfigFile(const std::string& text)
        : path_(testing::TempDir() + "kvmxx-settings-" + std::to_string(::getpid()) + ".toml") {
        std::ofstream(path_) << text;
    }
    ConfigFile(const ConfigFile&) = delete;
    ConfigFile& operator=(const ConfigFile&) = delete;
    ~ConfigFile() { std::remove(path_.c_str()); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// What reading such a file is refused with, without the file's name.
std::string refusal(const std::string& text) {
    const ConfigFile file(text);
    MachineConfig config;
    config.cpus = 77;
    const auto done = read_config_file(config, file.path());
    EXPECT_EQ(config_file(config), config_file([] {
                  MachineConfig same;
                  same.cpus = 77;
                  return same;
              }()))
        << "a refused file changes nothing";
    if (done) {
        return "taken";
    }
    EXPECT_EQ(done.error().code, EINVAL);
    EXPECT_TRUE(done.error().message.starts_with(file.path() + ":")) << done.error().message;
    return done.error().message.substr(file.path().size() + 1);
}

/// What a setting refuses a value with, or "taken".
std::string refusal(const char* name, const std::string& value) {
    MachineConfig config;
    const auto done = find_setting(name)->set(config, value);
    return done ? "taken" : done.error().message;
}

TEST(Settings, HaveNamesOfTheirOwnAndExcludeOnlyWhatThereIs) {
    std::set<std::string_view> names;
    for (const Setting& setting : settings()) {
        EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
        EXPECT_EQ(find_setting(setting.name), &setting);
        EXPECT_FALSE(setting.help.empty()) << setting.name;
        std::istringstream excluded{std::string(setting.excludes)};
        for (std::string name; excluded >> name;) {
            EXPECT_NE(find_setting(name), nullptr) << setting.name << " excludes " << name;
        }
    }
    EXPECT_EQ(find_setting("nonsense"), nullptr);
    EXPECT_EQ(find_setting(""), nullptr);
}

TEST(Settings, SizesHaveUnitsAndLimits) {
    const auto bytes = [](const std::string& text) {
        MachineConfig config;
        EXPECT_TRUE(find_setting("memory")->set(config, text)) << text;
        return config.memory_bytes;
    };
    EXPECT_EQ(bytes("4096"), 4096u);
    EXPECT_EQ(bytes("0x1000"), 4096u);
    EXPECT_EQ(bytes("3k"), 3u << 10);
    EXPECT_EQ(bytes("512M"), 512u << 20);
    EXPECT_EQ(bytes("2GiB"), std::uint64_t(2) << 30);
    EXPECT_EQ(bytes("1T"), std::uint64_t(1) << 40);
    EXPECT_EQ(refusal("memory", "16777216T"), "'16777216T' is not a size below 16 EiB");
    for (const char* text : {"", "x", "1.5G", "-1", "12Q", "1GG", "1 G", "99999999999999999999"}) {
        EXPECT_EQ(refusal("memory", text),
                  "'" + std::string(text) + "' is not a size, such as 512M or 2G");
    }
}

TEST(Settings, OfAnyMachineAreWrittenToAFileThatMakesTheSameMachine) {
    MachineConfig config;
    config.boot.kernel = "/boot/\"quoted\" \\ name";
    config.boot.initrd = "/boot/initrd";
    config.boot.cmdline = "console=ttyS0 \"x y\"\ttab";
    config.memory_bytes = std::uint64_t(3) << 30;
    config.cpus = 7;
    config.timeout = std::chrono::milliseconds(1500);
    config.grace = std::chrono::milliseconds(2500);
    config.acpi = AcpiHardware::fixed;
    config.devices.rtc = config.devices.pvpanic = false;
    config.fw_cfg = {{"opt/a", "/tmp/a=b"}, {"opt/b", "/b"}};
    config.test_devices = true;
    config.memory_backing = backing::File{.path = "/a,b\"c", .sharing = Sharing::shared};
    config.prefault = config.merge_memory = true;
    const RateLimits limits{.bytes = {1 << 20, 2 << 20}, .operations = {100, 7}};
    config.disks = {{.image = {"/a,b", Access::read_only, block::Caching::direct},
                     .bus = DiskBus::nvme,
                     .serial = "S1",
                     .queues = 4,
                     .engine = block::EngineKind::threads,
                     .limits = limits},
                    {.image = {"/c"}}};
    const RateLimits rate{.bytes = {1 << 20}, .operations = {100}};
    config.nets = {{.network = net::UserOptions{.tftp = "/srv", .reach = net::Reach::outside}},
                   {.network = net::TapOptions{.name = "tap0", .queues = 2},
                    .mac = test::must(net::Mac::parse("02:00:00:00:00:01")),
                    .mtu = 9000,
                    .send = rate,
                    .receive = rate}};
    config.consoles = {{.name = "log", .kind = PortKind::file, .path = "/x=y,z"},
                       {.name = "", .kind = PortKind::pty, .path = ""}};
    config.rng = Rate{.per_second = 4096};
    config.balloon = {.target_bytes = 1 << 20,
                      .statistics = std::chrono::milliseconds(1500),
                      .deflate_on_oom = true};
    config.vsock = {.cid = 7, .path = "/run/vs"};
    config.virtio_transport = VirtioTransport::pci;
    config.pci = true;
    const ConfigFile file(config_file(config));
    MachineConfig again;
    const auto done = read_config_file(again, file.path());
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(again.boot.kernel, config.boot.kernel);
    EXPECT_EQ(again.boot.initrd, config.boot.initrd);
    EXPECT_EQ(again.boot.cmdline, config.boot.cmdline);
    EXPECT_EQ(again.memory_bytes, config.memory_bytes);
    EXPECT_EQ(again.cpus, 7u);
    EXPECT_EQ(again.timeout, config.timeout);
    EXPECT_EQ(again.grace, config.grace);
    EXPECT_EQ(again.acpi, config.acpi);
    EXPECT_FALSE(again.devices.rtc || again.devices.pvpanic);
    EXPECT_TRUE(again.devices.i8042 && again.devices.fw_cfg && again.devices.debug_console);
    EXPECT_EQ(again.fw_cfg, config.fw_cfg);
    EXPECT_TRUE(again.test_devices);
    EXPECT_EQ(again.memory_backing, config.memory_backing);
    EXPECT_TRUE(again.prefault && again.merge_memory && !again.lock_memory);
    EXPECT_EQ(again.disks, config.disks);
    EXPECT_EQ(again.nets, config.nets);
    EXPECT_EQ(again.consoles, config.consoles);
    EXPECT_EQ(again.rng, config.rng);
    ASSERT_TRUE(again.balloon && again.vsock);
    EXPECT_EQ(again.balloon->target_bytes, 1u << 20);
    EXPECT_EQ(again.balloon->statistics, std::chrono::milliseconds(1500));
    EXPECT_TRUE(again.balloon->deflate_on_oom && !again.balloon->reporting);
    EXPECT_EQ(again.vsock->cid, 7u);
    EXPECT_EQ(again.vsock->path, "/run/vs");
    EXPECT_EQ(again.virtio_transport, VirtioTransport::pci);
    EXPECT_TRUE(again.pci);
    EXPECT_EQ(config_file(again), config_file(config));
}

TEST(Settings, OfTimeAreSecondsWithADecimalPoint) {
    const Setting& setting = *find_setting("timeout");
    for (const auto& [text, time] : std::initializer_list<std::pair<const char*, int>>{
             {"2", 2000},
             {"2.", 2000},
             {"1.5", 1500},
             {".25", 250},
             {"0.0001", 1},
             {"1.0010", 1001},
             {"007.1239", 7124},
             {"0.123000000000000000000000000001", 124}}) {
        MachineConfig config;
        const auto done = setting.set(config, text);
        ASSERT_TRUE(done) << text << ": " << done.error().message;
        EXPECT_EQ(config.timeout, std::chrono::milliseconds(time)) << text;
    }
    for (const char* text : {"", ".", "0", "0.000", "-1", "+1", "1,5", "1.5.", "1.-5", "0x10",
                             "1e3", " 1", "1 ", "1000000001", "18446744073709551617"}) {
        EXPECT_EQ(refusal("timeout", text),
                  "'" + std::string(text) + "' is not a number of seconds above 0, such as 1.5");
    }
}

TEST(Settings, OfMemorySayWhatItIsMadeOf) {
    const Setting& setting = *find_setting("memory-backing");
    for (const auto& [text, backing] : std::initializer_list<std::pair<const char*, Backing>>{
             {"anonymous", backing::Anonymous{}},
             {"memfd", backing::Memfd{}},
             {"file=/a,,b", backing::File{.path = "/a,b"}},
             {"file=x,shared", backing::File{.path = "x", .sharing = Sharing::shared}},
             {"hugetlb=2M", backing::HugeTlb{}},
             {"hugetlb=1G,shared", backing::HugeTlb{HugePage::gib_1, Sharing::shared}},
             {"guest-memfd", backing::GuestMemfd{}}}) {
        MachineConfig config;
        const auto done = setting.set(config, text);
        ASSERT_TRUE(done) << text << ": " << done.error().message;
        EXPECT_EQ(config.memory_backing, backing) << text;
        EXPECT_EQ(setting.get(config), std::vector<std::string>{text});
    }
    MachineConfig config;
    EXPECT_TRUE(setting.set(config, "private,hugetlb"));
    EXPECT_EQ(config.memory_backing, Backing(backing::HugeTlb{}));
    const auto refused = [](const char* text) { return refusal("memory-backing", text); };
    EXPECT_EQ(refused("memfd,file=x"),
              "'memfd,file=x' is not one of anonymous, memfd, file, hugetlb and guest-memfd");
    EXPECT_EQ(refused("shared"),
              "'shared' is not one of anonymous, memfd, file, hugetlb and guest-memfd");
    EXPECT_EQ(refused("file=x,shared,private"), "shared: does not go with private");
    EXPECT_EQ(refused("memfd,shared"), "shared: goes with file and hugetlb alone");
    EXPECT_EQ(refused("private,anonymous"), "private: goes with file and hugetlb alone");
    EXPECT_EQ(refused("hugetlb=4M"), "hugetlb: '4M' is not 2M or 1G");
    EXPECT_EQ(refused("file"), "file: needs a value, file=...");
    EXPECT_TRUE(refused("ram").starts_with("'ram': there is no such key: anonymous, memfd"));
}

TEST(ConfigFiles, MayHaveATableOfMemory) {
    const ConfigFile file("prefault = true\n[memory-backing]\nfile = 'ram'\nshared = true\n");
    MachineConfig config;
    const auto done = read_config_file(config, file.path());
    ASSERT_TRUE(done) << done.error().message;
    const auto directory = std::filesystem::path(file.path()).parent_path();
    const backing::File ram{.path = (directory / "ram").string(), .sharing = Sharing::shared};
    EXPECT_EQ(config.memory_backing, Backing(ram));
    EXPECT_TRUE(config.prefault);
    EXPECT_FALSE(config.lock_memory || config.merge_memory);
}

TEST(Settings, DisksAreMadeOfParts) {
    const auto* const disk = find_setting("disk");
    ASSERT_TRUE(disk);
    MachineConfig config;
    const std::string all =
        "path=/x,,y,bus=nvme,readonly,direct,serial=S1,queues=4,engine=threads,bps=1M,bps-burst=2M,iops=100,"
        "iops-burst=7";
    ASSERT_TRUE(disk->set(config, "path=a"));
    ASSERT_TRUE(disk->set(config, all));
    ASSERT_EQ(config.disks.size(), 2u);
    EXPECT_EQ(config.disks[0], (DiskConfig{.image = {.path = "a"}}));
    const DiskConfig want{
        .image = {"/x,y", Access::read_only, block::Caching::direct},
        .bus = DiskBus::nvme,
        .serial = "S1",
        .queues = 4,
        .engine = block::EngineKind::threads,
        .limits = {.bytes = {1 << 20, 2 << 20}, .operations = {100, 7}},
    };
    EXPECT_EQ(config.disks[1], want);
    EXPECT_EQ(disk->get(config), (std::vector<std::string>{"path=a", all}));
    EXPECT_EQ(refusal("disk", "readonly"), "path: is missing");
    EXPECT_EQ(refusal("disk", "path=a,queues=0"), "queues: a disk needs one");
    EXPECT_EQ(refusal("disk", "path=a,queues=65"),
              "queues: '65' is not a number of queues, 1 to 64");
    EXPECT_EQ(refusal("disk", "path=a,bus=ide"), "bus: 'ide' is not virtio or nvme");
    EXPECT_EQ(refusal("disk", "path=a,engine=aio"),
              "engine: 'aio' is not auto, io_uring or threads");
    EXPECT_EQ(refusal("disk", "path=a,bps=x"), "bps: 'x' is not a size, such as 512M or 2G");
    EXPECT_EQ(refusal("disk", "path=a,serial=123456789012345678901"),
              "serial: '123456789012345678901' has more than 20 bytes");
}

TEST(Settings, OfDevicesAreNames) {
    EXPECT_EQ(refusal("acpi", "no"), "'no' is not reduced, fixed or none");
    EXPECT_EQ(refusal("without", "serial"),
              "'serial' is not one of i8042, rtc, debug-console, pvpanic and fw-cfg");
    for (const char* text : {"", "name", "=file", "name="}) {
        EXPECT_EQ(refusal("fw-cfg", text), "'" + std::string(text) + "' is not NAME=FILE");
    }
    MachineConfig config;
    config.fw_cfg = {{"a", "b"}, {"b", "b"}};
    EXPECT_EQ(test::message(check(config)), "succeeded");
    config.fw_cfg.push_back({"a", "c"});
    EXPECT_EQ(test::message(check(config)), "fw-cfg: there are two files 'a'");
    config.fw_cfg = {{std::string(56, 'x'), "b"}};
    EXPECT_EQ(test::message(check(config)),
              "fw-cfg: '" + std::string(56, 'x') + "' is no name of 1 to 55 bytes");
    config.fw_cfg = {{"a", "b"}};
    config.devices.fw_cfg = false;
    EXPECT_EQ(test::message(check(config)), "fw-cfg: does not go with --without fw-cfg");
}

TEST(Settings, OfKernelsAreWhatTheyStartBy) {
    EXPECT_EQ(refusal("protocol", "efi"), "'efi' is not auto, linux64, linux32, pvh or multiboot");
    EXPECT_EQ(refusal("unpack", "nobody"), "'nobody' is not host or guest");
    EXPECT_EQ(refusal("module", ",x"), "',x' is not FILE or FILE,ARGUMENTS");
    EXPECT_EQ(refusal("module", ""), "'' is not FILE or FILE,ARGUMENTS");
    MachineConfig config;
    for (const auto& [name, value] : {std::pair{"protocol", "pvh"},
                                      {"module", "/a,b c,d"},
                                      {"module", "/e"},
                                      {"unpack", "guest"},
                                      {"kernel-cache", "none"}}) {
        EXPECT_TRUE(find_setting(name)->set(config, value));
    }
    const ConfigFile file(config_file(config));
    MachineConfig again;
    EXPECT_TRUE(read_config_file(again, file.path()));
    EXPECT_EQ(again.boot.protocol, BootProtocol::pvh);
    EXPECT_EQ(again.boot.unpack, Unpack::guest);
    EXPECT_EQ(again.boot.cache, "");
    ASSERT_EQ(again.boot.modules.size(), 2u);
    EXPECT_EQ(again.boot.modules[0].path, "/a");
    EXPECT_EQ(again.boot.modules[0].arguments, "b c,d");
    EXPECT_EQ(again.boot.modules[1].path, "/e");
}

TEST(Settings, OfFlatBinariesAreTheAddressesTheyWereGiven) {
    for (const char* address : {"0x7c00", "0xffff", "0x10000", "0xfffff"}) {
        MachineConfig config;
        ASSERT_TRUE(find_setting("flat16")->set(config, address));
        EXPECT_EQ(find_setting("flat16")->get(config), std::vector<std::string>{address});
        EXPECT_TRUE(find_setting("flat64")->get(config).empty());
    }
    MachineConfig config;
    ASSERT_TRUE(find_setting("flat64")->set(config, "0xffffffff"));
    EXPECT_EQ(find_setting("flat64")->get(config), std::vector<std::string>{"0xffffffff"});
    const ConfigFile file(config_file(config));
    MachineConfig again;
    const auto done = read_config_file(again, file.path());
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(find_setting("flat64")->get(again), std::vector<std::string>{"0xffffffff"});
    EXPECT_NE(refusal("flat16", "0x100000"), "taken");
    EXPECT_NE(refusal("flat64", "0x100000000"), "taken");
}

TEST(ConfigFiles, TakeNumbersAsTheyAreAndPathsFromTheirOwnDirectory) {
    const ConfigFile file(
        "kernel = \"vmlinuz\"\ninitrd = '/abs/initrd'\nmemory = 1048576\n"
        "cpus = 3\ntimeout = 2.5\nmodule = ['m,a=b', '/abs/m']\nfw-cfg = ['opt/a=data']\n"
        "kernel-cache = 'cache'\n");
    MachineConfig config;
    const auto done = read_config_file(config, file.path());
    ASSERT_TRUE(done) << done.error().message;
    const auto directory = std::filesystem::path(file.path()).parent_path();
    EXPECT_EQ(config.boot.kernel, (directory / "vmlinuz").string());
    EXPECT_EQ(config.boot.initrd, "/abs/initrd");
    ASSERT_EQ(config.boot.modules.size(), 2u);
    EXPECT_EQ(config.boot.modules[0].path, (directory / "m").string());
    EXPECT_EQ(config.boot.modules[0].arguments, "a=b");
    EXPECT_EQ(config.boot.modules[1].path, "/abs/m");
    ASSERT_EQ(config.fw_cfg.size(), 1u);
    EXPECT_EQ(config.fw_cfg[0].path, (directory / "data").string());
    EXPECT_EQ(config.boot.cache, (directory / "cache").string());
    EXPECT_EQ(config.memory_bytes, 1u << 20);
    EXPECT_EQ(done->at("initrd"), file.path() + ":2");
    EXPECT_EQ(done->at("timeout"), file.path() + ":5");
    EXPECT_EQ(done->size(), 8u);
    EXPECT_EQ(config.cpus, 3u);
    EXPECT_EQ(config.timeout, std::chrono::milliseconds(2500));
    EXPECT_FALSE(config.boot.cmdline);
}

TEST(ConfigFiles, AreRefusedByLineAndKey) {
    EXPECT_EQ(refusal("cpus = 1\nmemroy = '1G'\n"), "2: memroy: there is no such setting");
    EXPECT_EQ(refusal("\n\nmemory = '12Q'\n"),
              "3: memory: '12Q' is not a size, such as 512M or 2G");
    EXPECT_EQ(refusal("memory = true\n"), "1: memory: is not text or a number");
    EXPECT_EQ(refusal("memory = [1]\n"), "1: memory: is not text or a number");
    EXPECT_EQ(refusal("[memory]\nsize = 1\n"), "1: memory: is not text or a number");
    EXPECT_EQ(refusal("cpus = 1979-05-27\n"), "1: cpus: is not text or a number");
    EXPECT_EQ(refusal("cpus = -1\n"), "1: cpus: '-1' is not a number of CPUs");
    EXPECT_EQ(refusal("flat16 = 4096\nflat64 = 4096\n"), "1: flat16: does not go with flat64");
    EXPECT_TRUE(refusal("cpus = \n").starts_with("1: ")) << refusal("cpus = \n");
    EXPECT_TRUE(refusal("cpus = 1\ncpus = 2\n").starts_with("2: "));
    EXPECT_NE(refusal(std::string("\0\xff\xfe", 3)), "taken");
    for (const char* text : {"[&", "[[=", "[[[1]]]", "[[[]", "[.", "a.=1", "={", "a={b=[{,",
                             "cpus = \u03e8", "cpus = [\u0499", "cpus = \u3001"}) {
        EXPECT_TRUE(refusal(text).starts_with("1: ")) << text << ": " << refusal(text);
    }
}

TEST(ConfigFiles, ThatCannotBeReadAreNamed) {
    MachineConfig config;
    const auto missing = read_config_file(config, "/nonexistent/vm.toml");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message, "/nonexistent/vm.toml: No such file or directory");
    EXPECT_EQ(missing.error().code, ENOENT);
    const auto directory = read_config_file(config, "/");
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().code, EISDIR);
    EXPECT_TRUE(read_config_file(config, "/dev/null")) << "an empty file says nothing";
}

}  // namespace
}  // namespace vmm
