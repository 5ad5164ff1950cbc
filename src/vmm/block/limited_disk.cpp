// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <cerrno>
#include <kvm/try.hpp>
#include <vmm/block/disk.hpp>

namespace vmm::block {

namespace {

/// What a request counts for: bytes that the host may have to read or write.
std::uint64_t cost(const Request& request) {
    return request.operation == Operation::discard ? 0 : request.length;
}

}  // namespace

Result<std::unique_ptr<LimitedDisk>> LimitedDisk::create(std::unique_ptr<Disk> disk,
                                                         const RateLimits& limits,
                                                         Reactor& reactor) {
    std::unique_ptr<LimitedDisk> limited(new LimitedDisk(std::move(disk)));
    limited->limiter_.emplace(
        KVM_TRY(RateLimiter::create(limits, reactor, [raw = limited.get()] { raw->again(); })));
    return limited;
}

void LimitedDisk::set_client(Client* client) {
    client_ = client;
    disk_->set_client(client);
}

void LimitedDisk::submit(Request& request) {
    if (waiting_.empty() && limiter_->admit(cost(request))) {
        disk_->submit(request);
    } else {
        waiting_.push_back(&request);
    }
}

void LimitedDisk::again() {
    while (!waiting_.empty() && limiter_->admit(cost(*waiting_.front()))) {
        disk_->submit(*waiting_.front());
        waiting_.pop_front();
    }
    disk_->kick();
}

void LimitedDisk::drain(Waiting waiting) {
    const std::vector<Request*> rest(waiting_.begin(), waiting_.end());
    waiting_.clear();
    for (Request* const request : rest) {
        if (waiting == Waiting::finish) {
            disk_->submit(*request);
        } else {
            request->error = ECANCELED;
        }
    }
    if (waiting == Waiting::cancel && client_ && !rest.empty()) {
        client_->completed(rest);
    }
    disk_->drain(waiting);
}

Result<std::unique_ptr<Disk>> create_disk(Image image, EngineKind kind, const RateLimits& limits,
                                          Reactor& reactor, Log log) {
    const std::string path = image.path();
    auto engine = create_engine(kind);
    if (!engine) {
        return fail(path + ": " + engine.error().message, engine.error().code);
    }
    std::unique_ptr<Disk> disk =
        KVM_TRY(FileDisk::create(std::move(image), std::move(*engine), reactor, std::move(log)));
    if (limits == RateLimits{}) {
        return disk;
    }
    return LimitedDisk::create(std::move(disk), limits, reactor);
}

}  // namespace vmm::block
