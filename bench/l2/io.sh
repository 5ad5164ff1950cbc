# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# The jobs of l2io: NAME is VMM:JOB:N. Read by inside.

command_of() {
    local vmm job n
    IFS=: read -r vmm job n <<<"$1"
    local line="console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable cryptomgr.notests"
    line+=" job=$job n=$n"
    truncate -s 64M disk.img
    local drive=(-drive "file=disk.img,format=raw,if=none,id=disk,aio=${vmm##*-}")
    local ours=(./kvmxx run --kernel vmlinux --initrd initrd --memory 256M --disk path=disk.img)
    case $vmm in
    kvmxx-mmio) command=("${ours[@]}" --cmdline "$line") ;;
    kvmxx-pci) command=("${ours[@]}" --virtio-transport pci --cmdline "$line") ;;
    kvmxx-nvme) command=("${ours[@]},bus=nvme" --cmdline "$line") ;;
    qemu-nvme-*) command=("${qemu[@]}" -M q35 -kernel vmlinux "${drive[@]}"
        -device nvme,drive=disk,serial=l2io -append "$line reboot=t") ;;
    qemu-pci-*) command=("${qemu[@]}" -M q35 -kernel vmlinux "${drive[@]}"
        -device virtio-blk-pci,drive=disk,disable-legacy=on -append "$line reboot=t") ;;
    *) return 1 ;;
    esac
}
