// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <cerrno>
#include <functional>
#include <kvm/kvm.hpp>
#include <kvm/throw.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace kvm::test {

/// Answers the library's system calls in the kernel's place: no /dev/kvm is needed. Every call
/// succeeds, but for the one that the test wants to fail. Keeps account of what is open and mapped;
/// a mapping's last page counts as one that is not there, as behind a dirty ring.
class FakeKernel {
public:
    /// From now on, until its end, this is the kernel.
    FakeKernel();
    ~FakeKernel();
    FakeKernel(const FakeKernel&) = delete;
    FakeKernel& operator=(const FakeKernel&) = delete;

    /// A system call: what it is, and its arguments. close and munmap are not among calls().
    struct Call {
        long nr;
        u32 request;  // of an ioctl, else 0
        long args[6];
    };
    /// Calls since the last forget().
    const std::vector<Call>& calls() const { return calls_; }
    void forget() { calls_.clear(); }
    /// The call that comes `n` calls after now, counted from 0, fails with `error`. Once.
    void fail(std::size_t n, int error) {
        fail_at_ = calls_.size() + n;
        error_ = error;
    }
    /// Asked before anything else: true if it has filled in the result.
    std::function<bool(const Call&, long& result)> instead;

    struct Account {
        std::set<int> open;
        std::map<long, long> mapped;
        friend bool operator==(const Account&, const Account&) = default;
    };
    /// What is open and mapped now.
    const Account& account() const { return account_; }
    /// What was closed or unmapped without being open or mapped (a double close, a wrong length).
    const std::vector<std::string>& mistakes() const { return mistakes_; }

    bool answer(long nr, const long (&args)[6], long& result);

private:
    long succeed(const Call& call);
    long succeed_ioctl(const Call& call);
    long open();
    long map(long size);
    bool is_last_page(long address) const;
    void close(int fd);
    void unmap(long address, long size);

    std::vector<Call> calls_;
    std::size_t fail_at_ = ~std::size_t(0);
    int error_ = 0;
    Account account_;
    std::vector<std::string> mistakes_;
    int next_fd_ = 1'000'000;  // no real descriptor has such a number
};

/// The argument of an ioctl that reads or writes a T.
template <class T>
T& argument(const FakeKernel::Call& call) {
    return *reinterpret_cast<T*>(call.args[2]);
}

}  // namespace kvm::test
