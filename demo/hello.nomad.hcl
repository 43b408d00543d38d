# What `cargo xtask demo` runs: a container and a plain process side by side, registered as a service.
job "hello" {
  datacenters = ["edge"]

  group "hello" {
    # The node may be away for an hour before its allocation counts as lost; a replacement starts at once.
    max_client_disconnect = "1h"

    network {
      port "http" {}
    }

    update {
      min_healthy_time = "1s"
    }

    service {
      name     = "hello"
      port     = "http"
      provider = "nomad"
    }

    task "web" {
      driver = "docker"

      config {
        image = "holdfast/hello:1"
        ports = ["http"]
      }

      env {
        PORT  = "${NOMAD_PORT_http}"
        GREET = "hello from ${node.unique.name}"
      }

      kill_timeout = "2s"

      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "clock" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while :; do date +%s >clock; sleep 1; done"]
      }

      kill_timeout = "2s"

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
