/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "twins.h"

/* Newer than some installed headers. */
#define SET_USER_MEMORY_REGION2 0x40a0ae49
#define SET_MEMORY_ATTRIBUTES 0x4020aed2

/* Kvm */
ANSWER(kvm_api_version, result_int, KVM_GET_API_VERSION, 0)
ANSWER(kvm_vcpu_mmap_size, result_size, KVM_GET_VCPU_MMAP_SIZE, 0)
struct result_u64* twin_kvm_mce_cap_supported(struct result_u64* result, const struct object* kvm) {
    result->value = 0;
    long answer = inline_ioctl(kvm->fd, KVM_X86_GET_MCE_CAP_SUPPORTED, (long)&result->value);
    CHECK(result, "KVM_X86_GET_MCE_CAP_SUPPORTED", answer)
    result->ok = true;
    return result;
}
struct result_bool* twin_kvm_check(struct result_bool* result, const struct object* kvm) {
    long answer = inline_ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD);
    CHECK(result, "KVM_CHECK_EXTENSION", answer)
    SUCCEED(result, (int)answer != 0);
}
ANSWER(kvm_check_extension, result_int, KVM_CHECK_EXTENSION, cap, int cap)

/* A VM, with a number of its own that no other VM of the process ever has. */
RESULT(result_vm, struct vm);
static uint64_t last_vm;
static inline struct result_vm* made_vm(struct result_vm* result, int kvm, int fd) {
    long size = inline_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (unlikely(size < 0)) {
        if (fd >= 0) {
            inline_syscall3(3, fd, 0, 0);
        }
        FAIL(result, "KVM_GET_VCPU_MMAP_SIZE", size);
    }
    uint64_t number = __atomic_add_fetch(&last_vm, 1, __ATOMIC_RELAXED);
    SUCCEED(result, (struct vm){fd, {number, 0, 0}, (size_t)(int)size});
}
struct result_vm* twin_kvm_create_vm(struct result_vm* result, const struct object* kvm,
                                     uint64_t type) {
    long fd;
    do {
        fd = inline_ioctl(kvm->fd, KVM_CREATE_VM, (long)type);
    } while (fd == -EINTR);
    CHECK(result, "KVM_CREATE_VM", fd)
    return made_vm(result, kvm->fd, (int)fd);
}
/* Vm */
ANSWER(vm_check, result_int, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS)
ANSWER(vm_check_extension, result_int, KVM_CHECK_EXTENSION, cap, int cap)
size_t twin_vm_vcpu_mmap_size(const struct vm* vm) { return vm->vcpu_mmap_size; }
RESULT(result_vcpu, struct vcpu);
struct result_vcpu* twin_vm_create_vcpu(struct result_vcpu* result, const struct vm* vm,
                                        uint32_t id) {
    long fd = inline_ioctl(vm->fd, KVM_CREATE_VCPU, id);
    if (unlikely(fd < 0)) {
        FAIL_AS(result, "KVM_CREATE_VCPU", (int)-fd, id);
    }
    long page = inline_syscall6(9, 0, (long)vm->vcpu_mmap_size, 3, 1, (int)fd, 0);
    if (unlikely(page < 0)) {
        inline_syscall3(3, (int)fd, 0, 0);
        FAIL(result, "mmap(vcpu)", page);
    }
    SUCCEED(result, (struct vcpu){(int)fd, (struct kvm_run*)page, vm->vcpu_mmap_size, 0});
}

/* Memory slots, which this file keeps account of as the library does. */
int slots_take_more(struct slots* slots, uint32_t slot); /* 0 or an errno */
void slots_drop_more(struct slots* slots, uint32_t slot);
static inline void slots_drop(struct slots* slots, uint32_t slot) {
    if (slot < 64) {
        __atomic_fetch_and(&slots->low, ~(UINT64_C(1) << slot), __ATOMIC_RELAXED);
    } else {
        slots_drop_more(slots, slot);
    }
}
static inline struct done* set_region(struct done* result, int fd,
                                      const struct kvm_userspace_memory_region* region) {
    long answer = inline_ioctl(fd, KVM_SET_USER_MEMORY_REGION, (long)region);
    if (unlikely(answer < 0)) {
        FAIL_AS(result, "KVM_SET_USER_MEMORY_REGION", (int)-answer, region->slot);
    }
    result->ok = true;
    return result;
}
RESULT(result_slot, struct slot);
static inline int slots_take(struct slots* slots, uint32_t slot) {
    if (unlikely(slot >= 64)) {
        return slots_take_more(slots, slot);
    }
    uint64_t bit = UINT64_C(1) << slot;
    return __atomic_fetch_or(&slots->low, bit, __ATOMIC_RELAXED) & bit ? EEXIST : 0;
}
struct result_slot* twin_vm_add_memory(struct result_slot* result, struct vm* vm, uint32_t slot,
                                       uint64_t address, struct span memory) {
    int taken = slots_take(&vm->slots, slot);
    if (unlikely(taken)) {
        FAIL_AS(result, "KVM_SET_USER_MEMORY_REGION", taken, slot);
    }
    struct kvm_userspace_memory_region region = {slot, 0, address, memory.size,
                                                 (uint64_t)memory.data};
    long answer = inline_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, (long)&region);
    if (unlikely(answer < 0)) {
        slots_drop(&vm->slots, slot);
        FAIL_AS(result, "KVM_SET_USER_MEMORY_REGION", (int)-answer, slot);
    }
    SUCCEED(result, (struct slot){vm->slots.vm, slot, 0, address, memory});
}
#define CHECK_SLOT(result, name, vm_, slot_)                                                       \
    if ((slot_)->vm != (vm_)->slots.vm || (slot_)->vm == 0) {                                      \
        FAIL_AS(result, name, EBADF, (slot_)->id);                                                 \
    }
struct done* twin_vm_remove_memory(struct done* result, struct vm* vm, struct slot* slot) {
    CHECK_SLOT(result, "KVM_SET_USER_MEMORY_REGION", vm, slot)
    struct kvm_userspace_memory_region region = {slot->id, 0, slot->address, 0, 0};
    if (set_region(result, vm->fd, &region)->ok) {
        slot->vm = 0;
        slots_drop(&vm->slots, slot->id);
    }
    return result;
}
struct done* twin_vm_set_memory_flags(struct done* result, struct vm* vm, struct slot* slot,
                                      uint32_t flags) {
    CHECK_SLOT(result, "KVM_SET_USER_MEMORY_REGION", vm, slot)
    struct kvm_userspace_memory_region region = {slot->id, flags, slot->address, slot->memory.size,
                                                 (uint64_t)slot->memory.data};
    if (set_region(result, vm->fd, &region)->ok) {
        slot->flags = flags;
    }
    return result;
}
struct done* twin_vm_move_memory(struct done* result, struct vm* vm, struct slot* slot,
                                 uint64_t address) {
    CHECK_SLOT(result, "KVM_SET_USER_MEMORY_REGION", vm, slot)
    struct kvm_userspace_memory_region region = {slot->id, slot->flags, address, slot->memory.size,
                                                 (uint64_t)slot->memory.data};
    if (set_region(result, vm->fd, &region)->ok) {
        slot->address = address;
    }
    return result;
}
/* A region begins with its slot. */
#define SET_UNTAKEN(name, OP, what)                                                                \
    struct done* twin_##name(struct done* result, struct vm* vm, const uint32_t* region) {         \
        long answer = -slots_take(&vm->slots, *region);                                            \
        if (!unlikely(answer)) {                                                                   \
            answer = inline_ioctl(vm->fd, OP, (long)region);                                       \
            slots_drop(&vm->slots, *region);                                                       \
        }                                                                                          \
        if (unlikely(answer < 0)) {                                                                \
            FAIL_AS(result, what, (int)-answer, *region);                                          \
        }                                                                                          \
        result->ok = true;                                                                         \
        return result;                                                                             \
    }
SET_UNTAKEN(vm_set_user_memory_region, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION")
SET_UNTAKEN(vm_set_user_memory_region2, SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2")
struct done* twin_vm_dirty_log(struct done* result, struct vm* vm, const struct slot* slot,
                               struct span bitmap) {
    CHECK_SLOT(result, "KVM_GET_DIRTY_LOG", vm, slot)
    if (bitmap.size < (slot->memory.size / 4096 + 63) / 64) {
        FAIL_AS(result, "KVM_GET_DIRTY_LOG", EMSGSIZE, slot->id);
    }
    struct kvm_dirty_log log = {.slot = slot->id, .dirty_bitmap = bitmap.data};
    return done(result, "KVM_GET_DIRTY_LOG", inline_ioctl(vm->fd, KVM_GET_DIRTY_LOG, (long)&log));
}
struct done* twin_vm_clear_dirty_log(struct done* result, struct vm* vm, const struct slot* slot,
                                     uint64_t first, uint32_t pages, struct span bitmap) {
    CHECK_SLOT(result, "KVM_CLEAR_DIRTY_LOG", vm, slot)
    if (bitmap.size < ((uint64_t)pages + 63) / 64) {
        FAIL_AS(result, "KVM_CLEAR_DIRTY_LOG", EMSGSIZE, slot->id);
    }
    struct kvm_clear_dirty_log log = {slot->id, pages, first, {.dirty_bitmap = bitmap.data}};
    return done(result, "KVM_CLEAR_DIRTY_LOG",
                inline_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, (long)&log));
}
ANSWER(vm_reset_dirty_rings, result_u32, KVM_RESET_DIRTY_RINGS, 0)
struct memory_attributes {
    uint64_t address, size, attributes, flags;
};
MADE(vm_set_memory_attributes, SET_MEMORY_ATTRIBUTES,
     ((struct memory_attributes){address, size, attributes, 0}), uint64_t address, uint64_t size,
     uint64_t attributes)

/* Interrupts */
NONE(vm_create_irqchip, KVM_CREATE_IRQCHIP)
MADE(vm_irq_line, KVM_IRQ_LINE, ((struct kvm_irq_level){{gsi}, level}), uint32_t gsi,
     uint32_t level)
struct result_int* twin_vm_irq_line_status(struct result_int* result, const struct object* vm,
                                           uint32_t gsi, uint32_t level) {
    struct kvm_irq_level line = {{gsi}, level};
    long answer = inline_ioctl(vm->fd, KVM_IRQ_LINE_STATUS, (long)&line);
    CHECK(result, "KVM_IRQ_LINE_STATUS", answer)
    SUCCEED(result, line.status);
}
SET_LIST(vm_set_gsi_routing, KVM_SET_GSI_ROUTING, 0)
struct result_bool* twin_vm_signal_msi(struct result_bool* result, const struct object* vm,
                                       const struct kvm_msi* msi) {
    long answer = inline_ioctl(vm->fd, KVM_SIGNAL_MSI, (long)msi);
    CHECK(result, "KVM_SIGNAL_MSI", answer)
    SUCCEED(result, (int)answer > 0);
}
#define IRQFD(name, flag, resample, ...)                                                           \
    MADE(name, KVM_IRQFD,                                                                          \
         ((struct kvm_irqfd){                                                                      \
             .fd = (uint32_t)fd, .gsi = gsi, .flags = flag, .resamplefd = resample}),              \
         int fd, uint32_t gsi __VA_OPT__(, ) __VA_ARGS__)
IRQFD(vm_add_irqfd, 0, 0)
IRQFD(vm_add_irqfd_resample, KVM_IRQFD_FLAG_RESAMPLE, (uint32_t)resample_fd, int resample_fd)
IRQFD(vm_remove_irqfd, KVM_IRQFD_FLAG_DEASSIGN, 0)

/* I/O: an address of a port or of memory, and what is matched: any length, a length, a value. */
struct address {
    uint64_t value;
    bool is_port;
};
enum match_kind { match_any, match_length, match_value };
struct match {
    enum match_kind kind;
    uint32_t length;
    uint64_t value;
};
static inline struct done* ioeventfd(struct done* result, int vm, int fd, struct address address,
                                     struct match match, uint32_t flags) {
    uint32_t n = match.length;
    if (match.kind != match_any && n != 1 && n != 2 && n != 4 && n != 8) {
        FAIL_AS(result, "KVM_IOEVENTFD", EINVAL, n);
    }
    if (address.is_port) {
        flags |= KVM_IOEVENTFD_FLAG_PIO;
    }
    if (match.kind == match_value) {
        flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    }
    struct kvm_ioeventfd argument = {
        .datamatch = match.value, .addr = address.value, .len = n, .fd = fd, .flags = flags};
    return done(result, "KVM_IOEVENTFD", inline_ioctl(vm, KVM_IOEVENTFD, (long)&argument));
}
struct done* twin_vm_add_ioeventfd(struct done* result, const struct object* vm, int fd,
                                   struct address address, struct match match) {
    return ioeventfd(result, vm->fd, fd, address, match, 0);
}
struct done* twin_vm_remove_ioeventfd(struct done* result, const struct object* vm, int fd,
                                      struct address address, struct match match) {
    return ioeventfd(result, vm->fd, fd, address, match, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
#define ZONE ((struct kvm_coalesced_mmio_zone){address.value, size, {address.is_port}})
MADE(vm_register_coalesced_mmio, KVM_REGISTER_COALESCED_MMIO, ZONE, struct address address,
     uint32_t size)
MADE(vm_unregister_coalesced_mmio, KVM_UNREGISTER_COALESCED_MMIO, ZONE, struct address address,
     uint32_t size)

struct result_int* twin_vm_create_device(struct result_int* result, const struct object* vm,
                                         uint32_t type) {
    struct kvm_create_device device = {.type = type};
    long answer = inline_ioctl(vm->fd, KVM_CREATE_DEVICE, (long)&device);
    if (answer < 0) {
        FAIL_AS(result, "KVM_CREATE_DEVICE", (int)-answer, type);
    }
    SUCCEED(result, (int)device.fd);
}
struct result_bool* twin_vm_has_device(struct result_bool* result, const struct object* vm,
                                       uint32_t type) {
    struct kvm_create_device device = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};
    long answer = inline_ioctl(vm->fd, KVM_CREATE_DEVICE, (long)&device);
    if (answer < 0 && answer != -ENODEV) {
        FAIL(result, "KVM_CREATE_DEVICE", answer);
    }
    SUCCEED(result, answer >= 0);
}
MADE(vm_enable, KVM_ENABLE_CAP,
     ((struct kvm_enable_cap){.cap = KVM_CAP_X86_DISABLE_EXITS, .args = {exits}}), uint32_t exits)
MADE(vm_enable_cap, KVM_ENABLE_CAP, ((struct kvm_enable_cap){.cap = (uint32_t)cap, .args = {a}}),
     int cap, uint64_t a)

/* x86_64 */
NUMBER(vm_set_tss_addr, KVM_SET_TSS_ADDR, uint64_t)
MADE(vm_set_identity_map_addr, KVM_SET_IDENTITY_MAP_ADDR, address, uint64_t address)
RESULT(result_irqchip, struct kvm_irqchip);
struct result_irqchip* twin_vm_irqchip(struct result_irqchip* result, const struct object* vm,
                                       uint32_t id) {
    result->value = (struct kvm_irqchip){.chip_id = id};
    long answer = inline_ioctl(vm->fd, KVM_GET_IRQCHIP, (long)&result->value);
    CHECK(result, "KVM_GET_IRQCHIP", answer)
    result->ok = true;
    return result;
}
SET(vm_set_irqchip, KVM_SET_IRQCHIP)
MADE(vm_create_pit2, KVM_CREATE_PIT2, ((struct kvm_pit_config){.flags = flags}), uint32_t flags)
GET(vm_pit2, KVM_GET_PIT2, struct kvm_pit_state2)
SET(vm_set_pit2, KVM_SET_PIT2)
MADE(vm_reinject_control, KVM_REINJECT_CONTROL,
     ((struct kvm_reinject_control){.pit_reinject = (uint8_t)reinject}), uint64_t reinject)
NUMBER(vm_set_boot_cpu_id, KVM_SET_BOOT_CPU_ID, uint32_t)
NONE(vm_create_pit, KVM_CREATE_PIT)
RESULT(result_pit, struct kvm_pit_state);
struct result_pit* twin_vm_pit(struct result_pit* result, const struct object* vm) {
    result->value = (struct kvm_pit_state){0};
    long answer = inline_ioctl(vm->fd, KVM_GET_PIT, (long)&result->value);
    CHECK(result, "KVM_GET_PIT", answer)
    result->ok = true;
    return result;
}
SET(vm_set_pit, KVM_SET_PIT)
ANSWER(vm_nr_mmu_pages, result_u64, KVM_GET_NR_MMU_PAGES, 0)
NUMBER(vm_set_nr_mmu_pages, KVM_SET_NR_MMU_PAGES, uint64_t)
SET_LIST(vm_set_pmu_event_filter, KVM_SET_PMU_EVENT_FILTER, 1)
MADE(vm_add_hyperv_eventfd, KVM_HYPERV_EVENTFD,
     ((struct kvm_hyperv_eventfd){connection, fd, 0, {0}}), uint32_t connection, int fd)
MADE(vm_remove_hyperv_eventfd, KVM_HYPERV_EVENTFD,
     ((struct kvm_hyperv_eventfd){connection, -1, KVM_HYPERV_EVENTFD_DEASSIGN, {0}}),
     uint32_t connection)
SET(vm_xen_hvm_config, KVM_XEN_HVM_CONFIG)
RESULT(result_xen_hvm_attr, struct kvm_xen_hvm_attr);
struct result_xen_hvm_attr* twin_vm_xen_hvm_attr(struct result_xen_hvm_attr* result,
                                                 const struct object* vm, uint16_t type) {
    result->value = (struct kvm_xen_hvm_attr){.type = type};
    long answer = inline_ioctl(vm->fd, KVM_XEN_HVM_GET_ATTR, (long)&result->value);
    CHECK(result, "KVM_XEN_HVM_GET_ATTR", answer)
    result->ok = true;
    return result;
}
SET(vm_set_xen_hvm_attr, KVM_XEN_HVM_SET_ATTR)
SET(vm_xen_hvm_evtchn_send, KVM_XEN_HVM_EVTCHN_SEND)
MADE(vm_register_encrypted_memory, KVM_MEMORY_ENCRYPT_REG_REGION,
     ((struct kvm_enc_region){(uint64_t)memory.data, memory.size}), struct span memory)
MADE(vm_unregister_encrypted_memory, KVM_MEMORY_ENCRYPT_UNREG_REGION,
     ((struct kvm_enc_region){(uint64_t)memory.data, memory.size}), struct span memory)
GET(vm_clock, KVM_GET_CLOCK, struct kvm_clock_data)
SET(vm_set_clock, KVM_SET_CLOCK)
ANSWER(vm_tsc_khz, result_u32, KVM_GET_TSC_KHZ, 0)
NUMBER(vm_set_tsc_khz, KVM_SET_TSC_KHZ, uint32_t)

int main(void) { return 0; }
