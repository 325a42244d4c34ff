require "json"
require "securerandom"
require "shellwords"
require "socket"

module HatesterQemu
  # One conversation with a running QEMU (QMP). Keep it short: QEMU talks to one client at a time.
  class Monitor
    class Unreachable < Error; end

    SOCKET = "qmp.sock"
    POLL = 0.02

    # The whole conversation must end within `timeout` seconds.
    def self.open(folder, timeout:)
      monitor = new(timeout)
      monitor.connect(folder)
      yield monitor
    rescue SystemCallError, EOFError => error
      raise Unreachable, "QEMU does not answer: #{error.message}."
    ensure
      monitor&.close
    end

    def initialize(timeout)
      @timeout = timeout
      @deadline = now + timeout
      @received = String.new
      @socket = Socket.new(:UNIX, :STREAM)
    end

    def connect(folder)
      # The path of a socket may have 108 bytes at most, so a descriptor stands for the folder.
      File.open(folder) do |descriptor|
        path = "/proc/self/fd/#{descriptor.fileno}/#{SOCKET}"
        wait until connected?(Socket.sockaddr_un(path))
      end
      receive # the greeting
      execute("qmp_capabilities")
    end

    def execute(command, **arguments)
      @socket.write(JSON.generate(execute: command, arguments: arguments), "\n")
      # Events may come in between.
      reply = receive until reply&.key?("return") || reply&.key?("error")
      raise Error, reply["error"]["desc"] if reply["error"]

      reply["return"]
    end

    # Runs a command that only starts a job, until that job has ended.
    def run_job(command, **arguments)
      id = "hatester-#{SecureRandom.uuid}"
      execute(command, "job-id": id, **arguments)
      wait until (job = execute("query-jobs").find { |each| each["id"] == id })["status"] == "concluded"
      execute("job-dismiss", id: id)
      raise Error, job["error"] if job["error"]
    end

    # Loads the state of the devices alone into a QEMU that waits for it (`-incoming defer`). The
    # capability must not stay, or a later snapshot would lack the memory.
    def load_devices(file)
      only_devices(true)
      execute("migrate-incoming", uri: "exec:exec cat #{Shellwords.escape(file)}")
      wait while LOADING.include?(status = execute("query-migrate")["status"])
      raise Error, "The state of the devices (#{file}) cannot be loaded: #{status}." unless status == "completed"

      only_devices(false)
    end

    def close
      @socket.close
    end

    private

    LOADING = [nil, "setup", "active"].freeze
    private_constant :LOADING

    def only_devices(is_so)
      execute("migrate-set-capabilities", capabilities: [{ capability: "x-ignore-shared", state: is_so }])
    end

    def connected?(address)
      @socket.connect_nonblock(address)
    rescue Errno::EAGAIN # other clients are waiting already
      false
    end

    def receive
      until (line = @received.slice!(/\A.*\n/))
        @received << @socket.readpartial(65_536) if @socket.wait_readable(remaining)
      end
      JSON.parse(line)
    end

    def wait
      sleep [POLL, remaining].min
    end

    def remaining
      left = @deadline - now
      raise Unreachable, "QEMU did not answer within #{@timeout} s." unless left.positive?

      left
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
