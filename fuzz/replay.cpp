// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A fuzz target without a fuzzer: tries the files of the given directories, and of each a few
// hundred changes, the same in every run.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int changes = 300;

void change(std::vector<std::uint8_t>& input, std::mt19937_64& random) {
    for (auto times = 1 + random() % 8; times > 0; --times) {
        const std::size_t at = input.empty() ? 0 : random() % input.size();
        const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
        switch (random() % 4) {
            case 0:
                input.insert(place, static_cast<std::uint8_t>(random()));
                break;
            case 1:
                if (!input.empty()) {
                    input.erase(place);
                }
                break;
            default:
                if (!input.empty()) {
                    input[at] = static_cast<std::uint8_t>(random());
                }
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    int seeds = 0;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::vector<std::uint8_t> seed(std::istreambuf_iterator<char>(file), {});
            LLVMFuzzerTestOneInput(seed.data(), seed.size());
            std::mt19937_64 random(seed.size());
            std::vector<std::uint8_t> input = seed;
            for (int n = 0; n < changes; ++n) {
                if (n % 10 == 0) {
                    input = seed;
                }
                change(input, random);
                LLVMFuzzerTestOneInput(input.data(), input.size());
            }
            ++seeds;
        }
    }
    std::printf("%d seeds, %d changes of each\n", seeds, changes);
    return seeds > 0 ? 0 : 1;
}
