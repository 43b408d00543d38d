job "example" {
  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "server" {
      driver = "docker"

      config {
        image   = "docker.io/library/busybox:1.36"
        command = "httpd"
        args    = ["-f", "-p", "8080"]
        ports   = ["http"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
