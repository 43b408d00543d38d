//! The documentation of the drivers is printed from their tables, so that it cannot say anything else.

use std::path::Path;

use holdfast_drivers::{DRIVERS, DriverKind, Support};

fn section(kind: &DriverKind) -> String {
    let aliases: Vec<String> = kind.aliases.iter().map(|it| format!("`{it}`")).collect();
    let also = if aliases.is_empty() {
        String::new()
    } else {
        format!(", also as {}", aliases.join(", "))
    };
    let mut text = format!("\n## `{}`{also}\n\n| key | here | |\n|---|---|---|\n", kind.name);
    for row in kind.keys {
        let support = match row.support {
            Support::Full => "works",
            Support::Ignored => "taken, without effect; a warning says so",
            Support::Missing => "refused",
        };
        text.push_str(&format!(
            "| `{}` | {support} | {} |\n",
            row.key,
            row.note.replace('|', "\\|")
        ));
    }
    text
}

#[test]
fn the_documentation_shows_every_key_and_what_becomes_of_it() {
    let mut text = "# Keys of the `config` block of a task\n\nA key that is not here is an error that names the nearest one.\n"
        .to_owned();
    text.extend(DRIVERS.iter().map(section));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drivers.md");
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/drivers.md is not what the tables say: HOLDFAST_BLESS=1 cargo test -p holdfast-drivers writes it anew"
    );
}
