// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "virtio_device.hpp"

#include <deque>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/virtio/vsock.hpp>

namespace {

using namespace vmm;

/// Who talks on the host.
struct Outside {
    std::deque<kvm::Fd> peers;

    /// Gone with the program.
    struct Directory {
        std::string path = (std::filesystem::temp_directory_path() / "kvmxx-fuzz-XXXXXX").string();
        Directory() {
            if (!::mkdtemp(path.data())) {
                std::abort();
            }
        }
        ~Directory() { std::filesystem::remove_all(path); }
    };
    static const std::string& directory() {
        static const Directory made;
        return made.path;
    }
    static const ListeningSocket& listener() {
        static const auto made = fuzz::check(ListeningSocket::create(directory() + "/v_7"));
        return made;
    }
    void act(fuzz::Records& input) {
        constexpr std::size_t most = 8;
        const auto what = input.next<std::uint8_t>();
        if (what % 4 == 0) {
            kvm::Fd fd = make_socket();
            (void)connect_socket(fd, directory() + "/v");
            peers.push_back(std::move(fd));
        } else if (what % 4 == 1) {
            if (kvm::Fd fd = listener().accept(); fd.valid()) {
                peers.push_back(std::move(fd));
            }
        } else if (what % 4 == 2 && !peers.empty()) {
            peers.pop_front();
        } else if (!peers.empty()) {
            const auto text = input.bytes(input.next<std::uint8_t>());
            (void)::send(peers.back().number(), text.data(), text.size(),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
            std::array<std::byte, 256> heard;
            (void)::recv(peers.back().number(), heard.data(), heard.size(), MSG_DONTWAIT);
        }
        if (peers.size() > most) {
            peers.pop_front();
        }
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)Outside::listener();
    Outside outside;
    const auto make = [] {
        // Two devices cannot have the same path, and where there are two, one is new.
        auto device = virtio::Vsock::create({3, Outside::directory() + "/v"});
        return device ? std::move(*device)
                      : fuzz::check(virtio::Vsock::create({3, Outside::directory() + "/w"}));
    };
    const int done = fuzz::run(std::as_bytes(std::span(data, size)), make,
                               [&](virtio::Vsock&, fuzz::Records& input) { outside.act(input); });
    while (Outside::listener().accept().valid()) {
    }
    return done;
}
