//! The forms of template that the edge-services jobs use.

use std::collections::BTreeMap;

use holdfast_template::{
    Data, Lookup, Options, ServiceInstance, ServiceSummary, Variable, Want, parse_env_file, render,
};

/// A catalogue of one service.
struct Catalogue(Option<Vec<ServiceInstance>>);

impl Data for Catalogue {
    fn services(&self) -> Option<Vec<ServiceSummary>> {
        None
    }
    fn service(&self, name: &str) -> Option<Vec<ServiceInstance>> {
        self.0.clone().filter(|_| name == "hashicups-hashicups-db")
    }
    fn variable(&self, _: &str) -> Lookup<Variable> {
        Lookup::NotYet
    }
    fn variables(&self, _: &str) -> Option<Vec<Variable>> {
        None
    }
}

const DATABASE: &str = "{{ range nomadService \"hashicups-hashicups-db\" }}\nDB_CONNECTION=\"host={{ .Address }} \
                        port={{ .Port }} user=postgres\"\n{{ end }}\n";

#[test]
fn an_address_of_the_catalogue_reaches_the_environment() {
    let instance = ServiceInstance {
        address: "192.0.2.1".to_owned(),
        port: 5432,
        ..ServiceInstance::default()
    };
    let rendered = render(DATABASE, &Options::default(), &Catalogue(Some(vec![instance]))).unwrap();
    let env = parse_env_file(&rendered.text).unwrap();
    assert_eq!(env["DB_CONNECTION"], "host=192.0.2.1 port=5432 user=postgres");
    assert!(rendered.missing.is_empty());
    assert!(
        rendered
            .wants
            .contains(&Want::Service("hashicups-hashicups-db".to_owned()))
    );
}

#[test]
fn a_template_waits_while_its_service_is_not_known() {
    let rendered = render(DATABASE, &Options::default(), &Catalogue(None)).unwrap();
    let wanted = Want::Service("hashicups-hashicups-db".to_owned());
    assert_eq!(rendered.missing.into_iter().collect::<Vec<_>>(), [wanted]);
    // Even when the template cannot cope with an empty list.
    let source = "{{ (index (nomadService \"hashicups-hashicups-db\") 0).Port }}";
    assert_eq!(
        render(source, &Options::default(), &Catalogue(None))
            .unwrap()
            .missing
            .len(),
        1
    );
}

#[test]
fn a_configuration_file_reads_the_environment_and_keeps_its_dollars() {
    let source = "upstream u {\n  server {{ env \"NOMAD_IP_nginx\" }}:{{ env \"NOMAD_PORT_frontend\" }};\n}\nproxy_set_header \
                  Upgrade $http_upgrade;\n";
    let env = [("NOMAD_IP_nginx", "10.0.0.1"), ("NOMAD_PORT_frontend", "3000")];
    let env: BTreeMap<_, _> = env
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let rendered = render(
        source,
        &Options {
            env,
            ..Options::default()
        },
        &Catalogue(None),
    )
    .unwrap();
    assert_eq!(
        rendered.text,
        "upstream u {\n  server 10.0.0.1:3000;\n}\nproxy_set_header Upgrade $http_upgrade;\n"
    );
}

#[test]
fn what_is_wrong_with_a_template_is_named() {
    for (source, error) in [
        ("a\n{{ env \"X\" ", "template line 2, column 12: unclosed action"),
        (
            "{{ key \"a/b\" }}",
            "template failed: key: reads from Consul; put the value into a variable and use nomadVar or nomadVarExists",
        ),
        ("{{ mustEnv \"X\" }}", "template failed: mustEnv: X is not set"),
        (
            "{{ file \"../x\" }}",
            "template failed: file: '../x' is outside of sandbox",
        ),
    ] {
        assert_eq!(
            render(source, &Options::default(), &Catalogue(None))
                .unwrap_err()
                .to_string(),
            error
        );
    }
}
