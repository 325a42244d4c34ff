#!/bin/sh
# Runs once, in the new system: what a guest starts, and what it had better not.
set -eu

systemctl enable --quiet ssh.service hatester-network.service hatester-ready.service
# Whatever runs by itself would run during a measurement, and each of them delays the boot.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer man-db.timer systemd-tmpfiles-clean.timer \
    getty.target serial-getty@ttyS0.service getty@tty1.service console-getty.service \
    e2scrub_reap.service systemd-networkd.service systemd-networkd.socket \
    systemd-networkd-wait-online.service systemd-resolved.service systemd-timesyncd.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    networking.service ssh.socket haproxy.service
mkdir -p /usr/lib/modules  # where the initramfs mounts them
ln -sf /proc/mounts /etc/mtab
echo guest >/etc/hostname
