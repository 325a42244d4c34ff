require_relative "action"
require_relative "driver"

module HatesterQemu
  class Provider < Vagrant.plugin("2", :provider)
    # Explanations of states whose names do not say what to do.
    EXPLANATIONS = {
      io_error: "The guest is paused: its disk could not be written, most likely for want of space\n" \
                "on the host. Make room, then run `vagrant resume`.",
      unresponsive: "QEMU runs but does not answer. `vagrant halt -f` ends it.",
    }.freeze

    attr_reader :driver

    def initialize(machine)
      @machine = machine
      @driver = Driver.new(machine)
    end

    def action(name)
      Action.public_send("action_#{name}") if Action.respond_to?("action_#{name}")
    end

    def state
      # Vagrant deletes the machine's folder on :not_created, so that is returned only without an id.
      id = @machine.id ? @driver.state : :not_created
      name = id.to_s.tr("_", " ")
      Vagrant::MachineState.new(id, name, EXPLANATIONS.fetch(id, "The machine is #{name}."))
    end

    def ssh_info
      { host: "127.0.0.1", port: @driver.ssh_port } if state.id == :running
    end

    def to_s
      "QEMU (#{@machine.id || "new"})"
    end

    # `vagrant snapshot` asks for this by itself.
    module Snapshots
      def self.snapshot_list(machine)
        machine.provider.driver.snapshots.keys
      end
    end
  end
end
