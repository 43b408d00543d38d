//! What the original says about job files on the command line, word for word.

use expect_test::expect;
use holdfast_jobspec::{ParseOptions, Surroundings, parse_job, validate};

fn options(file_name: &str) -> ParseOptions {
    ParseOptions {
        file_name: file_name.to_owned(),
        ..ParseOptions::default()
    }
}

const BAD: &str = r#"job "bad" {
  group "g" {
    count = "three"
    tusk "t" { driver = "raw_exec" }
  }
}
"#;

#[test]
fn every_mistake_of_a_file_is_reported_in_one_run() {
    let diagnostics = parse_job(BAD, &options("bad.nomad.hcl")).unwrap_err();
    let text = expect![[r#"
        bad.nomad.hcl:4,5-9: Unsupported block type; Blocks of type "tusk" are not expected here. Did you mean "task"?
        bad.nomad.hcl:3,14-19: Unsuitable value type; Unsuitable value: a number is required"#]];
    text.assert_eq(&diagnostics.to_string());
    let picture = expect![[r#"
        Error: Unsupported block type
         --> bad.nomad.hcl:4:5
          |
        4 |     tusk "t" { driver = "raw_exec" }
          |     ^^^^
        Blocks of type "tusk" are not expected here. Did you mean "task"?

        Error: Unsuitable value type
         --> bad.nomad.hcl:3:14
          |
        3 |     count = "three"
          |              ^^^^^
        Unsuitable value: a number is required
    "#]];
    picture.assert_eq(&diagnostics.render());
}

const BAD_TWO: &str = r#"job "bad two" {
  type = "servise"
  group "g" {
    count = -1
    restart { mode = "explode" }
    task "t" { driver = "raw_exec" }
    task "t" { }
  }
}
"#;

#[test]
fn every_mistake_of_a_job_is_reported_in_one_run() {
    let mut job = parse_job(BAD_TWO, &options("bad2.nomad.hcl")).unwrap();
    job.canonicalize();
    let text = expect![[r#"
        3 errors occurred:
        	* Job ID contains a space
        	* Invalid job type: "servise"
        	* Task group g validation failed: 4 errors occurred:
        	* Task group count can't be negative
        	* Unsupported restart mode: "explode"
        	* Task 2 redefines 't' from task 1
        	* Task t validation failed: 1 error occurred:
        	* Missing task driver





    "#]];
    text.assert_eq(&validate(&job, &Surroundings::default()).error_text());
}

/// Every field that job files can set reaches the job.
const EVERYTHING: &str = r#"
variable "image" {
  type    = string
  default = "x"
}
variable "count" {
  type = number
}
locals {
  name = "web-${var.image}"
}
job "everything" {
  datacenters = ["dc1"]
  meta        = { a = 1 }
  group "g" {
    count = var.count
    disconnect {
      lost_after    = "1h"
      replace_after = "0s"
    }
    network {
      port "http" { to = 80 }
    }
    service {
      name     = local.name
      port     = "http"
      provider = "nomad"
    }
    task "t" {
      driver = "docker"
      config {
        image = var.image
        args  = ["${NOMAD_PORT_http}", attr.cpu.arch]
      }
      template {
        data        = <<-EOT
          {{ range nomadService "db" }}X={{ .Port }}{{ end }}
            $${literal}
        EOT
        destination = "local/x"
        env         = true
      }
    }
  }
}
"#;

#[test]
fn variables_come_from_environment_file_and_argument_in_this_order() {
    let with = |env: &str, file: &str, argument: &str| {
        let options = ParseOptions {
            env: if env.is_empty() {
                Vec::new()
            } else {
                vec![("EDGE_VAR_count".to_owned(), env.to_owned())]
            },
            var_files: if file.is_empty() {
                Vec::new()
            } else {
                vec![("v.hcl".to_owned(), format!("count = {file}"))]
            },
            vars: if argument.is_empty() {
                Vec::new()
            } else {
                vec![format!("count={argument}")]
            },
            ..options("a.hcl")
        };
        parse_job(EVERYTHING, &options)
            .map(|job| job.groups()[0].count)
            .map_err(|error| error.to_string())
    };
    assert_eq!(with("1", "", ""), Ok(Some(1)));
    assert_eq!(with("1", "2", ""), Ok(Some(2)));
    assert_eq!(with("1", "2", "3"), Ok(Some(3)));
    let error = with("", "", "").unwrap_err();
    assert!(error.starts_with("<nil>: Unset variable \"count\""), "{error}");
    let error = with("many", "", "").unwrap_err();
    assert!(error.contains("a number is required"), "{error}");
}

#[test]
fn what_only_a_node_knows_passes_through() {
    let options = ParseOptions {
        vars: vec!["count=1".to_owned()],
        ..options("a.hcl")
    };
    let job = parse_job(EVERYTHING, &options).unwrap();
    let group = &job.groups()[0];
    let task = &group.tasks()[0];
    let config = serde_json::to_value(&task.config).unwrap();
    assert_eq!(
        config,
        serde_json::json!({ "image": "x", "args": ["${NOMAD_PORT_http}", "${attr.cpu.arch}"] })
    );
    assert_eq!(group.services()[0].name, "web-x");
    assert_eq!(
        task.templates()[0].embedded_tmpl.as_deref(),
        Some("{{ range nomadService \"db\" }}X={{ .Port }}{{ end }}\n  ${literal}\n")
    );
    assert_eq!(group.disconnect_policy().replace_after.map(|it| it.0), Some(0));
}

#[test]
fn operators_and_conditionals_complain_about_what_does_not_fit() {
    let told = |expression: &str| {
        let source = format!("job \"j\" {{\n  meta {{\n    e = {expression}\n  }}\n}}\n");
        parse_job(&source, &options("a"))
            .map(|_| String::new())
            .unwrap_or_else(|error| error.to_string())
    };
    for (expression, error) in [
        (
            "true ? [1] : \"a\"",
            "a:3,16-25: Inconsistent conditional result types",
        ),
        (
            "1 + null",
            "a:3,9-17: Operation failed; Error during operation: argument must not be null.",
        ),
        ("-null", "a:3,9-14: Operation failed"),
        ("1 / 0", "a:3,9-14: Division by zero"),
        ("null ? 1 : 2", "a:3,9-13: Null condition"),
        ("jsonencode({ a.b = 1 })", "a:3,22-25: Ambiguous attribute key"),
        ("signum(1.5)", "a:3,9-16: Error in function call"),
        ("coalesce(1, [2])", "a:3,9-18: Error in function call"),
    ] {
        let told = told(expression);
        assert!(told.starts_with(error), "{expression}: {told}");
    }
    for expression in [
        "true ? null : \"a\"",
        "jsonencode(true ? { a = 1 } : { b = \"x\" })",
        "jsonencode(false ? [] : [1])",
    ] {
        assert_eq!(told(expression), "", "{expression}");
    }
}

#[test]
fn an_argument_may_be_set_only_once() {
    let source = "job \"j\" {\n  type = \"batch\"\n  type = \"service\"\n}\n";
    let error = parse_job(source, &options("a")).unwrap_err().to_string();
    assert!(
        error.starts_with("a:3,3-7: Attribute redefined; The argument \"type\" was already set at a:2,3-7."),
        "{error}"
    );
}
