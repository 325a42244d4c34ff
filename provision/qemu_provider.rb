# A Vagrant provider that runs machines in plain QEMU: a kernel booted directly, a disk over a shared
# system image, nothing listening but on 127.0.0.1.
require "vagrant"

module HatesterQemu
  # An error for the user: Vagrant prints its message and nothing else.
  class Error < Vagrant::Errors::VagrantError
    attr_reader :error_message

    def initialize(message)
      @error_message = message
      super()
    end
  end

  class Plugin < Vagrant.plugin("2")
    name "hatester: QEMU"

    config(:qemu, :provider) do
      require_relative "qemu/config"
      Config
    end

    provider(:qemu, box_optional: true, parallel: true) do
      require_relative "qemu/provider"
      Provider
    end

    provider_capability(:qemu, :snapshot_list) do
      require_relative "qemu/provider"
      Provider::Snapshots
    end
  end
end
