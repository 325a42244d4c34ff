require_relative "steps"

module HatesterQemu
  # Vagrant's commands, each as a sequence of Vagrant's steps and our own.
  module Action
    include Vagrant::Action::Builtin
    include Steps

    def self.action_up
      sequence do |b|
        b.use ConfigValidate
        b.use RequireImage
        b.use Provision
        b.use Start
      end
    end

    def self.action_reload
      if_created do |b|
        b.use ConfigValidate
        b.use RequireImage
        b.use Halt
        b.use Provision
        b.use Start
      end
    end

    def self.action_halt
      if_created { |b| b.use Halt }
    end

    def self.action_destroy
      if_created do |b|
        b.use Call, DestroyConfirm do |env, b2|
          next unless env[:result]

          b2.use ProvisionerCleanup, :before
          b2.use Destroy
        end
      end
    end

    def self.action_provision
      if_running do |b|
        b.use ConfigValidate
        b.use Provision
      end
    end

    def self.action_suspend
      if_running { |b| b.use Suspend }
    end

    def self.action_resume
      if_created { |b| b.use Resume }
    end

    def self.action_ssh
      sequence do |b|
        b.use RequireRunning
        b.use SSHExec
      end
    end

    def self.action_ssh_run
      sequence do |b|
        b.use RequireRunning
        b.use SSHRun
      end
    end

    def self.action_snapshot_save
      if_created { |b| b.use SnapshotSave }
    end

    def self.action_snapshot_restore
      if_created do |b|
        b.use ConfigValidate
        b.use RequireImage
        b.use Provision
        b.use SnapshotRestore
        b.use Call, IsEnvSet, :snapshot_delete do |env, b2|
          b2.use SnapshotDelete if env[:result]
        end
      end
    end

    def self.action_snapshot_delete
      if_created { |b| b.use SnapshotDelete }
    end

    private_class_method def self.sequence(&steps)
      Vagrant::Action::Builder.new.tap(&steps)
    end

    # A command without a name goes to all machines, so it must skip those that it does not suit.
    private_class_method def self.if_created
      sequence do |b|
        b.use Call, IsState, :not_created do |env, b2|
          env[:result] ? b2.use(Message, "Not created.") : yield(b2)
        end
      end
    end

    private_class_method def self.if_running
      if_created do |b|
        b.use Call, IsState, :running do |env, b2|
          env[:result] ? yield(b2) : b2.use(Message, "Not running.")
        end
      end
    end
  end
end
