//! The four layers of settings, from a program's point of view.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use expect_test::{Expect, expect};
use holdfast_settings::{Kind, Origin, Setting, Settings, SettingsError, Values};

const TABLE: &[Setting] = &[
    Setting::new("data_dir", Kind::String, "where everything durable lives")
        .default("/var/lib/holdfast")
        .env(&["NOMAD_DATA_DIR"])
        .value("PATH"),
    Setting::new("debug", Kind::Bool, "say more"),
    Setting::new("ports.http", Kind::Integer, "port of the API").default("4646"),
    Setting::new("client.lost_after", Kind::Duration, "patience").default("1h30m"),
    Setting::new("client.servers", Kind::List, "coordinators to reach").flag("servers"),
    Setting::new("client.meta", Kind::Map, "metadata of this node").flag("meta"),
    Setting::new("client.host_volume", Kind::Map, "folders that groups may mount").flag("host-volume"),
    Setting::new("client.node_class", Kind::String, "class of this node").flag("node-class"),
];
const SETTINGS: Settings = Settings {
    program: "example",
    version: "1.2.3",
    about: "An example.",
    table: TABLE,
};

fn load(args: &[&str], env: &[(&str, &str)]) -> Result<Values, SettingsError> {
    SETTINGS.load(
        args,
        env.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn with_file(text: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Values, String> {
    let folder = tempfile::tempdir().expect("a private folder takes files");
    let path = folder.path().join("a.hcl");
    fs::write(&path, text).expect("a private folder takes files");
    let flag = format!("-config={}", path.display());
    let args: Vec<&str> = std::iter::once(flag.as_str())
        .chain(args.iter().copied())
        .collect();
    load(&args, env).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    })
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default() {
    let file = "data_dir = \"/file\"\nports { http = 1 }\nclient {\n  node_class = \"file\"\n}\n";
    let values = with_file(
        file,
        &["--node-class", "flag"],
        &[
            ("HOLDFAST_PORTS_HTTP", "2"),
            ("HOLDFAST_CLIENT_NODE_CLASS", "env"),
        ],
    )
    .unwrap();
    assert_eq!(values.string("client.node_class"), "flag");
    assert_eq!(values.integer("ports.http"), 2);
    assert_eq!(values.string("data_dir"), "/file");
    assert_eq!(values.duration("client.lost_after"), Duration::from_secs(5400));
    assert_eq!(values.origin("client.lost_after"), &Origin::Default);
    assert_eq!(
        values.origin("ports.http"),
        &Origin::Environment("HOLDFAST_PORTS_HTTP".to_owned())
    );
    assert!(matches!(values.origin("data_dir"), Origin::File(_, 1)));
}

#[test]
fn an_alias_of_the_environment_counts_when_the_main_name_is_not_set() {
    let values = load(&[], &[("NOMAD_DATA_DIR", "/n")]).unwrap();
    assert_eq!(values.string("data_dir"), "/n");
    let values = load(&[], &[("NOMAD_DATA_DIR", "/n"), ("HOLDFAST_DATA_DIR", "/h")]).unwrap();
    assert_eq!(values.string("data_dir"), "/h");
}

#[test]
fn blocks_objects_and_repeated_flags_fill_lists_and_maps() {
    let file = r#"
        client {
          servers = ["a:1", "b:2"]
          meta {
            rack = "r1"
            slot = 4
          }
          host_volume "data" {
            path      = "/srv"
            read_only = true
          }
        }"#;
    let values = with_file(file, &["-meta", "rack=r2", "-meta=zone=z"], &[]).unwrap();
    assert_eq!(values.list("client.servers"), ["a:1", "b:2"]);
    let meta: Vec<_> = values
        .map("client.meta")
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(meta, ["rack=r2", "slot=4", "zone=z"]);
    assert_eq!(values.map("client.host_volume")["data.path"], "/srv");
    assert_eq!(values.map("client.host_volume")["data.read_only"], "true");
    let values = load(
        &["--servers=a", "--servers", "b"],
        &[("HOLDFAST_CLIENT_SERVERS", "c,d")],
    )
    .unwrap();
    assert_eq!(values.list("client.servers"), ["a", "b"]);
}

#[test]
fn single_dashes_underscores_and_bare_booleans_are_understood() {
    let values = load(&["-data_dir=/x", "-debug"], &[]).unwrap();
    assert_eq!((values.string("data_dir"), values.boolean("debug")), ("/x", true));
    assert!(
        !load(&["-debug=false"], &[("HOLDFAST_DEBUG", "true")])
            .unwrap()
            .boolean("debug")
    );
}

#[test]
fn a_folder_is_read_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("1.hcl"),
        "data_dir = \"/1\"\nclient { node_class = \"one\" }",
    )
    .unwrap();
    fs::write(folder.path().join("2.hcl"), "data_dir = \"/2\"").unwrap();
    fs::write(folder.path().join("readme.txt"), "not HCL").unwrap();
    let values = load(&["--config", folder.path().to_str().unwrap()], &[]).unwrap();
    assert_eq!(values.string("data_dir"), "/2");
    assert_eq!(values.string("client.node_class"), "one");
}

fn check(result: Result<Values, String>, expected: &Expect) {
    expected.assert_eq(&result.expect_err("a mistake"));
}

#[test]
fn every_mistake_of_a_file_is_named_with_its_line_and_the_likely_fix() {
    let file = "data_dri = \"x\"\nports {\n  http = \"many\"\n}\nclinet {\n}\nclient {\n  lost_after = 10\n  \
                node_class = env.X\n}\n";
    let expected = expect![[r#"
        a.hcl:1: there is no setting "data_dri"; did you mean "data_dir"?
        a.hcl:3: ports.http: "many" is not a whole number
        a.hcl:5: there is no block "clinet"; did you mean "client"?
        a.hcl:8: client.lost_after: "10" needs a unit, such as "10s" (ns, us, ms, s, m, h)
        a.hcl:9: client.node_class: expected a plain value: text, number, true or false"#]];
    check(with_file(file, &[], &[]), &expected);
    let expected = expect![
        "a.hcl:2: invalid expression; expected `\"`, `[`, `{`, `-`, `!`, `(`, `_`, `<`, letter or digit"
    ];
    check(with_file("debug = true\ndata_dir = ?\n", &[], &[]), &expected);
}

#[test]
fn mistakes_in_flags_and_environment_name_them() {
    let told = |args: &[&str], env: &[(&str, &str)]| load(args, env).map_err(|error| error.to_string());
    check(
        told(&["--data-dri=x"], &[]),
        &expect![[r#"flag --data-dri: there is no such flag; did you mean "--data-dir"?"#]],
    );
    check(
        told(&["-meta", "rack"], &[]),
        &expect![[r#"flag --meta: "rack" is not of the form key=value"#]],
    );
    check(
        told(&["server"], &[]),
        &expect![[r#"command line: unexpected argument "server""#]],
    );
    check(
        told(&["--data-dir"], &[]),
        &expect!["flag --data-dir: needs a value"],
    );
    check(
        told(&[], &[("HOLDFAST_DEBUG", "yes")]),
        &expect![[r#"environment variable HOLDFAST_DEBUG: "yes" is neither "true" nor "false""#]],
    );
    check(
        told(&["--config=/nowhere.hcl"], &[]),
        &expect![[r#"cannot read configuration "/nowhere.hcl""#]],
    );
}

#[test]
fn help_and_version_are_answers_and_not_errors() {
    let error = load(&["-help"], &[]).unwrap_err();
    assert_eq!(error.exit_code(), 0);
    let help = error.to_string();
    for part in [
        "An example.",
        "--data-dir <PATH>",
        "[default: /var/lib/holdfast]",
        "--meta <KEY=VALUE>",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
    assert_eq!(
        load(&["--version"], &[]).unwrap_err().to_string(),
        "example 1.2.3\n"
    );
    assert!(
        SETTINGS
            .reference()
            .contains("| `client.meta` | `--meta` | `HOLDFAST_CLIENT_META` |")
    );
    assert!(PathBuf::from(SETTINGS.load(["--data-dir=/y"], []).unwrap().string("data_dir")).is_absolute());
}
