require "json"
require "open3"
require "securerandom"

require_relative "monitor"

module HatesterQemu
  # The QEMU process of one machine, with its disk and logs in the machine's folder.
  class Driver
    # An emulated processor has no x2APIC, which QEMU 9 and later cannot read under -icount (its issue 4779),
    # and none of the instructions that clear or copy memory byte by byte, which are the slowest there.
    PROCESSOR = { "tcg" => %w[-cpu max,-la57,-x2apic,-erms,-fsrm], "kvm" => %w[-cpu host] }.freeze
    ACCELERATOR = { "tcg" => %w[-accel tcg,thread=multi,tb-size=128], "kvm" => %w[-accel kvm] }.freeze
    # One instruction takes a nanosecond, and time that all processors spend idle is skipped (QEMU's
    # docs/devel/tcg-icount.rst; what `sleep` means was reversed in older manuals). Random numbers that QEMU
    # gives the guest are the same each time.
    VIRTUAL_CLOCK = %w[
      -accel tcg,thread=single,tb-size=128 -icount shift=0,sleep=off,align=off -seed 0
    ].freeze
    # Linux 6.12 and later crash under TCG when they use cmpxchg16b themselves. HAProxy 2.2 needs
    # the instruction, so the processor keeps it: it is hidden from the kernel alone, by the number
    # of X86_FEATURE_CX16 in arch/x86/include/asm/cpufeatures.h (4*32 + 13). On a busy host the
    # check of the timer fails now and then, and the guest would hang; under KVM Linux skips it.
    # All processors share one time stamp counter, which Linux cannot know; to read it is cheaper by
    # far than any other clock. An emulated processor does not speculate. QEMU uses its translation of a
    # program again if the program is loaded to the same addresses.
    KERNEL_OPTIONS = {
      "tcg" => "clearcpuid=141 no_timer_check tsc=reliable mitigations=off norandmaps",
      "kvm" => "",
    }.freeze
    # No system calls that a guest never needs, and no program with more privileges (no_new_privs of
    # prctl(2)). The rest cannot be denied: to daemonize, QEMU forks and begins a session, and what
    # saves and loads the state of its devices is a program.
    SANDBOX = "on,obsolete=deny,resourcecontrol=deny".freeze
    # Addresses that are reserved for benchmarks (RFC 2544), so that no configuration of HAProxy needs them.
    NETWORK = "198.19.255.0/24".freeze
    ADDRESS = "198.19.255.15".freeze
    SSH_PORT = 65_522
    READY = "hatester-ready ".freeze
    # The files of a saved guest, in the folder that the configuration calls `ready`.
    READY_DISK = "disk.qcow2"
    READY_MEMORY = "memory"
    READY_DEVICES = "devices"
    ANSWER_SECONDS = 10
    STOP_SECONDS = 10
    SNAPSHOT_SECONDS = 300
    POLL = 0.2
    # A panic takes as many.
    TAIL_LINES = 40
    # Escape sequences (ECMA-48) and control characters, by which a guest could write to the user's terminal.
    CONTROLS = /\e\[[0-?]*[ -\/]*[@-~]|[[:cntrl:]&&[^\t\n]]/

    def initialize(machine)
      @machine = machine
      @patience = ANSWER_SECONDS
    end

    def state
      return :poweroff unless alive?

      status = monitor(@patience) { |qmp| qmp.execute("query-status")["status"] }
      # The one comes from `-S`, the other from a command; otherwise they are the same.
      status == "prelaunch" ? :paused : status.tr("-", "_").to_sym
    rescue Monitor::Unreachable
      # Vagrant asks for the state ten times in one command.
      @patience = 0.5
      alive? ? :unresponsive : :poweroff
    end

    def alive?
      pids.any?
    end

    # The host's port of the guest's SSH server; it differs after each start.
    def ssh_port
      usernet = monitor { |qmp| qmp.execute("human-monitor-command", "command-line": "info usernet") }
      usernet[/HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+#{Regexp.escape(ADDRESS)}\s+#{SSH_PORT}\s/, 1].to_i
    end

    # May be called again after it was interrupted anywhere.
    def create
      # Before all other files, so that `vagrant destroy` finds them.
      @machine.id ||= SecureRandom.uuid
      # QEMU's monitor can do everything that its user can, and a snapshot's memory has the guest's secrets.
      folder.chmod(0o700)
      return if disk.exist?

      base = config.ready ? ["qcow2", File.join(config.ready, READY_DISK)] : ["raw", config.system]
      unfinished = file("disk.new")
      run("qemu-img", "create", "-q", "-f", "qcow2", "-F", base[0], "-b", base[1], unfinished)
      unfinished.rename(disk)
    end

    def created?
      disk.exist?
    end

    def start(snapshot: nil, paused: false)
      arguments = []
      arguments << "-S" if paused
      arguments.push("-loadvm", snapshot) if snapshot
      launch(*memory_of_its_own, *arguments)
      say_ready("from snapshot #{snapshot}") if snapshot
    end

    # Goes on from a saved guest of the same command line (see hatester/guests/checkpoint.py): its
    # memory is a file, of which this guest sees a private copy, page by page as it writes; so the
    # state of the devices is all that has to be loaded. On the virtual clock it stands still afterwards: its
    # time would race while nothing waits for it.
    def start_ready
      launch(*memory("file", "mem-path": File.join(config.ready, READY_MEMORY), share: false), "-incoming", "defer")
      monitor(SNAPSHOT_SECONDS) do |qmp|
        qmp.load_devices(File.join(config.ready, READY_DEVICES))
        qmp.execute("cont") unless config.virtual?
      end
      say_ready("as it was saved")
    end

    # Yields from time to time while it waits; returns how many seconds it took.
    def wait_until_ready
      started = now
      until ready?
        yield
        seconds = (now - started).round(1)
        case state
        when :running, :unresponsive # as it is while another client has its monitor
          fail_to_boot("did not say #{READY.strip.inspect}", seconds) if seconds > config.boot_timeout
        when :poweroff then fail_to_boot("made QEMU end", seconds)
        when :io_error then fail_to_boot("could not write to its disk (is the host's full?)", seconds)
        else fail_to_boot("was stopped", seconds)
        end
        sleep POLL
      end
      (now - started).round(1)
    end

    def pause
      monitor { |qmp| qmp.execute("stop") }
    end

    def resume
      monitor { |qmp| qmp.execute("cont") }
    end

    # Ends QEMU in any state of the guest.
    def stop
      %w[TERM KILL].each do |signal|
        pids.each { |pid| kill(signal, pid) }
        return if ended_within?(STOP_SECONDS)
      end
      raise Error, "QEMU (process #{pids.join(", ")}) cannot be ended."
    end

    def ended_within?(seconds)
      deadline = now + seconds
      while alive? && now < deadline
        yield if block_given?
        sleep POLL
      end
      !alive?
    end

    # Name => true if it holds the guest's memory in addition to its disk.
    def snapshots
      return {} unless disk.exist?

      # -U, because a running QEMU has the disk locked.
      information = JSON.parse(run("qemu-img", "info", "-U", "--output=json", disk))
      information.fetch("snapshots", []).to_h { |each| [each["name"], each["vm-state-size"].positive?] }
    end

    def save_snapshot(name)
      if alive?
        monitor(SNAPSHOT_SECONDS) { |qmp| qmp.run_job("snapshot-save", tag: name, vmstate: DISK, **DISKS) }
      else
        run("qemu-img", "snapshot", "-c", name, disk)
      end
    end

    # Takes a running QEMU back to a snapshot.
    def load_snapshot(name, paused: false)
      monitor(SNAPSHOT_SECONDS) do |qmp|
        qmp.execute("stop")
        qmp.run_job("snapshot-load", tag: name, vmstate: DISK, **DISKS)
      ensure
        # Also after a failure, which would leave the guest stopped.
        qmp.execute("cont") unless paused
      end
    end

    # Takes the disk of a halted machine back to a snapshot.
    def revert_disk(name)
      run("qemu-img", "snapshot", "-a", name, disk)
    end

    def delete_snapshot(name)
      if alive?
        monitor(SNAPSHOT_SECONDS) { |qmp| qmp.run_job("snapshot-delete", tag: name, **DISKS) }
      else
        run("qemu-img", "snapshot", "-d", name, disk)
      end
    end

    private

    DISK = "disk-system"
    DISKS = { devices: [DISK] }.freeze
    private_constant :DISK, :DISKS

    def launch(*arguments)
      [console, ready, log].each { |file| file.write("") }
      # Once its log is open, QEMU writes its errors there.
      run("qemu-system-x86_64", *command_line, *arguments) { tail(log) }
    end

    # A guest that was ready when it was saved does not say so again.
    def say_ready(how)
      ready.write("#{READY}#{how}\n")
    end

    # Shared, so that it can be saved as a file of its own.
    def memory_of_its_own
      memory("memfd", share: true)
    end

    def memory(kind, **options)
      backend = { "qom-type": "memory-backend-#{kind}", id: "memory", size: config.memory * 2**20 }
      ["-object", JSON.generate({ **backend, **options })]
    end

    # The log's name is relative: QEMU takes `%` in it for a template.
    # A saved guest goes on with the command line that it was saved with: a change here, in the constants above
    # or in Config raises RECIPE of hatester/guests/checkpoint.py.
    def command_line
      [
        "-name", "hatester-#{@machine.name}", "-uuid", @machine.id,
        "-daemonize", "-D", log.basename, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-sandbox", SANDBOX,
        "-machine", "q35,memory-backend=memory", *PROCESSOR.fetch(config.accelerator),
        *(config.virtual? ? VIRTUAL_CLOCK : ACCELERATOR.fetch(config.accelerator)),
        "-m", config.memory, "-smp", config.cpus,
        "-kernel", config.kernel, "-initrd", config.initrd, "-append", kernel_options,
        "-qmp", "unix:#{Monitor::SOCKET},server=on,wait=off",
        *serial_port(console), *serial_port(ready),
        *drive("system", driver: "qcow2", file: disk),
        *drive("modules", driver: "raw", file: config.modules, "read-only": true),
        *config.disks.each_with_index.flat_map { |(name, path), number| further_drive(name, path, number) },
        "-netdev", "user,id=net,net=#{NETWORK},restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-#{ADDRESS}:#{SSH_PORT}",
        # Nothing boots from the network, so its option ROM is not needed.
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-device", "virtio-rng-pci"
      ].map(&:to_s)
    end

    def kernel_options
      "#{config.command_line} #{KERNEL_OPTIONS.fetch(config.accelerator)}"
    end

    def serial_port(log)
      name = log.basename(".log")
      ["-chardev", "file,id=#{name},append=on,path=#{log.basename}", "-serial", "chardev:#{name}"]
    end

    def drive(name, file:, place: "", **format)
      # QEMU's names begin with a letter.
      node = { "node-name": "disk-#{name}", file: { driver: "file", filename: file }, **format }
      ["-blockdev", JSON.generate(node), "-device", "virtio-blk-pci,drive=disk-#{name},serial=#{name}#{place}"]
    end

    # Eight to a slot of the bus, from the eighth on, or they would soon fill it.
    def further_drive(name, path, number)
      place = format(",multifunction=on,addr=%x.%x", 8 + (number / 8), number % 8)
      drive(name, driver: "raw", file: path, "read-only": true, place: place)
    end

    # By -uuid, since a pid file outlives its process and pids are used again.
    def pids
      Dir.glob("/proc/[0-9]*/cmdline").filter_map do |path|
        program, *arguments = File.binread(path).split("\0")
        next unless program&.include?("qemu-system") && arguments.each_cons(2).include?(["-uuid", @machine.id])

        path[/\d+/].to_i
      rescue SystemCallError # it ended meanwhile
        nil
      end
    end

    def kill(signal, pid)
      Process.kill(signal, pid)
    rescue Errno::ESRCH # it ended by itself
      nil
    end

    def ready?
      ready.binread.match?(/^#{READY}/)
    end

    def fail_to_boot(what, seconds)
      raise Error, <<~MESSAGE.chomp
        The guest did not get ready: it #{what}, #{seconds} s after the start.
        The end of the guest's console (#{console}):
        #{tail(console)}
        QEMU itself said:
        #{tail(log)}
      MESSAGE
    end

    def tail(path)
      return "  (nothing)" unless path.exist? && path.size.positive?

      lines = path.binread.force_encoding(Encoding::UTF_8).scrub("?").gsub(CONTROLS, "").lines
      lines.last(TAIL_LINES).map { |line| "  #{line.chomp}" }.join("\n")
    end

    # In the machine's folder, since QEMU's socket must have a short name. QEMU stays when Vagrant and its
    # caller are gone, so it gets none of their open files (as it would from Vagrant's own Subprocess).
    def run(program, *arguments)
      output, complaint, status = Open3.capture3(
        Vagrant.original_env, program, *arguments.map(&:to_s), chdir: folder.to_s, close_others: true
      )
      return output if status.success?

      raise Error, ["#{program} failed:", complaint.strip, (yield if block_given?)].join("\n").squeeze("\n")
    rescue Errno::ENOENT
      raise Error, "#{program} was not found. ./bootstrap installs it."
    end

    def monitor(timeout = ANSWER_SECONDS, &block)
      Monitor.open(folder, timeout: timeout, &block)
    end

    def config
      @machine.provider_config
    end

    def folder
      @machine.data_dir
    end

    def file(name)
      folder.join(name)
    end

    def disk
      file("disk.qcow2")
    end

    def console
      file("console.log")
    end

    def ready
      file("ready.log")
    end

    def log
      file("qemu.log")
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
