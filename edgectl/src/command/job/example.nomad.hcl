# A job is what Holdfast runs for you: groups of tasks, and how to place, update and repair them.
# Try it:  edgectl job run example.nomad.hcl
job "example" {
  # Where it may run; * matches anything.
  datacenters = ["*"]

  # "service" runs until it is stopped, "batch" until it has succeeded, "system" on every node.
  type = "service"

  # How a change is rolled out: one allocation at a time, back to the last good version when it fails.
  update {
    max_parallel     = 1
    min_healthy_time = "10s"
    auto_revert      = true
  }

  # A group is placed on one node as a whole; count is how many copies of it there are.
  group "web" {
    count = 1

    # What to do when the node is out of contact: a copy is started elsewhere, and when the node comes back within
    # an hour, the better of the two stays.
    disconnect {
      lost_after = "1h"
      replace    = true
    }

    network {
      # A free port of the node, led to port 8080 of the container.
      port "http" {
        to = 8080
      }
    }

    service {
      name     = "example"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "server" {
      # "docker" and "podman" both run on podman; "raw_exec" runs a program of the node.
      driver = "docker"

      config {
        image   = "docker.io/library/busybox:1.36"
        command = "httpd"
        args    = ["-f", "-p", "8080", "-h", "/local"]
        ports   = ["http"]
      }

      template {
        data        = "hello from {{ env \"NOMAD_ALLOC_ID\" }}\n"
        destination = "local/index.html"
        change_mode = "noop"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MB
      }
    }
  }
}
