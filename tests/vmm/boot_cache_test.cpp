// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vmm/boot_packing.hpp>

/// The cache of unpacked kernels, as load() uses it. Whether something was unpacked shows in
/// whether damage to the compressed data is noticed, or in the files.
namespace vmm::test {
namespace {

namespace fs = std::filesystem;

class Cache : public BootTest {
protected:
    void SetUp() override {
        if (!pack(Bytes(1), Packing::gzip)) {
            GTEST_SKIP() << "the tests were built without the libraries that compress";
        }
        kernel = directory.file("vmlinux.gz", *pack(elf64(), Packing::gzip));
    }
    Result<x86_64::BootState> boot(RamContent content = RamContent::any) {
        BootInputs inputs;
        inputs.ram = content;
        inputs.notes = &notes;
        return load(memory, {.kernel = kernel, .cache = cache}, inputs);
    }
    /// The names in the cache that end so.
    std::vector<fs::path> files(const std::string& suffix) {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(cache)) {
            if (entry.path().extension() == suffix) {
                found.push_back(entry.path());
            }
        }
        return found;
    }
    fs::path unpacked() {
        const auto found = files(".unpacked");
        return found.size() == 1 ? found[0] : fs::path();
    }
    /// Waits until the kernel's file is old enough that a change would show.
    static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(2100)); }

    std::string cache = directory.path() + "/a/cache";
    std::string kernel;
    std::vector<std::string> notes;
};

TEST_F(Cache, HoldsWhatWasUnpackedInPagesByTheHashOfWhatItWas) {
    must(boot());
    EXPECT_EQ(notes.size(), 0u);
    EXPECT_EQ(unpacked().stem().string().size(), 64u);
    EXPECT_EQ(fs::file_size(unpacked()), 8192u) << "a page of content, a page about it";
    std::ifstream file(unpacked());
    std::string content(elf64().text().size(), '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    EXPECT_TRUE(content == elf64().text());
    EXPECT_EQ(fs::status(cache).permissions(), fs::perms::owner_all);
    EXPECT_EQ(fs::status(unpacked()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(files(".part").size(), 0u);
}

TEST_F(Cache, IsNamedBySha256) {
    // An empty stored block: printf '' | gzip -n, and its sha256sum. There is nothing in it to
    // boot.
    using namespace std::literals;
    kernel =
        directory.file("vmlinux.gz", Bytes("\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"s));
    EXPECT_EQ(message(boot()), kernel + ": compressed data (gzip): nothing is in it");
    EXPECT_EQ(unpacked().stem(),
              "59869db34853933b239f1e2219cf7d431da006aa919635478511fabbfc8849d2");
}

TEST_F(Cache, AnswersForAFileThatHasNotChangedWithoutReadingIt) {
    settle();
    must(boot());
    EXPECT_EQ(files(".source").size(), 1u);
    const auto before = fs::last_write_time(unpacked());
    // What would be unpacked now is something else: so it was not.
    Bytes other = elf64();
    other.put(elf64_code, std::uint8_t(0x90));
    {
        std::fstream file(unpacked());
        file.seekp(elf64_code);
        file.put('\x90');
    }
    fs::last_write_time(unpacked(), before);
    must(boot());
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0x90);
}

TEST_F(Cache, DoesNotRememberAFileThatHasJustChanged) {
    must(boot());
    EXPECT_EQ(files(".source").size(), 0u) << "the next change may have the same time";
    must(boot());
    EXPECT_EQ(files(".unpacked").size(), 1u) << "by its content it is known";
}

TEST_F(Cache, NoticesAnUnpackedFileThatHasChangedAndUnpacksAgain) {
    settle();
    must(boot());
    {
        std::fstream file(unpacked());
        file.seekp(elf64_code);
        file.put('\x90');
    }
    must(boot());
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
    fs::resize_file(unpacked(), 4096);
    must(boot());
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
    fs::resize_file(unpacked(), 0);
    must(boot());
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
    EXPECT_EQ(fs::file_size(unpacked()), 8192u);
    EXPECT_EQ(notes.size(), 0u);
}

TEST_F(Cache, KnowsTheSameContentInAnotherFile) {
    must(boot());
    const auto inode = [&] {
        struct ::stat status{};
        ::stat(unpacked().c_str(), &status);
        return status.st_ino;
    };
    const auto before = inode();
    fs::copy_file(kernel, kernel + "2");
    kernel += "2";
    must(boot());
    EXPECT_EQ(inode(), before);
}

/// An ELF file of which much is zeroes, with 4 MiB to load and "end" at the end.
Bytes elf_with_zeroes() {
    constexpr std::size_t size = 4 << 20;
    Bytes elf = elf64().resize(elf64_code + size);
    elf.put(KVMXX_PHDR(p_filesz), std::uint64_t(size))
        .put(KVMXX_PHDR(p_memsz), std::uint64_t(size));
    return elf.put(elf64_code + size - 4, "end");
}

TEST_F(Cache, KnowsWhereZeroesAreThatNeedNotBeWritten) {
    constexpr std::uint64_t middle = elf64_address + (2 << 20);
    constexpr std::uint64_t end = elf64_address + (4 << 20) - 4;
    kernel = directory.file("vmlinux.gz", *pack(elf_with_zeroes(), Packing::gzip));
    settle();
    const auto content_of_zeroes = [&](RamContent content) {
        must(memory.fill(kvm::Gpa(elf64_address), 4 << 20, std::byte(0xaa)));  // so that it shows
        must(boot(content));
        EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
        EXPECT_EQ(text(end), "end");
        return read<std::uint8_t>(middle);
    };
    EXPECT_EQ(content_of_zeroes(RamContent::zeroes), 0xaa) << "unpacked";
    EXPECT_EQ(content_of_zeroes(RamContent::zeroes), 0xaa) << "from the cache";
    EXPECT_EQ(content_of_zeroes(RamContent::any), 0);
    fs::remove(files(".source").at(0));
    EXPECT_EQ(content_of_zeroes(RamContent::zeroes), 0xaa) << "from the cache, by its hash";
    cache.clear();
    EXPECT_EQ(content_of_zeroes(RamContent::zeroes), 0xaa) << "unpacked into memory";
}

TEST_F(Cache, BelievesWhereZeroesAreByTheHashOnly) {
    kernel = directory.file("vmlinux.gz", *pack(elf_with_zeroes(), Packing::gzip));
    for (const std::uint64_t count : {std::uint64_t(0), std::uint64_t(1), ~std::uint64_t(0)}) {
        must(boot(RamContent::zeroes));
        {
            std::fstream file(unpacked());
            file.seekp(-4096 + 56, std::ios::end);  // how many ranges there are
            file.write(reinterpret_cast<const char*>(&count), sizeof count);
        }
        must(boot(RamContent::zeroes));
        EXPECT_EQ(text(elf64_address + (4 << 20) - 4), "end");
        must(memory.fill(kvm::Gpa(elf64_address), 4 << 20, std::byte(0)));
    }
}

TEST_F(Cache, HoldsNothingOfWhatIsBroken) {
    kernel = directory.file("bad.gz", Bytes(*pack(elf64(), Packing::gzip)).resize(40));
    EXPECT_NE(message(boot()).find("truncated"), std::string::npos);
    EXPECT_EQ(files(".unpacked").size() + files(".part").size() + files(".source").size(), 0u);
}

TEST_F(Cache, HitsAreHeldToTheLimitToo) {
    must(boot());
    memory = must(GuestMemory::create(x86_64::ram_regions(1 << 20)));
    const Bytes large = *pack(elf64().resize(2 << 20), Packing::gzip);
    kernel = directory.file("large.gz", large);
    const std::string refused =
        kernel +
        ": compressed data (gzip): unpacks to more than 0x100000 bytes, the guest's memory";
    EXPECT_EQ(message(boot()), refused);
    memory = must(GuestMemory::create(x86_64::ram_regions(ram)));
    must(boot());
    memory = must(GuestMemory::create(x86_64::ram_regions(1 << 20)));
    EXPECT_EQ(message(boot()), refused);
}

TEST_F(Cache, ThatOthersMayWriteInIsNotBelievedAndSaid) {
    fs::create_directories(cache);
    fs::permissions(cache, fs::perms::all);
    must(boot());
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_EQ(notes[0], cache +
                            ": belongs to another user, or others may write in it: the unpacked "
                            "kernel is not kept");
    EXPECT_EQ(files(".unpacked").size(), 0u);
}

TEST_F(Cache, FilesThatOthersMayWriteAreNotBelieved) {
    settle();
    must(boot());
    {
        std::fstream file(unpacked());
        file.seekp(elf64_code);
        file.put('\x90');
    }
    fs::permissions(unpacked(), fs::perms::all);
    must(boot());
    EXPECT_EQ(read<std::uint8_t>(elf64_address), 0xcc);
    const auto made = unpacked();
    fs::rename(made, cache + "/elsewhere");
    fs::create_symlink(cache + "/elsewhere", made);
    must(boot());
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(made))) << "made anew in its place";
}

TEST_F(Cache, ThatCannotBeMadeIsSaidAndHindersNothing) {
    directory.file("a", Bytes(1));
    must(boot());
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_NE(notes[0].find("Not a directory"), std::string::npos) << notes[0];
}

TEST_F(Cache, WhatNobodyHasUsedForAMonthIsRemovedWhenSomethingIsAdded) {
    must(boot());
    const auto first = unpacked();
    const ::timespec old[] = {{::time(nullptr) - 31 * 86400, 0}, {0, UTIME_OMIT}};
    ASSERT_EQ(::utimensat(AT_FDCWD, first.c_str(), old, 0), 0);
    std::ofstream(cache + "/left.part") << "by somebody who was killed";
    ASSERT_EQ(::utimensat(AT_FDCWD, (cache + "/left.part").c_str(), old, 0), 0);
    kernel = directory.file("other.gz", *pack(bzimage(), Packing::gzip));
    must(boot());
    EXPECT_FALSE(fs::exists(first));
    EXPECT_FALSE(fs::exists(cache + "/left.part"));
    EXPECT_EQ(files(".unpacked").size(), 1u);
}

TEST_F(Cache, UseIsNoted) {
    must(boot());
    const ::timespec old[] = {{::time(nullptr) - 29 * 86400, 0}, {0, UTIME_OMIT}};
    ASSERT_EQ(::utimensat(AT_FDCWD, unpacked().c_str(), old, 0), 0);
    must(boot());
    struct ::stat status{};
    ASSERT_EQ(::stat(unpacked().c_str(), &status), 0);
    EXPECT_GT(status.st_atim.tv_sec, ::time(nullptr) - 3600);
}

TEST_F(Cache, ServesManyWhoComeAtOnce) {
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            const auto mine = GuestMemory::create(x86_64::ram_regions(ram));
            std::vector<std::string> said;
            BootInputs inputs;
            inputs.notes = &said;
            good += mine && load(*mine, {.kernel = kernel, .cache = cache}, inputs) && said.empty();
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(good, 8);
    EXPECT_EQ(files(".unpacked").size(), 1u);
    EXPECT_EQ(files(".part").size(), 0u);
}

TEST(DefaultKernelCache, IsWhereTheVariablesSay) {
    const char* const names[] = {"KVMXX_CACHE", "XDG_CACHE_HOME", "HOME"};
    std::vector<std::optional<std::string>> saved;
    for (const char* name : names) {
        const char* value = std::getenv(name);
        saved.push_back(value ? std::optional<std::string>(value) : std::nullopt);
        ::setenv(name, (std::string("/") + name).c_str(), 1);
    }
    EXPECT_EQ(default_kernel_cache(), "/KVMXX_CACHE/unpacked");
    ::setenv("KVMXX_CACHE", "relative", 1);
    EXPECT_EQ(default_kernel_cache(), "/XDG_CACHE_HOME/kvmxx/unpacked");
    ::unsetenv("XDG_CACHE_HOME");
    EXPECT_EQ(default_kernel_cache(), "/HOME/.cache/kvmxx/unpacked");
    ::unsetenv("HOME");
    EXPECT_EQ(default_kernel_cache(), ::geteuid() == 0 ? "/var/cache/kvmxx/unpacked" : "");
    for (std::size_t i = 0; i < saved.size(); ++i) {
        saved[i] ? ::setenv(names[i], saved[i]->c_str(), 1) : ::unsetenv(names[i]);
    }
}

}  // namespace
}  // namespace vmm::test
