# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# The VMMs of l2boot. Read by inside.

append="console=ttyS0 quiet reboot=t panic=-1 mitigations=off no_timer_check tsc=reliable"
append+=" cryptomgr.notests rcupdate.rcu_expedited=1"

command_of() {
    local ours=(--initrd initrd --cmdline "$append" --memory 256M)
    case $1 in
    kvmxx) command=(./kvmxx run --kernel vmlinux "${ours[@]}") ;;
    kvmxx-bzimage) command=(./kvmxx run --kernel bzimage "${ours[@]}") ;;
    qemu-microvm) command=("${qemu[@]}" -append "$append" -M microvm,acpi=off,rtc=on -kernel vmlinux) ;;
    qemu-microvm-bzimage) command=("${qemu[@]}" -append "$append" -M microvm,acpi=off,rtc=on -kernel bzimage) ;;
    qemu-pc) command=("${qemu[@]}" -append "$append" -M pc -kernel vmlinux) ;;
    qemu-start) command=(./qemu-system-x86_64 --version) ;;
    kvmxx-start) command=(./kvmxx --version) ;;
    *) return 1 ;;
    esac
}
