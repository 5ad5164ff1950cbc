// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <algorithm>
#include <random>
#include <vmm/boot_files.hpp>

/// Headers spoilt at random, the same each time: whatever they say, loading ends with a boot state
/// that lies in RAM or with one line. What the sanitizers would find, they find here.
namespace vmm::test {
namespace {

class Random : public BootTest {
protected:
    /// Loads `image` many times, each with a few bytes of [begin, end) changed.
    void spoil(const Bytes& image, std::size_t begin, std::size_t end) {
        std::mt19937 random(12345);
        const auto below = [&](std::size_t n) { return random() % n; };
        int loaded = 0;
        for (int i = 0; i < 1500; ++i) {
            Bytes spoilt = image;
            for (std::size_t n = 1 + below(4); n > 0; --n) {
                constexpr std::uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, 0xf0};
                const std::size_t pick = below(std::size(telling) + 2);
                spoilt.put(begin + below(end - begin), pick < std::size(telling)
                                                           ? telling[pick]
                                                           : static_cast<std::uint8_t>(random()));
            }
            const auto state = load_kernel(spoilt);
            if (state) {
                ++loaded;
                EXPECT_TRUE(memory.contains(kvm::Gpa(state->rip), 1)) << i;
            } else {
                EXPECT_FALSE(state.error().message.empty()) << i;
                EXPECT_EQ(state.error().message.find('\n'), std::string::npos) << i;
            }
        }
        EXPECT_GT(loaded, 0) << "then nothing but errors was tried";
        EXPECT_LT(loaded, 1500);
    }
};

TEST_F(Random, BzimageHeadersDoNoHarm) { spoil(bzimage(), 0x1f1, 0x26c); }

TEST_F(Random, ElfHeadersDoNoHarm) { spoil(elf64(), 4, elf64_headers + sizeof(Elf64_Phdr)); }

}  // namespace
}  // namespace vmm::test
