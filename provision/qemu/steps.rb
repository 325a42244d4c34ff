require "timeout"

module HatesterQemu
  # Steps that Vagrant lacks.
  module Steps
    class Step
      def initialize(app, env)
        @app = app
        @env = env
        @machine = env[:machine]
        @driver = @machine.provider.driver
        @ui = env[:ui]
      end

      def call(env)
        perform
        @app.call(env)
      end

      private

      def config
        @machine.provider_config
      end

      def check_interrupt
        raise Vagrant::Errors::VagrantInterrupt if @env[:interrupted]
      end
    end

    # Vagrant's own says "already provisioned" even when there is nothing to provision.
    class Provision < Vagrant::Action::Builtin::Provision
      def call(env)
        env[:machine].config.vm.provisioners.empty? ? @app.call(env) : super
      end
    end

    class RequireImage < Step
      private

      def perform
        return if config.image?

        raise Error, "Kernel #{@machine.name} has no guest image yet. " \
                     "Make it with: ./bootstrap invoke make-images --kernel #{@machine.name}"
      end
    end

    class RequireRunning < Step
      private

      def perform
        state = @machine.state
        raise Vagrant::Errors::VMNotCreatedError if state.id == :not_created
        raise Error, "#{@machine.name} cannot be reached. #{state.long_description}" if state.id != :running
      end
    end

    class Resume < Step
      private

      def perform
        return @ui.output("Not running.") unless @driver.alive?

        @driver.resume
        @ui.output("Resumed.")
      end
    end

    class Suspend < Step
      private

      def perform
        @driver.pause
        @ui.output("Paused. Its memory is lost if QEMU ends; `vagrant snapshot save` keeps it.")
      end
    end

    class Start < Resume
      private

      def perform
        case @machine.state.id
        when :running
          @ui.output("Already running.")
          wait_until_ready # in case another Vagrant was killed while it waited
        when :not_created, :poweroff then boot
        else super
        end
      end

      # Only a new machine can go on from a saved guest; an old one's disk has changed since.
      def boot
        return start_ready if config.ready && !@driver.created?

        @ui.output("Booting Linux #{config.release} (#{config.accelerator})…")
        or_stop do
          @driver.create
          @driver.start
          @ui.output("Ready after #{wait_until_ready} s.")
          @driver.pause if config.virtual?
        end
      end

      def start_ready
        @ui.output("Starting Linux #{config.release} (#{config.accelerator}) as it was saved…")
        or_stop do
          @driver.create
          @driver.start_ready
        end
      end

      def wait_until_ready
        @driver.wait_until_ready { check_interrupt }
      end

      # Leaves no QEMU behind that did not get ready. Unlike a step's `recover`, this also happens at a
      # second Ctrl-C, but not when a later step fails.
      def or_stop
        yield
        done = true
      ensure
        @driver.stop unless done
      end
    end

    class Halt < Step
      private

      def perform
        return unless @driver.alive?

        graceful = !@env[:force_halt] && @machine.state.id == :running
        @ui.output(graceful ? "Shutting down…" : "Stopping QEMU…")
        @ui.warn("The guest did not shut down; stopping QEMU.") if graceful && !shut_down?
        @driver.stop
      end

      # Not with Vagrant's GracefulHalt, which waits up to five minutes for a guest that hangs.
      def shut_down?
        seconds = @machine.config.vm.graceful_halt_timeout
        Timeout.timeout(seconds) { power_off }
        @driver.ended_within?(seconds) { check_interrupt }
      rescue Timeout::Error, Vagrant::Errors::VagrantError
        check_interrupt
        false
      end

      def power_off
        @machine.communicate.execute("systemctl poweroff")
      rescue IOError, Vagrant::Errors::SSHDisconnected
        nil # The guest may be gone before it can answer.
      end
    end

    class Destroy < Step
      private

      def perform
        @ui.output("Destroying…")
        @driver.stop
        @machine.id = nil # with which Vagrant removes the machine's folder
      end
    end

    class SnapshotSave < Step
      private

      def perform
        # QEMU would take it for the number of a snapshot.
        raise Error, "A snapshot's name must not be a number." if name.match?(/\A\d+\z/)

        @driver.save_snapshot(name)
        @ui.output("Saved snapshot #{name}#{", of the disk alone" unless @driver.alive?}.")
      end

      def name
        @env[:snapshot_name]
      end
    end

    class SnapshotRestore < Start
      private

      def perform
        if !@driver.snapshots.fetch(name)
          revert_disk
        elsif @driver.alive?
          @driver.load_snapshot(name, paused: paused?)
        else
          or_stop { @driver.start(snapshot: name, paused: paused?) }
        end
        @ui.output("Restored snapshot #{name}.")
      end

      def revert_disk
        @driver.stop
        @driver.revert_disk(name)
        boot unless paused?
      end

      # `--no-start`
      def paused?
        !@env.fetch(:snapshot_start, true)
      end

      def name
        @env[:snapshot_name]
      end
    end

    class SnapshotDelete < Step
      private

      def perform
        @driver.delete_snapshot(@env[:snapshot_name])
        @ui.output("Deleted snapshot #{@env[:snapshot_name]}.")
      end
    end
  end
end
