// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <kvm/memslot.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vmm/nvme/namespace.hpp>
#include <vmm/nvme/state.hpp>

namespace vmm::nvme {

/// What a controller asks of the bus that it is on. On the reactor.
class Link {
public:
    /// Sends the message of a vector.
    virtual void signal(std::uint16_t vector) = 0;
    /// Whether it interrupts by messages; else it does by a pin.
    virtual bool has_messages() const = 0;
    virtual void set_pin(kvm::Level level) = 0;
    /// Writes to the doorbell of that submission queue need no value from now on, and may signal
    /// `bell`, which is borrowed; with none, not any more.
    virtual void connect(std::uint16_t queue, std::optional<kvm::FdRef> bell) = 0;

protected:
    ~Link() = default;
};

/// An NVMe controller with one namespace: its registers, its queues, the admin commands. A driver
/// that breaks the rules beyond what a status can say gets CSTS.CFS, and the log one line: then
/// the controller does nothing until the driver resets it.
class Controller final : private Namespace::Owner {
public:
    struct Options {
        std::string serial{};      ///< at most 20 bytes
        std::string identity{};    ///< any text: what tells its UUID from those of others
        std::uint16_t queues = 1;  ///< pairs of I/O queues, 1 to 64
    };
    struct Parts {
        const GuestMemory& memory;
        Reactor& reactor;
        Link& link;
        Log log;
    };
    static constexpr std::uint16_t most_queues = 64;
    static constexpr std::uint32_t most_entries = 1024;  ///< of an I/O queue
    static constexpr std::size_t most_event_requests = 4;
    static constexpr std::size_t most_errors = 4;  ///< that it remembers
    static constexpr std::uint64_t registers_size = 0x2000;

    /// The disk is on the reactor; all parts outlive the controller. Errors: EINVAL (a serial that
    /// is too long, too many queues), EMFILE.
    static Result<std::unique_ptr<Controller>> create(std::unique_ptr<block::Disk> disk,
                                                      const Options& options, Parts parts);
    ~Controller();

    std::string_view name() const { return namespace_.name(); }
    /// One for each I/O queue, and the admin queue's.
    std::uint16_t vectors() const { return static_cast<std::uint16_t>(options_.queues + 1); }

    /// What its disk has done; on the reactor.
    std::vector<Statistic> statistics() const { return block::statistics(namespace_.counters()); }

    /// Accesses to registers and doorbells, any bytes anywhere; by any thread.
    void read(std::uint64_t offset, std::span<std::byte> data);
    void write(std::uint64_t offset, std::span<const std::byte> data);
    /// Link::has_messages() is another.
    void messages_changed();

    /// The controller, frozen: with the machine paused. What is under way is waited for.
    ControllerState save();
    /// Goes on from there, one that was used for nothing yet. Errors: EINVAL (not a state of such
    /// a controller, or not in this memory).
    Result<void> restore(const ControllerState& state);

private:
    struct Submission;
    struct Completions;
    struct Answer {
        Status status = Status::success;
        std::uint32_t result = 0;
    };
    using MaybeAnswer = std::optional<Answer>;

    Controller(std::unique_ptr<block::Disk> disk, const Options& options, Parts parts);

    // Life: src/vmm/nvme/controller.cpp
    std::uint64_t read_register(std::uint64_t offset) const;
    void write_register(std::uint64_t offset, std::size_t size, std::uint64_t value);
    void configure(std::uint32_t value);
    Result<void> check_configuration() const;
    void start();
    void reset();
    void shut_down();
    void fail_for_good(std::string_view why);
    bool alive() const;

    // Queues: src/vmm/nvme/queues.cpp
    Result<void> check_queue(const QueueState& queue, std::uint64_t entry_size) const;
    void add_submission(const SubmissionState& state);
    void add_completion(const CompletionState& state);
    void remove_submission(std::uint16_t id);
    void remove_completion(std::uint16_t id);
    bool tell(kvm::Gpa page, std::uint32_t index, std::uint32_t value);
    std::optional<std::uint32_t> told(std::uint32_t index);
    bool begin_buffers(Submission& queue);
    bool begin_buffers(Completions& queue);
    void connect(Submission& queue);
    void ring(std::uint64_t index, std::uint32_t value);
    void bad_doorbell(std::uint8_t what, std::uint64_t index, std::uint32_t value);
    bool accept_head(Completions& queue, std::uint32_t head);
    bool accept_tail(Submission& queue, std::uint32_t tail);
    bool find_tail(Submission& queue);
    bool read_head(Completions& queue);
    void find_head(Completions& queue);
    bool has_room(Completions& queue);
    void serve(std::uint16_t id);
    void serve_all();
    bool serve_one(Submission& queue);
    void post(Ticket ticket, const Answer& answer);
    void announce();
    void update_pin();
    // src/vmm/nvme/restore.cpp
    Result<void> check(const ControllerState& state) const;

    // Namespace::Owner.
    void finished(Ticket ticket, Status status) override;
    void finished_some() override;

    // Admin commands: src/vmm/nvme/admin.cpp
    MaybeAnswer administer(const Command& command);
    Status create_submission(const Command& command);
    Status create_completion(const Command& command);
    Status delete_submission(const Command& command);
    Status delete_completion(const Command& command);
    Status set_doorbell_buffers(const Command& command);
    Answer abort(const Command& command);
    MaybeAnswer request_event(const Command& command);
    void report_event(std::uint32_t event);
    void deliver_event();
    Status give(const Command& command, std::span<const std::byte> data);
    // src/vmm/nvme/identify.cpp
    Status identify(const Command& command);
    // src/vmm/nvme/logs.cpp
    Status get_log_page(const Command& command);
    void note_error(Ticket ticket, Status status);
    // src/vmm/nvme/features.cpp
    MaybeAnswer set_feature(const Command& command);
    Answer get_feature(const Command& command) const;

    Options options_;
    Parts parts_;
    Namespace namespace_;
    std::optional<Reactor::Timer> again_;  // always, once created
    ControllerState state_;                // but of the queues
    // By id; 0 are the admin's.
    std::vector<std::unique_ptr<Submission>> submissions_;
    std::vector<std::unique_ptr<Completions>> completions_;
    LogLimit failures_, bad_doorbells_;
};

}  // namespace vmm::nvme
