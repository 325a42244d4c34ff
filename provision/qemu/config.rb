module HatesterQemu
  # The settings of a Vagrantfile's `provider :qemu` block.
  class Config < Vagrant.plugin("2", :config)
    ACCELERATORS = %w[auto kvm tcg].freeze
    CLOCKS = %w[real virtual].freeze
    DEFAULTS = {
      command_line: "console=ttyS0 net.ifnames=0 panic=-1 quiet",
      memory: 512, # MiB
      cpus: 2,
      accel: "auto",
      clock: "real",
      boot_timeout: 180, # seconds
    }.freeze

    # `disks` are further read-only disks, name => file; `ready` is the folder of a saved guest
    # (see Driver#start_ready). `clock` says what the guest's time follows: `real`, the host's, or `virtual`,
    # the instructions that the guest executes.
    attr_accessor :kernel, :initrd, :modules, :system, :release, :disks, :ready, *DEFAULTS.keys

    def initialize
      @disks = {}
      DEFAULTS.each_key { |name| instance_variable_set("@#{name}", UNSET_VALUE) }
    end

    def finalize!
      DEFAULTS.each do |name, default|
        instance_variable_set("@#{name}", default) if public_send(name) == UNSET_VALUE
      end
    end

    def validate(_machine)
      errors = _detected_errors
      unless ACCELERATORS.include?(accel)
        errors << "accel is #{accel.inspect}; the choices are #{ACCELERATORS.join(", ")}"
      end
      errors << "clock is #{clock.inspect}; the choices are #{CLOCKS.join(", ")}" unless CLOCKS.include?(clock)
      errors << "a virtual clock is emulated; accel must be tcg" if virtual? && accelerator != "tcg"
      %i[memory cpus boot_timeout].each do |name|
        value = public_send(name)
        unless value.is_a?(Integer) && value.positive?
          errors << "#{name} is #{value.inspect}; it must be a whole number above 0"
        end
      end
      { "QEMU" => errors }
    end

    # True if there is a guest image to boot.
    def image?
      [kernel, initrd, modules, system, *disks.values].all? { |path| path && File.exist?(path) }
    end

    def virtual?
      clock == "virtual"
    end

    def accelerator
      return accel unless accel == "auto"

      kvm? ? "kvm" : "tcg"
    end

    private

    # A processor without these flags may offer /dev/kvm all the same, and guests then hang in it.
    def kvm?
      File.readable?("/dev/kvm") && File.writable?("/dev/kvm") &&
        File.foreach("/proc/cpuinfo").any?(/^flags\s*:.*\b(vmx|svm)\b/)
    end
  end
end
