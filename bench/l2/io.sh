# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# The machines of l2io: NAME is VMM:NET:JOB=N,JOB=N. Read by inside.

# What they share on this machine: an image in memory, filled; the other end of streams.
head -c 64M /dev/zero >disk.img
./peer &
trap 'kill $!' EXIT
if modprobe tun 2>/dev/null; then
    ip tuntap add tap0 mode tap
    ip address add 10.0.2.2/24 dev tap0
    ip link set tap0 up
fi
ip link set lo up

command_of() {
    local vmm net jobs
    IFS=: read -r vmm net jobs <<<"$1"
    local line="console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable cryptomgr.notests"
    line+=" jobs=${jobs//=/:}"
    local drive=(-drive "file=disk.img,format=raw,if=none,id=disk,aio=io_uring")
    local ours=(./kvmxx run --kernel vmlinux --initrd initrd --memory 256M --disk path=disk.img --cmdline "$line")
    local theirs=("${qemu[@]}" -kernel vmlinux "${drive[@]}" -append "$line reboot=t")
    case $net in
    tap)
        ours+=(--net tap=tap0)
        theirs+=(-netdev "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off")
        ;;
    user)
        ours+=(--net user)
        theirs+=(-netdev user,id=net)
        ;;
    *) return 1 ;;
    esac
    case $vmm in
    kvmxx-mmio) command=("${ours[@]}") ;;
    kvmxx-pci) command=("${ours[@]}" --virtio-transport pci) ;;
    kvmxx-nvme) command=("${ours[@]/path=disk.img/path=disk.img,bus=nvme}" --virtio-transport pci) ;;
    qemu-nvme) command=("${theirs[@]}" -M q35 -device nvme,drive=disk,serial=l2io
        -device virtio-net-pci,netdev=net,disable-legacy=on,romfile=) ;;
    qemu-mmio) command=("${theirs[@]}" -M microvm,rtc=on -bios qboot.rom -global virtio-mmio.force-legacy=false
        -device virtio-blk-device,drive=disk -device virtio-net-device,netdev=net) ;;
    qemu-pci*) command=("${theirs[@]}" -M q35 -device virtio-blk-pci,drive=disk,disable-legacy=on
        -device virtio-net-pci,netdev=net,disable-legacy=on,romfile=) ;;
    *) return 1 ;;
    esac
    case $vmm in
    *-threads) command=("${command[@]/aio=io_uring/aio=threads}") ;;
    esac
}
