// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <memory>
#include <vector>

namespace vmm::block {

/// A device's requests, which are used again and again: as many as were in use at once.
template <class Job>
class Pool {
public:
    /// One as it was when it was given back, or a new one.
    Job& take() {
        if (free_.empty()) {
            all_.push_back(std::make_unique<Job>());
            free_.push_back(all_.back().get());
        }
        Job& job = *free_.back();
        free_.pop_back();
        return job;
    }
    void give_back(Job& job) { free_.push_back(&job); }

private:
    std::vector<std::unique_ptr<Job>> all_;
    std::vector<Job*> free_;
};

}  // namespace vmm::block
